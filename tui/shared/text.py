"""Text from files and models, made safe and short for the screen.

It may hold anything: control characters, and signs that turn the direction of writing, are shown
as visible ones, so that nothing in it can reach the terminal as a command.
"""

import re

_TAB = "    "
# C0 and C1 controls except the newline, the bidirectional controls, line and paragraph
# separators, and lone surrogates, which no terminal can be sent.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str) -> str:
    """`text` with everything that a terminal could obey replaced by visible signs."""
    return _UNSAFE.sub(_visible, text)


def one_line(text: str) -> str:
    """A name or a message in one printable line."""
    return printable(text).replace("\n", " ")


def show_token(text: str) -> str:
    """A token's text in one printable line, its white space visible."""
    return printable(text).replace("\n", "↵").replace(" ", "·")


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


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x09:
        return _TAB
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures of Unicode
    return "␡" if code == 0x7F else "�"
