"""A plot of curves of any length in braille, with zoom, pan and a cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.shared.braille import NO_LAYER, BrailleCanvas, Dots
from tui.shared.curves import FIRST_DROP, Columns, interpolate, reduce_columns, value_at
from tui.shared.history import Array, Axis
from tui.shared.plot_axes import TicksOf, count_ticks, log_ticks, time_ticks, value_ticks

Range = tuple[float, float]
DASHES: Sequence[tuple[int, int]] = ((1, 0), (6, 3), (2, 2), (1, 3), (10, 2), (4, 6))
"""Dots drawn and left out, by which curves differ without colour."""
_DASH_SIGNS = dict(zip(DASHES, ("━━", "╸╸", "╍╍", "┈┈", "━╸", "╺ "), strict=True))

_MARGIN = 8
"""Cells left of the curves: the labels and the axis."""
_FEWEST_COLUMNS, _FEWEST_ROWS = 4, 2
_X_AXES: Mapping[Axis, TicksOf] = {"step": count_ticks, "tokens": count_ticks, "time": time_ticks}
_FALLEN = 1.5
"""The first drop is cut off where it would make the y range so many times as large."""
_SETTLED_POINTS = 30
"""Fewer visible points than this are all shown: the loss has only begun to fall."""
_Y_MARGIN = 0.04
_MARK_DOTS = 7
"""The least distance between marks; closer ones would hide the line."""
_ZOOM, _WHEEL_ZOOM, _PAN = 0.5, 0.8, 0.25
"""The part of the range that a zoom keeps, and by which a key pans."""
_ZOOMED = " zoomed · 0 to follow "


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
    dash: tuple[int, int] = DASHES[0]
    has_marks: bool = False
    """Whether its points are marked too."""

    @property
    def is_band(self) -> bool:
        return self.least is not None

    @property
    def sign(self) -> str:
        """What it looks like, for a legend."""
        if self.is_band:
            return "░░"
        return f"{dash_sign(self.dash)}■" if self.has_marks else dash_sign(self.dash)

    def columns(self, low: float, high: float, count: int) -> Columns:
        least = self.mean if self.least is None else self.least
        greatest = self.mean if self.greatest is None else self.greatest
        return reduce_columns(self.x, least, self.mean, greatest, low, high, count)

    def value_at(self, x: float) -> float | None:
        """The value nearest to `x`; None where the curve does not reach."""
        return value_at(self.x, self.mean, x)


class CurvePlot(Widget, can_focus=True):
    """Curves over steps, tokens or time; the y range fits what is visible."""

    HELP = """\
## Plot
- **+** and **−** zoom, the arrow keys pan, **0** shows the whole run again and follows it. The
  mouse wheel zooms, dragging pans. The y axis fits what is visible, without the first drop.
- **c** shows or hides a cursor: the arrow keys move it, and the legend shows each curve's value
  there. The legend also follows the mouse.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus", "zoom_in", "Zoom in", show=False),
        Binding("minus", "zoom_out", "Zoom out", show=False),
        Binding("0", "reset_zoom", "Reset the zoom", show=False),
        Binding("c", "toggle_cursor", "Cursor", show=False),
        Binding("left", "move(-1)", "Pan or move the cursor left", show=False),
        Binding("right", "move(1)", "Pan or move the cursor right", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"plot--axis", "plot--tick"}
    DEFAULT_CSS: ClassVar[str] = """
    CurvePlot {
        height: 1fr;
        & > .plot--axis { color: $border-blurred; }
        & > .plot--tick { color: $text-muted; }
    }
    """
    ALLOW_SELECT = False

    @dataclass
    class CursorMoved(Message):
        """The cursor or the mouse is at `x`; None: neither is."""

        plot: "CurvePlot"
        x: float | None

        @property
        def control(self) -> "CurvePlot":
            return self.plot

    @dataclass
    class Zoomed(Message):
        """Another part of the x axis is visible."""

        plot: "CurvePlot"

        @property
        def control(self) -> "CurvePlot":
            return self.plot

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.curves: Sequence[Curve] = ()
        self.axis: Axis = "step"
        self.is_logarithmic = False
        self.cursor: float | None = None
        self.marks: Sequence[tuple[float, str]] = ()
        """Vertical lines: x and colour."""
        self.zoomed: Range | None = None
        """The visible range of the x axis; None: all of it, also as it grows."""
        self._strips: list[Strip] | None = None

    def show(self, curves: Sequence[Curve], axis: Axis, logarithmic: bool) -> None:
        """Draw `curves`; the visible range and the cursor stay, except on another axis."""
        if axis != self.axis:
            self.zoomed, self.cursor = None, None
        self.curves, self.axis, self.is_logarithmic = curves, axis, logarithmic
        self._redraw()

    def visible_range(self) -> Range:
        """The part of the x axis that is shown."""
        return self.zoomed or self.whole_range()

    def whole_range(self) -> Range:
        """From the first point of any curve to the last."""
        ends = [(curve.x[0], curve.x[-1]) for curve in self.curves if len(curve.x)]
        low = float(min((low for low, _ in ends), default=0.0))
        high = float(max((high for _, high in ends), default=1.0))
        return low, high if high > low else low + 1.0

    def read(self, x: float) -> list[tuple[Curve, float | None]]:
        """Each curve's value nearest to `x`."""
        return [(curve, curve.value_at(x)) for curve in self.curves]

    # Drawing

    def _redraw(self) -> None:
        self._strips = None
        self.refresh()

    def notify_style_update(self) -> None:
        self._strips = None
        super().notify_style_update()

    def on_resize(self) -> None:
        self._strips = None

    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._draw()
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        columns, rows = self.size.width - _MARGIN, self.size.height - 2
        if columns < _FEWEST_COLUMNS or rows < _FEWEST_ROWS:
            return []
        canvas = BrailleCanvas(columns, rows)
        low, high = self.visible_range()
        reduced = [curve.columns(low, high, canvas.width) for curve in self.curves]
        if self.is_logarithmic:
            reduced = [one.log10() for one in reduced]
        y_range = self._y_range(reduced)
        styles = self._draw_curves(canvas, reduced, y_range)
        return [*self._rows(canvas, styles, y_range), *self._x_axis(columns)]

    def _y_range(self, reduced: Sequence[Columns]) -> Range:
        """From the least to the greatest visible value, without the first drop of the run."""
        start, end = self.whole_range()
        settled = start + FIRST_DROP * (end - start)
        low, high = _extremes(reduced, -np.inf)
        _, later_high = _extremes(reduced, settled)
        is_long = max((len(columns.x) for columns in reduced), default=0) >= _SETTLED_POINTS
        if is_long and high - low > _FALLEN * (later_high - low) > 0:
            high = later_high
        if low > high:  # nothing is visible
            return 0.0, 1.0
        margin = _Y_MARGIN * (high - low) or abs(high) * _Y_MARGIN or 0.5
        return low - margin, high + margin

    def _draw_curves(
        self, canvas: BrailleCanvas, reduced: Sequence[Columns], y_range: Range
    ) -> list[Style]:
        """Draw all layers; returns their styles."""
        bands = [(c, r) for c, r in zip(self.curves, reduced, strict=True) if c.is_band]
        lines = [(c, r) for c, r in zip(self.curves, reduced, strict=True) if not c.is_band]
        styles: list[Style] = []

        def add(dots: Dots, colour: str, *, is_background: bool = False) -> None:
            canvas.draw(dots, len(styles), is_background=is_background)
            styles.append(self._style(colour))

        (low, high), (bottom, top) = self.visible_range(), y_range
        scale = (canvas.height - 1) / (top - bottom)

        def rows_of(values: Array) -> Array:
            return (top - values) * scale

        def at_columns(x: Array, y: Array) -> Array:
            return rows_of(interpolate(x, y, low, high, canvas.width))

        def column_of(x: float) -> float:
            return min((x - low) / (high - low) * canvas.width, canvas.width - 1)

        for curve, columns in bands:
            upper, lower = (at_columns(columns.x, y) for y in (columns.greatest, columns.least))
            add(canvas.band(upper, lower) & canvas.halftone(), curve.colour, is_background=True)
        for place, colour in self.marks:
            if low <= place <= high:
                add(canvas.vertical(column_of(place)), colour, is_background=True)
        if self.cursor is not None and low <= self.cursor <= high:
            add(canvas.vertical(column_of(self.cursor)), "$foreground", is_background=True)
        for curve, columns in lines:
            drawn, left_out = curve.dash
            dots = canvas.line(at_columns(columns.x, columns.mean))
            if left_out:
                dots &= np.arange(canvas.width) % (drawn + left_out) < drawn
            if curve.has_marks and len(columns.x) * _MARK_DOTS <= canvas.width:
                x = (columns.x - low) / (high - low) * canvas.width
                x = np.where(x == canvas.width, x - 1, x)  # the last point of all
                dots |= canvas.marks(x, rows_of(columns.mean))
            add(dots, curve.colour)
        return styles

    def _rows(self, canvas: BrailleCanvas, styles: Sequence[Style], y_range: Range) -> list[Strip]:
        """The labels, the axis and the curves of each row."""
        bottom, top = y_range
        ticks_of = log_ticks if self.is_logarithmic else value_ticks
        labels: dict[int, str] = {}
        for value, label in ticks_of(bottom, top, max((canvas.rows + 1) // 3, 2)):
            labels[min(int((top - value) / (top - bottom) * canvas.rows), canvas.rows - 1)] = label
        axis, tick = map(self.get_component_rich_style, ("plot--axis", "plot--tick"))
        strips = []
        for row, texts in enumerate(canvas.lines()):
            label = labels.get(row, "")
            segments = [
                Segment(f"{label[: _MARGIN - 2]:>{_MARGIN - 2}} ", tick),
                Segment("┤" if label else "│", axis),
                *(
                    Segment(text, axis if layer == NO_LAYER else styles[layer])
                    for text, layer in texts
                ),
            ]
            strips.append(Strip(segments, self.size.width))
        return strips

    def _x_axis(self, columns: int) -> list[Strip]:
        """The axis with its ticks, and the labels below."""
        low, high = self.visible_range()
        line, below, end = ["─"] * columns, "", 0
        for value, label in _X_AXES[self.axis](low, high, max(columns // 14, 2)):
            column = min(int((value - low) / (high - low) * columns), columns - 1)
            start = min(_MARGIN + column - len(label) // 2, self.size.width - len(label))
            if start >= end:
                line[column] = "┬"
                below = below.ljust(start) + label
                end = len(below) + 2
        text = "".join(line)
        if self.zoomed is not None and len(_ZOOMED) + 2 < columns:
            text = f"{text[: -len(_ZOOMED) - 1]}{_ZOOMED}─"
        axis, tick = map(self.get_component_rich_style, ("plot--axis", "plot--tick"))
        accent = self._style("$accent")
        before, tag, after = text.partition(_ZOOMED)
        corner = Segment(" " * (_MARGIN - 1) + "└" + before, axis)
        return [
            Strip([corner, Segment(tag, accent), Segment(after, axis)], self.size.width),
            Strip([Segment(below.ljust(self.size.width), tick)], self.size.width),
        ]

    def _style(self, variable: str) -> Style:
        colour = Color.parse(self.app.theme_variables[variable.removeprefix("$")])
        return self.rich_style + Style(color=colour.rich_color)

    # Zoom and pan

    def show_range(self, zoomed: Range | None) -> None:
        """Show a part of the x axis, or the whole of it and what comes after."""
        if zoomed != self.zoomed:
            self.zoomed = zoomed
            self._redraw()

    def action_zoom_in(self) -> None:
        self._zoom(_ZOOM, self.cursor)

    def action_zoom_out(self) -> None:
        self._zoom(1 / _ZOOM, self.cursor)

    def action_reset_zoom(self) -> None:
        self._show_and_tell(None)

    def action_move(self, direction: int) -> None:
        """Move the cursor where there is one, otherwise the visible range."""
        low, high = self.visible_range()
        if self.cursor is not None:
            moved = self.cursor + direction * (high - low) / self._columns
            self._set_cursor(min(max(moved, low), high))
        else:
            self._pan(direction * _PAN * (high - low))

    def _zoom(self, share: float, centre: float | None) -> None:
        """Show `share` of the visible range, so that `centre` stays in its place."""
        low, high = self.visible_range()
        if centre is None or not low <= centre <= high:
            centre = (low + high) / 2
        start, end = self.whole_range()
        low, high = centre - share * (centre - low), centre + share * (high - centre)
        if low <= start and high >= end:
            self._show_and_tell(None)
        elif high - low > 1e-6 * (end - start):
            self._show_and_tell((max(low, start), min(high, end)))

    def _pan(self, distance: float) -> None:
        if self.zoomed is None:
            return
        (low, high), (start, end) = self.zoomed, self.whole_range()
        distance = min(max(distance, start - low), max(end - high, 0.0))
        self._show_and_tell((low + distance, high + distance))

    def _show_and_tell(self, zoomed: Range | None) -> None:
        self.show_range(zoomed)
        self.post_message(self.Zoomed(self))

    # The cursor and the mouse

    def show_cursor(self, x: float | None) -> None:
        """Draw the cursor at `x`, or none."""
        if x != self.cursor:
            self.cursor = x
            self._redraw()

    def action_toggle_cursor(self) -> None:
        low, high = self.visible_range()
        self._set_cursor((low + high) / 2 if self.cursor is None else None)

    def _set_cursor(self, x: float | None) -> None:
        self.show_cursor(x)
        self.post_message(self.CursorMoved(self, x))

    @property
    def _columns(self) -> int:
        """Cells of the x axis."""
        return max(self.size.width - _MARGIN, 1)

    def _x_of(self, event: events.MouseEvent) -> float:
        low, high = self.visible_range()
        column = event.screen_x - self.content_region.x - _MARGIN + 0.5
        return low + max(column, 0.0) / self._columns * (high - low)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._zoom(_WHEEL_ZOOM, self._x_of(event))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._zoom(1 / _WHEEL_ZOOM, self._x_of(event))

    def on_mouse_down(self) -> None:
        self.capture_mouse()

    def on_mouse_up(self) -> None:
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if event.button:
            low, high = self.visible_range()
            self._pan(-event.delta_x * (high - low) / self._columns)
        elif self.curves and self.cursor is None:
            self.post_message(self.CursorMoved(self, self._x_of(event)))

    def on_leave(self) -> None:
        if self.cursor is None:
            self.post_message(self.CursorMoved(self, None))


def dash_sign(dash: tuple[int, int]) -> str:
    """What a line with these dashes looks like, for a legend."""
    return _DASH_SIGNS.get(dash, "╍╍")


def _extremes(reduced: Sequence[Columns], start: float) -> Range:
    """The least and the greatest value of all curves from `start` on; inf, -inf without any."""
    low, high = np.inf, -np.inf
    for columns in reduced:
        later = columns.x >= start
        for values in (columns.least[later], columns.greatest[later]):
            finite = values[np.isfinite(values)]
            if len(finite):
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return low, high
