"""A contact sheet: the middle of each image at full resolution, with outlined objects and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sac_wsi.errors import DataError, OutputError
from sac_wsi.files.atomic import refuse_existing
from sac_wsi.files.png import is_own_picture, save_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from sac_wsi.datasets.sample import DataSet, Labels, Rgb

OUTLINE_RGB = (0, 230, 90)
"""A green unlike haematoxylin and eosin."""
CELL_PX = 256
MOST_CELLS = 60

_CAPTION_PX = 16
_GAP_PX = 6
_COLUMNS = 6
_BAD_RGB = (200, 60, 60)


def draw_sheet(
    data: DataSet, cell_px: int = CELL_PX, on_image: Callable[[str], None] = lambda name: None
) -> Rgb:
    """Draw at most ``MOST_CELLS`` evenly chosen images. Unreadable images are red."""
    chosen = even_choice(len(data), MOST_CELLS)
    columns = min(_COLUMNS, max(1, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    step_y, step_x = cell_px + _CAPTION_PX + _GAP_PX, cell_px + _GAP_PX
    sheet = Image.new("RGB", (columns * step_x + _GAP_PX, rows * step_y + _GAP_PX), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, index in enumerate(chosen):
        y, x = _GAP_PX + place // columns * step_y, _GAP_PX + place % columns * step_x
        sheet.paste(Image.fromarray(_cell(data, index, cell_px)), (x, y))
        name = data.samples[index].name
        pen.text((x, y + cell_px + 2), name[: cell_px // 7], fill="black", font=font)
        on_image(name)
    return np.array(sheet)


def write_sheet(
    path: Path, data: DataSet, on_image: Callable[[str], None] = lambda name: None, overwrite: bool = False
) -> None:
    """Draw the contact sheet and write it as PNG."""
    refuse_sheet(path, overwrite)
    save_png(path, draw_sheet(data, on_image=on_image))


def refuse_sheet(path: Path, overwrite: bool) -> None:
    """Raise OutputError if the sheet cannot be written. Call it before the long work."""
    if path.suffix != ".png":
        raise OutputError(f"{path.name!r} is not a .png. Give --sheet look.png.")
    refuse_existing(path, is_own_picture, overwrite=overwrite, option="--sheet")


def outlined(rgb: Rgb, labels: Labels) -> Rgb:
    """Return a copy with the inner border of every object drawn."""
    drawn = rgb.copy()
    drawn[borders(labels)] = OUTLINE_RGB
    return drawn


def borders(labels: Labels) -> NDArray[np.bool_]:
    """Return (h, w) True at object pixels beside another object or background. The image edge is no border.

    >>> borders(np.array([[0, 1, 1, 2]], np.int32)).tolist()
    [[False, True, True, True]]
    """
    beside = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    beside[1:] |= down
    beside[:-1] |= down
    beside[:, 1:] |= right
    beside[:, :-1] |= right
    return beside & (labels > 0)


def even_choice(count: int, most: int) -> list[int]:
    """Return at most ``most`` of ``count`` numbers, evenly spread.

    >>> even_choice(10, 4)
    [0, 3, 6, 9]
    """
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _cell(data: DataSet, index: int, cell_px: int) -> Rgb:
    cell = np.full((cell_px, cell_px, 3), 235, np.uint8)
    try:
        rgb, labels = data.read(index)
    except DataError:
        cell[:] = _BAD_RGB
        return cell
    middle = tuple(
        slice(max(0, (n - cell_px) // 2), max(0, (n - cell_px) // 2) + cell_px) for n in labels.shape
    )
    cut = outlined(rgb, labels)[middle]
    cell[: cut.shape[0], : cut.shape[1]] = cut
    return cell
