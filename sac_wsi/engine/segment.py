"""One slide, from pixels to published nuclei. The order of this file is the order of the work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from sac_wsi import __version__
from sac_wsi.engine.config import SegmentConfig
from sac_wsi.engine.executors import Executor, check_workers, make_executor
from sac_wsi.engine.finish import FINAL, FinishBlock
from sac_wsi.engine.journal import Journal, differences, discard, open_journal, publish
from sac_wsi.engine.plan import Plan, make_plan, tissue_of
from sac_wsi.engine.publish import begin_publishing, write_table, write_tiles_and_tissue
from sac_wsi.engine.seams import settle_seams
from sac_wsi.engine.work import FOUND, Clock, SegmentBlock, fail_block, open_same, tallies
from sac_wsi.errors import InputChanged
from sac_wsi.nuclei.identity import model_namespace
from sac_wsi.settings.read import settings_digest
from sac_wsi.store.columns import FORMAT, read_provenance
from sac_wsi.store.label_pyramid import DrawLabels, create_pyramid, parts
from sac_wsi.store.outputs import Outputs, check_writable, missing_files, plan_outputs, refuse_input
from sac_wsi.store.run import Run, Summary
from sac_wsi.system import interrupt
from sac_wsi.system.memory import begin_task
from sac_wsi.tiling.segmenter import ModelSegmenter, Segmenter, terms_warning

if TYPE_CHECKING:
    from sac_wsi.tissue.find import TissueMask

_TISSUE_FLAGS = {
    "pen": "pen marks were found and left out",
    "black": "black areas were found and left out",
    "empty": "no tissue was found, so the outputs are empty; if there is some, pass --tissue none",
    "repaired": "the tissue file held invalid polygons; they were repaired",
}


@dataclass(frozen=True)
class Progress:
    """How far one stage is: ``done`` of ``total`` tiles, blocks or files; nuclei so far."""

    stage: str
    done: int
    total: int
    nuclei: int = 0


OnProgress = Callable[[Progress], None]


@dataclass
class _Watch:
    """What is told of a run while it goes on."""

    on_progress: OnProgress
    clock: Clock = field(default_factory=Clock)
    workers: int = 1
    advice: list[str] = field(default_factory=list)


def segment_slide(
    slide: str | os.PathLike[str],
    out: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    config: SegmentConfig | None = None,
    mpp: float | None = None,
    segmenter: Segmenter | None = None,
    workers: int | str | Executor = 1,
    overwrite: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> Run:
    """Find the nuclei of a slide and write them to every ``out``, whose extension chooses the form.

    A run that was interrupted goes on where it stopped; a finished one is only exported again where an
    output is missing. ``segmenter`` replaces the config's model, ``mpp`` the slide's own resolution.
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
    refuse_input(outputs.files, plan.slide)
    manifest = plan.manifest()
    missing = list(outputs.files) if overwrite else missing_files(outputs, settings_digest(manifest))
    reused = not overwrite and _is_complete(outputs.store, manifest)
    if overwrite or reused:
        discard(outputs.partial)
    if not reused:
        _make_store(plan, manifest, outputs, workers, watch)
    run = Run(outputs.store)
    begin_task("export")
    with watch.clock.measure("export"):
        for done, path in enumerate(missing, 1):
            watch.advice += [advice] if (advice := run.export(path)) else []
            on_progress(Progress("export", done, len(missing)))
    return replace(run, summary=_summary(run, outputs, reused, watch, time.perf_counter() - begin))


def _is_complete(store: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the store is there and this run's; another run's store is refused."""
    if not store.exists():
        return False
    changes = differences(read_provenance(store)["manifest"], json.loads(json.dumps(manifest)))
    if changes:
        raise InputChanged(
            f"{store} holds another run: {'; '.join(changes)}. Pass --overwrite to replace it, or give "
            "another --out."
        )
    return True


def _make_store(
    plan: Plan,
    manifest: Mapping[str, Any],
    outputs: Outputs,
    workers: int | str | Executor,
    watch: _Watch,
) -> None:
    """Every step from the slide to the published store; each goes on where an earlier attempt stopped."""
    if isinstance(workers, int) and isinstance(plan.segmenter, ModelSegmenter):
        plan.segmenter.load()  # before anything is begun; on a cluster other machines do the work
    cut = {"block_tiles": plan.grid.block_tiles}
    mine = make_executor(workers) if isinstance(workers, int | str) else nullcontext(workers)
    with open_journal(outputs.partial, {**manifest, "work": cut}) as journal, mine as executor:
        watch.workers = executor.workers
        with watch.clock.measure("tissue"):
            tissue = tissue_of(plan)
        _segment_blocks(plan, tissue, journal, executor, watch)
        with watch.clock.measure("seams"):
            doubled = settle_seams(journal, plan.grid)
        _finish_blocks(plan, journal, executor, watch)
        begin_publishing(journal)
        with watch.clock.measure("table"):
            nuclei = write_table(journal, plan.grid)
            tiles = write_tiles_and_tissue(journal, plan.grid, tissue)
        with watch.clock.measure("labels"):
            _draw_labels(plan, journal, executor, watch)
        counts = {"nuclei": nuclei, "tiles": tiles}
        provenance = _provenance(plan, manifest, tissue, outputs.store, journal, counts, doubled)
        zarr.open_group(journal.publish_folder, mode="a").attrs["sac_wsi"] = provenance
        open_same(plan.slide, plan.mpp_given, plan.info.fingerprint).close()
        interrupt.check()
        publish(journal, outputs.store)


def _segment_blocks(
    plan: Plan, tissue: TissueMask, journal: Journal, executor: Executor, watch: _Watch
) -> None:
    task = SegmentBlock(
        slide=plan.slide.absolute(),
        mpp=plan.mpp_given,
        fingerprint=plan.info.fingerprint,
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
    nuclei = 0
    failed: list[tuple[int, Exception]] = []
    watch.on_progress(Progress("segment", done, total))
    for block, answer in executor.run(task, todo):
        if isinstance(answer, Exception):
            failed.append((block, answer))
        else:
            nuclei += answer.nuclei
            watch.clock.add(answer.seconds, 1 / executor.workers)
        done += len(plan.grid.block(block).tiles)
        watch.on_progress(Progress("segment", done, total, nuclei))
    # Only now: a run that is killed tries these again.
    for block, error in failed:
        fail_block(journal, plan.grid.block(block), f"{type(error).__name__}: {error}")


def _finish_blocks(plan: Plan, journal: Journal, executor: Executor, watch: _Watch) -> None:
    namespace = model_namespace(plan.info.fingerprint, plan.segmenter.fingerprint)
    task = FinishBlock(journal, plan.grid, plan.frame.downsample, plan.mpp, namespace)
    todo = journal.missing(FINAL, range(plan.grid.block_count))
    total = plan.grid.block_count
    for done, (_, answer) in enumerate(executor.run(task, todo), total - len(todo) + 1):
        if isinstance(answer, Exception):
            raise answer
        watch.clock.add(answer[1], 1 / executor.workers)
        watch.on_progress(Progress("finish", done, total))


def _draw_labels(plan: Plan, journal: Journal, executor: Executor, watch: _Watch) -> None:
    create_pyramid(journal.publish_folder, plan.labels, name="nuclei")
    task, total = DrawLabels(journal.publish_folder, plan.labels), len(parts(plan.labels))
    for done, (_, answer) in enumerate(executor.run(task, range(total)), 1):
        if isinstance(answer, Exception):
            raise answer
        watch.on_progress(Progress("labels", done, total))


def _provenance(
    plan: Plan,
    manifest: Mapping[str, Any],
    tissue: TissueMask,
    store: Path,
    journal: Journal,
    counts: Mapping[str, Any],
    doubled: int,
) -> dict[str, Any]:
    """What the store says of itself; nothing here may differ between two runs of the same."""
    tally = tallies(journal, plan.grid)
    facts = {key: value for key, value in plan.info.to_json().items() if key != "path"}
    relative = os.path.relpath(plan.slide.absolute(), store.absolute().parent)
    dropped = {
        "doubled": doubled,
        "remnants": tally.nuclei - doubled - counts["nuclei"],
        "larger_than_halo": tally.cut,
    }
    return {
        "format": FORMAT,
        "version": __version__,
        "run_id": settings_digest(manifest),
        "manifest": manifest,
        "model": {**manifest["model"], **_terms(plan.segmenter)},
        "slide": {**facts, "path": relative},
        "frame": asdict(plan.frame),
        "labels": asdict(plan.labels),
        "counts": {**counts, "dropped": dropped},
        "failures": [list(failure) for failure in tally.failures],
        "tissue_mm2": tissue.fraction * plan.area_mm2,
        "warnings": [
            *plan.info.warnings,
            *(_TISSUE_FLAGS[flag] for flag in tissue.flags),
            *terms_warning(plan.segmenter),
        ],
    }


def _terms(segmenter: Segmenter) -> dict[str, Any]:
    """What the model's weights may be used for."""
    if not isinstance(segmenter, ModelSegmenter):
        return {}
    return {"licence": segmenter.licence, "non_commercial": segmenter.non_commercial}


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
        seconds={stage: round(seconds, 3) for stage, seconds in watch.clock.seconds.items()},
        wall_seconds=round(wall_seconds, 3),
        workers=watch.workers,
        reused=reused,
        warnings=(*known["warnings"], *watch.advice),
    )
