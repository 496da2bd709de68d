"""The Train screen: the dashboard of one run, live or ended."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import Tab, Tabs

from simplegpt.cli import UserError
from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import CommandName
from tui.shared.history import History
from tui.shared.history_reader import first_picture
from tui.shared.paths import short_path
from tui.shared.plot import CurvePlot
from tui.shell import messages
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.modes import Mode
from tui.shell.runs import newest_live
from tui.shell.screen import WorkbenchScreen
from tui.training.callout_panel import CalloutPanel
from tui.training.checkpoints_panel import CheckpointsPanel
from tui.training.commands import SentCommands
from tui.training.draw_budget import DrawBudget
from tui.training.hardware_panel import HardwarePanel
from tui.training.log_panel import LogPanel
from tui.training.overlay_dialog import OverlayDialog
from tui.training.plot_panel import PlotPanel
from tui.training.run_controls import RunControls
from tui.training.run_head import RunHead
from tui.training.run_reader import Reading, RunReader
from tui.training.samples_panel import SamplesPanel
from tui.training.trainer_process import (
    TRAIN_COMMAND,
    Launch,
    TrainerProcess,
    output_directory,
)
from tui.training.view import (
    ENDED,
    NO_RUN,
    RUN_ACTIONS,
    STATE_ACTIONS,
    Callout,
    RunView,
    StatusLine,
    callout_of,
    possible_actions,
    read_callout,
    start_callout,
    status_line,
)

TICK_SECONDS = 0.5
"""Between two polls of a starting trainer, or of a run with a pending command."""
LIVE_SECONDS = 1.5
"""Between two readings of a live run. Reading takes CPU time from the training: an open dashboard
takes 1.1% of a core, but 2% if it reads at every tick."""
ENDED_SECONDS = 2.0
"""Between two readings of a run that has ended: it may be resumed elsewhere."""
PANELS = ("plot", "samples", "checkpoints", "log", "hardware")
_PLOT = Binding.Group("Plot", compact=True)


class TrainingScreen(WorkbenchScreen):
    """Starts and resumes trainings, follows one run, and sends it commands."""

    MODE: ClassVar[Mode] = "train"
    CSS_PATH = "screen.tcss"
    ALLOW_IN_MAXIMIZED_VIEW: ClassVar[str | None] = "KeyFooter"
    HELP: ClassVar[str | None] = """\
The dashboard of one run, live or ended. Training runs in a separate process: it continues when you
quit the workbench, and you can attach to it again from any terminal. Start a run from **Config**,
or open one from **Runs**.

In a small terminal **1**–**5** select the panel: plot, samples, checkpoints, log, hardware. In any
terminal **z** shows one panel on the whole screen, and then all again. F7 pauses the *training* and
keeps its memory allocated; F only freezes the *display*.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "pause", "Pause", tooltip="Pause the training; its memory stays allocated"),
        Binding("f7", "resume", "Resume", tooltip="Resume the training"),
        Binding("f8", "stop", "Stop", tooltip="Save a checkpoint and stop the training"),
        Binding("f9", "chat", "Chat", tooltip="Chat with the newest checkpoint"),
        Binding("s", "send('save')", "Save checkpoint", show=False),
        Binding("v", "send('validate')", "Validate", show=False),
        Binding("w", "send('sample')", "Generate a sample", show=False),
        Binding("f", "lr_factor", "LR factor", show=False),
        Binding("l", "toggle_log_scale", "Log scale", group=_PLOT),
        Binding("h", "next_axis", "X axis: steps, tokens, time", group=_PLOT),
        Binding("g", "next_lower_plot", "Plot LR or gradient norm below", group=_PLOT),
        Binding("c", "toggle_cursor", "Cursor", show=False),
        Binding("x", "overlay", "Overlay runs", group=_PLOT),
        Binding("z", "zoom_panel", "Zoom", tooltip="Show one panel on the whole screen, or all"),
        Binding("t", "toggle_raw", "Show or hide the raw loss", show=False),
        Binding("plus", "zoom_in", "Zoom in", key_display="+", show=False),
        Binding("minus", "zoom_out", "Zoom out", key_display="-", show=False),
        Binding("0", "reset_zoom", "Reset the zoom and follow the run", show=False),
        Binding("F", "freeze", "Freeze display", show=False),
        Binding("e", "edit", "Edit config", show=False),
        Binding("escape", "close_message", show=False),
        Binding("slash,ctrl+f", "filter_log", "Filter the log", show=False),
        *(
            Binding(str(key), f"show_panel('{name}')", f"Show the {name}", show=False)
            for key, name in enumerate(PANELS, 1)
        ),
    ]

    view: var[RunView | None] = var(None, init=False)
    """The newest reading of the run."""
    displayed: var[RunView | None] = var(None, init=False)
    """The one on the screen: an older one while the display is frozen."""
    drawn: var[RunView | None] = var(None, init=False)
    """The one in the plots, which may be older still: they are drawn less often."""
    is_frozen: var[bool] = var(False, init=False)
    sent: var[SentCommands] = var(SentCommands(), init=False)
    possible: var[frozenset[str]] = var(frozenset(), init=False, bindings=True)
    status: var[StatusLine] = var(StatusLine(), init=False)
    callout: var[Callout | None] = var[Callout | None](NO_RUN, init=False)
    panel: var[str] = var(PANELS[0], init=False)
    """The panel that is shown in a terminal with room for only one."""

    def __init__(self, train_command: tuple[str, ...] = TRAIN_COMMAND) -> None:
        super().__init__()
        self._train_command = train_command
        self._starting: dict[Path, TrainerProcess] = {}
        """Started here, by the run's directory, which they have not claimed yet."""
        self._trainers: dict[Path, TrainerProcess] = {}
        """Started here, by the run's directory: only their parent gets their exit codes."""
        self._configs: dict[Path, Path] = {}
        """The config file of each run started here, by the run's directory."""
        self._start_config: Path | None = None
        """The config of the run that did not start, while its message is shown."""
        self._start_error: Callout | None = None
        self._read_error: Callout | None = None
        self._reader: RunReader | None = None
        self._next_reading = 0.0
        """By the monotonic clock."""
        self._budget = DrawBudget()
        self._has_undrawn = False
        """Whether events came in since the plots were drawn."""

    def compose_body(self) -> ComposeResult:
        cls = TrainingScreen
        yield RunHead().data_bind(cls.is_frozen, view=cls.displayed)
        yield RunControls().data_bind(cls.possible, cls.status)
        yield CalloutPanel().data_bind(cls.callout)
        yield Tabs(*(Tab(self._tab_label(name), id=name) for name in PANELS))
        with Horizontal(id="panels"):
            with Vertical(id="left"):
                yield PlotPanel(id="panel-plot").data_bind(view=cls.drawn)
                yield SamplesPanel(id="panel-samples").data_bind(view=cls.displayed)
            with Vertical(id="right"):
                yield HardwarePanel(id="panel-hardware").data_bind(view=cls.drawn)
                yield CheckpointsPanel(id="panel-checkpoints").data_bind(view=cls.displayed)
                yield LogPanel(id="panel-log")

    @staticmethod
    def _tab_label(name: str) -> Content:
        key = str(PANELS.index(name) + 1)
        return Content.assemble((key, "$text-accent"), f" {name.capitalize()}")

    def on_mount(self) -> None:
        for name in PANELS:
            self._panel(name).border_title = name.capitalize()
        self.add_class("-empty")
        self.set_interval(TICK_SECONDS, self._tick)

    def watch_runs(self) -> None:
        self._attach_to_live()

    def _attach_to_live(self) -> None:
        """Attach to a live run, where none is open."""
        live = newest_live(self.runs or ())
        if self.is_mounted and self.callout is NO_RUN and live is not None:
            self.attach(live.path)

    def starting_runs(self) -> Sequence[Path]:
        return tuple(self._starting)

    def cancel_starting(self) -> None:
        for trainer in self._starting.values():
            trainer.cancel()

    # Attaching to a run and following it

    def attach(self, path: Path) -> None:
        """Show the run at `path`, live or ended, and follow it."""
        run = RunDirectory(path)
        starting = self._starting.get(run.path)
        command = starting.command_line if starting is not None else None
        self._open(RunView(run.path, starting_command=command))
        self.post_message(messages.WatchRun(run.path))
        self._reader = RunReader(run, self._trainers.get(run.path))
        self._load(self._reader)

    def _open(self, view: RunView | None) -> None:
        """Show another run, or none, and reset what belongs to the previous one."""
        self.workers.cancel_group(self, "load")
        self._reader, self._read_error = None, None
        self._forget_start_error()
        self.query_one(LogPanel).clear()
        self.query_one(PlotPanel).reset()
        self.is_frozen = False
        self.sent, self.view = SentCommands(), view
        self._draw()

    @work(exclusive=True, group="load")
    async def _load(self, reader: RunReader) -> None:
        try:
            async for _ in reader.load():
                await self._read(reader)
        except (OSError, RuntimeError) as error:
            self._show_read_error(reader, error)

    def _tick(self) -> None:
        for trainer in self._trainers.values():
            trainer.exit_code()  # reaps it
        # Nothing is read while another screen is in front: the next reading catches up.
        is_due = time.monotonic() >= self._next_reading or self.sent.is_pending()
        if self.is_current and is_due and self._reader is not None and self._reader.is_ready:
            self._follow(self._reader)

    @work(group="follow")
    async def _follow(self, reader: RunReader) -> None:
        try:
            await self._read(reader)
        except OSError as error:
            self._show_read_error(reader, error)

    def _show_read_error(self, reader: RunReader, error: OSError | RuntimeError) -> None:
        """Show why a run cannot be read; what was read before stays."""
        if reader is self._reader:
            self._read_error = read_callout(error)
            self._update_callout()
            self._next_reading = time.monotonic() + ENDED_SECONDS

    async def _read(self, reader: RunReader) -> None:
        """Show what the run has written since the last reading."""
        has_more = True
        while has_more:
            reading = await reader.read()
            if reader is not self._reader:
                return  # another run was opened meanwhile
            if reading.has_restarted:
                self.attach(reader.run.path)
                return
            self._take(reader, reading)
            has_more = reading.has_more

    def _take(self, reader: RunReader, reading: Reading) -> None:
        before = self.view
        assert before is not None
        self._read_error = None
        self.query_one(LogPanel).write(reading.log)
        self.view = view = replace(
            before,
            history=reader.history,
            is_whole=reader.is_whole,
            status=reading.status,
            failure=reading.failure,
            config=self._configs.get(before.path, reading.config),
            settings=reading.settings,
            checkpoint=reading.checkpoint,
        )
        self._has_undrawn = self._has_undrawn or bool(reading.events)
        is_allowed = not view.is_live or self._budget.allows_drawing()
        if view.history is not before.history or (self._has_undrawn and is_allowed):
            self._draw()
        seconds = LIVE_SECONDS if view.is_live else ENDED_SECONDS
        self._next_reading = time.monotonic() + seconds

    # Watchers

    def watch_view(self, before: RunView | None, view: RunView | None) -> None:
        if view is not None:
            has_ended = view.state in ENDED
            self.sent = self.sent.settle(
                view.history.answers, time.monotonic(), has_ended=has_ended
            )
        self._update_callout()
        self._update_status()
        if not self.is_frozen:
            self.displayed = view
        self.set_class(view is None, "-empty")
        if before is None and view is not None:
            self.action_show_panel(PANELS[0])

    def _update_callout(self) -> None:
        error = self._start_error or self._read_error
        if error is not None or self.view is None:
            self.callout = error or NO_RUN
        else:
            self.callout = callout_of(self.view, self.query_one(LogPanel).last_lines())
        has_ended = self.view is not None and self.view.state in ENDED
        self.set_class(has_ended and self.callout is not None, "-ended")

    def watch_sent(self) -> None:
        self._update_status()

    def watch_is_frozen(self) -> None:
        self.displayed = self.view
        self._draw()

    def _update_status(self) -> None:
        possible = possible_actions(self.view, self.sent)
        self.possible = possible | {"edit"} if self._start_config is not None else possible
        self.status = status_line(self.view, self.sent)

    def _draw(self) -> None:
        if not self.is_frozen:
            self._has_undrawn = False
            self._budget.start()
            self.drawn = self.view

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.possible or action not in RUN_ACTIONS | STATE_ACTIONS:
            return True
        return False if action in ("pause", "resume", "stop") else None  # the first two share a key

    # Starting and resuming

    @work(group="start")
    async def start(self, config: Path, overrides: tuple[str, ...] = ()) -> None:
        """Start a training of a saved config, and follow its run."""
        try:
            output_dir = await asyncio.to_thread(output_directory, config, overrides)
        except (UserError, OSError) as error:
            self._show_start_error(start_callout(config.name, str(error)), config)
            return
        run = RunDirectory(output_dir)
        self._configs[run.path] = config
        await self._launch(run, (str(config), *overrides), is_resume=False)

    @work(group="start")
    async def resume(self, run: Path, overrides: tuple[str, ...] = ()) -> None:
        """Resume an ended run from its last checkpoint, and follow it."""
        await self._launch(RunDirectory(run), ("--resume", str(run), *overrides), is_resume=True)

    async def _launch(
        self, run: RunDirectory, arguments: tuple[str, ...], *, is_resume: bool
    ) -> None:
        """Start the process, and wait until it has claimed its run's directory.

        If it fails, the run that was shown before is shown again, with the reason.
        """
        if run.path in self._starting:
            self.notify(f"{run.path.name} is starting already.", markup=False)
            return
        before, config = self.view, self._configs.get(run.path, run.config)
        try:
            command = (*self._train_command, *arguments)
            trainer = await asyncio.to_thread(TrainerProcess, run, command)
        except OSError as error:
            message = start_callout(run.path.name, str(error), is_resume=is_resume)
            self._show_start_error(message, config)
            return
        self._starting[run.path] = trainer
        self._show_starting(trainer)
        try:
            launch = await self._wait_for_claim(trainer)
        finally:
            del self._starting[run.path]
            trainer.discard_output()
        if launch.has_claimed:
            self._trainers[run.path] = trainer
            self._show_claimed(trainer, launch)
            return
        self._show_again(run.path, before)
        if not trainer.is_cancelled:
            output, exit_code = "\n".join(launch.output), launch.exit_code
            message = start_callout(run.path.name, output, exit_code, is_resume=is_resume)
            self._show_start_error(message, config)

    async def _wait_for_claim(self, trainer: TrainerProcess) -> Launch:
        """Wait until the process has claimed its directory or has ended."""
        while True:
            launch = await asyncio.to_thread(trainer.poll)
            if launch.has_claimed or launch.exit_code is not None:
                return launch
            await asyncio.sleep(TICK_SECONDS)

    def _show_starting(self, trainer: TrainerProcess) -> None:
        """Show the run that starts; what was read of a resumed one stays on the screen."""
        path = trainer.run.path
        if self.view is None or self.view.path != path:
            self.attach(path)
        else:
            self._forget_start_error()
            self.view = replace(self.view, starting_command=trainer.command_line)

    def _show_claimed(self, trainer: TrainerProcess, launch: Launch) -> None:
        self.post_message(messages.WatchRun(trainer.run.path))  # now it has a status
        if self.view is None or self.view.path != trainer.run.path:
            return  # another run was opened meanwhile
        assert self._reader is not None
        self._reader.trainer = trainer
        self._next_reading = 0.0
        self.view = replace(self.view, starting_command=None, status=launch.status, failure=None)

    def _show_again(self, path: Path, before: RunView | None) -> None:
        """Show the run `before`, where the one at `path` is shown, which did not start."""
        if self.view is None or self.view.path != path:
            return
        if before is None:
            self._open(None)
        elif before.path == path:
            self.view = replace(self.view, starting_command=None)
        else:
            self.attach(before.path)

    def _show_start_error(self, message: Callout, config: Path) -> None:
        self._start_error, self._start_config = message, config
        self._update_callout()
        self._update_status()
        if not self.is_current:
            self.notify(message.title, severity="error", markup=False)

    def _forget_start_error(self) -> None:
        self._start_error, self._start_config = None, None

    def action_close_message(self) -> None:
        """Close the message of a failed start."""
        self._forget_start_error()
        self._update_callout()
        self._update_status()

    # Commands to the run

    def action_send(self, command: CommandName) -> None:
        self._send(command)

    @work(group="send")
    async def _send(self, command: CommandName, factor: float | None = None) -> None:
        assert self.view is not None
        run = RunDirectory(self.view.path)
        try:
            id = await asyncio.to_thread(run.send, command, factor=factor)
        except OSError as error:
            self.notify(f"Cannot send the command: {error}", severity="error", markup=False)
            return
        if self.view.path == run.path:
            self.sent = self.sent.add(id, command)

    def action_pause(self) -> None:
        self._send("pause")

    def action_resume(self) -> None:
        """Resume a paused run, or an ended one from its last checkpoint."""
        assert self.view is not None
        if self.view.can_resume:
            self.post_message(messages.ResumeTraining(self.view.path))
        else:
            self._send("resume")

    @work(exclusive=True, group="dialog")
    async def action_stop(self) -> None:
        assert self.view is not None
        path = self.view.path
        text = "A checkpoint is saved at the end of this step. The run can be resumed from it."
        question = Question(
            "Stop the training?", text, [Answer("stop", "Stop and save", "warning")]
        )
        if self.view.state == "queued":
            answers = [Answer("stop", "Remove", "warning")]
            question = Question("Remove from the queue?", "Nothing has been trained yet.", answers)
        elif path in self._starting:
            answers = [Answer("stop", "Cancel the start", "warning")]
            question = Question("Cancel the start?", "Nothing has been trained yet.", answers)
        if await self.app.push_screen_wait(question) != "stop" or self.view.path != path:
            return
        if path in self._starting:
            self._starting[path].cancel()
        else:
            self._send("stop")

    @work(exclusive=True, group="dialog")
    async def action_lr_factor(self) -> None:
        dialog = TextDialog(
            "LR factor",
            "Multiplies the scheduled learning rate from the next step on. 1 resets it.",
            "0.5",
            accept="Set LR factor",
            error_in=lr_factor_error,
        )
        answer = await self.app.push_screen_wait(dialog)
        if answer is not None:
            self._send("set_lr_factor", float(answer))

    # Other screens

    def action_chat(self) -> None:
        assert self.view is not None
        assert self.view.checkpoint is not None
        self._chat_with(self.view, self.view.checkpoint)

    @on(CheckpointsPanel.Selected)
    @work(exclusive=True, group="chat")
    async def _checkpoint_selected(self, event: CheckpointsPanel.Selected) -> None:
        assert self.view is not None
        path = self.view.path / event.path
        if await asyncio.to_thread(path.exists):
            self._chat_with(self.view, path)
        else:
            self.notify(
                f"{path.name} was deleted: only the best checkpoints are kept.", markup=False
            )

    def _chat_with(self, view: RunView, checkpoint: Path) -> None:
        live_run = view.path if view.is_live else None
        self.post_message(messages.OpenChat(str(checkpoint), beside_run=live_run))

    def action_edit(self) -> None:
        config = self._start_config or (self.view.config if self.view is not None else None)
        self.post_message(messages.OpenConfig(config))

    @work(exclusive=True, group="edit")
    async def action_apply_edits(self) -> None:
        """Open the config with the suggested edits, and with a new directory for its run."""
        view = self.view
        assert view is not None
        assert view.failure is not None
        output_dir = await asyncio.to_thread(free_output_dir, view.path)
        edits: dict[str, Any] = {**view.failure.edits, "output_dir": output_dir}
        self.post_message(messages.OpenConfig(view.config, edits))

    # Panels and plot

    def action_show_panel(self, name: str) -> None:
        """Focus a panel, and show it in a terminal with room for only one."""
        self.panel = name
        panel = self._panel(name)
        if self.maximized is not None:
            self.maximize(panel, container=False)
        inside = (widget for widget in panel.query("CurvePlot, DataTable, RichLog"))
        next((widget for widget in inside if widget.display), panel).focus()

    def _panel(self, name: str) -> Widget:
        return self.query_one(f"#panel-{name}")

    def watch_panel(self) -> None:
        self._select_panel()

    def on_resize(self) -> None:
        self.call_after_refresh(self._select_panel)

    def _select_panel(self) -> None:
        """Mark the panel that is shown alone in a small terminal. In a large one all are shown,
        and the marks would only make a new layout."""
        if not (self.has_class("-narrow") or self.has_class("-short")):
            return
        tabs = self.query_one(Tabs)
        with tabs.prevent(Tabs.TabActivated):
            tabs.active = self.panel
        for name in PANELS:
            self._panel(name).set_class(name == self.panel, "-selected")
        for column in ("#left", "#right"):
            self.query_one(column).set_class(bool(self.query(f"{column} .-selected")), "-selected")

    @on(Tabs.TabActivated)
    def _tab_activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        if event.tab.id is not None and event.tab.id != self.panel:
            self.action_show_panel(event.tab.id)

    def action_zoom_panel(self) -> None:
        """Show the panel with the focus on the whole screen, or all panels again."""
        if self.maximized is not None:
            self.minimize()
            return
        focused = self.focused.ancestors_with_self if self.focused is not None else ()
        name = next((n for n in PANELS if self._panel(n) in focused), self.panel)
        self.action_show_panel(name)
        self.maximize(self._panel(name), container=False)

    def action_zoom_in(self) -> None:
        self._visible_plot().action_zoom_in()

    def action_zoom_out(self) -> None:
        self._visible_plot().action_zoom_out()

    def action_reset_zoom(self) -> None:
        self._visible_plot().action_reset_zoom()

    def action_toggle_cursor(self) -> None:
        """Show or hide the plot's cursor; the arrow keys move it."""
        plot = self._visible_plot()
        plot.action_toggle_cursor()
        if plot.cursor is not None:
            plot.focus()

    def _visible_plot(self) -> CurvePlot:
        """The loss curves, brought to the front where another panel hides them."""
        plot = self.query_one(PlotPanel).plot
        if not plot.region:
            self.action_show_panel("plot")
        return plot

    def action_toggle_log_scale(self) -> None:
        plot = self.query_one(PlotPanel)
        plot.is_logarithmic = not plot.is_logarithmic

    def action_toggle_raw(self) -> None:
        plot = self.query_one(PlotPanel)
        plot.shows_raw = not plot.shows_raw

    def action_next_axis(self) -> None:
        self.query_one(PlotPanel).next_axis()

    def action_next_lower_plot(self) -> None:
        self.query_one(PlotPanel).next_lower_plot()

    def action_freeze(self) -> None:
        self.is_frozen = not self.is_frozen

    def action_filter_log(self) -> None:
        self.action_show_panel("log")
        self.query_one(LogPanel).focus_filter()

    @work(exclusive=True, group="dialog")
    async def action_overlay(self) -> None:
        """Choose other runs, and draw their curves over this one's."""
        assert self.view is not None
        path, root, plot = self.view.path, Path.cwd(), self.query_one(PlotPanel)
        found = await asyncio.to_thread(lambda: [run.path for run in find_runs(root)])
        others = [other for other in found if other != path]
        if not others:
            self.notify("No other runs below this folder.")
            return
        selected = await self.app.push_screen_wait(OverlayDialog(others, root, plot.overlays))
        if selected is None:
            return
        try:
            histories = await asyncio.to_thread(read_histories, selected)
        except OSError as error:
            self.notify(str(error), title="Cannot read the run", severity="error", markup=False)
            return
        if self.view is not None and self.view.path == path:
            plot.overlays = histories


def read_histories(paths: Sequence[Path]) -> Mapping[Path, History]:
    """The runs' curves, to overlay. Raises OSError."""
    return {path: first_picture(RunDirectory(path)) for path in paths}


def lr_factor_error(text: str) -> str | None:
    """The error in an LR factor; None if it is valid."""
    try:
        is_valid = 0 < float(text) <= 1_000
    except ValueError:
        return f"Expected a number such as 0.5, got {text!r}."
    return None if is_valid else "Must be > 0 and ≤ 1000."


def free_output_dir(path: Path) -> str:
    """A directory beside `path` that does not exist; relative if it is below the working
    directory."""
    return str(short_path(first_free_path(path)))
