"""What one can do on the Train screen: ask the run for things, change the picture, go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual import on, work
from textual.widgets import Input

from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import CommandName
from tui.shell import messages
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.training.commands import ENDED, CommandsAsked
from tui.training.following import RunFollowing
from tui.training.overlay_choice import OverlayChoice, OverlayRead, read_overlays
from tui.training.panel_tabs import PanelTabs
from tui.training.plot_panel import PlotPanel
from tui.training.run_controls import RunControls
from tui.training.run_panels import CheckpointsPanel, LogPanel
from tui.training.run_trouble import RunTrouble
from tui.training.words import ShownState

PANELS = ("plot", "samples", "checkpoints", "log", "machine")
LIVE: tuple[ShownState, ...] = ("running", "paused")


class RunActions(RunFollowing):
    """The screen's actions; `TrainingScreen` has their keys."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = CommandsAsked()
        self.panel = PANELS[0]
        """The one that is shown where there is room for one only."""
        self.edits: Mapping[str, Any] = {}
        """Edits that would help a run that failed."""
        self.failed_config: Path | None = None
        """The config of a run that could not be started."""

    def show_all(self, *, redraw: bool = True) -> None:
        """Bring everything up to what `view` knows."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        view = self.view
        state: ShownState = "none" if view is None or self.starting is not None else view.state
        match action:
            case "pause" | "unpause":
                # A pause that was asked for can be taken back before it is there.
                paused = state == "paused" or self.asked.pending("pause")
                return state in LIVE and paused == (action == "unpause")
            case "go_on":
                return state in ENDED and self.can_resume()
            case "stop":
                allowed = state in (*LIVE, "starting") and not self.asked.pending("stop")
            case "ask" | "learning_rate":
                allowed = state in LIVE
            case "chat":
                allowed = self.newest_checkpoint() is not None
            case "edit":
                allowed = self.config_file() is not None
            case "overlay" | "freeze":
                allowed = view is not None
            case _:
                return True
        return True if allowed else None

    def in_haste(self) -> bool:
        return self.asked.last is not None and self.asked.last.pending

    def can_resume(self) -> bool:
        """Whether the run has ended, and has a checkpoint to go on from."""
        if self.view is None or self.view.state not in ENDED:
            return False
        return RunDirectory(self.view.path).last_checkpoint.exists()

    # Asking the run

    def ask(self, command: CommandName, *, factor: float | None = None) -> None:
        """Send a command; its answer is shown when it comes."""
        if self.view is None:
            return
        try:
            id = RunDirectory(self.view.path).send(command, factor=factor)
        except OSError as error:
            self.notify(f"The run cannot be asked: {error}", severity="error")
            return
        self.asked.ask(id, command)
        self.show_all(redraw=False)

    def action_ask(self, command: CommandName) -> None:
        self.ask(command)

    def action_pause(self) -> None:
        self.ask("pause")

    def action_unpause(self) -> None:
        self.ask("resume")

    def action_go_on(self) -> None:
        if self.view is not None:
            self.post_message(messages.ResumeTraining(self.view.path))

    @work(exclusive=True, group="question")
    async def action_stop(self) -> None:
        text = "It stops at the end of this step and saves a checkpoint; it can go on from there."
        answers = [Answer("stop", "Stop and save", "warning")]
        if await self.app.push_screen_wait(Question("Stop the training?", text, answers)) == "stop":
            self.ask("stop")

    @work(exclusive=True, group="question")
    async def action_learning_rate(self) -> None:
        question = TextDialog(
            "Learning rate",
            "Multiplies what the schedule says, from the next step on. 1 is the schedule itself.",
            "0.5",
            accept="Set the factor",
            error_in=_problem_of_factor,
        )
        answer = await self.app.push_screen_wait(question)
        if answer is not None:
            self.ask("set_lr_factor", factor=float(answer))

    # Going elsewhere

    def newest_checkpoint(self) -> Path | None:
        """The newest checkpoint that is there; None without any."""
        if self.view is None:
            return None
        run = RunDirectory(self.view.path)
        newest_first = reversed(self.view.history.checkpoints.values())
        paths = [run.last_checkpoint, *(run.path / event.path for event in newest_first)]
        return next((path for path in paths if path.exists()), None)

    def action_chat(self) -> None:
        checkpoint = self.newest_checkpoint()
        if checkpoint is not None:
            self._chat_with(checkpoint)

    @on(CheckpointsPanel.Chosen)
    def _checkpoint_chosen(self, event: CheckpointsPanel.Chosen) -> None:
        event.stop()
        assert self.view is not None
        path = self.view.path / event.path
        if path.exists():
            self._chat_with(path)
        else:
            self.notify(f"{path.name} is no longer there: better ones took its place")

    def _chat_with(self, checkpoint: Path) -> None:
        assert self.view is not None
        beside = self.view.path if self.view.alive else None
        self.post_message(messages.OpenChat(str(checkpoint), beside_run=beside))

    def config_file(self) -> Path | None:
        """The file that the run was made from, or else its own copy."""
        if self.view is None:
            return self.failed_config
        known = self.configs.get(self.view.path)
        copy = RunDirectory(self.view.path).config
        return known or (copy if copy.exists() else None)

    def action_edit(self) -> None:
        path = self.config_file()
        if path is not None:
            self.post_message(messages.OpenConfig(path))

    def action_mend(self) -> None:
        """Open the config with the edits that would help, for a directory that is free."""
        path = self.config_file()
        if path is None or self.view is None:
            return
        free, here = first_free_path(self.view.path), Path.cwd()
        output_dir = free.relative_to(here) if free.is_relative_to(here) else free
        edits = {**self.edits, "output_dir": str(output_dir)}
        self.post_message(messages.OpenConfig(path, edits))

    def action_runs(self) -> None:
        self.post_message(messages.Visit("runs"))

    def action_config(self) -> None:
        self.post_message(messages.Visit("config"))

    def action_data(self) -> None:
        self.post_message(messages.Visit("data"))

    @on(RunControls.Chosen)
    @on(RunTrouble.Chosen)
    async def _button_chosen(self, event: RunControls.Chosen | RunTrouble.Chosen) -> None:
        event.stop()
        name = event.action
        await self.run_action(f"ask('{name}')" if name in ("save", "validate", "sample") else name)

    # The picture

    def action_panel(self, name: str) -> None:
        """Show a panel where there is room for one only; go to it where there is for all."""
        self.panel = name
        self.choose_panel()
        panel = self.query_one(f"#panel-{name}")
        for widget in panel.query("CurvePlot, DataTable, RichLog"):
            if widget.display:
                widget.focus()
                return
        panel.focus()

    def choose_panel(self) -> None:
        """Show `panel` alone, in a small terminal. In a large one all are shown, and marking
        one of them would only lay out the whole screen anew."""
        if not (self.has_class("-narrow") or self.has_class("-short")):
            return
        self.query_one(PanelTabs).choose(self.panel)
        for name in PANELS:
            self.query_one(f"#panel-{name}").set_class(name == self.panel, "-chosen")
        for column in ("#left", "#right"):
            self.query_one(column).set_class(bool(self.query(f"{column} .-chosen")), "-chosen")

    def on_resize(self) -> None:
        self.call_after_refresh(self.choose_panel)

    @on(PanelTabs.Chosen)
    def _panel_chosen(self, event: PanelTabs.Chosen) -> None:
        event.stop()
        self.action_panel(event.panel)

    def action_logarithmic(self) -> None:
        plot = self.query_one(PlotPanel)
        plot.logarithmic = not plot.logarithmic

    def action_axis(self) -> None:
        self.query_one(PlotPanel).next_axis()

    def action_below(self) -> None:
        self.query_one(PlotPanel).next_below()

    def action_raw(self) -> None:
        plot = self.query_one(PlotPanel)
        plot.raw = not plot.raw

    def action_freeze(self) -> None:
        if self.view is not None:
            self.view.frozen = not self.view.frozen
            self.show_all()

    def action_filter(self) -> None:
        self.action_panel("log")
        self.query_one(LogPanel).query_one(Input).focus()

    @work(thread=True, exclusive=True, group="overlay", exit_on_error=False)
    def action_overlay(self) -> None:
        here = Path.cwd()
        mine = self.view.path if self.view is not None else None
        runs = [
            (str(run.path.relative_to(here)), run.path)
            for run in find_runs(here)
            if run.path != mine
        ]
        self.app.call_from_thread(self._choose_overlays, runs, self._generation)

    @work(exclusive=True, group="question")
    async def _choose_overlays(self, runs: list[tuple[str, Path]], generation: int) -> None:
        if not runs:
            self.notify("There are no other runs below this folder.")
            return
        laid = list(self.query_one(PlotPanel).overlays)
        chosen = await self.app.push_screen_wait(OverlayChoice(runs, laid))
        if chosen is not None:
            self._read_overlays(chosen, generation)

    @work(thread=True, exclusive=True, group="overlay", exit_on_error=False)
    def _read_overlays(self, runs: list[Path], generation: int) -> None:
        self.post_message(OverlayRead(generation, read_overlays(runs)))

    @on(OverlayRead)
    def _overlays_read(self, event: OverlayRead) -> None:
        event.stop()
        if event.generation == self._generation:
            plot = self.query_one(PlotPanel)
            plot.overlays = event.histories
            plot.draw()


def _problem_of_factor(text: str) -> str | None:
    try:
        return None if 0 < float(text) <= 1_000 else "above 0, and at most 1000"
    except ValueError:
        return "a number, such as 0.5"
