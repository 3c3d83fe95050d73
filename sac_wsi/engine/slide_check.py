"""Notice that the slide has changed since a part of it was segmented: two slides are never mixed.

The journal keeps size, modification time and inode of the slide's files. As long as they stay the same, the
slide counts as unchanged. If one differs, or if the user asks for it, the tiles of all finished blocks are
read again and their pixels are compared with the checksums of those that were segmented.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sac_wsi.engine.blocks import FOUND, FoundBlock
from sac_wsi.engine.clock import Clock
from sac_wsi.engine.journal import Journal
from sac_wsi.engine.read import SlideSource, TilePixels, read_rows
from sac_wsi.errors import InputChanged
from sac_wsi.slide.frame import Frame
from sac_wsi.tiling.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sac_wsi.engine.executors import Executor
    from sac_wsi.engine.plan import Plan


@dataclass(frozen=True)
class CompareBlock:
    """The task: read the tiles of a finished block again, and count those whose pixels differ."""

    source: SlideSource
    frame: Frame
    grid: Grid
    journal: Journal

    def __call__(self, index: int) -> int:
        """Return the number of tiles of block ``index`` that are not what was segmented."""
        wanted = FoundBlock.load_tiles(self.journal, index).pixels_crc
        rows = [[tile for tile in row if tile.index in wanted] for row in self.grid.block(index).rows]
        equal = 0
        with self.source.open() as slide:
            for row in read_rows(slide, self.frame, [row for row in rows if row], Clock()):
                equal += sum(isinstance(t, TilePixels) and t.crc == wanted[t.tile.index] for t in row)
        return len(wanted) - equal


def file_state(files: Sequence[Path]) -> list[list[Any]]:
    """Return name, size, modification time and inode of each file."""
    states = []
    for path in files:
        status = path.stat()
        states.append([path.name, status.st_size, status.st_mtime_ns, status.st_ino])
    return states


def check_slide(
    plan: Plan, journal: Journal, executor: Executor, on_compared: Callable[[int, int], None], *, always: bool
) -> None:
    """Compare the slide with what finished blocks were made from, if there is a reason to.

    Args:
        plan: The run.
        journal: Its finished blocks.
        executor: Reads the tiles.
        on_compared: Called with the number of blocks that were compared, and of all.
        always: Compare even if the files look unchanged.

    Raises:
        InputChanged: Pixels that were segmented are different now.
    """
    state = file_state(plan.info.files)
    known = journal.load_slide_state()
    done = [i for i in range(plan.grid.block_count) if journal.has(FOUND, i)]
    if done and (always or known != state):
        task = CompareBlock(plan.source, plan.frame, plan.grid, journal)
        different = 0
        for number, (_, answer) in enumerate(executor.run(task, done), 1):
            if isinstance(answer, Exception):
                raise answer
            different += answer
            on_compared(number, len(done))
        if different:
            raise InputChanged(
                f"{plan.slide} changed while it was segmented: {different} finished tiles have other pixels "
                "now. Pass --overwrite to start over."
            )
    if known != state:
        journal.save_slide_state(json.dumps(state))
