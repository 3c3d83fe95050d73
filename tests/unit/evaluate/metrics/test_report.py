"""Means, intervals and their JSON."""

import json

import numpy as np
import pytest

from sac_wsi.evaluate.metrics import MEASURES, Interval, score_image, score_missing, summarise
from sac_wsi.evaluate.metrics.bootstrap import interval, resampled_means

EMPTY, NUCLEI = np.zeros((4, 6), np.uint16), np.array([[0, 1, 1, 0, 2, 2]] * 4, np.uint16)


def test_means_are_over_images_and_f1_over_pixels():
    half = np.where(NUCLEI == 1, NUCLEI, 0)
    scores = summarise([score_image(NUCLEI, NUCLEI, name="a"), score_image(NUCLEI, half, name="b")])
    assert scores.mean["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.mean["dq"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.mean["sq"] == 1
    assert scores.f1_pooled == pytest.approx(2 * 24 / (32 + 24))
    assert scores.intervals["dice"] == Interval(pytest.approx(2 / 3), 1)
    assert scores.intervals["sq"] == Interval(1, 1)
    assert scores.intervals["f1_pooled"] == Interval(pytest.approx(2 / 3), 1)


def test_empty_images():
    both, missed, invented = (
        score_image(truth, pred, objects=True)
        for truth, pred in ((EMPTY, EMPTY), (NUCLEI, EMPTY), (EMPTY, NUCLEI))
    )
    assert [getattr(both, measure) for measure in MEASURES] == [1.0] * 8
    assert [getattr(missed, measure) for measure in MEASURES] == [0.0] * 8
    assert [getattr(invented, measure) for measure in MEASURES] == [0.0] * 8
    assert vars(both.objects) == {"f1": 1, "dice": 1, "hausdorff_px": 0}
    assert vars(missed.objects) == vars(invented.objects) == {"f1": 0, "dice": 0, "hausdorff_px": None}
    nothing = summarise([both, both])
    assert nothing.f1_pooled == 1
    assert nothing.intervals["f1_pooled"] == Interval(1, 1)


def test_a_missing_prediction_is_an_empty_one():
    missing, empty = score_missing(NUCLEI, name="a", objects=True), score_image(NUCLEI, EMPTY, objects=True)
    assert missing.missing
    assert {**vars(missing), "name": "", "missing": False} == vars(empty)
    assert summarise([missing]).missing == ("a",)
    assert score_missing(EMPTY).dice == 1


def test_json():
    images = [
        score_image(NUCLEI, NUCLEI, name="a", objects=True),
        score_missing(NUCLEI, name="b", objects=True),
    ]
    report = json.loads(json.dumps(summarise(images, extra=["c.png"]).to_json(), allow_nan=False))
    assert list(report["mean"]) == list(MEASURES)
    assert set(report["mean"].values()) == {0.5}
    assert report["f1_pooled"] == pytest.approx(2 / 3)
    assert set(report["interval_95"]) == {*MEASURES, "f1_pooled"}
    assert report["interval_95"]["aji"] == [0, 1]
    assert report["missing"] == ["b"]
    assert report["extra"] == ["c.png"]
    assert report["objects"]["mean"] == {"f1": 0.5, "dice": 0.5, "hausdorff_px": 0}
    assert report["objects"]["interval_95"]["hausdorff_px"] is None
    first = report["images"][0]
    assert first["name"] == "a"
    assert {measure: first[measure] for measure in MEASURES} == dict.fromkeys(MEASURES, 1)
    assert (first["truth_px"], first["truth_nuclei"], first["missing"]) == (16, 2, False)
    assert "objects" not in summarise([score_image(NUCLEI, EMPTY)]).to_json()


def test_one_image_has_no_interval():
    scores = summarise([score_image(NUCLEI, NUCLEI)])
    assert set(scores.intervals.values()) == {None}
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_intervals_are_those_of_the_normal_law_and_repeat():
    values = np.random.default_rng(1).normal(0.7, 0.1, (400, 2))
    drawn = resampled_means(values, seed=5, draws=20_000)
    found = interval(drawn[:, 0])
    mean, error = values[:, 0].mean(), values[:, 0].std() / 20
    assert found.low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)
    np.testing.assert_array_equal(drawn, resampled_means(values, seed=5, draws=20_000))
    assert (drawn[:2000] != resampled_means(values, seed=6)).all()


def test_all_measures_are_drawn_alike():
    column = np.random.default_rng(0).random(50)
    drawn = resampled_means(np.stack([column, 1 - column], 1))
    np.testing.assert_allclose(drawn.sum(1), 1)
