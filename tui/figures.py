"""Figures in few characters, and names in one line (bytes: `simplegpt.progress.quantity`)."""

import math

from tui.widgets.text_flow import NEWLINE, printable


def count_in_words(count: float) -> str:
    """``"305,970"`` below a million, ``"1.02 M"`` and ``"9.04 G"`` from there."""
    if count < 1e6:
        return f"{count:,.0f}"
    return f"{count / 1e6:.2f} M" if count < 1e9 else f"{count / 1e9:.2f} G"


def span_in_words(seconds: float) -> str:
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


def loss_in_words(loss: float | None) -> str:
    """Three places, which is what two runs differ in; a dash where there is none."""
    return "–" if loss is None or not math.isfinite(loss) else f"{loss:.3f}"


def in_one_line(text: str) -> str:
    """A name or a message from a file, safe to show in one line."""
    return printable(text).replace(NEWLINE, " ")
