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
from simplegpt.progress import format_count, format_duration, format_loss
from tui.shared.curves import smooth
from tui.shared.history import Array, Axis, History, Series
from tui.shared.plot import Curve, CurvePlot
from tui.shared.run_signs import MUTED
from tui.training.notices import Notice, find_notices
from tui.training.view import RunView

AXES: tuple[Axis, ...] = ("step", "tokens", "time")
LowerPlot = Literal["", "lr", "grad_norm"]
LOWER_PLOTS: tuple[LowerPlot, ...] = ("", "lr", "grad_norm")
_OVERLAY_COLOURS = ("$warning", "$success", "$error", "$foreground")
_SMOOTHING_WINDOWS = 60
"""In a whole curve: it is smoothed over one of them."""


class PlotPanel(Vertical):
    """Train and val loss; the learning rate or the gradient norm below."""

    DEFAULT_CSS: ClassVar[str] = """
    PlotPanel {
        #legend { height: 1; padding: 0 1; }
        #notice { height: auto; max-height: 2; padding: 0 1; display: none; color: $text-warning; }
        #notice.-error { color: $text-error; text-style: bold; }
        CurvePlot {
            height: 2fr;
            &> .plot--axis, &:focus > .plot--axis { color: $border-blurred; }
            &> .plot--tick { color: $text-muted; text-style: none; }
        }
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
        self._cursor: float | None = None
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

    def draw(self) -> None:
        """Draw the history as it is now."""
        notices = find_notices(self.history)
        main, lower = self.query_one("#main", CurvePlot), self.query_one("#lower", CurvePlot)
        main.marks = [(self._x_of_step(notice.step), "$error") for notice in notices]
        main.show(self._main_curves(), self.axis, self.is_logarithmic)
        if self.lower:
            lower.show(self._lower_curves(self.lower), self.axis, logarithmic=False)
        self._update_legends()
        self._show_notices(notices[:2])

    def _main_curves(self) -> list[Curve]:
        train, curves = self.history.train, []
        x = self.history.axis(train, self.axis)
        if self.shows_raw:
            band = (train["loss"], train["least"], train["greatest"])
            curves.append(Curve("train", "$secondary", x, *band, opacity=0.55))
        for i, (path, other) in enumerate(self.overlays.items()):
            colour = _OVERLAY_COLOURS[i % len(_OVERLAY_COLOURS)]
            other_x = other.axis(other.train, self.axis)
            curves.append(Curve(path.name, colour, other_x, smoothed(other.train)))
        curves.append(Curve("smoothed", "$primary", x, smoothed(train)))
        validation = self.history.validation
        if len(validation):
            val_x = self.history.axis(validation, self.axis)
            curves.append(Curve("val", "$accent", val_x, validation["loss"], dots=True))
        return curves

    def _lower_curves(self, column: Literal["lr", "grad_norm"]) -> list[Curve]:
        train = self.history.train
        name = "learning rate" if column == "lr" else "gradient norm"
        return [Curve(name, "$success", self.history.axis(train, self.axis), train[column])]

    def _x_of_step(self, step: int) -> float:
        train = self.history.train
        steps = train["step"]
        if self.axis == "step" or len(steps) == 0:
            return float(step)
        i = min(int(steps.searchsorted(step)), len(steps) - 1)
        return float(self.history.axis(train, self.axis)[i])

    # Legends show the values at the cursor, or the last ones

    def _update_legends(self) -> None:
        for plot_id, legend_id in (("#main", "#legend"), ("#lower", "#lower-legend")):
            plot = self.query_one(plot_id, CurvePlot)
            self.query_one(legend_id, Static).update(self._legend(plot), layout=False)

    def _legend(self, plot: CurvePlot) -> Content:
        ends = [curve.x[-1] for curve in plot.curves if len(curve.x)]
        if not ends:
            return Content.styled("no steps yet", MUTED)
        x = self._cursor if self._cursor is not None else float(max(ends))
        place_colour = MUTED if self._cursor is None else "$text-accent"
        parts: list[str | tuple[str, str]] = [(self._format_x(x), place_colour)]
        for curve, value in plot.read(x):
            text = format_loss(value)
            if plot.id == "lower":
                text = "–" if value is None else f"{value:.3g}"
            mark = "• " if curve.dots else "━ "
            parts += ["   ", (mark, curve.colour), f"{one_line(curve.name)} {text}"]
        if plot.logarithmic:
            parts.append(("   log scale", MUTED))
        return Content.assemble(*parts)

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

    @on(CurvePlot.CursorMoved)
    def _cursor_moved(self, event: CurvePlot.CursorMoved) -> None:
        event.stop()
        self._cursor = event.x
        self._update_legends()

    # Settings

    def watch_view(self) -> None:
        self.draw()

    def watch_overlays(self) -> None:
        self.draw()

    def watch_shows_raw(self) -> None:
        self.draw()

    def watch_lower(self) -> None:
        self.draw()

    def watch_axis(self) -> None:
        for plot in self.query(CurvePlot):
            plot.action_reset_scales()
        self.draw()

    def watch_is_logarithmic(self) -> None:
        self.query_one("#main", CurvePlot).action_reset_scales()
        self.draw()

    def next_axis(self) -> None:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]

    def next_lower_plot(self) -> None:
        self.lower = LOWER_PLOTS[(LOWER_PLOTS.index(self.lower) + 1) % len(LOWER_PLOTS)]


def smoothed(series: Series) -> Array:
    return smooth(series["loss"], max(len(series) // _SMOOTHING_WINDOWS, 1), centred=True)
