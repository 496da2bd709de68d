"""Small things that many screens show: figures, curves, and text made safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.figures import bytes_in_words, count_in_words, loss_in_words, span_in_words
from tui.printable import printable
from tui.widgets.small_curve import block_curve, dot_curve, spread


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (9_960, "10 kB"), (1_115_394, "1.1 MB"),
     (999_600, "1.0 MB"), (3.2e15, "3200 TB")],
)  # fmt: skip
def test_bytes(count: float, words: str) -> None:
    assert bytes_in_words(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (86_400 * 27, "27 d"),
     (86_400 * 28, "4 w")],
)  # fmt: skip
def test_spans(seconds: float, words: str) -> None:
    assert span_in_words(seconds) == words


def test_counts_and_losses() -> None:
    assert [count_in_words(n) for n in (12, 305_970, 1_016_242, 9.035e9)] == [
        "12",
        "305,970",
        "1.02 M",
        "9.04 G",
    ]
    assert [loss_in_words(n) for n in (1.5, None, float("nan"), float("inf"))] == [
        "1.500",
        "–",
        "–",
        "–",
    ]


def test_control_characters_are_seen_and_not_obeyed() -> None:
    assert printable("a\x1b[31mb\x00\x7f\x9b\u202e\u00a0é\n\t") == "a␛[31mb␀␡��\x20é␊␉"
    assert printable("a\nb\x07", keep="\n") == "a\nb␇"


@given(st.text())
def test_what_was_made_printable_is(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


def test_blocks_go_from_the_highest_to_the_least() -> None:
    assert block_curve([4, 3, 2, 1], 4) == "█▆▃▁"
    assert block_curve([4, 4, 1, 1], 2) == "█▁"  # means of what falls together
    assert block_curve([2, 2], 8) == "▁▁"
    assert block_curve([], 8) == ""


def test_dots_draw_a_line_without_gaps() -> None:
    lines = dot_curve([1, 0], 4, 2)
    assert [len(line) for line in lines] == [4, 4]
    used = [[(ord(c) - 0x2800).bit_count() for c in line] for line in lines]
    assert sum(map(sum, used)) >= 8  # at least one dot in each of eight columns
    assert lines[0][0] != "⠀"
    assert lines[0][3] == "⠀"
    assert lines[1][3] != "⠀"
    assert dot_curve([], 3, 1) == ["⠀⠀⠀"]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.integers(1, 80),
)
def test_spread_keeps_to_the_range(values: list[float], count: int) -> None:
    points = spread(values, count)
    assert len(points) == count
    assert min(values) - 1e-6 <= min(points)
    assert max(points) <= max(values) + 1e-6
