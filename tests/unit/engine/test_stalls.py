"""Workers that do nothing any more are found and restarted; busy ones are not."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sac_wsi.engine import stalls
from sac_wsi.engine.executors import make_executor
from sac_wsi.engine.stalls import StallGuard


class FakeClient:
    def __init__(self):
        self.held, self.restarted = {}, []

    def processing(self):
        return self.held

    def restart_workers(self, workers, **_):
        self.restarted += workers


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(stalls.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_worker_that_keeps_its_tasks_too_long_is_restarted_once(clock):
    client = FakeClient()
    guard = StallGuard(client)
    clock.now += 2
    guard.ended()
    client.held = {"a": ["1", "2"], "b": ["3"], "c": []}
    for step in range(100):
        clock.now += 5
        client.held["b"] = [str(step)]  # b ends tasks
        guard.check()
        if client.restarted:
            break
    assert client.restarted == ["a"]
    assert guard.limit_s == stalls.LEAST_LIMIT_S
    assert 110 < step * 5 < 140
    guard.check()
    assert client.restarted == ["a"]


def test_slow_tasks_raise_the_limit(clock):
    guard = StallGuard(FakeClient())
    assert guard.limit_s == stalls.FIRST_LIMIT_S
    clock.now += 100
    guard.ended()
    assert guard.limit_s == 1000


@dataclass(frozen=True)
class FreezeOnce:
    """Freeze the process, once, at index 2."""

    mark: Path

    def __call__(self, i: int) -> int:
        if i == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.02)
        return i


def test_the_block_of_a_frozen_worker_is_done_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(stalls, "BETWEEN_CHECKS_S", 0.2)
    monkeypatch.setattr(stalls, "FIRST_LIMIT_S", 5.0)
    monkeypatch.setattr(stalls, "LEAST_LIMIT_S", 2.0)
    monkeypatch.setattr(stalls, "RESULT_LIMIT_S", 2.0)
    with make_executor(2) as executor:
        answers = dict(executor.run(FreezeOnce(tmp_path / "frozen"), range(12)))
    assert (tmp_path / "frozen").exists()
    assert answers == {i: i for i in range(12)}
