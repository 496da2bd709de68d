"""Curves in a line or a few lines of blocks."""

from hypothesis import given
from hypothesis import strategies as st

from tui.shared.small_curve import area_curve, block_curve, spread


def test_blocks_go_from_the_highest_to_the_least() -> None:
    assert block_curve([4, 3, 2, 1], 4) == "█▆▃▁"
    assert block_curve([4, 4, 1, 1], 2) == "█▁"  # means of what falls together
    assert block_curve([2, 2], 8) == "▁▁"
    assert block_curve([], 8) == ""


def test_area_is_filled_below_the_curve() -> None:
    assert area_curve([16, 9, 8, 1], 4, 2) == ["█▁  ", "███▁"]
    assert area_curve([2, 2], 3, 2) == ["   ", "▁▁▁"]
    assert area_curve([], 3, 1) == ["   "]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.integers(1, 80),
)
def test_spread_keeps_to_the_range(values: list[float], count: int) -> None:
    points = spread(values, count)
    assert len(points) == count
    assert min(values) - 1e-6 <= min(points)
    assert max(points) <= max(values) + 1e-6
