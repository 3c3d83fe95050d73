"""Where the slide is cut. Micrometres become pixels here and nowhere else.

Cores partition the slide; a tile is read with a halo around its core, so that whatever is anchored in
the core is seen whole. Blocks group tiles: the unit of work, of checkpointing, of retry. The tile grid
decides the result and belongs to the config's hash; the grouping into blocks never does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sac_wsi.errors import ConfigError
from sac_wsi.geometry import Box


@dataclass(frozen=True)
class GridSettings:
    """How a slide is cut into tiles.

    tile_px       side of a tile as the model sees it, halo included; the model's own, else 1024
    halo_um       margin read around a core; must exceed the largest nucleus plus the tolerance; the model's
                  own, else 24
    tolerance_px  how far outside its core a tile may claim a nucleus
    block_tiles   tiles a side in one block of work
    """

    tile_px: int | None = None
    halo_um: float | None = None
    tolerance_px: int = 4
    block_tiles: int = 4

    def resolved(self, tile_px: int = 1024, halo_um: float = 24.0) -> GridSettings:
        """With these values where none were chosen."""
        return replace(
            self,
            tile_px=tile_px if self.tile_px is None else self.tile_px,
            halo_um=halo_um if self.halo_um is None else self.halo_um,
        )


@dataclass(frozen=True)
class Tile:
    """One tile, boxes in frame pixels. ``read`` is clipped to the frame."""

    index: int
    core: Box
    read: Box


@dataclass(frozen=True)
class Block:
    """A rectangle of tiles, in row-major order; boxes in frame pixels."""

    index: int
    core: Box
    read: Box
    rows: tuple[tuple[Tile, ...], ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        return tuple(tile for row in self.rows for tile in row)


@dataclass(frozen=True)
class Grid:
    """The cut of one frame. Build it with :func:`make_grid`."""

    frame: Box
    core_px: int
    halo_px: int
    tolerance_px: int
    block_tiles: int

    @property
    def tiles_yx(self) -> tuple[int, int]:
        return _ceil_div(self.frame.height, self.core_px), _ceil_div(self.frame.width, self.core_px)

    @property
    def blocks_yx(self) -> tuple[int, int]:
        rows, cols = self.tiles_yx
        return _ceil_div(rows, self.block_tiles), _ceil_div(cols, self.block_tiles)

    @property
    def tile_count(self) -> int:
        rows, cols = self.tiles_yx
        return rows * cols

    @property
    def block_count(self) -> int:
        rows, cols = self.blocks_yx
        return rows * cols

    def tile(self, index: int) -> Tile:
        row, col = divmod(index, self.tiles_yx[1])
        y0, x0 = row * self.core_px, col * self.core_px
        core = Box(y0, x0, y0 + self.core_px, x0 + self.core_px).intersect(self.frame)
        return Tile(index, core, core.dilate(self.halo_px).intersect(self.frame))

    def block(self, index: int) -> Block:
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
        """Blocks whose core meets the box, in order."""
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
        """Blocks whose nuclei may overlap this block's: those that this one and they read in common."""
        reach = self.block(block_index).core.dilate(2 * self.halo_px)
        return [i for i in self.blocks_touching(reach) if i != block_index]


def make_grid(frame_shape_yx: tuple[int, int], frame_mpp: float, settings: GridSettings) -> Grid:
    """Cut a frame of the given size and resolution.

    >>> make_grid((3000, 2000), 0.5, GridSettings(tile_px=1024, halo_um=24.0)).tiles_yx
    (4, 3)
    """
    settings = settings.resolved()
    assert settings.tile_px is not None
    assert settings.halo_um is not None
    if settings.halo_um <= 0 or settings.tolerance_px < 0 or settings.block_tiles < 1:
        raise ConfigError(
            f"grid.halo_um {settings.halo_um}, grid.tolerance_px {settings.tolerance_px}, "
            f"grid.block_tiles {settings.block_tiles}: needed above 0, at least 0, at least 1."
        )
    halo_px = math.ceil(settings.halo_um / frame_mpp)
    core_px = settings.tile_px - 2 * halo_px
    least_px = 2 * settings.tolerance_px + 16
    if core_px < least_px:
        raise ConfigError(
            f"grid.tile_px {settings.tile_px} leaves a core of {core_px} px after two halos of "
            f"{halo_px} px ({settings.halo_um} µm at {frame_mpp:.4g} µm/px); needed at least {least_px}. "
            f"Pass --set grid.tile_px={2 * halo_px + 512} or a smaller grid.halo_um."
        )
    if halo_px <= settings.tolerance_px:
        raise ConfigError(
            f"grid.halo_um {settings.halo_um} is {halo_px} px, not more than grid.tolerance_px "
            f"{settings.tolerance_px}: nuclei on seams would be cut. Pass --set grid.halo_um=24."
        )
    return Grid(Box.of_shape(frame_shape_yx), core_px, halo_px, settings.tolerance_px, settings.block_tiles)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
