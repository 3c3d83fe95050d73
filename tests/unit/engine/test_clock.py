import pytest

from sac_wsi.engine.clock import Clock


def test_seconds_are_added_by_stage_even_after_an_error():
    clock = Clock()
    with pytest.raises(ValueError, match="bad"), clock.measure("read"):
        raise ValueError("bad")
    once = clock.seconds["read"]
    with clock.measure("read"):
        pass
    assert 0 <= once < clock.seconds["read"]


def test_a_worker_counts_by_its_share():
    clock = Clock({"read": 1.0})
    clock.add({"read": 4.0, "claim": 2.0}, share=0.5)
    assert clock.seconds == {"read": 3.0, "claim": 1.0}
