"""Remember that the user asked to stop, even if a library swallows the KeyboardInterrupt.

Ctrl-C raises KeyboardInterrupt at whatever line the program has reached. While ctypes converts an argument it
becomes an ArgumentError, which looks like a fault of that one tile; in a callback of numba or of the garbage
collector it is dropped. So the request is also kept in a flag, and ``check`` is called between steps.
"""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

_stop_requested = False


def listen() -> None:
    """Handle Ctrl-C and, where the system has it, SIGTERM, which schedulers send."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored for us
        signal.signal(signal.SIGINT, _stop)
    sys.unraisablehook = _report_unless_interrupt


def check() -> None:
    """Raise KeyboardInterrupt if a stop was requested, even if the first KeyboardInterrupt was lost."""
    if _stop_requested:
        raise KeyboardInterrupt


@contextmanager
def blocked_in_children() -> Iterator[None]:
    """Block Ctrl-C for threads and processes that start in the block: only this process handles it.

    Without ``pthread_sigmask`` (Windows) nothing is blocked: children then stop by themselves, too.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # if it started later, it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(*_: Any) -> NoReturn:
    global _stop_requested
    _stop_requested = True
    raise KeyboardInterrupt


def _report_unless_interrupt(what: sys.UnraisableHookArgs) -> None:
    if not issubclass(what.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(what)
