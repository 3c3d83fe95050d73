"""Small slides written on the spot; their JPEG tiles are encoded by Pillow, so tifffile needs no codec."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours: JPEG changes them little."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 32 + 2, width // 32 + 2, 3), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def encode_tiles(rgb: np.ndarray, side: int) -> list[bytes]:
    tiles = []
    for y in range(0, rgb.shape[0], side):
        for x in range(0, rgb.shape[1], side):
            tile = np.full((side, side, 3), 255, np.uint8)
            part = rgb[y : y + side, x : x + side]
            tile[: part.shape[0], : part.shape[1]] = part
            buffer = io.BytesIO()
            Image.fromarray(tile).save(buffer, "JPEG", quality=95, subsampling=0)
            tiles.append(buffer.getvalue())
    return tiles


def write_slide(
    path: Path,
    rgb: np.ndarray,
    *,
    mpp: float | None = 0.25,
    description: str | None = None,
    shrink: tuple[int, ...] = (1,),
    side: int = 64,
) -> Path:
    """A tiled JPEG TIFF with the given integer pyramid, as OpenSlide opens it."""
    with tifffile.TiffWriter(path) as tiff:
        for i, factor in enumerate(shrink):
            level = np.ascontiguousarray(rgb[::factor, ::factor])
            tiff.write(
                iter(encode_tiles(level, side)),
                shape=level.shape,
                dtype=np.uint8,
                tile=(side, side),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(1, 1),
                resolution=(1e4 / mpp, 1e4 / mpp) if mpp else (72, 72),
                resolutionunit="CENTIMETER" if mpp else "INCH",
                description=description if i == 0 else None,
                subfiletype=1 if i else 0,
                metadata=None,
            )
    return path


@pytest.fixture
def make_slide(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "a.tiff", shape: tuple[int, int] = (300, 410), **options: object) -> Path:
        return write_slide(tmp_path / name, smooth_picture(*shape), **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def picture() -> np.ndarray:
    """What ``make_slide`` writes when nothing else is asked for."""
    return smooth_picture(300, 410)


@pytest.fixture
def jpeg_tiles() -> Callable[..., list[bytes]]:
    return encode_tiles
