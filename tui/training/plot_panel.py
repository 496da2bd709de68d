"""The plot with its legend, what is shown under it on demand, and notices."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from simplegpt.progress import format_count, format_duration
from tui.shared.curves import smooth
from tui.shared.history import Array, Axis, History, Series
from tui.shared.plot import Curve, CurvePlot
from tui.shared.text import one_line
from tui.training import words as run_words
from tui.training.notices import Notice
from tui.training.words import MUTED

AXES: tuple[Axis, ...] = ("step", "tokens", "time")
Below = Literal["", "lr", "grad_norm"]
BELOWS: tuple[Below, ...] = ("", "lr", "grad_norm")
_OVERLAY_COLOURS = ("$warning", "$success", "$error", "$foreground")
_SMOOTHED_SHARE = 60


class PlotPanel(Vertical):
    """Train and validation loss; the learning rate or the gradient's norm below."""

    DEFAULT_CSS: ClassVar[str] = """
    PlotPanel {
        #legend { height: 1; padding: 0 1; }
        #notice { height: auto; max-height: 2; padding: 0 1; display: none; color: $text-warning; }
        #notice.-grave { color: $text-error; text-style: bold; }
        CurvePlot {
            height: 2fr;
            &> .plot--axis, &:focus > .plot--axis { color: $border-blurred; }
            &> .plot--tick { color: $text-muted; text-style: none; }
        }
        #below-legend { height: 1; padding: 0 1; display: none; }
        #below { height: 1fr; display: none; }
        &.-below #below, &.-below #below-legend { display: block; }
    }
    """

    axis: reactive[Axis] = reactive[Axis]("step", init=False)
    logarithmic = reactive(False, init=False)
    raw = reactive(True, init=False)
    below: reactive[Below] = reactive[Below]("", init=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.history = History()
        self.overlays: dict[str, History] = {}
        """Other runs, by name, laid over this one."""
        self._cursor: float | None = None
        self._notices: Sequence[Notice] = ()
        self._said = ""

    def compose(self) -> ComposeResult:
        yield Static(id="legend")
        yield Static(id="notice")
        yield CurvePlot(id="main")
        yield Static(id="below-legend")
        yield CurvePlot(id="below")

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.draw())

    def show(self, history: History, notices: Sequence[Notice]) -> None:
        """Draw `history` as it is now."""
        self.history, self._notices = history, notices
        self.draw()

    def draw(self) -> None:
        main, below = self.query_one("#main", CurvePlot), self.query_one("#below", CurvePlot)
        main.marks = [(self._place(notice.step), "$error") for notice in self._notices]
        main.show(self._main_curves(), self.axis, self.logarithmic)
        self.set_class(bool(self.below), "-below")
        if self.below:
            below.show(self._below_curves(), self.axis, logarithmic=False)
        self._write_legends()
        self._write_notice()

    def _main_curves(self) -> list[Curve]:
        history, curves = self.history, []
        train, x = history.train, history.axis(history.train, self.axis)
        if self.raw:
            args = (train["loss"], train["least"], train["greatest"])
            curves.append(Curve("train", "$secondary", x, *args, strength=0.55))
        for i, (name, other) in enumerate(self.overlays.items()):
            colour = _OVERLAY_COLOURS[i % len(_OVERLAY_COLOURS)]
            other_x = other.axis(other.train, self.axis)
            curves.append(Curve(name, colour, other_x, _smoothed(other.train)))
        curves.append(Curve("smoothed", "$primary", x, _smoothed(train)))
        validation = history.validation
        if len(validation):
            val_x = history.axis(validation, self.axis)
            curves.append(Curve("val", "$accent", val_x, validation["loss"], dots=True))
        return curves

    def _below_curves(self) -> list[Curve]:
        if self.below == "":
            return []
        train = self.history.train
        x = self.history.axis(train, self.axis)
        name = "learning rate" if self.below == "lr" else "gradient norm"
        return [Curve(name, "$success", x, train[self.below])]

    def _place(self, step: int) -> float:
        """Where a step stands on the x axis."""
        train = self.history.train
        steps = train["step"]
        if self.axis == "step" or len(steps) == 0:
            return float(step)
        i = min(int(steps.searchsorted(step)), len(steps) - 1)
        return float(self.history.axis(train, self.axis)[i])

    # Legends read the values at the cursor, or the last ones

    def _write_legends(self) -> None:
        main, below = self.query_one("#main", CurvePlot), self.query_one("#below", CurvePlot)
        self.query_one("#legend", Static).update(self._legend(main), layout=False)
        self.query_one("#below-legend", Static).update(self._legend(below), layout=False)

    def _legend(self, plot: CurvePlot) -> Content:
        ends = [curve.x[-1] for curve in plot.curves if len(curve.x)]
        if not ends:
            return Content.styled("nothing to draw yet", MUTED)
        x = self._cursor if self._cursor is not None else float(max(ends))
        parts: list[str | tuple[str, str]] = [
            (
                f"{self._place_in_words(x)}",
                "$text-accent" if self._cursor is not None else MUTED,
            )
        ]
        for curve, value in plot.read(x):
            said = "–" if value is None else _figure(value, plot.id == "below")
            parts += [
                "   ",
                ("• " if curve.dots else "━ ", curve.colour),
                f"{one_line(curve.name)} {said}",
            ]
        if plot.logarithmic:
            parts.append(("   log scale", MUTED))
        return Content.assemble(*parts)

    def _place_in_words(self, x: float) -> str:
        if self.axis == "step":
            return f"step {x:,.0f}"
        return (
            f"{format_count(x)} tokens" if self.axis == "tokens" else f"after {format_duration(x)}"
        )

    def _write_notice(self) -> None:
        said = "; ".join(notice.text for notice in self._notices[:2])
        if said == self._said:
            return
        self._said = said
        line = self.query_one("#notice", Static)
        line.display = bool(said)
        line.set_class(bool(said) and self._notices[0].grave, "-grave")
        line.update(f"⚠ {said}")

    @on(CurvePlot.CursorMoved)
    def _cursor_moved(self, event: CurvePlot.CursorMoved) -> None:
        event.stop()
        self._cursor = event.x
        self._write_legends()

    # What can be changed

    def watch_axis(self) -> None:
        for plot in self.query(CurvePlot):
            plot.action_reset_scales()
        self.draw()

    def watch_logarithmic(self) -> None:
        self.query_one("#main", CurvePlot).action_reset_scales()
        self.draw()

    def watch_raw(self) -> None:
        self.draw()

    def watch_below(self) -> None:
        self.draw()

    def next_axis(self) -> None:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]

    def next_below(self) -> None:
        self.below = BELOWS[(BELOWS.index(self.below) + 1) % len(BELOWS)]


def _smoothed(series: Series) -> Array:
    return smooth(series["loss"], max(len(series) // _SMOOTHED_SHARE, 1), centred=True)


def _figure(value: float, small: bool) -> str:
    return f"{value:.3g}" if small else run_words.loss(value)
