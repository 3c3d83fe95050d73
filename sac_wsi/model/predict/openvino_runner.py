"""Run a prompter with OpenVINO on a CPU, without PyTorch: pixels in, maps out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from scipy import ndimage

from sac_wsi.model.checkpoint.header import Header, read_arrays
from sac_wsi.model.nets.openvino_graph import prompter_graph
from sac_wsi.model.points.prompts import PROBABILITY_MAPS
from sac_wsi.model.predict.features import VIEWS, Features, R, T, direction_back, fill_tile
from sac_wsi.system.processor import usable_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sac_wsi.model.checkpoint.inference import InferenceSettings

Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OpenVinoRunner:
    """A prompter that is compiled for this CPU. One thread computes a tile, as with PyTorch."""

    compiled: ov.CompiledModel
    side_px: int
    threads: int
    over_prompter: bool = False
    _of_thread: threading.local = field(default_factory=threading.local)

    def map(self, work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """Apply ``work`` to each item; return the results in order."""
        with ThreadPoolExecutor(self.threads, "tile") as pool:
            return [result for results in pool.map(lambda item: work([item]), items) for result in results]

    def features(self, tiles: Sequence[NDArray[np.uint8]], settings: InferenceSettings) -> list[Features]:
        """Compute the maps of tiles (h, w, 3), each at most as large as the model's tile."""
        return [Features(None, self._maps(fill_tile(tile, self.side_px), settings)) for tile in tiles]

    def _maps(self, tile: NDArray[np.uint8], settings: InferenceSettings) -> Maps:
        """Average the maps of the tile over some symmetries of the square."""
        maps = self._infer(tile).copy()
        for quarters, mirrored in VIEWS[1 : settings.tta]:
            view = np.rot90(tile, quarters)
            seen = self._infer(view[:, ::-1] if mirrored else view)
            maps += self._back(seen, quarters, mirrored, settings)
        return maps / np.float32(settings.tta) if settings.tta > 1 else maps

    def _back(self, maps: Maps, quarters: int, mirrored: bool, settings: InferenceSettings) -> Maps:
        maps = np.rot90(maps[:, :, ::-1] if mirrored else maps, -quarters, (1, 2))
        if len(maps) > PROBABILITY_MAPS:
            offsets = direction_back(maps[3], maps[4], quarters, mirrored)
            maps = np.concatenate([maps[:PROBABILITY_MAPS], np.stack(offsets)])
        offset_yx = settings.label_offset_yx
        if not any(offset_yx):
            return maps
        there_yx = direction_back(*offset_yx, quarters, mirrored)
        shift = (0, offset_yx[0] - there_yx[0], offset_yx[1] - there_yx[1])
        moved: Maps = ndimage.shift(maps, shift, order=1, mode="nearest")
        return moved

    def _infer(self, tile: NDArray[np.uint8]) -> Maps:
        """Return the maps (M, side, side) of a tile, valid until this thread's next call."""
        request = self._request()
        request.infer([np.ascontiguousarray(tile)[None]], share_inputs=True)
        maps: Maps = request.get_output_tensor(0).data[0]
        return maps

    def _request(self) -> Any:
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self.compiled.create_infer_request()
        return self._of_thread.request


def make_openvino_runner(path: Path, header: Header, precision: str) -> OpenVinoRunner:
    """Compile the prompter of a checkpoint for this CPU."""
    card, threads = header.card, usable_threads()
    graph = prompter_graph(
        card.size.prompter,
        read_arrays(path, header, "prompter."),
        card.size.tile_px,
        card.pixel_mean,
        card.pixel_std,
    )
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        # a stream for each thread: then one thread computes a tile, and the sums have one order
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    return OpenVinoRunner(compiled, card.size.tile_px, threads)
