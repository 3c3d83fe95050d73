import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dask
import dask.array
import pytest
from distributed import get_worker

from sac_wsi.engine.executors import SerialExecutor, make_executor
from sac_wsi.errors import OutputError, RequestError


def double(i):
    return 2 * i


def fail_at_five(i):
    if i == 5:
        raise ValueError("five")
    return i


def disk_full(i):
    raise OutputError("disk full")


@dataclass(frozen=True)
class DieOnce:
    """Kill the process once, at index 3."""

    mark: Path

    def __call__(self, i: int) -> int:
        if i == 3 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return i


@pytest.fixture(scope="module")
def dask_executor():
    with make_executor(2) as executor:
        yield executor


@pytest.fixture(params=["serial", "dask"])
def executor(request):
    return SerialExecutor() if request.param == "serial" else request.getfixturevalue("dask_executor")


def test_every_index_is_answered(executor):
    assert dict(executor.run(double, range(20))) == {i: 2 * i for i in range(20)}


def test_a_failing_block_does_not_stop_the_others(executor):
    answers = dict(executor.run(fail_at_five, range(8)))
    assert isinstance(answers.pop(5), ValueError)
    assert answers == {i: i for i in range(8) if i != 5}


def test_a_request_that_cannot_be_met_ends_the_run(executor):
    with pytest.raises(OutputError, match="disk full"):
        list(executor.run(disk_full, range(4)))


def test_the_block_of_a_killed_worker_is_done_by_another(dask_executor, tmp_path):
    answers = dict(dask_executor.run(DieOnce(tmp_path / "died"), range(8)))
    assert (tmp_path / "died").exists()
    assert answers == {i: i for i in range(8)}


@dataclass(frozen=True)
class KeyOfTask:
    slide: str

    def __call__(self, i: int) -> str:
        return str(get_worker().get_current_task())


def test_keys_hold_nothing_of_the_task(dask_executor):
    """Schedulers log and show keys, and a slide's path may name a patient."""
    keys = dict(dask_executor.run(KeyOfTask("/archive/Jane Doe.svs"), range(3))).values()
    assert all(key.startswith("KeyOfTask-") and "Jane" not in key for key in keys)


def test_workers_are_counted(dask_executor):
    assert dask_executor.workers == 2


@pytest.mark.parametrize(
    "workers", [0, -1, "nonsense", "1.5", "", "gopher://127.0.0.1:1", "tcp://127.0.0.1", "a b:1", "tcp://a:b"]
)
def test_invalid_workers_are_refused(workers):
    with pytest.raises(RequestError, match="workers"), make_executor(workers):
        pass


def test_the_callers_dask_settings_do_not_change(dask_executor):
    """Our client must not become the scheduler of the arrays that the caller computes later."""
    assert dask.config.get("scheduler", None) is None
    assert int(dask.array.ones(5).sum().compute()) == 5


INTERRUPTED = """
import signal
from sac_wsi.engine.executors import SerialExecutor
from sac_wsi.system import interrupt

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored for the tests
interrupt.listen()
started = []

def task(i):
    started.append(i)
    if i == 1:
        try:
            signal.raise_signal({sign})
        except KeyboardInterrupt:
            if {raised_as}:
                raise {raised_as} from None
    return i

try:
    list(SerialExecutor().run(task, range(4)))
except KeyboardInterrupt:
    print(started)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("raised_as", [ValueError, None])
def test_an_interrupt_that_a_library_swallows_still_stops_the_run(sign, raised_as):
    """For example, ctypes turns an interrupt during the conversion of an argument into an ArgumentError.

    In a process of its own: a signal to the process of the tests could hit more than this test.
    """
    code = INTERRUPTED.format(sign=int(sign), raised_as=raised_as and raised_as.__name__)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1]\n"
