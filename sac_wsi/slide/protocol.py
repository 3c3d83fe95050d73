"""What a slide is to the rest of the house: what is known of it, and pixels on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from types import TracebackType

    from sac_wsi.geometry import Box

Reader = Literal["openslide", "plain", "tiatoolbox"]
Rgb = NDArray[np.uint8]
"""(h, w, 3), brightfield: white is nothing."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the cropped slide; ``downsample`` is level-0 pixels per pixel of this level."""

    shape_yx: tuple[int, int]
    downsample: float


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What is known of a slide without reading a pixel. Holds no free text from inside the file.

    shape_yx       of level 0, after the crop to the scanner's bounds
    origin_yx      corner of that crop in the file's own level 0
    mpp            micrometres per level-0 pixel, or None; ``require_mpp`` insists
    mpp_source     the property it came from, "" where there is none
    mpp_looked_in  every property that was asked, with its value where that was implausible
    tile_yx        the file's own tile of each level, None where unknown
    fingerprint    hash of the content, independent of name and time
    """

    path: Path
    reader: Reader
    vendor: str
    shape_yx: tuple[int, int]
    origin_yx: tuple[int, int]
    mpp: float | None
    mpp_source: str
    mpp_looked_in: tuple[str, ...]
    objective: float | None
    levels: tuple[Level, ...]
    tile_yx: tuple[tuple[int, int] | None, ...]
    fingerprint: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "path": str(self.path),
            "reader": self.reader,
            "vendor": self.vendor,
            "shape_yx": list(self.shape_yx),
            "origin_yx": list(self.origin_yx),
            "mpp": self.mpp,
            "mpp_source": self.mpp_source,
            "mpp_looked_in": list(self.mpp_looked_in),
            "objective": self.objective,
            "levels": [{"shape_yx": list(v.shape_yx), "downsample": v.downsample} for v in self.levels],
            "tile_yx": [None if tile is None else list(tile) for tile in self.tile_yx],
            "fingerprint": self.fingerprint,
            "warnings": list(self.warnings),
        }


class Slide(Protocol):
    """An open slide. Handles are not shared: every process and every thread opens its own."""

    @property
    def info(self) -> SlideInfo:
        """What is known of it."""

    def read_level(self, level: int, box_level: Box) -> Rgb:
        """Pixels of a box in that level's pixels; white where it is transparent or outside."""

    def close(self) -> None:
        """Give the file back; a second call does nothing."""

    def __enter__(self) -> Slide: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosesItself:
    """The context manager of every reader."""

    def close(self) -> None:
        """Give the file back."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def shown(path: Path) -> str:
    """The file's name on one line, whatever it holds."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path.name or str(path))
