"""Text in pieces is wrapped as one text, and nothing in it can command the terminal."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from simplegpt.cli import printable
from tui.shared.text_flow import TextFlow


def flow(pieces: list[str], width: int) -> TextFlow:
    made = TextFlow(width)
    for i, piece in enumerate(pieces):
        made.append(piece, i)
    return made


def shown(made: TextFlow) -> list[str]:
    return ["".join(run.text for run in runs) for runs in made.lines]


def test_words_made_of_several_tokens_are_not_broken() -> None:
    made = flow(["The", " lady", " prot", "est", "eth", " much"], 14)
    assert shown(made) == ["The lady ", "protesteth ", "much"]
    assert [made.line_of(piece) for piece in range(6)] == [0, 0, 1, 1, 1, 2]


def test_newlines_end_lines_and_long_words_are_cut() -> None:
    made = flow(["ab\n", "\n", "xxxxxxxx"], 5)
    assert shown(made) == ["ab\n", "\n", "xxxxx", "xxx"]
    assert made.piece_at(0, 2) == 0, "the newline belongs to its token"
    assert made.piece_at(1, 0) == 1
    assert made.piece_at(9, 0) is None


def test_wide_characters_take_two_cells() -> None:
    assert shown(flow(["漢字漢字"], 5)) == ["漢字", "漢字"]


def test_text_between_leaves_out_the_breaks_of_wrapping() -> None:
    made = flow(["one two", " three\nfour"], 8)
    assert shown(made) == ["one two ", "three\n", "four"]
    assert made.text_between((0, 4), (2, 2)) == "two three\nfo"
    assert made.text_between((0, 0), None) == "one two three\nfour"


@given(st.lists(st.text(max_size=12), max_size=30), st.integers(1, 20))
def test_wrapping_loses_nothing_and_fits(pieces: list[str], width: int) -> None:
    made = flow(pieces, width)
    text = "".join(printable(piece) for piece in pieces)
    assert "".join(shown(made)) == text
    assert made.text_between((0, 0), None) == text
    for line in shown(made):
        assert cell_len(line.rstrip()) <= max(width, 2), "a wide character needs two cells"
    for piece, piece_text in enumerate(pieces):
        if piece_text:
            assert piece in {run.piece for run in made.lines[made.line_of(piece)]}


@given(st.lists(st.text(max_size=12), max_size=20), st.integers(4, 20))
def test_streamed_text_wraps_as_text_that_is_there_at_once(pieces: list[str], width: int) -> None:
    assert shown(flow(pieces, width)) == shown(flow(["".join(pieces)], width))
