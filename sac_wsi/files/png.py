"""Write pictures as PNG with a note of who wrote them, so that only such pictures are ever replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sac_wsi.files.atomic import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_KEYWORD, _SOFTWARE = "Software", "sac-wsi"


def save_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture (h, w, 3); the same pixels give the same bytes. Only such a picture is replaced."""
    note = PngInfo()
    note.add_text(_KEYWORD, _SOFTWARE)
    with atomic_file(path, is_own_picture) as file:
        Image.fromarray(rgb).save(file, format="PNG", pnginfo=note)


def is_own_picture(path: Path) -> bool:
    """Return whether a file is a picture that ``save_png`` wrote."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get(_KEYWORD) == _SOFTWARE
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
