"""The loss curves with a legend, an optional second plot below, and notices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive, var
from textual.widgets import Static

from simplegpt.cli import one_line
from simplegpt.progress import format_count, format_duration, format_loss, format_scientific
from tui.shared.curves import smooth
from tui.shared.history import Array, Axis, History, Series
from tui.shared.plot import DASHES, Curve, CurvePlot
from tui.shared.run_signs import MUTED
from tui.shared.text import distinct_names
from tui.training.notices import Notice, find_notices
from tui.training.view import RunView

AXES: tuple[Axis, ...] = ("step", "tokens", "time")
LowerPlot = Literal["", "lr", "grad_norm"]
LOWER_PLOTS: tuple[LowerPlot, ...] = ("", "lr", "grad_norm")
_VALIDATION_DASH = (4, 3)
_OVERLAY_COLOURS = ("$warning", "$success", "$error", "$foreground")
_SMOOTHING_WINDOWS = 60
"""In a whole curve: it is smoothed over one of them."""


class PlotPanel(Vertical):
    """Train and val loss; the learning rate or the gradient norm below."""

    ALLOW_MAXIMIZE = True
    DEFAULT_CSS: ClassVar[str] = """
    PlotPanel {
        #legend { height: 1; max-height: 40%; padding: 0 1; text-wrap: nowrap; }
        #notice { height: auto; max-height: 2; padding: 0 1; display: none; color: $text-warning; }
        #notice.-error { color: $text-error; text-style: bold; }
        #main { height: 2fr; }
        #lower-legend { height: 1; padding: 0 1; display: none; }
        #lower { height: 1fr; display: none; }
        &.-lower #lower, &.-lower #lower-legend { display: block; }
    }
    """

    view: var[RunView | None] = var(None, init=False)
    overlays: var[Mapping[Path, History]] = var({}, init=False)
    """Other runs, drawn over this one."""
    axis: var[Axis] = var[Axis]("step", init=False)
    is_logarithmic: var[bool] = var(False, init=False)
    shows_raw: var[bool] = var(True, init=False)
    """Whether the loss is drawn without smoothing too."""
    lower: reactive[LowerPlot] = reactive[LowerPlot]("", init=False, toggle_class="-lower")

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._runs: Sequence[tuple[str, Sequence[Curve]]] = ()
        """The names of the runs and their curves; the run's own without a name."""
        self._cursor: float | None = None
        """Where the cursor or the mouse is."""
        self._notice = ""

    def compose(self) -> ComposeResult:
        yield Static(id="legend")
        yield Static(id="notice")
        yield CurvePlot(id="main")
        yield Static(id="lower-legend")
        yield CurvePlot(id="lower")

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.draw())

    @property
    def history(self) -> History:
        return self.view.history if self.view is not None else History()

    @property
    def plot(self) -> CurvePlot:
        """The loss curves."""
        return self.query_one("#main", CurvePlot)

    def draw(self) -> None:
        """Draw the history as it is now."""
        notices = find_notices(self.history)
        self._runs = [("", self._own_curves()), *self._overlay_curves()]
        self.plot.marks = [(self._x_of_step(notice.step), "$error") for notice in notices]
        curves = [curve for _, curves in reversed(self._runs) for curve in curves]
        self.plot.show(curves, self.axis, self.is_logarithmic)
        if self.lower:
            curve = self._lower_curve(self.lower)
            self.query_one("#lower", CurvePlot).show([curve], self.axis, logarithmic=False)
        self._update_legends()
        self._show_notices(notices[:2])

    def _own_curves(self) -> list[Curve]:
        train, validation = self.history.train, self.history.validation
        x, curves = train[self.axis], list[Curve]()
        if self.shows_raw:
            band = (train["loss"], train["least"], train["greatest"])
            curves.append(Curve("train", "$secondary", x, *band))
        curves.append(Curve("smoothed", "$primary", x, smoothed(train)))
        if len(validation):
            curves.append(
                Curve(
                    "val",
                    "$accent",
                    validation[self.axis],
                    validation["loss"],
                    dash=_VALIDATION_DASH,
                    has_marks=True,
                )
            )
        return curves

    def _overlay_curves(self) -> list[tuple[str, list[Curve]]]:
        own = () if self.view is None else (self.view.path,)
        names, runs = distinct_names([*own, *self.overlays]), []
        for i, (path, other) in enumerate(self.overlays.items()):
            colour = _OVERLAY_COLOURS[i % len(_OVERLAY_COLOURS)]
            dash = DASHES[1 + i % (len(DASHES) - 1)]
            x, val_x = other.train[self.axis], other.validation[self.axis]
            curves = [Curve("smoothed", colour, x, smoothed(other.train), dash=dash)]
            if len(val_x):
                val_loss = other.validation["loss"]
                curves.append(Curve("val", colour, val_x, val_loss, dash=dash, has_marks=True))
            runs.append((names[path], curves))
        return runs

    def _lower_curve(self, column: Literal["lr", "grad_norm"]) -> Curve:
        name = "learning rate" if column == "lr" else "gradient norm"
        return Curve(name, "$success", self.history.train[self.axis], self.history.train[column])

    def _x_of_step(self, step: int) -> float:
        train = self.history.train
        steps = train["step"]
        if self.axis == "step" or len(steps) == 0:
            return float(step)
        return float(train[self.axis][min(int(steps.searchsorted(step)), len(steps) - 1)])

    # Legends show the values at the cursor, or the last ones

    def _update_legends(self) -> None:
        lines = [self._legend_line(name, curves) for name, curves in self._runs]
        self.query_one("#legend", Static).update(Content("\n").join(lines), layout=False)
        if self.lower:
            curve = self._lower_curve(self.lower)
            value = self._value_of(curve)
            text = "–"
            if value is not None:
                text = format_scientific(value) if self.lower == "lr" else f"{value:.3g}"
            line = Content.assemble((f"{curve.sign} ", curve.colour), f"{curve.name} {text}")
            self.query_one("#lower-legend", Static).update(line, layout=False)

    def _legend_line(self, name: str, curves: Sequence[Curve]) -> Content:
        parts: list[str | tuple[str, str]] = []
        if name:
            parts.append((one_line(name), "bold"))
        else:
            ends = [float(curve.x[-1]) for curve in curves if len(curve.x)]
            if not ends:
                return Content.styled("no steps yet", MUTED)
            colour = MUTED if self._cursor is None else "$text-accent"
            x = max(ends) if self._cursor is None else self._cursor
            parts.append((self._format_x(x), colour))
        for curve in curves:
            value = format_loss(self._value_of(curve))
            parts += ["   ", (f"{curve.sign} ", curve.colour), f"{curve.name} {value}"]
        if self.is_logarithmic and not name:
            parts.append(("   log scale", MUTED))
        return Content.assemble(*parts)

    def _value_of(self, curve: Curve) -> float | None:
        if self._cursor is not None:
            return curve.value_at(self._cursor)
        return float(curve.mean[-1]) if len(curve.mean) else None

    def _format_x(self, x: float) -> str:
        match self.axis:
            case "step":
                return f"step {x:,.0f}"
            case "tokens":
                return f"{format_count(x)} tokens"
            case "time":
                return f"after {format_duration(x)}"

    def _show_notices(self, notices: Sequence[Notice]) -> None:
        text = "; ".join(notice.text for notice in notices)
        if text == self._notice:
            return
        self._notice = text
        line = self.query_one("#notice", Static)
        line.display = bool(text)
        line.set_class(any(notice.is_error for notice in notices), "-error")
        line.update(f"⚠ {text}")

    # The two plots show the same range and the same cursor

    @on(CurvePlot.CursorMoved)
    def _cursor_moved(self, event: CurvePlot.CursorMoved) -> None:
        event.stop()
        self._cursor = event.x
        for plot in self.query(CurvePlot):
            plot.show_cursor(event.plot.cursor)
        self._update_legends()

    @on(CurvePlot.Zoomed)
    def _zoomed(self, event: CurvePlot.Zoomed) -> None:
        event.stop()
        for plot in self.query(CurvePlot):
            plot.show_range(event.plot.zoomed)

    # Settings

    def reset(self) -> None:
        """Forget what belongs to the run that was shown."""
        self.overlays, self._cursor = {}, None
        for plot in self.query(CurvePlot):
            plot.show_cursor(None)
            plot.show_range(None)

    def watch_view(self) -> None:
        self.draw()

    def watch_overlays(self) -> None:
        self.query_one("#legend").styles.height = 1 + len(self.overlays)
        self.draw()

    def watch_shows_raw(self) -> None:
        self.draw()

    def watch_lower(self) -> None:
        self.draw()

    def watch_axis(self) -> None:
        self._cursor = None
        self.draw()

    def watch_is_logarithmic(self) -> None:
        self.draw()

    def next_axis(self) -> None:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]

    def next_lower_plot(self) -> None:
        self.lower = LOWER_PLOTS[(LOWER_PLOTS.index(self.lower) + 1) % len(LOWER_PLOTS)]


def smoothed(series: Series) -> Array:
    return smooth(series["loss"], max(len(series) // _SMOOTHING_WINDOWS, 1), centred=True)
