"""Small curves: one line of blocks in a text, or a few lines in a panel."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Sparkline, Static

from simplegpt.progress import format_loss

_BLOCKS = "▁▂▃▄▅▆▇█"


def block_curve(values: Sequence[float], width: int) -> str:
    """At most `width` blocks, each the mean of an equal share of `values`; the least is lowest.

    Textual's `Sparkline` draws this for a widget; a table's cell and a line of text need a string.
    """
    count = min(width, len(values))
    if count <= 0:
        return ""
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [fmean(values[start:end]) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


class SmallCurve(Vertical):
    """A loss curve that fills its panel, with its first and last value."""

    DEFAULT_CSS: ClassVar[str] = """
    SmallCurve {
        Sparkline { height: 1fr; }
        Sparkline > .sparkline--min-color, Sparkline > .sparkline--max-color { color: $primary; }
        Horizontal { height: 1; color: $text-muted; }
        Static { width: 1fr; }
        #last { text-align: right; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Sparkline(summary_function=fmean)
        with Horizontal():
            yield Static(id="first")
            yield Static(id="last")

    def show(self, values: Sequence[float]) -> None:
        """Draw `values`, without NaN and infinity."""
        finite = [value for value in values if math.isfinite(value)]
        is_curve = len(finite) > 1
        sparkline = self.query_one(Sparkline)
        sparkline.visible = is_curve
        sparkline.data = finite
        first = format_loss(finite[0]) if is_curve else "no curve yet"
        self.query_one("#first", Static).update(first, layout=False)
        last = format_loss(finite[-1]) if is_curve else ""
        self.query_one("#last", Static).update(last, layout=False)
