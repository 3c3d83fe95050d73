"""Cut the slide into tiles. Micrometres become pixels here and nowhere else.

The cores of the tiles partition the slide. A tile is read with a halo around its core, so that each nucleus
anchored in the core is seen whole. Tiles are grouped into blocks, which are computed, saved and tried again
as one. The tile grid influences the result and is part of the config's hash; the blocks never are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box
from sac_wsi.settings.checks import check_range

LARGEST_TILE_PX = 8192
"""Pixels and maps of a larger tile take gigabytes."""


@dataclass(frozen=True)
class GridSettings:
    """How a slide is cut into tiles.

    Attributes:
        tile_px: Side of a tile in pixels as the model sees it, halo included; by default the model's own,
            or 1024.
        halo_um: Width in micrometres of the margin that is read around a core; it must exceed the largest
            nucleus plus the tolerance; by default the model's own, or 24.
        tolerance_px: How far outside its core a tile may claim a nucleus, in pixels.
        block_tiles: Number of tiles along each side of a block of work.
    """

    tile_px: int | None = None
    halo_um: float | None = None
    tolerance_px: int = 4
    block_tiles: int = 4

    def resolved(self, tile_px: int = 1024, halo_um: float = 24.0) -> GridSettings:
        """Return the settings with these values for the fields that are None."""
        return replace(
            self,
            tile_px=tile_px if self.tile_px is None else self.tile_px,
            halo_um=halo_um if self.halo_um is None else self.halo_um,
        )


@dataclass(frozen=True)
class Tile:
    """One tile; its boxes are in frame pixels, and ``read`` is the core with its halo inside the frame."""

    index: int
    core: Box
    read: Box


@dataclass(frozen=True)
class Block:
    """A rectangle of tiles in row-major order; its boxes are in frame pixels."""

    index: int
    core: Box
    read: Box
    rows: tuple[tuple[Tile, ...], ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, row by row."""
        return tuple(tile for row in self.rows for tile in row)


@dataclass(frozen=True)
class Grid:
    """The tiles and blocks of one frame. Build it with `make_grid`."""

    frame: Box
    core_px: int
    halo_px: int
    tolerance_px: int
    block_tiles: int

    @property
    def tiles_yx(self) -> tuple[int, int]:
        """Number of rows and columns of tiles."""
        return _ceil_div(self.frame.height, self.core_px), _ceil_div(self.frame.width, self.core_px)

    @property
    def blocks_yx(self) -> tuple[int, int]:
        """Number of rows and columns of blocks."""
        rows, cols = self.tiles_yx
        return _ceil_div(rows, self.block_tiles), _ceil_div(cols, self.block_tiles)

    @property
    def tile_count(self) -> int:
        """Number of tiles."""
        rows, cols = self.tiles_yx
        return rows * cols

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        rows, cols = self.blocks_yx
        return rows * cols

    def tile(self, index: int) -> Tile:
        """Return a tile by its index, row by row over the frame."""
        row, col = divmod(index, self.tiles_yx[1])
        y0, x0 = row * self.core_px, col * self.core_px
        core = Box(y0, x0, y0 + self.core_px, x0 + self.core_px).intersect(self.frame)
        return Tile(index, core, core.dilate(self.halo_px).intersect(self.frame))

    def block(self, index: int) -> Block:
        """Return a block by its index, row by row over the frame."""
        tile_rows, tile_cols = self.tiles_yx
        row, col = divmod(index, self.blocks_yx[1])
        n = self.block_tiles
        rows = tuple(
            tuple(self.tile(r * tile_cols + c) for c in range(col * n, min((col + 1) * n, tile_cols)))
            for r in range(row * n, min((row + 1) * n, tile_rows))
        )
        first, last = rows[0][0].core, rows[-1][-1].core
        core = Box(first.y0, first.x0, last.y1, last.x1)
        return Block(index, core, core.dilate(self.halo_px).intersect(self.frame), rows)

    def blocks_touching(self, box_frame: Box) -> list[int]:
        """Return the indices of the blocks whose core meets the box, in ascending order."""
        side = self.core_px * self.block_tiles
        inside = box_frame.intersect(self.frame)
        if inside.empty:
            return []
        cols = self.blocks_yx[1]
        return [
            r * cols + c
            for r in range(inside.y0 // side, (inside.y1 - 1) // side + 1)
            for c in range(inside.x0 // side, (inside.x1 - 1) // side + 1)
        ]

    def neighbours(self, block_index: int) -> list[int]:
        """Return the blocks whose nuclei may overlap this block's: both read some pixels in common."""
        reach = self.block(block_index).core.dilate(2 * self.halo_px)
        return [i for i in self.blocks_touching(reach) if i != block_index]


@dataclass(frozen=True)
class SettingNames:
    """Names under which the messages show the settings of the grid."""

    tile_px: str = "grid.tile_px"
    halo_um: str = "grid.halo_um"


def make_grid(
    frame_shape_yx: tuple[int, int],
    frame_mpp: float,
    settings: GridSettings,
    names: SettingNames = SettingNames(),
) -> Grid:
    """Cut a frame of the given size and resolution.

    >>> make_grid((3000, 2000), 0.5, GridSettings(tile_px=1024, halo_um=24.0)).tiles_yx
    (4, 3)

    Args:
        frame_shape_yx: Pixels of the frame.
        frame_mpp: Micrometres per pixel of the frame.
        settings: Fields that are None take their defaults.
        names: Names of the settings in the messages, for callers whose settings have other names.

    Raises:
        ConfigError: No grid is possible; the message names the setting to change.
    """
    settings = settings.resolved()
    assert settings.tile_px is not None
    assert settings.halo_um is not None
    check_range(names.halo_um, settings.halo_um, above=0)
    check_range("grid.tolerance_px", settings.tolerance_px, at_least=0)
    check_range("grid.block_tiles", settings.block_tiles, at_least=1)
    halo_px = math.ceil(settings.halo_um / frame_mpp)
    if settings.tile_px > LARGEST_TILE_PX:
        raise ConfigError(f"{names.tile_px} is {settings.tile_px}: needed at most {LARGEST_TILE_PX}.")
    core_px = settings.tile_px - 2 * halo_px
    least_px = 2 * settings.tolerance_px + 16
    if core_px < least_px:
        raise ConfigError(
            f"{names.tile_px} {settings.tile_px} leaves a core of {core_px} px after two halos of "
            f"{halo_px} px ({settings.halo_um} µm at {frame_mpp:.4g} µm/px); needed at least {least_px}. "
            f"Pass --set {names.tile_px}={2 * halo_px + 512} or a smaller {names.halo_um}."
        )
    if halo_px <= settings.tolerance_px:
        raise ConfigError(
            f"{names.halo_um} {settings.halo_um} is {halo_px} px, not more than grid.tolerance_px "
            f"{settings.tolerance_px}: nuclei on seams would be cut. Pass --set {names.halo_um}=24."
        )
    return Grid(Box.of_shape(frame_shape_yx), core_px, halo_px, settings.tolerance_px, settings.block_tiles)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
