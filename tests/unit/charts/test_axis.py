import pytest

from sac_wsi.charts.axis import loss_axis, padded_axis, round_ticks, step_axis


@pytest.mark.parametrize("values", [(0.0,), (0.0, 0.0), (-1.0, -1.0), (0.3,), (1e-9, 1e9), (-2.0, 1.0)])
def test_every_axis_holds_its_values_and_has_round_ticks_in_it(values):
    axis = loss_axis(values)
    assert all(-1e-9 <= axis.part(value) <= 1 + 1e-9 for value in (*values, *axis.ticks))
    assert 2 <= len(axis.ticks) <= 9


def test_axes_show_round_ticks():
    assert round_ticks(0, 0.34) == (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    assert step_axis([500, 8000]).ticks == tuple(range(1000, 8001, 1000))
    assert step_axis([5]).ticks == (5, 6)
    assert loss_axis([0.01, 1.0]).ticks == (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


@pytest.mark.parametrize("values", [[1.0], [0.0, 100.0], [81.4, 81.6], [6.36e8, 6.37e8], [-3.0, 0.0]])
def test_a_padded_axis_holds_its_values_and_has_a_few_ticks(values):
    axis = padded_axis(values)
    assert all(0 < axis.part(value) < 1 for value in values)
    assert 2 <= len(axis.ticks) <= 7
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


@pytest.mark.parametrize("span", [1e-3, 0.7, 13, 99, 4e6])
def test_steps_are_round(span):
    first, second = round_ticks(0, span, 4)[:2]
    assert f"{second - first:.0e}"[0] in "125"
