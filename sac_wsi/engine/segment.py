"""Segment one slide, from pixels to published nuclei. The order of this file is the order of the work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from sac_wsi.engine.blocks import FINAL, FOUND, FoundBlock
from sac_wsi.engine.clock import Clock
from sac_wsi.engine.config import SegmentConfig
from sac_wsi.engine.executors import Executor, check_workers, make_executor
from sac_wsi.engine.finish import FinishBlock
from sac_wsi.engine.journal import Journal, differences, discard, open_journal, publish
from sac_wsi.engine.plan import Plan, make_plan, tissue_of
from sac_wsi.engine.plausible import implausible
from sac_wsi.engine.provenance import Counts, provenance
from sac_wsi.engine.publish import begin_publishing, write_table, write_tiles_and_tissue
from sac_wsi.engine.seams import settle_seams
from sac_wsi.engine.slide_check import check_slide
from sac_wsi.engine.work import SegmentBlock
from sac_wsi.errors import InputChanged
from sac_wsi.nuclei.identity import model_namespace
from sac_wsi.settings.read import settings_digest
from sac_wsi.store.digests import refuse_damaged
from sac_wsi.store.label_pyramid import DrawLabels, create_pyramid, parts
from sac_wsi.store.outputs import (
    Outputs,
    check_writable,
    files_to_write,
    make_folders,
    plan_outputs,
    refuse_inputs,
    run_of,
)
from sac_wsi.store.own_files import refuse_foreign
from sac_wsi.store.provenance import read_provenance
from sac_wsi.store.run import Run, Summary
from sac_wsi.system import interrupt
from sac_wsi.system.memory import begin_task
from sac_wsi.tiling.segmenter import ModelSegmenter, Segmenter

if TYPE_CHECKING:
    from sac_wsi.tissue.find import TissueMask


@dataclass(frozen=True)
class Progress:
    """How far one stage is: ``done`` of ``total`` tiles, blocks or files, and the nuclei known so far."""

    stage: str
    done: int
    total: int
    nuclei: int = 0


OnProgress = Callable[[Progress], None]


@dataclass
class _Watch:
    """What is recorded and reported while a run works."""

    on_progress: OnProgress
    clock: Clock = field(default_factory=Clock)
    workers: int = 1
    nuclei: int = 0
    advice: list[str] = field(default_factory=list)

    def report(self, stage: str, done: int, total: int) -> None:
        """Report how far a stage is."""
        self.on_progress(Progress(stage, done, total, self.nuclei))


def segment_slide(
    slide: str | os.PathLike[str],
    out: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    config: SegmentConfig | None = None,
    mpp: float | None = None,
    segmenter: Segmenter | None = None,
    workers: int | str | Executor = 1,
    overwrite: bool = False,
    verify_slide: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> Run:
    """Find the nuclei of a slide and write them to files.

    An interrupted run continues where it stopped. A finished run is not repeated: only missing outputs are
    written.

    Args:
        slide: The slide's file or folder.
        out: One or more output files; the extension chooses the format. The store lies beside the first.
        config: Settings; the defaults if None.
        mpp: Micrometres per level-0 pixel, if the slide's own value is missing or wrong.
        segmenter: Used instead of the model that the config names.
        workers: Number of processes, the address of a Dask scheduler, or an executor.
        overwrite: Start over, and replace outputs of other runs; never a file that sac-wsi did not write.
        verify_slide: Read again what was segmented before the run ends, even if the slide's file looks
            unchanged: the same size, modification time and inode.
        on_progress: Called after each block of work and each file.
    """
    begin = time.perf_counter()
    begin_task("plan")
    if isinstance(workers, int | str):
        check_workers(workers)
    watch = _Watch(on_progress)
    outs = [out] if isinstance(out, str | os.PathLike) else list(out)
    outputs = plan_outputs([Path(o) for o in outs])
    check_writable(outputs)
    plan = make_plan(Path(slide), config or SegmentConfig(), mpp=mpp, segmenter=segmenter)
    refuse_inputs([outputs.store, outputs.partial, *outputs.files], plan.inputs)
    manifest = plan.manifest()
    run_id = settings_digest(manifest)
    missing = files_to_write(outputs, run_id, overwrite=overwrite)
    if overwrite and outputs.store.exists():
        refuse_foreign(outputs.store)
    reused = not overwrite and _is_complete(outputs.store, manifest)
    make_folders(outputs)
    if reused:
        discard(outputs.partial)
    else:
        reused = _make_store(
            plan, manifest, outputs, workers, watch, overwrite=overwrite, verify_slide=verify_slide
        )
    run = Run(outputs.store)

    def may_replace(path: Path) -> bool:
        found = run_of(path)
        return found is not None and (overwrite or found == run_id)

    begin_task("export")
    with watch.clock.measure("export"):
        for done, path in enumerate(missing, 1):
            advice = run.export(path, may_replace)
            watch.advice += [advice] if advice else []
            watch.report("export", done, len(missing))
    if outputs.partial.exists():
        watch.advice.append(f"{outputs.partial} was kept: it holds files that sac-wsi did not write")
    return replace(run, summary=_summary(run, outputs, reused, watch, time.perf_counter() - begin))


def _is_complete(store: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether the finished store of this run exists.

    Raises:
        InputChanged: The store is another run's.
    """
    if not store.exists():
        return False
    changes = differences(read_provenance(store)["manifest"], json.loads(json.dumps(manifest)))
    if changes:
        raise InputChanged(
            f"{store} holds another run: {'; '.join(changes)}. Pass --overwrite to replace it, or give "
            "another --out."
        )
    refuse_damaged(store)
    return True


def _make_store(
    plan: Plan,
    manifest: Mapping[str, Any],
    outputs: Outputs,
    workers: int | str | Executor,
    watch: _Watch,
    *,
    overwrite: bool,
    verify_slide: bool,
) -> bool:
    """Do all steps from the slide to the published store; each continues where an earlier run stopped.

    Returns:
        Whether another process published the store before this one could begin.
    """
    if isinstance(workers, int) and isinstance(plan.segmenter, ModelSegmenter):
        watch.report("load model", 0, 1)
        with watch.clock.measure("load model"):
            plan.segmenter.load()  # before any work; on a cluster, only the workers need the weights
        watch.report("load model", 1, 1)
    work = {"block_tiles": plan.grid.block_tiles}
    own_executor = make_executor(workers) if isinstance(workers, int | str) else nullcontext(workers)
    with (
        open_journal(outputs.partial, {**manifest, "work": work}, start_over=overwrite) as journal,
        own_executor as executor,
    ):
        if not overwrite and _is_complete(outputs.store, manifest):
            journal.remove()
            return True
        watch.workers = executor.workers
        watch.report("find tissue", 0, 1)
        with watch.clock.measure("tissue"):
            tissue = tissue_of(plan)
        watch.report("find tissue", 1, 1)
        _check_slide(plan, journal, executor, watch, always=verify_slide, overwrite=overwrite)
        _segment_blocks(plan, tissue, journal, executor, watch)
        with watch.clock.measure("seams"):
            doubled = settle_seams(journal, plan.grid)
        _finish_blocks(plan, journal, executor, watch)
        begin_publishing(journal)
        with watch.clock.measure("table"):
            watch.nuclei = write_table(journal, plan.grid)
            tiles = write_tiles_and_tissue(journal, plan.grid, tissue)
        with watch.clock.measure("labels"):
            _draw_labels(plan, journal, executor, watch)
        counts = Counts(watch.nuclei, tiles, doubled)
        known = provenance(plan, manifest, tissue, outputs.store, journal, counts)
        cut = known["counts"]["dropped"]["larger_than_halo"]
        known["warnings"] += implausible(journal.publish_folder, plan.slide_mpp, known["tissue_mm2"], cut)
        zarr.open_group(journal.publish_folder, mode="a").attrs["sac_wsi"] = known
        plan.source.check()
        _check_slide(plan, journal, executor, watch, always=verify_slide)
        interrupt.check()
        publish(journal, outputs.store, overwrite=overwrite)
    return False


def _check_slide(
    plan: Plan, journal: Journal, executor: Executor, watch: _Watch, *, always: bool, overwrite: bool = False
) -> None:
    def on_compared(done: int, total: int) -> None:
        watch.report("compare", done, total)

    with watch.clock.measure("compare"):
        try:
            check_slide(plan, journal, executor, on_compared, always=always)
        except InputChanged:
            if not overwrite:
                raise
            journal.remove_results()


def _segment_blocks(
    plan: Plan, tissue: TissueMask, journal: Journal, executor: Executor, watch: _Watch
) -> None:
    task = SegmentBlock(
        source=plan.source,
        frame=plan.frame,
        grid=plan.grid,
        tissue=tissue,
        segmenter=plan.segmenter,
        batch_tiles=plan.config.batch_tiles,
        journal=journal,
    )
    todo = journal.missing(FOUND, range(plan.grid.block_count))
    total = plan.grid.tile_count
    done = total - sum(len(plan.grid.block(i).tiles) for i in todo)
    finished = set(range(plan.grid.block_count)).difference(todo)
    watch.nuclei = sum(FoundBlock.load_count(journal, block) for block in finished)
    failed: list[tuple[int, Exception]] = []
    watch.report("segment", done, total)
    for block, answer in executor.run(task, todo):
        if isinstance(answer, Exception):
            failed.append((block, answer))
        else:
            watch.nuclei += answer.nuclei
            watch.clock.add(answer.seconds, 1 / executor.workers)
        done += len(plan.grid.block(block).tiles)
        watch.report("segment", done, total)
    # only now: if the run is killed before, the next one tries these blocks again
    for block, error in failed:
        reason = f"{type(error).__name__}: {error}"
        FoundBlock.failed(plan.grid.block(block), reason).save(journal, block)


def _finish_blocks(plan: Plan, journal: Journal, executor: Executor, watch: _Watch) -> None:
    namespace = model_namespace(plan.info.fingerprint, plan.segmenter.fingerprint)
    task = FinishBlock(journal, plan.grid, plan.frame.downsample, plan.slide_mpp, namespace)
    todo = journal.missing(FINAL, range(plan.grid.block_count))
    total = plan.grid.block_count
    for done, (_, answer) in enumerate(executor.run(task, todo), total - len(todo) + 1):
        if isinstance(answer, Exception):
            raise answer
        watch.clock.add(answer, 1 / executor.workers)
        watch.report("finish", done, total)


def _draw_labels(plan: Plan, journal: Journal, executor: Executor, watch: _Watch) -> None:
    create_pyramid(journal.publish_folder, plan.labels, name="nuclei")
    task, total = DrawLabels(journal.publish_folder, plan.labels), len(parts(plan.labels))
    for done, (_, answer) in enumerate(executor.run(task, range(total)), 1):
        if isinstance(answer, Exception):
            raise answer
        watch.report("labels", done, total)


def _summary(run: Run, outputs: Outputs, reused: bool, watch: _Watch, wall_seconds: float) -> Summary:
    known = run.provenance
    return Summary(
        store=str(outputs.store),
        outputs=tuple(str(path) for path in outputs.files),
        run_id=known["run_id"],
        nuclei=known["counts"]["nuclei"],
        tiles=known["counts"]["tiles"],
        dropped=known["counts"]["dropped"],
        failures=tuple((int(tile), str(reason)) for tile, reason in known["failures"]),
        tissue_mm2=known["tissue_mm2"],
        seconds=_all_seconds(watch.clock, wall_seconds),
        wall_seconds=round(wall_seconds, 3),
        workers=watch.workers,
        reused=reused,
        warnings=(*known["warnings"], *watch.advice),
    )


def _all_seconds(clock: Clock, wall_seconds: float) -> dict[str, float]:
    """Return the seconds of each stage, and as "other" what no stage accounts for: starting, libraries."""
    seconds = {stage: round(value, 3) for stage, value in clock.seconds.items()}
    return seconds | {"other": round(max(0.0, wall_seconds - sum(seconds.values())), 3)}
