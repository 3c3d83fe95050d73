"""Define what every reader offers: the properties of a slide, and its pixels on demand."""

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
"""(h, w, 3) brightfield pixels; empty glass is white."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the cropped slide; ``downsample`` is level-0 pixels per pixel of this level."""

    shape_yx: tuple[int, int]
    downsample: float


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """The properties of a slide, known without reading a pixel; no free text from inside the file.

    shape_yx       height and width of level 0, after the crop to the scanner's bounds
    origin_yx      corner of that crop in the level-0 pixels of the file
    mpp            micrometres per level-0 pixel, or None (``require_mpp`` raises then)
    mpp_source     the property that it came from, "" if there is none
    mpp_looked_in  every property that was read, with its value if that was implausible
    tile_yx        height and width of the tiles that the file stores, by level; None if unknown
    fingerprint    hash of the content, independent of name and time
    files          the file or files that it consists of; of a folder with millions of files only some
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
    files: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the properties as values that JSON has."""
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
    """An open slide. It is not shared: every process and every thread opens its own."""

    @property
    def info(self) -> SlideInfo:
        """The properties of the slide."""

    def read_level(self, level: int, box_level: Box) -> Rgb:
        """Return the pixels of a box, given in pixels of that level; white where transparent or outside."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""

    def __enter__(self) -> Slide: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosingReader:
    """Base class of the readers: closes the file when the ``with`` block ends."""

    def close(self) -> None:
        """Close the file."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def safe_name(path: Path) -> str:
    """Return the name of a file on one line, with unprintable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path.name or str(path))
