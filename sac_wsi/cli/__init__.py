"""The command line. Each command is a few lines over one public function, imported when it is called."""

from __future__ import annotations

import logging
import sys
import warnings
from importlib import import_module

import click

from sac_wsi import __version__
from sac_wsi.cli.kernels import keep_kernels_somewhere
from sac_wsi.errors import SacWsiError
from sac_wsi.system import interrupt

_COMMANDS = (
    *("segment", "export", "info", "verify", "overlay", "demo"),
    *("models", "data", "train", "evaluate", "reproduce"),
)


class _Commands(click.Group):
    """Loads a command's module when it is asked for: `--help` needs none of the libraries."""

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
    epilog="Exit codes: 0 all well, 1 something failed, 2 the request was wrong.",
)
@click.version_option(__version__, prog_name="sac-wsi")
def cli() -> None:
    """Nuclei from whole-slide images, one polygon each, ready for QuPath.

    \b
    sac-wsi segment slide.svs --out nuclei.geojson
    """


def main() -> None:
    """Run the command line and turn every foreseen error into one line and an exit code."""
    interrupt.listen()
    keep_kernels_somewhere()
    try:
        # click hands a command's Exit(1) back as a return value
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_failed("interrupted; what is finished is kept. Run the same command to go on.", 1))
    except SacWsiError as error:
        sys.exit(_failed(str(error), error.exit_code))
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        sys.exit(_failed(f"{reason}. What is finished is kept; run the same command to go on.", 1))


def _failed(message: str, code: int) -> int:
    """One line whatever the message holds: a file's name may have a newline in it."""
    # zarr's event loop would tell, on the way out, which writes it had to give up
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    click.echo(f"sac-wsi: {line}", err=True)
    return code
