"""Who does the blocks: this process, or a Dask cluster. Both answer as results come, in any order.

A task that raises is tried again; after ``TRIES`` its exception is handed back as its answer, so that
one block never stops the others. What to make of it is the caller's to say.
"""

from __future__ import annotations

import logging
import re
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, Generic, Protocol, TypeVar

from sac_wsi.errors import RequestError, WriteError
from sac_wsi.system import interrupt
from sac_wsi.system.memory import begin_task

T = TypeVar("T")

TRIES = 3
WAIT_FOR_WORKERS_S = 120
_ADDRESS = re.compile(r"((tcp|tls|ws|wss)://)?[^\s/:]+:\d{1,5}")
_ADDRESS_HINT = (
    "Pass the address that the scheduler printed, such as --workers tcp://127.0.0.1:8786, or a number."
)
_ENDS_THE_RUN = (RequestError, WriteError)
"""Every other block would meet it too."""


class Executor(Protocol):
    """Runs a picklable task over indices."""

    workers: int
    """How many tasks run at a time."""

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        """``(index, answer)`` for every index, as they come."""


class SerialExecutor:
    """One task after the other, here."""

    workers = 1

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        for index in indices:
            answer = _tried(task, index)
            interrupt.check()
            yield index, answer


def _tried(task: Callable[[int], T], index: int) -> T | Exception:
    staged = _Staged(task)
    last: Exception | None = None
    for _ in range(TRIES):
        interrupt.check()
        try:
            return staged(index)
        except _ENDS_THE_RUN:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises costs its own block only
            last = error
    assert last is not None
    return last


@dataclass(frozen=True)
class _Staged(Generic[T]):
    """A task that says in whatever process it runs which stage of the work this is."""

    task: Callable[[int], T]

    def __call__(self, index: int) -> T:
        begin_task(type(self.task).__name__)
        return self.task(index)


class DaskExecutor:
    """The blocks of a slide as a lazy Dask graph on a ``distributed`` cluster.

    The scheduler gives a dead worker's block to another one. Keys hold a step and numbers, nothing else:
    a dashboard and logs show them, and of a task's fields Dask would put the slide's path there.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        # counted once: a worker that is just being restarted still counts
        self.workers = max(1, sum(client.nthreads().values()))

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        import dask
        from distributed import as_completed

        kind, run = type(task).__name__, uuid.uuid4().hex[:8]
        step = dask.delayed(_Staged(task), name=f"{kind}-{run}", traverse=False)
        graph = [step(index, dask_key_name=f"{kind}-{run}-{index}") for index in indices]
        futures = self._client.compute(graph, retries=TRIES - 1)
        index_of = dict(zip([future.key for future in futures], indices, strict=True))
        try:
            for future in as_completed(futures, loop=self._client.loop):
                error = future.exception()
                answer: T | Exception = future.result() if error is None else _as_exception(error)
                interrupt.check()
                if isinstance(answer, _ENDS_THE_RUN):
                    raise answer
                yield index_of[future.key], answer
                future.release()
        finally:
            self._client.cancel(futures)


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def check_workers(workers: int | str) -> None:
    """RequestError for what is neither a number of processes nor an address."""
    if isinstance(workers, int) and workers < 1:
        raise RequestError(f"--workers {workers}: needed a number of at least 1, or a scheduler's address.")
    if isinstance(workers, str) and not _ADDRESS.fullmatch(workers):
        # before Dask sees it: its client does not clean up after an address that it cannot parse
        raise RequestError(f"--workers {workers!r} is neither a number nor an address. {_ADDRESS_HINT}")


@contextmanager
def make_executor(workers: int | str) -> Iterator[Executor]:
    """1: serial. N > 1: a LocalCluster of N processes on loopback. An address: the cluster there."""
    check_workers(workers)
    if workers == 1:
        yield SerialExecutor()
        return
    import dask
    import distributed  # noqa: F401 - its defaults first: else the end of `set` takes them away with ours

    patience = {"distributed.scheduler.no-workers-timeout": f"{WAIT_FOR_WORKERS_S}s"}
    with dask.config.set(patience), _client(workers) as client:
        yield DaskExecutor(client)


@contextmanager
def _client(workers: int | str) -> Iterator[Any]:
    from distributed import Client

    if isinstance(workers, str):
        try:
            client = Client(workers, timeout="20s", set_as_default=False)
            client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise RequestError(
                f"No Dask cluster with workers answers at {workers!r} ({type(error).__name__}). "
                f"{_ADDRESS_HINT}"
            ) from error
        with client:
            yield client
        return
    with _without_ctrl_c():
        cluster = _local_cluster(workers)
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Threads and processes begun in here never see SIGINT: Ctrl-C is for this one to answer, once."""
    resource_tracker.ensure_running()  # its start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _local_cluster(workers: int) -> Any:
    from distributed import LocalCluster

    # dashboard off and loopback only: the protocol has no authentication
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
