"""The command line. Each command calls one public function, which is imported when the command runs."""

from __future__ import annotations

import difflib
import logging
import os
import sys
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click

from sac_wsi import __version__
from sac_wsi.cli.kernels import set_kernel_folder
from sac_wsi.errors import INSTALL_TORCH, SacWsiError
from sac_wsi.system import interrupt
from sac_wsi.system.disk import open_closed_streams
from sac_wsi.system.memory import address_space_limit

_COMMANDS = (
    *("segment", "export", "info", "verify", "overlay", "demo"),
    *("models", "data", "train", "evaluate", "reproduce"),
)

_DEBUG = "SAC_WSI_DEBUG"
_LEAST_MEMORY = 3 << 30
_MEMORY_HINT = (
    "Needed at least 3 GiB: it counts all addresses that are mapped, several times what is used. To limit "
    "what is used, take a cgroup (Slurm's --mem, systemd's MemoryMax)."
)
_OF_TORCH = ("torch", "torchvision", "segment_anything")


class _Commands(click.Group):
    """Import the module of a command only when it is used: `--help` loads no library but click."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            near = difflib.get_close_matches(cmd_name, _COMMANDS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"There is no command {cmd_name!r}. {hint}", ctx)
        command: click.Command = import_module(f"sac_wsi.cli.{cmd_name}").command
        return command


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 something failed, 2 the request was wrong.",
)
@click.version_option(__version__, prog_name="sac-wsi")
def cli() -> None:
    """Find the nuclei of whole-slide images: one polygon each, ready for QuPath.

    \b
    sac-wsi segment slide.svs --out nuclei.geojson
    """


def main() -> None:
    """Run the command line; print each error as one line and exit with its code."""
    open_closed_streams()
    interrupt.listen()
    set_kernel_folder()
    limit = address_space_limit()
    if limit is not None and limit < _LEAST_MEMORY:
        sys.exit(_print_error(f"the memory limit (ulimit -v) is {limit >> 20} MiB. {_MEMORY_HINT}", 2))
    try:
        code = _run()
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        code = _print_error(_unexpected(error), 1)
    sys.exit(code)


def _run() -> int:
    """Run the command; print an expected error, and return the exit code."""
    try:
        # click returns the code of a command's Exit(1)
        return cli.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        return _print_error("interrupted. Finished work is kept; run the same command to continue.", 1)
    except SacWsiError as error:
        return _print_error(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in _OF_TORCH:
            raise
        return _print_error(f"This needs PyTorch, which is not installed. Run {INSTALL_TORCH}.", 2)
    except BrokenPipeError:
        return 1
    except MemoryError:
        return _print_error("there is not enough memory. Finished work is kept; see grid.tile_px.", 1)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return _print_error(f"{reason}. Finished work is kept; run the same command to continue.", 1)


def _unexpected(error: Exception) -> str:
    """Return the line for an error that is a fault of sac-wsi; it has no text from a file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "sac_wsi" in frame.filename]
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return (
        f"this should not have happened: {type(error).__name__}{place}. Please report it; with "
        f"{_DEBUG}=1 in the environment, the same command shows more."
    )


def _print_error(message: str, code: int) -> int:
    """Print an error as one line, even if a file name in it has a newline; return ``code``."""
    # at exit, zarr's event loop would print the writes that it could not finish
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    with suppress(OSError, ValueError):  # nobody may be reading
        click.echo(f"sac-wsi: {line}", err=True)
    return code
