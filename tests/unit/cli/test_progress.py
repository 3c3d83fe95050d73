import json
from types import SimpleNamespace

import pytest

from sac_wsi.cli import progress


def of_segment(stage, done, total=3, nuclei=0):
    return SimpleNamespace(stage=stage, done=done, total=total, nuclei=nuclei)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)


def lines_in(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_without_a_terminal_each_stage_prints_its_first_and_its_last_line(capsys):
    with progress.segment_progress() as show:
        for stage in ("segment", "finish"):
            for done in range(4):
                show(of_segment(stage, done, nuclei=7))
    found = lines_in(capsys)
    assert [(line["stage"], line["done"]) for line in found] == [
        ("segment", 0),
        ("segment", 3),
        ("finish", 0),
        ("finish", 3),
    ]
    assert list(found[0]) == ["stage", "done", "total", "nuclei", "seconds"]


def test_a_download_prints_bytes_even_if_its_size_is_unknown(capsys):
    with progress.byte_progress("fetch") as show:
        show(10, None)
        show(20, 20)
    found = lines_in(capsys)
    assert [(line["done"], line["total"], line["unit"]) for line in found] == [
        (10, None, "byte"),
        (20, 20, "byte"),
    ]


def test_on_a_terminal_each_stage_has_a_bar(terminal, capsys):
    with progress.segment_progress() as show:
        show(of_segment("segment", 3, nuclei=12))
        show(of_segment("finish", 1))
    shown = capsys.readouterr().err
    assert "segment: 100%" in shown
    assert "12 nuclei" in shown
    assert "finish:  33%" in shown


def test_a_download_on_a_terminal_continues_where_it_stopped(terminal, capsys):
    with progress.byte_progress("fetch") as show:
        show(50, 100)
        show(100, 100)
    assert "fetch: 100%" in capsys.readouterr().err


def test_labels_are_added_to_each_line_of_a_training(capsys):
    from sac_wsi.train.log import Event

    with progress.train_progress(run="row") as listener:
        listener.on_event(Event("train", 1, 2.0, {"loss": 0.5}))
        listener.on_bad("a.png")
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first) == {
        "run": "row",
        "kind": "train",
        "step": 1,
        "seconds": 2.0,
        "values": {"loss": 0.5},
    }
    assert second == "left out: a.png"
