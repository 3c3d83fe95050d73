"""A wish to stop that outlives a library which swallows it.

Ctrl-C raises KeyboardInterrupt wherever the program happens to be. Inside an argument of ctypes it becomes an
ArgumentError, which looks like a fault of that one tile; in a callback of the garbage collector, or of numba,
it is dropped. So the wish is also written down, and asked for between steps.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

_wished = False


def listen() -> None:
    """From now on Ctrl-C and a scheduler's SIGTERM are written down here."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell ignores it for us
        signal.signal(signal.SIGINT, _stop)
    sys.unraisablehook = _tell_unless_wished


def check() -> None:
    """KeyboardInterrupt if somebody wished it, even where the first one was lost."""
    if _wished:
        raise KeyboardInterrupt


def _stop(*_: Any) -> NoReturn:
    global _wished
    _wished = True
    raise KeyboardInterrupt


def _tell_unless_wished(what: sys.UnraisableHookArgs) -> None:
    if not issubclass(what.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(what)
