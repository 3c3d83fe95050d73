"""Notice a worker that does nothing any more, for example one that is frozen or waits for a dead disk.

A worker has stalled if it holds tasks and has finished none for much longer than any task took. Its nanny
restarts it; the scheduler then gives its tasks to other workers.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BETWEEN_CHECKS_S = 5.0
FIRST_LIMIT_S = 600.0
"""Until the first task has ended nobody knows how long one takes."""
LEAST_LIMIT_S = 120.0
RESULT_LIMIT_S = 60.0
"""A result is a few numbers: a worker that does not hand it over for so long is frozen."""
TIMES_THE_LONGEST = 10.0


class StallGuard:
    """Watch the workers of a cluster; call ``ended`` for each task, and ``check`` while waiting."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._next_check = time.monotonic() + BETWEEN_CHECKS_S
        self._held: dict[str, tuple[frozenset[str], float]] = {}
        self._last_end = time.monotonic()
        self._longest: float | None = None

    def ended(self) -> None:
        """Note that a task has ended; the time between two ends is an upper bound of what one takes."""
        now = time.monotonic()
        self._longest = max(self._longest or 0.0, now - self._last_end)
        self._last_end = now

    @property
    def limit_s(self) -> float:
        """How long a worker may hold the same tasks."""
        if self._longest is None:
            return FIRST_LIMIT_S
        return max(LEAST_LIMIT_S, TIMES_THE_LONGEST * self._longest)

    def check(self) -> None:
        """Restart the workers that have stalled; does nothing if the last check was a few seconds ago."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + BETWEEN_CHECKS_S
        stalled = self._stalled(self._client.processing(), now)
        if stalled:
            self._restart(stalled)

    def restart_holders(self, future: Any) -> None:
        """Restart the workers that hold a result and do not hand it over; the task is computed again."""
        self._restart([worker for workers in self._client.who_has([future]).values() for worker in workers])

    def _restart(self, workers: list[str]) -> None:
        # without nannies, as on some clusters, nothing can be restarted: the run goes on waiting
        with contextlib.suppress(Exception):
            self._client.restart_workers(workers, timeout=30, raise_for_error=False)
        for worker in workers:
            self._held.pop(worker, None)

    def _stalled(self, processing: Mapping[str, Sequence[str]], now: float) -> list[str]:
        held = {worker: frozenset(map(str, keys)) for worker, keys in processing.items() if keys}
        self._held = {
            worker: (keys, self._held[worker][1] if self._held.get(worker, ("",))[0] == keys else now)
            for worker, keys in held.items()
        }
        return [worker for worker, (_, since) in self._held.items() if now - since > self.limit_s]
