"""A token's text and an age, short for the screen."""

from pathlib import Path

import pytest

from tui.shared.text import distinct_names, format_age, show_token


def test_a_token_is_one_printable_line() -> None:
    assert show_token(" the\n") == "·the↵"
    assert show_token("\x1b[31m\r\n") == "␛[31m␍↵"


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (86_400 * 27, "27 d"),
     (86_400 * 28, "4 w")],
)  # fmt: skip
def test_age_is_one_unit_rounded_down(seconds: float, age: str) -> None:
    assert format_age(seconds) == age


def test_runs_of_the_same_folder_name_get_distinct_names() -> None:
    paths = [Path("/a/models/x"), Path("/b/models/x"), Path("/b/models/y")]
    assert list(distinct_names(paths).values()) == ["a/models/x", "b/models/x", "y"]
