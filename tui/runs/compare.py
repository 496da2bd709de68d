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
from simplegpt.progress import format_count, format_duration, format_loss, plural
from simplegpt.run.directory import RunDirectory
from tui.runs.summary import RunSummary, differing_keys
from tui.runs.table import format_setting
from tui.shared.history import Axis, History
from tui.shared.history_reader import first_picture
from tui.shared.plot import DASHES, Curve, CurvePlot, dash_sign
from tui.shared.run_signs import MUTED
from tui.shell.modes import Mode
from tui.shell.screen import WorkbenchScreen

COLOURS = ("$primary", "$accent", "$secondary", "$success", "$error", "$warning")
"""Of the curves, in the order of the runs."""
MAX_RUNS = len(COLOURS)
AXIS_NAMES: Mapping[Axis, str] = {"step": "steps", "tokens": "tokens", "time": "time"}
AXES = tuple(AXIS_NAMES)


class CompareScreen(WorkbenchScreen):
    """Two to six runs. Escape returns to the list."""

    MODE: ClassVar[Mode] = "runs"
    CSS_PATH = "compare.tcss"
    HELP = """\
The loss curves of several runs in one plot, and the settings in which their configs differ.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", key_display="Esc"),
        Binding("t", "switch_loss", "Train / val loss", tooltip="Training or validation loss"),
        Binding("h", "next_axis", "X axis", tooltip="Steps, tokens or time on the x axis"),
        Binding("l", "toggle_log_scale", "Log scale"),
        Binding("c", "on_plot('toggle_cursor')", "Cursor", tooltip="Read every run at the cursor"),
        Binding("plus", "on_plot('zoom_in')", "Zoom in", key_display="+", show=False),
        Binding("minus", "on_plot('zoom_out')", "Zoom out", key_display="-", show=False),
        Binding("0", "on_plot('reset_zoom')", "Reset the zoom", show=False),
    ]

    shows_validation: reactive[bool] = reactive(False)
    axis: reactive[Axis] = reactive[Axis]("step")
    is_logarithmic: reactive[bool] = reactive(False)

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
        for name in ("shows_validation", "axis", "is_logarithmic"):
            self.watch(self, name, self._draw, init=False)
        self._draw()
        self._read()

    @work
    async def _read(self) -> None:
        runs = [RunDirectory(run.path) for run in self.compared]
        self.histories = [await asyncio.to_thread(first_picture, run) for run in runs]
        self._draw()

    async def action_on_plot(self, action: str) -> None:
        """Do what the plot's own keys do, wherever the focus is."""
        await self.query_one(CurvePlot).run_action(action)

    def action_switch_loss(self) -> None:
        self.shows_validation = not self.shows_validation

    def action_next_axis(self) -> None:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]

    def action_toggle_log_scale(self) -> None:
        self.is_logarithmic = not self.is_logarithmic

    def _draw(self) -> None:
        curves = []
        looks = zip(COLOURS, DASHES, strict=True)
        for run, history, (colour, dash) in zip(self.compared, self.histories, looks, strict=False):
            series = history.validation if self.shows_validation else history.train
            if len(series):
                curves.append(Curve(run.name, colour, series[self.axis], series["loss"], dash=dash))
        kind = "validation" if self.shows_validation else "training"
        title = f"{kind} loss over {AXIS_NAMES[self.axis]}"
        if self.histories and not curves:
            title = f"no {kind} loss yet"
        self.query_one("#curves").border_title = title
        self.query_one(CurvePlot).show(curves, self.axis, logarithmic=self.is_logarithmic)

    @on(CurvePlot.CursorMoved)
    def _show_values(self, event: CurvePlot.CursorMoved) -> None:
        """Show the losses at the cursor."""
        x = event.x
        parts = [] if x is None else [Content(self._place(x))]
        for curve, value in event.plot.read(x) if x is not None else ():
            parts.append(Content.assemble((f"{curve.sign} ", curve.colour), format_loss(value)))
        self.query_one("#values", Static).update(Content("  ").join(parts), layout=False)

    def _place(self, x: float) -> str:
        """Format a place on the x axis."""
        if self.axis == "time":
            return format_duration(x)
        return f"step {format_count(x)}" if self.axis == "step" else f"{format_count(x)} tokens"

    def _legend(self) -> Content:
        entries = [
            Content.assemble(
                (f"{dash_sign(dash)} ", colour),
                one_line(run.name),
                (f"  {run.state}, best {format_loss(run.best_loss)}", MUTED),
            )
            for run, colour, dash in zip(self.compared, COLOURS, DASHES, strict=False)
        ]
        return Content("\n").join(entries)

    def _fill_settings(self) -> None:
        table: DataTable[Text] = self.query_one("#settings", DataTable)
        table.add_column("Setting")
        for run, colour in zip(self.compared, COLOURS, strict=False):
            style = self.app.theme_variables[colour.removeprefix("$")]
            table.add_column(Text(one_line(run.name), style))
        readable = [run.settings for run in self.compared if run.settings]
        keys = differing_keys(readable)
        for key in keys:
            values = (Text(format_setting(run.settings.get(key))) for run in self.compared)
            table.add_row(Text(key), *values)
        text = "The configs are the same."
        if keys:
            text = f"{plural(len(keys), 'setting')} differ{'s' if len(keys) == 1 else ''}"
        table.display = bool(keys)
        unread = [one_line(run.name) for run in self.compared if not run.settings]
        if unread:
            text += f" (cannot read the config of {', '.join(unread)})"
        self.query_one("#differ", Static).update(text)
