"""The command line. Each command calls one public function, which is imported when the command runs."""

from __future__ import annotations

import logging
import sys
import warnings
from importlib import import_module

import click

from sac_wsi import __version__
from sac_wsi.cli.kernels import set_kernel_folder
from sac_wsi.errors import INSTALL_TORCH, SacWsiError
from sac_wsi.system import interrupt

_COMMANDS = (
    *("segment", "export", "info", "verify", "overlay", "demo"),
    *("models", "data", "train", "evaluate", "reproduce"),
)

_OF_TORCH = ("torch", "torchvision", "segment_anything")


class _Commands(click.Group):
    """Import the module of a command only when it is used: `--help` loads no library but click."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
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
    """Run the command line; print each expected error as one line and exit with its code."""
    interrupt.listen()
    set_kernel_folder()
    try:
        # click returns the code of a command's Exit(1)
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_print_error("interrupted. Finished work is kept; run the same command to continue.", 1))
    except SacWsiError as error:
        sys.exit(_print_error(str(error), error.exit_code))
    except ModuleNotFoundError as error:
        if error.name not in _OF_TORCH:
            raise
        message = f"This needs PyTorch, which is not installed. Run {INSTALL_TORCH}."
        sys.exit(_print_error(message, 2))
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        sys.exit(_print_error(f"{reason}. Finished work is kept; run the same command to continue.", 1))


def _print_error(message: str, code: int) -> int:
    """Print an error as one line, even if a file name in it has a newline; return ``code``."""
    # at exit, zarr's event loop would print the writes that it could not finish
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    click.echo(f"sac-wsi: {line}", err=True)
    return code
