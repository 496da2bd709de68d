"""Texts, ages and names of runs, short for the screen."""

from collections.abc import Iterable
from pathlib import Path

from rich.cells import cell_len, set_cell_size

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


def shorten_middle(text: str, width: int) -> str:
    """Return `text` cut in its middle to at most `width` cells, as an end tells most of a path."""
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, (width - 1) // 3).rstrip()
    room, start = width - 1 - cell_len(head), len(text)
    while start and cell_len(text[start - 1 :]) <= room:
        start -= 1
    return f"{head}…{text[start:]}"


def distinct_names(paths: Iterable[Path]) -> dict[Path, str]:
    """The shortest end of each path that no other one has."""
    all_paths, names = list(paths), dict[Path, str]()
    for path in all_paths:
        for length in range(1, len(path.parts) + 1):
            names[path] = str(Path(*path.parts[-length:]))
            if all(
                other.parts[-length:] != path.parts[-length:]
                for other in all_paths
                if other != path
            ):
                break
    return names
