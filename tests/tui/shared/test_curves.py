"""Curves made fit for a screen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui.shared.curves import reduce_columns, smooth, value_at

losses = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=200)


@given(losses, st.integers(1, 40))
def test_columns_keep_every_extreme_in_sight(values: list[float], columns: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    reduced = reduce_columns(x, y, y, y, 0, float(len(y)), columns)
    good = y[np.isfinite(y)]
    assert len(reduced.x) <= max(columns + 2, 1)
    if len(good):
        assert reduced.least.min() == good.min()
        assert reduced.greatest.max() == good.max()


def test_a_spike_one_step_wide_survives_half_a_million_steps() -> None:
    y = np.full(500_000, 2.0)
    y[123_456] = 9.0
    x = np.arange(500_000, dtype=float)
    reduced = reduce_columns(x, y, y, y, 0, 500_000, 80)
    assert len(reduced.x) <= 82
    assert reduced.greatest.max() == 9.0


def test_zoomed_in_the_columns_come_from_what_is_in_sight() -> None:
    x = np.arange(1000, dtype=float)
    reduced = reduce_columns(x, x, x, x, 500, 600, 50)
    assert reduced.x.min() >= 499
    assert reduced.x.max() <= 601
    assert len(reduced.x) >= 50


def test_smoothing_leaves_out_what_is_no_number() -> None:
    y = np.array([1.0, np.nan, 3.0, 5.0])
    smoothed = smooth(y, 3)
    assert np.isnan(smoothed[1])
    assert smoothed[3] == 4.0


def test_centred_smoothing_does_not_lag_behind_a_slope() -> None:
    y = np.linspace(4, 2, 101)
    assert abs(smooth(y, 10, centred=True)[50] - y[50]) < 1e-9


def test_sparkline_shows_means_not_maxima() -> None:
    x, y = np.arange(5.0), np.array([0.0, 10.0, 2.0, 4.0, float("nan")])
    assert reduce_columns(x, y, y, y, 0.0, 4.0, 2).mean.tolist() == [5.0, 3.0]


def test_cursor_reads_the_nearest_value() -> None:
    x, y = np.array([10.0, 20.0, 30.0]), np.array([1.0, 2.0, 3.0])
    assert value_at(x, y, 24.9) == 2.0
    assert value_at(x, y, 26.0) == 3.0
    assert value_at(x, y, 1.0) == 1.0
    assert value_at(x, y, -5.0) is None, "the curve does not reach there"
    assert value_at(x[:0], y[:0], 5.0) is None
