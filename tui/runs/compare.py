"""Runs side by side: their curves in one plot, and the settings in which they differ."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import DataTable, Static

from simplegpt.cli import one_line
from simplegpt.progress import format_loss
from simplegpt.run.directory import RunDirectory
from tui.runs.summary import RunSummary, differences
from tui.runs.table import format_setting
from tui.shared.history import History
from tui.shared.history_reader import first_picture
from tui.shared.plot import Curve, CurvePlot
from tui.shared.run_signs import MUTED
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

COLOURS = ("$primary", "$accent", "$secondary", "$success", "$error", "$warning")
"""Of the curves, in the order of the runs."""
MOST_RUNS = len(COLOURS)


class CompareScreen(WorkbenchScreen):
    """Two to six runs. Escape returns to the list."""

    MODE: ClassVar[Mode] = "runs"
    CSS_PATH = "compare.tcss"
    HELP = """\
The loss curves of several runs in one plot, and the settings in which their configs differ.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v", "dismiss", "Back", key_display="Esc"),
        Binding("t", "switch_loss", "Train / val loss", tooltip="Training or validation loss"),
    ]

    shows_validation: reactive[bool] = reactive(False)

    def __init__(self, compared: Sequence[RunSummary]) -> None:
        super().__init__()
        self.compared = compared
        self.histories: Sequence[History] = ()
        """Of the compared runs; empty until they are read."""

    def compose_body(self) -> ComposeResult:
        with Vertical(id="curves"):
            yield Static(self._legend(), id="legend", markup=False)
            yield CurvePlot(id="plot")
            yield Static(id="values", markup=False)
        yield Static(id="differ", markup=False)
        yield DataTable[Text](id="settings", cursor_type="row", zebra_stripes=True)

    def on_mount(self) -> None:
        self._fill_settings()
        self.query_one(CurvePlot).focus()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())
        self._draw()
        self._read()

    @work
    async def _read(self) -> None:
        runs = [RunDirectory(run.path) for run in self.compared]
        self.histories = [await asyncio.to_thread(first_picture, run) for run in runs]
        self._draw()

    def action_switch_loss(self) -> None:
        self.shows_validation = not self.shows_validation

    def watch_shows_validation(self) -> None:
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        curves = []
        for run, history, colour in zip(self.compared, self.histories, COLOURS, strict=False):
            series = history.validation if self.shows_validation else history.train
            if len(series):
                curves.append(Curve(run.name, colour, series["step"], series["loss"]))
        kind = "validation" if self.shows_validation else "training"
        title = f"{kind} loss over steps" if curves or not self.histories else f"no {kind} loss yet"
        self.query_one("#curves").border_title = title
        self.query_one(CurvePlot).show(curves, "step", logarithmic=False)

    @on(CurvePlot.CursorMoved)
    def _show_values(self, event: CurvePlot.CursorMoved) -> None:
        """The losses where the cursor is."""
        x = event.x
        parts = [] if x is None else [Content(f"step {x:,.0f}")]
        for curve, value in event.plot.read(x) if x is not None else ():
            parts.append(Content.assemble(("━ ", curve.colour), format_loss(value)))
        self.query_one("#values", Static).update(Content("  ").join(parts), layout=False)

    def _legend(self) -> Content:
        entries = [
            Content.assemble(
                ("━━ ", colour),
                one_line(run.name),
                (f"  {run.state}, best {format_loss(run.best_loss)}", MUTED),
            )
            for run, colour in zip(self.compared, COLOURS, strict=False)
        ]
        return Content("\n").join(entries)

    def _fill_settings(self) -> None:
        table: DataTable[Text] = self.query_one("#settings", DataTable)
        table.add_column("Setting")
        for run, colour in zip(self.compared, COLOURS, strict=False):
            style = self.app.theme_variables[colour.removeprefix("$")]
            table.add_column(Text(one_line(run.path.name), style))
        readable = [run.settings for run in self.compared if run.settings]
        keys = differing_keys(readable)
        for key in keys:
            values = (Text(format_setting(run.settings.get(key))) for run in self.compared)
            table.add_row(Text(key), *values)
        text = "The configs are the same."
        if keys:
            text = f"{len(keys)} settings differ" if len(keys) > 1 else "One setting differs"
        table.display = bool(keys)
        unread = [one_line(run.name) for run in self.compared if not run.settings]
        if unread:
            text += f" (cannot read the config of {', '.join(unread)})"
        self.query_one("#differ", Static).update(text)


def differing_keys(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """The settings in which not all configs agree, in the schema's order."""
    values = {key: tuple(c.get(key) for c in configs) for config in configs for key in config}
    same = {key: (first,) * len(configs) for key, (first, *_) in values.items()}
    return list(differences(same, values))
