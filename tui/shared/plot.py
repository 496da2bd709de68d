"""A plot of curves of any length, with zoom, pan and a cursor.

textual-plot draws point by point (58 ms for 2,000), so each curve is first reduced to one value for
each column of the visible range.
"""

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

from tui.shared.curves import Columns, reduce_columns, value_at
from tui.shared.history import Array, Axis
from tui.shared.plot_axes import CountAxis, LogAxis, TimeAxis, ValueAxis

_LEFT_MARGIN = 8


@dataclass(frozen=True)
class Curve:
    """A line, or a band between the least and the greatest value in each column."""

    name: str
    colour: str
    """A theme variable, such as ``$primary``."""
    x: Array
    mean: Array
    least: Array | None = None
    greatest: Array | None = None
    opacity: float = 1.0
    dots: bool = False
    """Draw its points; a line would hide the lines close to it."""

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
- **+** and **−** zoom, the arrow keys pan, **0** resets. The mouse wheel zooms, dragging pans.
- **c** shows or hides a cursor: the arrow keys move it, and the legend shows the values there. The
  legend also follows the mouse.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom_x_in", "Zoom in", show=False),
        Binding("minus", "zoom_x_out", "Zoom out", show=False),
        Binding("0", "reset_scales", "Reset zoom", show=False),
        Binding("left", "left", "Pan or move the cursor left", show=False),
        Binding("right", "right", "Pan or move the cursor right", show=False),
        Binding("up", "pan_up", "Pan up", show=False),
        Binding("down", "pan_down", "Pan down", show=False),
        Binding("c", "toggle_cursor", "Cursor", show=False),
    ]

    @dataclass
    class CursorMoved(Message):
        """The cursor is at `x`; None: there is none."""

        plot: "CurvePlot"
        x: float | None

        @property
        def control(self) -> "CurvePlot":
            return self.plot

    def __init__(self, id: str) -> None:
        self._drawn_styles: list[Style] = []
        super().__init__(id=id, invert_mouse_wheel=True)
        self.curves: Sequence[Curve] = ()
        self.logarithmic = False
        self.cursor: float | None = None
        self.marks: Sequence[tuple[float, str]] = ()
        """Vertical lines: x and colour."""
        self._zoomed: tuple[float, float] | None = None
        """The visible range of the x axis; None: all of it."""

    def on_mount(self) -> None:  # Textual calls PlotWidget's too
        self.margin_top, self.margin_bottom, self.margin_left = 0, 1, _LEFT_MARGIN

    def notify_style_update(self) -> None:
        """Draw again only if the plot's own styles changed: each change of focus comes here."""
        names = ("plot--axis", "plot--tick")
        styles = [self.get_component_rich_style(name) for name in names if self.is_mounted]
        if not styles or styles != self._drawn_styles:
            self._drawn_styles = styles
            super().notify_style_update()
        else:
            Widget.notify_style_update(self)

    def show(self, curves: Sequence[Curve], axis: Axis, logarithmic: bool) -> None:
        """Draw `curves`; the visible range stays, unless it was the whole."""
        self.curves, self.logarithmic = curves, logarithmic
        self.set_x_formatter(TimeAxis() if axis == "time" else CountAxis())
        self.draw()

    def draw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        self.clear()
        room = (self.size.height - 3) // 2
        self.set_y_formatter(LogAxis(room) if self.logarithmic else ValueAxis(room))
        low, high = self.visible_range()
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
                x = np.minimum(x, high - cell / 2)  # a dot at the very end would be cut off
                self.scatter(x, y, "•", self._hex(curve.colour, curve.opacity))
            elif len(x):
                self.plot(x, y, self._hex(curve.colour, curve.opacity), HiResMode.BRAILLE)
        if self.cursor is not None and low <= self.cursor <= high:
            self.add_v_line(self.cursor, self._hex("$accent", 1.0))

    def visible_range(self) -> tuple[float, float]:
        """The part of the x axis that is shown."""
        return self._zoomed or self._whole_range()

    def _columns_of(self, curve: Curve) -> int:
        if curve.dots:
            return max(self._width // 3, 1)  # so that other curves show between them
        return self._width if curve.is_band else 2 * self._width  # a braille cell is two wide

    @property
    def _width(self) -> int:
        """Of the canvas, in cells."""
        return max(self.size.width - _LEFT_MARGIN - 2, 1)

    def _whole_range(self) -> tuple[float, float]:
        ends = [(curve.x[0], curve.x[-1]) for curve in self.curves if len(curve.x)]
        if not ends:
            return 0.0, 1.0
        return float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    def _hex(self, variable: str, opacity: float) -> str:
        variables = self.app.get_css_variables()
        background = Color.parse(variables["background"])
        return background.blend(Color.parse(variables[variable.lstrip("$")]), opacity).hex6

    # Zoom and pan

    @on(PlotWidget.ScaleChanged)
    def _scale_changed(self, event: PlotWidget.ScaleChanged) -> None:
        low, high = self._whole_range()
        is_whole = event.x_min <= low and event.x_max >= high
        self._zoomed = None if is_whole else (event.x_min, event.x_max)
        self.draw()

    def action_reset_scales(self) -> None:
        self._zoomed = None
        self.set_xlimits(None, None)
        self.set_ylimits(None, None)
        self.draw()

    def on_resize(self) -> None:
        self.refresh(layout=True)  # or the canvases keep their old size
        self.call_after_refresh(self.draw)

    # The cursor

    def action_toggle_cursor(self) -> None:
        low, high = self.visible_range()
        self._set_cursor((low + high) / 2 if self.cursor is None else None)

    def action_left(self) -> None:
        self._step(-1)

    def action_right(self) -> None:
        self._step(1)

    def _step(self, direction: int) -> None:
        if self.cursor is None:
            self.action_pan_left() if direction < 0 else self.action_pan_right()
            return
        low, high = self.visible_range()
        moved = self.cursor + direction * (high - low) / self._width
        self._set_cursor(min(max(moved, low), high))

    def on_mouse_move(self, event: events.MouseMove) -> None:
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
