"""A curve in very little room: one line of blocks for a table, a few for a panel."""

from collections.abc import Sequence
from itertools import pairwise

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from simplegpt.progress import format_loss
from tui.shared.run_signs import MUTED

_BLOCKS = "▁▂▃▄▅▆▇█"


def block_curve(values: Sequence[float], width: int) -> str:
    """One line, `width` characters at most; its least value is lowest."""
    if not values or width <= 0:
        return ""
    points = spread(values, min(width, len(values)))
    low, high = min(points), max(points)
    span = high - low
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((v - low) / span * top) if span else 0] for v in points)


def area_curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """`height` lines of `width` characters, filled below the curve; its least value is lowest."""
    if not values or width <= 0 or height <= 0:
        return [" " * max(width, 0)] * max(height, 0)
    points = spread(values, width)
    low, high = min(points), max(points)
    eighths = len(_BLOCKS)
    top = height * eighths - 1
    levels = [1 + round((v - low) / (high - low) * top) if high > low else 1 for v in points]
    return [
        "".join(_cell(level - row * eighths) for level in levels) for row in reversed(range(height))
    ]


def _cell(eighths: int) -> str:
    """A cell filled up to `eighths` of its height, which may be none or more than all."""
    return _BLOCKS[min(eighths, len(_BLOCKS)) - 1] if eighths > 0 else " "


def spread(values: Sequence[float], count: int) -> list[float]:
    """`count` values evenly along `values`: means of several, or on the line between two."""
    if count <= 0 or not values:
        return []
    if count <= len(values):
        edges = [round(i * len(values) / count) for i in range(count + 1)]
        parts = [values[a:b] for a, b in pairwise(edges)]
        return [sum(part) / len(part) for part in parts]
    last = len(values) - 1
    places = [i * last / (count - 1) for i in range(count)]
    return [
        values[int(p)] + (values[min(int(p) + 1, last)] - values[int(p)]) * (p % 1) for p in places
    ]


class SmallCurve(Widget):
    """A loss curve with its first and last figure, as large as there is room."""

    DEFAULT_CSS = """
    SmallCurve { color: $primary; min-height: 2; }
    """

    values: reactive[tuple[float, ...]] = reactive(())

    def render(self) -> RenderResult:
        width, height = self.content_size
        if len(self.values) < 2 or height < 2:
            return Content.styled("no curve yet", MUTED) if height else Content()
        lines = area_curve(self.values, width, height - 1)
        first, last = format_loss(self.values[0]), format_loss(self.values[-1])
        gap = " " * max(1, width - len(first) - len(last))
        return Content.assemble("\n".join(lines), "\n", (first + gap + last, MUTED))
