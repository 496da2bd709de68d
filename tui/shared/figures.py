"""Ages in few characters, and names in one line; the other figures: `simplegpt.progress`."""

from tui.shared.text_flow import NEWLINE, printable


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


def in_one_line(text: str) -> str:
    """A name or a message from a file, safe to show in one line."""
    return printable(text).replace(NEWLINE, " ")
