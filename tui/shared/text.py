"""A token's text and an age, short for the screen."""

from simplegpt.cli import one_line


def show_token(text: str) -> str:
    """A token's text in one printable line, its white space visible."""
    return one_line(text).replace(" ", "·")


def format_age(seconds: float) -> str:
    """``"12 s"``, ``"5 min"``, ``"3 h"``, ``"2 d"``, ``"8 w"``: one unit, rounded down."""
    seconds = max(seconds, 0.0)
    for unit, length, limit in (
        ("s", 1, 60),
        ("min", 60, 3_600),
        ("h", 3_600, 86_400),
        ("d", 86_400, 28 * 86_400),
    ):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // (7 * 86_400))} w"
