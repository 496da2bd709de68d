"""Names, messages and tokens can neither command the terminal nor break a row."""

import pytest

from tui.shared.text import format_age, one_line, printable, show_token


def test_what_a_terminal_could_obey_is_shown() -> None:
    assert printable("\x1b[31mred\x07\x9b\r\u202e\x7f") == "␛[31mred␇�␍�␡"
    assert printable("tab\tand\nnewline") == "tab    and\nnewline"
    assert one_line("a\x1b[31mb\nc\u202e") == "a␛[31mb c\ufffd"
    assert show_token(" the\n") == "·the↵"


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (86_400 * 27, "27 d"),
     (86_400 * 28, "4 w")],
)  # fmt: skip
def test_age_is_one_unit_rounded_down(seconds: float, age: str) -> None:
    assert format_age(seconds) == age
