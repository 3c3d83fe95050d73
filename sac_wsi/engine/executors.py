"""Run the tasks of a slide's blocks, in this process or on a Dask cluster; results come in any order.

A task that raises is tried again. After ``TRIES`` attempts its exception is returned as its result, so that
one block never stops the others; the caller decides what to do with it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sac_wsi.engine import stalls
from sac_wsi.engine.stalls import StallGuard
from sac_wsi.errors import RequestError, WriteError
from sac_wsi.system import interrupt
from sac_wsi.system.memory import begin_task

T = TypeVar("T")

TRIES = 3
WAIT_FOR_WORKERS_S = 120
_BETWEEN_LOOKS_S = 0.01
_CLOSING_S = 10
_ADDRESS = re.compile(r"((tcp|tls|ws|wss)://)?[^\s/:]+:\d{1,5}")
_ADDRESS_HINT = (
    "Pass the address that the scheduler printed, such as --workers tcp://127.0.0.1:8786, or a number."
)
_ENDS_THE_RUN = (RequestError, WriteError)
"""Errors that every other block would meet too."""


class Executor(Protocol):
    """Run a picklable task for many indices."""

    workers: int
    """Number of tasks that run at a time."""

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        """Yield ``(index, result or exception)`` for every index, in the order in which they end."""


class SerialExecutor:
    """Run one task after the other in this process."""

    workers = 1

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        """Yield ``(index, result or exception)`` for every index, in the given order."""
        for index in indices:
            result = _try(task, index)
            interrupt.check()
            yield index, result


def _try(task: Callable[[int], T], index: int) -> T | Exception:
    staged = _Staged(task)
    last: Exception | None = None
    for _ in range(TRIES):
        interrupt.check()
        try:
            return staged(index)
        except _ENDS_THE_RUN:
            raise
        except Exception as error:  # noqa: BLE001 - an error of a model must stop its own block only
            last = error
    assert last is not None
    return last


@dataclass(frozen=True)
class _Staged(Generic[T]):
    """A task that announces the stage of the work in the process that runs it."""

    task: Callable[[int], T]

    def __call__(self, index: int) -> T:
        begin_task(type(self.task).__name__)
        return self.task(index)


class DaskExecutor:
    """Run the tasks as a Dask graph on a ``distributed`` cluster.

    The scheduler gives the task of a dead worker to another worker. The keys of the graph hold only the
    task's class and numbers: dashboards and logs show keys, and Dask's own would contain the slide's path.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        # counted once, so that a worker that is being restarted still counts
        self.workers = max(1, sum(client.nthreads().values()))

    def run(self, task: Callable[[int], T], indices: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
        """Yield ``(index, result or exception)`` for every index, in the order in which they end."""
        import dask
        from distributed import as_completed

        kind, run = type(task).__name__, uuid.uuid4().hex[:8]
        step = dask.delayed(_Staged(task), name=f"{kind}-{run}", traverse=False)
        graph = [step(index, dask_key_name=f"{kind}-{run}-{index}") for index in indices]
        futures = self._client.compute(graph, retries=TRIES - 1)
        index_of = dict(zip([future.key for future in futures], indices, strict=True))
        try:
            for future, result in self._completed(as_completed(futures, loop=self._client.loop)):
                interrupt.check()
                if isinstance(result, _ENDS_THE_RUN):
                    raise result
                yield index_of[future.key], result
                future.release()
        finally:
            with contextlib.suppress(Exception):  # the cluster may be gone; what is done is on disk
                self._client.cancel(futures)

    def _completed(self, coming: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the futures as they end, with their results; restart workers that have stalled."""
        guard = StallGuard(self._client)
        while not coming.is_empty():
            if not coming.has_ready():
                interrupt.check()
                guard.check()
                time.sleep(_BETWEEN_LOOKS_S)
                continue
            future = next(coming)
            guard.ended()
            error = future.exception()
            try:
                result = (
                    future.result(timeout=stalls.RESULT_LIMIT_S) if error is None else _as_exception(error)
                )
            except TimeoutError:  # the worker that holds the result is frozen
                guard.restart_holders(future)
                coming.add(future)
                continue
            yield future, result


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def check_workers(workers: int | str) -> None:
    """Raise RequestError for what is neither a number of processes nor an address."""
    if isinstance(workers, int) and workers < 1:
        raise RequestError(f"--workers {workers}: needed a number of at least 1, or a scheduler's address.")
    if isinstance(workers, str) and not _ADDRESS.fullmatch(workers):
        # before Dask sees it: its client does not clean up after an address that it cannot parse
        raise RequestError(f"--workers {workers!r} is neither a number nor an address. {_ADDRESS_HINT}")


@contextmanager
def make_executor(workers: int | str) -> Iterator[Executor]:
    """Yield the executor for ``workers``.

    Args:
        workers: 1 for this process; N > 1 for N new processes on this machine; or the address of a Dask
            scheduler.

    Raises:
        RequestError: ``workers`` is neither, or no cluster answers.
    """
    check_workers(workers)
    if workers == 1:
        yield SerialExecutor()
        return
    import dask
    import distributed  # noqa: F401 - must set its defaults before `set`, which would remove them at its end

    settings: dict[str, Any] = {"distributed.scheduler.no-workers-timeout": f"{WAIT_FOR_WORKERS_S}s"}
    if isinstance(workers, int):
        settings |= {f"distributed.{role}.http.routes": [] for role in ("scheduler", "worker")}
    with dask.config.set(settings), _client(workers) as client:
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
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=_CLOSING_S)
        return
    with interrupt.blocked_in_children():
        cluster = _local_cluster(workers)
    client = Client(cluster, set_as_default=False)
    try:
        yield client
    finally:
        # after the last block nothing may depend on the cluster: one of its workers may be dead or frozen
        for closing in (client, cluster):
            with contextlib.suppress(Exception):
                closing.close(timeout=_CLOSING_S)


def _local_cluster(workers: int) -> Any:
    from distributed import LocalCluster

    # local connections only, no pages over HTTP, and keys that exist only in the memory of this run's
    # processes: without them every user of the machine could run code in a worker
    return LocalCluster(
        n_workers=workers,
        security=True,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        # any free port: with the usual one, a second run on this machine would print a warning
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
