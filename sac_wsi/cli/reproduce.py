"""The command `sac-wsi reproduce`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sac_wsi.cli.kernels import announce_compilation
from sac_wsi.cli.options import PATH, set_option
from sac_wsi.cli.progress import image_progress, report_left_out, train_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sac_wsi.reproduce.row_runner import RowRunner
    from sac_wsi.reproduce.rows import Target
    from sac_wsi.reproduce.run_table import FinishedRow

_PLACE = "SET=IMAGES[,LABELS]"


@click.command("reproduce")
@click.argument("names", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--scale",
    "scale_name",
    type=click.Choice(("paper", "mobile", "small")),
    default="paper",
    show_default=True,
    help="mobile: MobileSAM's encoder at 512 pixels, for a CPU. small: run the code of every row in minutes "
    "with a tiny encoder; its numbers mean nothing.",
)
@click.option("--data", multiple=True, metavar=_PLACE, help="Training images: monuseg, dsb or glas.")
@click.option("--test", multiple=True, metavar=_PLACE, help="Test images instead of the test part of --data.")
@click.option(
    "--sam-checkpoint",
    "sam",
    multiple=True,
    metavar="FILE",
    type=PATH,
    help="Meta's weights of an encoder; all rows together need ViT-B, ViT-L and ViT-H. At mobile scale: "
    "MobileSAM's file.",
)
@click.option("--out", type=PATH, default="runs/reproduce", show_default=True, help="Folder for the results.")
@set_option("One setting of all trainings: schedule.*")
def command(
    names: tuple[str, ...],
    scale_name: str,
    data: tuple[str, ...],
    test: tuple[str, ...],
    sam: tuple[Path, ...],
    out: Path,
    overrides: tuple[str, ...],
) -> None:
    """Reproduce the paper's tables: train and score each row, and print its number beside the paper's.

    TARGET is table1 to table8, figure4, losses, or all. A row without its data or SAM weights says what is
    missing. Finished rows are kept; run an interrupted command again to continue. Writes OUT/SCALE/TARGET.md,
    .csv and .svg.

    \b
    Example:
      sac-wsi reproduce table6
      sac-wsi reproduce all --scale small
      sac-wsi reproduce table1 table3 --data monuseg=images,annotations --test monuseg=test \\
          --sam-checkpoint sam_vit_h_4b8939.pth
    """
    from sac_wsi.reproduce.inputs import Inputs, places, sam_files
    from sac_wsi.reproduce.tables import TARGETS, target

    # report wrong arguments before anything heavy is loaded
    chosen = dict.fromkeys(name for each in names for name in (TARGETS if each == "all" else (each,)))
    targets = [target(name) for name in chosen]
    inputs = Inputs(places("--data", data), places("--test", test), sam_files(sam))

    from sac_wsi.reproduce.row_runner import Callbacks, RowRunner
    from sac_wsi.reproduce.scale import SCALES
    from sac_wsi.reproduce.training_config import read_overrides
    from sac_wsi.reproduce.write_files import claim_tables

    announce_compilation()
    folder = out / scale_name
    callbacks = Callbacks(lambda run: train_progress(run=run), image_progress, report_left_out)
    runner = RowRunner(SCALES[scale_name], inputs, folder, read_overrides(overrides), callbacks)
    runner.prepare(targets)
    claim_tables(folder, [target.name for target in targets])
    if _make_all(targets, runner, folder):
        raise click.exceptions.Exit(1)


def _make_all(targets: Iterable[Target], runner: RowRunner, folder: Path) -> bool:
    """Print and write each table; return whether a row failed."""
    from sac_wsi.reproduce.format_table import terminal
    from sac_wsi.reproduce.result_table import make_result_table
    from sac_wsi.reproduce.run_table import RunCache, run_table
    from sac_wsi.reproduce.write_files import write_files

    results, failed = RunCache(), False
    for each in targets:
        found = run_table(
            each,
            runner.run_row,
            scale=runner.scale,
            available=runner.inputs.available,
            audit=runner.audit,
            results=results,
            on_row=_counter(each),
        )
        table = make_result_table(found)
        click.echo(terminal(table))
        click.echo()
        for path in write_files(table, folder):
            click.echo(str(path))
        click.echo()
        failed |= bool(found.failed)
    return failed


def _counter(target: Target) -> Callable[[FinishedRow], None]:
    """Return a function that prints each finished row and how many are done."""
    done = 0

    def on_row(line: FinishedRow) -> None:
        nonlocal done
        done += 1
        reason = ""
        if line.result is not None and line.result.reason:
            reason = f": {'failed' if line.result.failed else 'not run'}, {line.result.reason}"
        where = f"{target.name} {done}/{len(target.rows)}"
        click.echo(f"{where}  {line.row.label}{reason}", err=True)
        sys.stderr.flush()

    return on_row
