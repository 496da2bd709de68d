"""A curve in very little room: one line of blocks for a table, a few of dots for a panel."""

from collections.abc import Sequence
from itertools import pairwise

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.figures import loss_in_words

_BLOCKS = "▁▂▃▄▅▆▇█"
# The bit of each of a braille character's dots: two columns of four, from the top.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_EMPTY_BRAILLE = 0x2800


def block_curve(values: Sequence[float], width: int) -> str:
    """One line, `width` characters at most; its least value is lowest."""
    if not values or width <= 0:
        return ""
    points = spread(values, min(width, len(values)))
    low, high = min(points), max(points)
    span = high - low
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((v - low) / span * top) if span else 0] for v in points)


def dot_curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """`height` lines of `width` braille characters, the curve drawn without gaps."""
    cells = [[0] * width for _ in range(height)]
    if values and width > 0 and height > 0:
        low, high = min(values), max(values)
        span, floor = high - low, 4 * height - 1
        columns = [
            floor - round((v - low) / span * floor) if span else floor
            for v in spread(values, 2 * width)
        ]
        for x, y in enumerate(columns):
            before = columns[x - 1] if x else y
            for row in range(min(before, y), max(before, y) + 1):
                if row != before or before == y:
                    cells[row // 4][x // 2] |= _DOTS[x % 2][row % 4]
    return ["".join(chr(_EMPTY_BRAILLE + dots) for dots in line) for line in cells]


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
            return Content.styled("no curve yet", "$text-muted") if height else Content()
        lines = dot_curve(self.values, width, height - 1)
        first, last = loss_in_words(self.values[0]), loss_in_words(self.values[-1])
        gap = " " * max(1, width - len(first) - len(last))
        return Content.assemble("\n".join(lines), "\n", (first + gap + last, "$text-muted"))
