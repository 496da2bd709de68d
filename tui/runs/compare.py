"""Runs side by side: their curves in one plot, and what their configs do not share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static
from textual_plot import HiResMode, PlotWidget

from simplegpt.config.edit import differences
from simplegpt.config.schema import settings as schema_settings
from simplegpt.config.schema import tables as schema_tables
from simplegpt.progress import format_loss
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep, Validation, skim
from tui.runs.run_summary import NOT_COMPARED, RunSummary, span_means
from tui.runs.run_table import value_in_words
from tui.shared.run_signs import MUTED
from tui.shared.text import one_line

CURVE_POINTS = 240  # twice what a wide plot has columns; more would only cost time
# Theme colours of the curves, in the order of the runs.
COLOURS = ("primary", "accent", "secondary", "success", "error", "warning")
Points = tuple[tuple[float, ...], tuple[float, ...]]
"""Steps and losses."""


@dataclass(frozen=True)
class Curves:
    """One run's losses."""

    train: Points
    validation: Points


@dataclass
class CurvesRead(Message):
    """The histories of the runs, in their order."""

    curves: list[Curves]


class CompareScreen(ModalScreen[None]):
    """Two to six runs: curves overlaid, configs diffed. Escape goes back."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v", "dismiss", "Back"),
        Binding("t", "switch_curve", "Training or validation loss"),
    ]

    def __init__(self, runs: Sequence[RunSummary]) -> None:
        super().__init__()
        self.runs = list(runs)
        self.curves: list[Curves] = []
        self.shows_validation = False

    def compose(self) -> ComposeResult:
        with Vertical(id="window") as window:
            window.border_title = self._title()
            window.border_subtitle = "t training or validation · Esc back"
            yield Static(self._legend(), id="legend", markup=False)
            yield PlotWidget(id="plot", allow_pan_and_zoom=True)
            yield Static(id="differ", markup=False)
            yield DataTable[Text](id="settings", cursor_type="row", zebra_stripes=True)

    def on_mount(self) -> None:
        plot = self.query_one(PlotWidget)
        plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 2, 7
        self._fill_settings()
        self.query_one("#settings").focus()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        self.post_message(CurvesRead([read_curves(RunDirectory(run.path)) for run in self.runs]))

    @on(CurvesRead)
    def _curves_read(self, event: CurvesRead) -> None:
        self.curves = event.curves
        self._draw()

    def action_switch_curve(self) -> None:
        self.shows_validation = not self.shows_validation
        self._draw()

    def _draw(self) -> None:
        plot = self.query_one(PlotWidget)
        plot.clear()
        drawn = 0
        for i, curves in enumerate(self.curves):
            steps, losses = curves.validation if self.shows_validation else curves.train
            if steps:
                colour = self.app.theme_variables[COLOURS[i]]
                plot.plot(steps, losses, line_style=colour, hires_mode=HiResMode.BRAILLE)
                drawn += 1
        kind = "validation" if self.shows_validation else "training"
        title = f"{kind} loss over steps" if drawn else f"no {kind} loss yet"
        self.query_one("#window").border_title = self._title(title)

    def _title(self, subject: str = "reading …") -> str:
        return f"{len(self.runs)} runs compared: {subject}"

    def _legend(self) -> Content:
        entries = [
            Content.assemble(
                ("━━ ", f"${COLOURS[i]}"),
                one_line(run.name),
                (f" {run.state}, best {format_loss(run.best_loss)}", MUTED),
            )
            for i, run in enumerate(self.runs)
        ]
        return Content("\n").join(entries)

    def _fill_settings(self) -> None:
        table: DataTable[Text] = self.query_one("#settings", DataTable)
        table.add_column(Text("Setting"))
        for i, run in enumerate(self.runs):
            colour = self.app.theme_variables[COLOURS[i]]
            table.add_column(Text(one_line(run.path.name), colour))
        keys = differing_keys(self.runs)
        for key in keys:
            values = (Text(value_in_words(run.settings.get(key))) for run in self.runs)
            table.add_row(Text(key), *values)
        unread = [one_line(run.name) for run in self.runs if not run.settings]
        sentence = (
            f"{len(keys)} settings differ"
            if len(keys) != 1
            else "one setting differs: all else is the same"
        )
        if not keys:
            sentence = "Their configs are the same."
            table.display = False
        if unread:
            sentence += f" (the config of {', '.join(unread)} cannot be read)"
        self.query_one("#differ", Static).update(sentence)


def differing_keys(runs: Sequence[RunSummary]) -> list[str]:
    """The settings in which not all of the readable configs agree, in the schema's order."""
    readable = [run.settings for run in runs if run.settings]
    found = {key for one in readable[1:] for key in differences(readable[0], one)} - NOT_COMPARED
    order = list(dict.fromkeys([*schema_tables(), *schema_settings(), *sorted(found)]))
    return sorted(found, key=order.index)


def read_curves(run: RunDirectory) -> Curves:
    """Both losses of a run from a part of its history."""
    events = skim(run.events)
    train = [(e.step, e.loss) for e in events if isinstance(e, TrainStep)]
    validation = [(e.step, e.val_loss) for e in events if isinstance(e, Validation)]
    return Curves(span_means(train, CURVE_POINTS), span_means(validation, CURVE_POINTS))
