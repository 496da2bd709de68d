"""Small things that many screens show: figures, curves and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.shared.figures import format_age, in_one_line
from tui.shared.small_curve import area_curve, block_curve, spread


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (86_400 * 27, "27 d"),
     (86_400 * 28, "4 w")],
)  # fmt: skip
def test_spans(seconds: float, words: str) -> None:
    assert format_age(seconds) == words


def test_names_cannot_command_the_terminal_nor_break_a_row() -> None:
    assert in_one_line("a\x1b[31mb\nc\u202e") == "a␛[31mb c\ufffd"


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
