"""The plot: curves of any length, drawn from a few columns each, with zoom, pan and a cursor.

textual-plot draws point by point (58 ms for 2,000), so each curve is first reduced to the columns
that the plot has, within what is in sight.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.style import Style
from textual import events, on
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.message import Message
from textual.widget import Widget
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter, NumericAxisFormatter

from tui.shared.curves import Columns, reduce_columns, value_at
from tui.shared.history import Array, Axis

_LEFT_MARGIN = 8


@dataclass(frozen=True)
class Curve:
    """A line, or a band from the least to the greatest of what falls into each column."""

    name: str
    colour: str
    """A theme variable, such as ``$primary``."""
    x: Array
    mean: Array
    least: Array | None = None
    greatest: Array | None = None
    strength: float = 1.0
    """Of its colour against the background."""
    dots: bool = False
    """Draw its points, not a line, which would hide the lines that it runs along with."""

    @property
    def is_band(self) -> bool:
        return self.least is not None

    def columns(self, low: float, high: float, count: int) -> Columns:
        least = self.mean if self.least is None else self.least
        greatest = self.mean if self.greatest is None else self.greatest
        return reduce_columns(self.x, least, self.mean, greatest, low, high, count)


class CurvePlot(PlotWidget, inherit_bindings=False):
    """Curves over steps, tokens or time."""

    HELP = """\
## Plot
- **+** and **−** zoom, the arrow keys pan, **0** shows everything again. The wheel zooms where the
  mouse is, dragging pans.
- **c** puts a cursor on the plot: the arrow keys move it, and the line above reads the values
  there. The mouse reads too, wherever it points.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom_x_in", "Zoom in", show=False),
        Binding("minus", "zoom_x_out", "Zoom out", show=False),
        Binding("0", "reset_scales", "Whole", show=False),
        Binding("left", "left", "Left", show=False),
        Binding("right", "right", "Right", show=False),
        Binding("up", "pan_up", "Up", show=False),
        Binding("down", "pan_down", "Down", show=False),
        Binding("c", "cursor", "Cursor", show=False),
    ]

    @dataclass
    class CursorMoved(Message):
        """The cursor is at `x`; None: it is gone."""

        plot: "CurvePlot"
        x: float | None

        @property
        def control(self) -> "CurvePlot":
            return self.plot

    def __init__(self, id: str) -> None:
        self._looks: list[Style] = []
        super().__init__(id=id, invert_mouse_wheel=True)
        self.curves: Sequence[Curve] = ()
        self.logarithmic = False
        self.cursor: float | None = None
        self.marks: Sequence[tuple[float, str]] = ()
        """Places on the x axis with the colour of the line that stands there."""
        self._sight: tuple[float, float] | None = None
        """What is in sight of the x axis; None: everything."""

    def on_mount(self) -> None:  # Textual calls PlotWidget's too
        self.margin_top, self.margin_bottom, self.margin_left = 0, 1, _LEFT_MARGIN

    def notify_style_update(self) -> None:
        """Draw anew only where it would look different: this comes with every change of focus."""
        names = ("plot--axis", "plot--tick")
        looks = [self.get_component_rich_style(name) for name in names if self.is_mounted]
        if not looks or looks != self._looks:
            self._looks = looks
            super().notify_style_update()
        else:
            Widget.notify_style_update(self)

    def show(self, curves: Sequence[Curve], axis: Axis, logarithmic: bool) -> None:
        """Draw `curves`; what is in sight stays, unless everything was."""
        self.curves, self.logarithmic = curves, logarithmic
        self.set_x_formatter(TimeFormatter() if axis == "time" else CountFormatter())
        self.draw()

    def draw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        self.clear()
        room = (self.size.height - 3) // 2
        self.set_y_formatter(LogFormatter(room) if self.logarithmic else FigureFormatter(room))
        low, high = self.in_sight()
        for place, variable in self.marks:
            if low <= place <= high:
                self.add_v_line(place, self._hex(variable, 0.5))
        for curve in self.curves:
            columns = curve.columns(low, high, self._columns_of(curve))
            x, y = columns.band() if curve.is_band else (columns.x, columns.mean)
            if self.logarithmic:
                y = np.log10(np.where(y > 0, y, np.nan))
            if len(x) and curve.dots:
                cell = (high - low) / self._width
                x = np.minimum(x, high - cell / 2)  # one at the very end would be cut off
                self.scatter(x, y, "•", self._hex(curve.colour, curve.strength))
            elif len(x):
                self.plot(x, y, self._hex(curve.colour, curve.strength), HiResMode.BRAILLE)
        if self.cursor is not None and low <= self.cursor <= high:
            self.add_v_line(self.cursor, self._hex("$accent", 1.0))

    def in_sight(self) -> tuple[float, float]:
        """The part of the x axis that is shown."""
        return self._sight or self._extent()

    def _columns_of(self, curve: Curve) -> int:
        if curve.dots:
            return max(self._width // 3, 1)  # a line shows between them
        return self._width if curve.is_band else 2 * self._width  # a braille cell is two wide

    @property
    def _width(self) -> int:
        """Of the drawing itself, in cells."""
        return max(self.size.width - _LEFT_MARGIN - 2, 1)

    def _extent(self) -> tuple[float, float]:
        ends = [(curve.x[0], curve.x[-1]) for curve in self.curves if len(curve.x)]
        if not ends:
            return 0.0, 1.0
        return float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    def _hex(self, variable: str, strength: float) -> str:
        variables = self.app.get_css_variables()
        background = Color.parse(variables["background"])
        return background.blend(Color.parse(variables[variable.lstrip("$")]), strength).hex6

    # What is in sight

    @on(PlotWidget.ScaleChanged)
    def _scale_changed(self, event: PlotWidget.ScaleChanged) -> None:
        low, high = self._extent()
        whole = event.x_min <= low and event.x_max >= high
        self._sight = None if whole else (event.x_min, event.x_max)
        self.draw()

    def action_reset_scales(self) -> None:
        self._sight = None
        self.set_xlimits(None, None)
        self.set_ylimits(None, None)
        self.draw()

    def on_resize(self) -> None:
        self.refresh(layout=True)  # or the canvases keep their old size
        self.call_after_refresh(self.draw)

    # The cursor

    def action_cursor(self) -> None:
        low, high = self.in_sight()
        self._set_cursor((low + high) / 2 if self.cursor is None else None)

    def action_left(self) -> None:
        self._step(-1)

    def action_right(self) -> None:
        self._step(1)

    def _step(self, direction: int) -> None:
        if self.cursor is None:
            self.action_pan_left() if direction < 0 else self.action_pan_right()
            return
        low, high = self.in_sight()
        moved = self.cursor + direction * (high - low) / self._width
        self._set_cursor(min(max(moved, low), high))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The mouse reads the values where it points."""
        if event.button or not self.curves or self.cursor is not None:
            return
        offset = event.screen_offset - self.content_region.offset
        column = offset.x - _LEFT_MARGIN
        if column >= 0:
            x, _ = self.get_coordinate_from_pixel(column, 0)
            self.post_message(self.CursorMoved(self, x))

    def on_leave(self) -> None:
        if self.cursor is None:
            self.post_message(self.CursorMoved(self, None))

    def _set_cursor(self, x: float | None) -> None:
        self.cursor = x
        self.post_message(self.CursorMoved(self, x))
        self.draw()

    def read(self, x: float) -> list[tuple[Curve, float | None]]:
        """Each curve's value nearest to `x`."""
        return [(curve, value_at(curve.x, curve.mean, x)) for curve in self.curves]


class FigureFormatter(NumericAxisFormatter):
    """As many ticks as there is room for, no more places than needed."""

    def __init__(self, room: int = 6) -> None:
        self.room = max(room, 2)

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 6) -> list[float]:
        return apart(
            super().get_ticks(min_, max_, min(max_ticks, self.room)), min_, max_, self.room
        )

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        small = ticks and max(abs(tick) for tick in ticks) < 0.01
        return [f"{tick:.0e}" if small and tick else f"{round(tick, 6):g}" for tick in ticks]


class CountFormatter(FigureFormatter):
    """Steps and tokens: 20k, 1.5M."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [_count(tick) for tick in ticks]


class TimeFormatter(FigureFormatter):
    """Seconds since the start, in the unit that fits."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        most = max((abs(tick) for tick in ticks), default=0.0)
        unit, seconds = ("s", 1) if most < 300 else ("m", 60) if most < 18_000 else ("h", 3_600)
        return [f"{tick / seconds:.3g}{unit}" for tick in ticks]


class LogFormatter(AxisFormatter):
    """Ticks at 1, 2 and 5 of each power of ten; evenly where the range is short."""

    def __init__(self, room: int = 6) -> None:
        self.room = max(room, 2)

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 6) -> list[float]:
        """Logarithms of round figures."""
        ticks = self._all_ticks(min_, max_, min(max_ticks, self.room))
        return apart(ticks, min_, max_, self.room)

    def _all_ticks(self, min_: float, max_: float, max_ticks: int) -> list[float]:
        first, last = math.floor(min_), math.ceil(max_)
        if last - first > 40:
            return []
        steps = [math.log10(m * 10.0**e) for e in range(first, last + 1) for m in (1, 2, 5)]
        ticks = [tick for tick in steps if min_ <= tick <= max_]
        if len(ticks) < 3:
            even = NumericAxisFormatter().get_ticks(10**min_, 10**max_, max_ticks)
            ticks = [math.log10(tick) for tick in even if tick > 0]
        return ticks

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [f"{10**tick:.3g}" for tick in ticks]


def apart(ticks: Sequence[float], min_: float, max_: float, room: int) -> list[float]:
    """`ticks` without those so near to another that their labels would overlap."""
    least = (max_ - min_) / (2 * room)
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or kept[-1] - tick >= least:
            kept.append(tick)
    return kept[::-1]


def _count(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:g}"
