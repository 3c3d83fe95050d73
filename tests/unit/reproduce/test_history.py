import json

from sac_wsi.reproduce.history import history, read_history


def line(kind, step, seconds, **values):
    return json.dumps({"kind": kind, "step": step, "seconds": seconds, "values": values})


def test_no_training(tmp_path):
    past = read_history(tmp_path / "log.jsonl", 1)
    assert (past.seconds_per_epoch, past.minutes, past.curve) == (None, 0, ())


def test_validation_every_third_epoch():
    lines = [
        *(line("train", 30, 60), line("validation", 30, 66, dice=0.5)),
        *(line("train", 60, 126), line("validation", 60, 130, dice=0.7)),
    ]
    past = history(lines, 3)
    assert past.seconds_per_epoch == 20
    assert past.curve == ((3, 0.5), (6, 0.7))
    assert past.minutes == 130 / 60


def test_an_epoch_that_was_done_twice_counts_once():
    """Killed between the line of the log and the state: the next call does the epoch again."""
    lines = [
        *(line("train", 5, 8), line("validation", 5, 9, dice=0.5)),
        *(line("train", 10, 17), line("validation", 10, 18, dice=0.6), '{"kind": "tr'),
        *(line("train", 10, 26), line("validation", 10, 27, dice=0.6)),
    ]
    assert history(lines, 1).curve == ((1, 0.5), (2, 0.6))
    assert history(lines, 1).seconds_per_epoch == 8


def test_a_call_that_stopped_within_an_epoch():
    lines = [
        *(line("train", 5, 8), line("validation", 5, 9, dice=0.5)),
        *(line("train", 7, 12), line("train", 10, 17), line("validation", 10, 18, dice=0.6)),
    ]
    assert history(lines, 1).seconds_per_epoch == 8
    assert history(lines, 1).minutes == 18 / 60


def test_best_by_loss_has_no_curve():
    assert history([line("train", 5, 8), line("validation", 5, 9, loss=1.0)], 1).curve == ()
