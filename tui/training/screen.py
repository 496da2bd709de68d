"""The Train screen: the dashboard of one run, live or ended.

`RunFollowing` reads and starts; this shows what was read and asks the run for things.
"""

import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input

from simplegpt.run.directory import RunDirectory
from tui.shared.follower import Update
from tui.shared.history import History
from tui.shared.run_signs import MUTED
from tui.shared.text import one_line
from tui.shell.modes import Mode
from tui.shell.runs import SeenRuns, newest_live
from tui.training import commands as commands_asked
from tui.training.actions import LIVE, PANELS, RunActions
from tui.training.commands import ENDED, CommandsAsked
from tui.training.failure import explain, read_config
from tui.training.machine import MachinePanel
from tui.training.notices import notices
from tui.training.panel_tabs import PanelTabs
from tui.training.plot_panel import PlotPanel
from tui.training.run_controls import RunControls
from tui.training.run_head import RunHead
from tui.training.run_panels import CheckpointsPanel, LogPanel, SamplesPanel
from tui.training.run_trouble import RunTrouble, Way
from tui.training.words import ShownState

LOG_END_LINES = 8
SHARE = 0.012
"""Of one core's time, that the training may need: a live run's curves wait until the workbench has
taken no more since they were last drawn."""
DRAW_SECONDS = 5.0
"""They never wait longer."""
_GO_ON = Way("go_on", "Go on from the last checkpoint")
_WAYS_TO_A_RUN = (
    Way("config", "Look at a config"),
    Way("data", "Choose a corpus"),
    Way("runs", "Runs"),
)
_ASK = Binding.Group("Ask", compact=True)
_PLOT = Binding.Group("Plot", compact=True)
# (group and whether in the footer, key, action, label, what it does)
KEYS: tuple[tuple[Binding.Group | None, bool, str, str, str, str], ...] = (
    (None, True, "f7", "pause", "Pause", "Pause the training; it keeps its memory"),
    (None, True, "f7", "unpause", "Resume", "Let the paused training go on"),
    (None, True, "f7", "go_on", "Go on", "Go on from the last checkpoint"),
    (None, True, "f8", "stop", "Stop", "Stop the training after a checkpoint"),
    (None, True, "f9", "chat", "Chat", "Talk to the newest checkpoint; the run goes on"),
    (_ASK, True, "s", "ask('save')", "Save now", "Write a checkpoint now"),
    (_ASK, True, "v", "ask('validate')", "Validate now", "Measure the validation loss now"),
    (_ASK, True, "w", "ask('sample')", "Sample now", "Write a sample now"),
    (_ASK, True, "l", "learning_rate", "Learning rate", "Multiply the learning rate by a factor"),
    (_PLOT, True, "y", "logarithmic", "Log scale", "Logarithmic or linear loss axis"),
    (_PLOT, True, "x", "axis", "X axis", "Steps, tokens or time along the x axis"),
    (_PLOT, True, "b", "below", "Below", "Learning rate or gradient norm below the loss"),
    (_PLOT, True, "o", "overlay", "Other runs", "Lay the curves of other runs over this one"),
    (None, False, "t", "raw", "Raw loss", "Show or hide the unsmoothed training loss"),
    (None, False, "d", "freeze", "Hold display", "Pause the display; the training goes on"),
    (None, False, "e", "edit", "Edit config", "Open the run's config in the editor"),
    (None, False, "slash", "filter", "Filter the log", "Show only lines with some words"),
)


class TrainingScreen(RunActions):
    """The dashboard."""

    MODE: ClassVar[Mode] = "train"
    CSS_PATH = "screen.tcss"
    HELP = """\
Watches one run, live or ended. A run is a process of its own: it goes on when the workbench quits,
and can be joined again from any terminal. Start one from **Config**, or open one from **Runs**.

In a small terminal **1**–**5** choose what is shown: plot, samples, checkpoints, log, machine.
Pausing the *training* (F7) halts it and keeps its memory; pausing the *display* (d) only stops the
picture.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, action, label, tooltip=told, group=group, show=show)
            for group, show, key, action, label, told in KEYS
        ),
        *(
            Binding(str(i), f"panel('{name}')", f"Show the {name}", show=False)
            for i, name in enumerate(PANELS, 1)
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._log_end: list[str] = []
        self._state: ShownState = "none"
        """As it was last shown."""
        self._undrawn = False
        """Whether events came in since the curves were drawn."""
        self._drawn_at = self._spent_then = 0.0
        """When the curves were drawn, by the monotonic clock and by our own CPU time."""
        self._allowed: dict[str, bool] = {}

    def compose_body(self) -> ComposeResult:
        yield RunHead()
        yield RunControls()
        yield RunTrouble()
        yield PanelTabs(PANELS)
        with Horizontal(id="panels"):
            with Vertical(id="left"):
                yield PlotPanel(id="panel-plot")
                yield SamplesPanel(id="panel-samples")
            with Vertical(id="right"):
                yield MachinePanel(id="panel-machine")
                yield CheckpointsPanel(id="panel-checkpoints")
                yield LogPanel(id="panel-log")

    def on_mount(self) -> None:  # Textual calls RunFollowing's too
        for name in PANELS:
            self.query_one(f"#panel-{name}").border_title = name.capitalize()
        self.action_panel("plot")
        self.run_changed()
        self._say_nothing_runs()

    def watch_runs(self, runs: SeenRuns) -> None:
        """Attach to the live run, where none is open."""
        live = newest_live(runs)
        if self.is_mounted and self.view is None and self.starting is None and live is not None:
            self.attach(live.path)

    # What RunFollowing tells

    def run_changed(self) -> None:
        self.asked = CommandsAsked()
        self._log_end, self.edits, self._state = [], {}, "none"
        self.query_one(LogPanel).clear()
        self.query_one(RunTrouble).clear()
        self.query_one(PlotPanel).overlays.clear()
        self.query_one(RunControls).answer("", "", "")
        self.show_all()

    def view_changed(self, update: Update | None) -> None:
        view = self.view
        if view is None:
            return
        if update is not None and update.log:
            self._log_end = [*self._log_end, *update.log][-200:]
            self.query_one(LogPanel).write(update.log)
        self.asked.answer(view.history.answers)
        if view.state in ENDED:
            self.asked.run_ended()
        before, self._state = self._state, view.state
        if not view.frozen:
            self._undrawn = self._undrawn or update is None or bool(update.events)
            now = update is None or not view.alive or self._may_draw()
            self.show_all(redraw=self._undrawn and now)
        if view.state == "finished" and before in LIVE:
            self._lead_on()

    def _lead_on(self) -> None:
        """The run that was watched has finished: Enter talks to it."""
        chat = self.query_one("RunControls #chat", Button)
        if self.check_action("chat", ()) is True and not isinstance(self.focused, Input):
            chat.disabled = False
            chat.focus()
            self.query_one(RunControls).answer("✓", "finished: Enter talks to it", "$text-success")

    def start_changed(self, said: str) -> None:
        self.query_one(RunTrouble).clear()
        log = self.query_one(LogPanel)
        log.clear()
        log.write(said.splitlines())
        command = self.starting.command_line() if self.starting is not None else ""
        self.query_one(RunControls).answer("◌", f"starting  {one_line(command)}", MUTED)
        self.show_all()

    def start_failed(self, cause: str, said: str, config: Path | None) -> None:
        lines = [line for line in said.splitlines() if line.strip()]
        head = lines[0].removeprefix("error: ") if lines else cause
        self.query_one(RunControls).answer("", "", "")
        if config is not None and self.view is not None:
            self.configs[self.view.path] = config
        self.failed_config = config
        ways = [Way("edit", "Back to the config"), Way("runs", "Runs")]
        self.query_one(RunTrouble).tell(head, cause if lines else "", lines[1:], ways)
        self.show_all()
        if not self.is_current:
            self.notify(head, title="The training did not start", severity="error")

    # Showing

    def show_all(self, *, redraw: bool = True) -> None:
        """Bring everything up to what `view` knows; `redraw`: also what costs time to draw."""
        view = self.view
        history = view.history if view is not None else History()
        self.query_one(RunHead).show(view)
        was_empty = self.has_class("-empty")
        self.set_class(view is None and self.starting is None, "-empty")
        if was_empty and not self.has_class("-empty"):
            self.action_panel("plot")
        if redraw:
            self._undrawn = False
            self._drawn_at, self._spent_then = time.monotonic(), time.process_time()
            self.query_one(PlotPanel).show(history, notices(history))
            self.query_one(MachinePanel).show(history)
        self.query_one(SamplesPanel).show(history)
        self.query_one(CheckpointsPanel).show(history)
        self._show_controls()
        if view is not None:
            self._show_answer()
            self._show_trouble()

    def _may_draw(self) -> bool:
        waited = time.monotonic() - self._drawn_at
        return waited > DRAW_SECONDS or time.process_time() - self._spent_then < SHARE * waited

    def _show_controls(self) -> None:
        names = ("pause", "unpause", "go_on", "stop", "learning_rate", "chat", "edit")
        allowed = {name: self.check_action(name, ()) is True for name in names}
        for name in ("save", "validate", "sample"):
            allowed[name] = self.check_action("ask", (name,)) is True
        self.query_one(RunControls).show(allowed)
        if allowed != self._allowed:
            self._allowed = allowed
            self.refresh_bindings()  # the footer is made anew: not at every tick

    def _show_answer(self) -> None:
        assert self.view is not None
        last = self.asked.last
        if last is None:
            return
        activity = self.view.status.activity if self.view.status is not None else ""
        self.query_one(RunControls).answer(*commands_asked.in_words(last, activity))

    def _show_trouble(self) -> None:
        view = self.view
        assert view is not None
        if view.state == "failed":
            config = read_config(RunDirectory(view.path).config)
            failure = explain(view.error, "\n".join(self._log_end), config)
            self.edits = failure.edits
            ways = [
                Way("edit", "Back to the config"),
                *self._way_on(),
            ]
            if failure.edits:
                ways.insert(0, Way("mend", "Edit with these"))
            self.query_one(RunTrouble).tell(
                failure.cause, failure.advice, self._log_end[-LOG_END_LINES:], ways
            )
        elif view.state == "crashed":
            cause = f"crashed: the process exited unexpectedly at step {view.step:,}"
            advice = self._how_it_died()
            ways = [*self._way_on(), Way("edit", "Config")]
            self.query_one(RunTrouble).tell(cause, advice, self._log_end[-LOG_END_LINES:], ways)
        elif view.state != "none":  # a run that never began keeps what was said of it
            self.query_one(RunTrouble).clear()

    def _way_on(self) -> list[Way]:
        return [_GO_ON] if self.can_resume() else []

    def _how_it_died(self) -> str:
        trainer = self.trainers.get(self.view.path) if self.view is not None else None
        code = trainer.exit_code() if trainer is not None else None
        if code is not None and code == -9:
            return "it was killed (SIGKILL): the system may have run out of memory"
        if code is not None and code < 0:
            return f"it was ended by signal {-code}"
        kept = "; its last checkpoint is there" if self.can_resume() else ""
        return f"it was killed, or its machine went down{kept}"

    def _say_nothing_runs(self) -> None:
        """The empty state: the ways to a run."""
        if self.view is not None or self.starting is not None:
            return
        advice = (
            "A run starts from a config: look at one and press F9 there. A run that is under way "
            "anywhere below this folder is joined by itself."
        )
        self.query_one(RunTrouble).tell("No run is open", advice, (), _WAYS_TO_A_RUN, calm=True)
