"""The shell: five screens as modes, what they ask of each other, and the runs under way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Event, InputEvent
from textual.screen import Screen
from textual.theme import Theme

from simplegpt.run.directory import RunDirectory, find_runs
from tui.shared.text import one_line
from tui.shell import messages, settings
from tui.shell.collector import QUIET_SECONDS, Collector
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.header import TABS, Header, Mode, RunIndicator, Tab
from tui.shell.live_runs import RunSeen, RunsSeen, look_at
from tui.shell.screen import WorkbenchScreen
from tui.shell.themes import DEFAULT_THEME, THEMES

if TYPE_CHECKING:
    from tui.chat.screen import ChatScreen
    from tui.config.screen import ConfigScreen
    from tui.data.screen import DataScreen
    from tui.runs.screen import RunsScreen
    from tui.training.screen import TrainingScreen
    from tui.training.trainer_process import TrainerProcess

Start: TypeAlias = (
    messages.OpenConfig
    | messages.OpenRun
    | messages.OpenChat
    | messages.OpenData
    | messages.ResumeTraining
    | None
)
WATCH_SECONDS = 2.0


# Screens are imported when they are first visited: the first paint waits for one of them only.


def _runs_screen() -> "RunsScreen":
    from tui.runs.screen import RunsScreen

    return RunsScreen()


def _data_screen() -> "DataScreen":
    from tui.data.screen import DataScreen

    return DataScreen()


def _config_screen() -> "ConfigScreen":
    from tui.config.screen import ConfigScreen

    return ConfigScreen()


def _training_screen() -> "TrainingScreen":
    from tui.training.screen import TrainingScreen

    return TrainingScreen()


def _chat_screen() -> "ChatScreen":
    from tui.chat.screen import ChatScreen

    return ChatScreen()


class Workbench(App[None]):
    """`simplegpt-tui`. `start` says what to open; None opens where a newcomer begins."""

    TITLE = "SimpleGPT"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar = {
        "runs": _runs_screen,
        "data": _data_screen,
        "config": _config_screen,
        "train": _training_screen,
        "chat": _chat_screen,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"visit('{mode}')", title, show=False, tooltip=f"Go to {title}")
            for mode, title, key in TABS
        ),
        Binding("f1", "help", "Help", tooltip="What this is and which keys it has"),
        Binding("f10", "quit", "Quit", priority=True, tooltip="Leave the workbench; runs go on"),
        Binding("ctrl+q", "quit", "Quit", priority=True, show=False),
    ]

    def __init__(self, start: Start = None) -> None:
        super().__init__()
        self.start = start
        self.watched: dict[Path, RunSeen] = {}
        """Runs that were started, joined or found alive, as they were last seen."""
        self.visited: dict[str, WorkbenchScreen] = {}
        self.collector = Collector()
        for theme in THEMES:
            self.register_theme(theme)
        kept = settings.Settings.load().theme
        self.theme = kept if kept in self.available_themes else DEFAULT_THEME

    async def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        if self.start is None:
            await self.visit("runs" if has_begun(Path.cwd()) else "data")
        else:
            self.post_message(self.start)
        self.find_live_runs()
        self.set_interval(WATCH_SECONDS, self.look_at_runs)
        if not self.is_headless:  # a test's process is not ours alone
            self.collector.begin()
        self.set_interval(QUIET_SECONDS, self.collector.look)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, InputEvent):
            self.collector.felt()
        await super().on_event(event)

    def get_key_display(self, binding: Binding) -> str:
        """Function keys as keyboards spell them: F1."""
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    def _keep_theme(self, theme: Theme) -> None:
        try:
            settings.change(theme=theme.name)
        except OSError as error:
            self.notify(f"The theme cannot be kept: {error}", severity="warning")

    # Going from screen to screen

    async def visit(self, mode: Mode) -> WorkbenchScreen:
        """Bring a screen to the front and return it, mounted."""
        await self.switch_mode(mode)
        screen = self._screen_stacks[mode][0]
        assert isinstance(screen, WorkbenchScreen)
        self.visited[mode] = screen
        return screen

    async def action_visit(self, mode: Mode) -> None:
        await self.visit(mode)

    @on(Tab.Chosen)
    async def _tab_chosen(self, event: Tab.Chosen) -> None:
        await self.action_visit(event.mode)

    @on(RunIndicator.Chosen)
    async def _indicator_chosen(self) -> None:
        live = self.live_run()
        if live is not None:
            await self.open_run(messages.OpenRun(live.run.path))

    @on(messages.OpenConfig)
    async def open_config(self, event: messages.OpenConfig) -> None:
        from tui.config.screen import ConfigScreen

        screen = await self.visit("config")
        assert isinstance(screen, ConfigScreen)
        screen.open(event.path, event.values)

    @on(messages.OpenRun)
    async def open_run(self, event: messages.OpenRun) -> None:
        (await self._training()).attach(event.path)

    @on(messages.OpenChat)
    async def open_chat(self, event: messages.OpenChat) -> None:
        from tui.chat.screen import ChatScreen

        screen = await self.visit("chat")
        assert isinstance(screen, ChatScreen)
        screen.open_model(event.model, event.beside_run)

    @on(messages.OpenData)
    async def open_data(self) -> None:
        from tui.data.screen import DataScreen

        screen = await self.visit("data")
        assert isinstance(screen, DataScreen)
        screen.show_corpora()

    @on(messages.StartTraining)
    async def start_training(self, event: messages.StartTraining) -> None:
        (await self._training()).start(event.config, event.overrides)

    @on(messages.ResumeTraining)
    @work(group="resume", exclusive=True)
    async def resume_training(self, event: messages.ResumeTraining) -> None:
        """Resume a run; of one that has reached its end, ask for a later one first."""
        overrides: tuple[str, ...] = ()
        status = await asyncio.to_thread(RunDirectory(event.run).status)
        if status is not None and (
            status.state == "finished" or 0 < status.max_steps <= status.step
        ):
            steps = await self.push_screen_wait(max_steps_dialog(event.run.name, status.step))
            if steps is None:
                return
            overrides = ("--trainer.max_steps", str(int(steps)))
        (await self._training()).resume(event.run, overrides)

    async def _training(self) -> "TrainingScreen":
        from tui.training.screen import TrainingScreen

        screen = await self.visit("train")
        assert isinstance(screen, TrainingScreen)
        return screen

    @on(messages.RunsChanged)
    def runs_changed(self) -> None:
        from tui.runs.screen import RunsScreen

        screen = self.visited.get("runs")
        if isinstance(screen, RunsScreen):
            screen.refresh_runs()

    # Runs under way

    def watch_run(self, path: Path) -> None:
        """Keep an eye on a run, wherever one is looking."""
        run = RunDirectory(path)
        self.watched.setdefault(run.path, RunSeen(run, None, alive=False))
        self.look_at_runs()

    def live_run(self) -> RunSeen | None:
        """The run under way that was joined last."""
        return next((seen for seen in reversed(self.watched.values()) if seen.alive), None)

    @work(thread=True, group="find-runs", exit_on_error=False)
    def find_live_runs(self) -> None:
        """Runs that an earlier workbench left under way, or that were started beside it."""
        live = [seen for run in find_runs(Path.cwd()) if (seen := look_at(run)).alive]
        if live:
            self.post_message(RunsSeen(tuple(live)))

    def look_at_runs(self) -> None:
        if self.watched:
            self._look([seen.run for seen in self.watched.values()])

    @work(thread=True, group="watch-runs", exclusive=True, exit_on_error=False)
    def _look(self, runs: list[RunDirectory]) -> None:
        self.post_message(RunsSeen(tuple(look_at(run) for run in runs)))

    @on(RunsSeen)
    def runs_seen(self, event: RunsSeen) -> None:
        if not self._screen_stacks.get(self.current_mode):
            return  # the last look came home after the screens were taken down
        for seen in event.runs:
            before = self.watched.get(seen.run.path)
            self.watched[seen.run.path] = seen
            if before is not None and before.alive and not seen.alive:
                self._tell_of_end(seen)
        self.show_live_run()
        if isinstance(self.screen, WorkbenchScreen):
            self.screen.runs_seen()

    def show_live_run(self) -> None:
        """Say in the header of the screen in front what is under way."""
        live = self.live_run()
        for header in self.screen.query(Header):
            header.live = live.in_words() if live else Content()

    def _tell_of_end(self, seen: RunSeen) -> None:
        """A run ended: tell whoever looks elsewhere, in this terminal or beyond it."""
        if self.screen is self.visited.get("train") and self.app_focus:
            return
        sentence = seen.end_in_words()
        failed = seen.status is None or seen.status.state not in ("finished", "stopped")
        self.notify(
            sentence, title=seen.run.path.name, severity="error" if failed else "information"
        )
        self.bell()
        self.notify_desktop(sentence)

    def notify_desktop(self, sentence: str) -> None:
        """Ask the terminal for a desktop notification (OSC 9; others ignore it)."""
        if self._driver is not None and not self.is_headless:
            plain = "".join(c for c in sentence if c.isprintable())
            self._driver.write(f"\x1b]9;{plain}\x07")

    # Help, palette, quitting

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        if isinstance(screen, WorkbenchScreen):
            yield from screen.commands()
        for mode, title, key in TABS:
            yield SystemCommand(
                f"Go to {title}", f"The {title} screen ({key.upper()})", self._visitor(mode)
            )
        yield SystemCommand("Help", "What this is and which keys it has (F1)", self.action_help)
        yield SystemCommand(
            "Theme", "Change the colours; the choice is kept", self.action_change_theme
        )
        yield SystemCommand("Screenshot", "Save a picture of the screen as SVG", self.picture)
        yield SystemCommand("Quit", "Leave the workbench; runs go on (F10)", self.action_quit)

    def _visitor(self, mode: Mode) -> Callable[[], Awaitable[None]]:
        return lambda: self.action_visit(mode)

    def picture(self) -> None:
        self.call_after_refresh(self.deliver_screenshot)

    def action_help(self) -> None:
        from tui.shell.help import HelpDialog  # Markdown costs 50 ms: not at the start

        if isinstance(self.screen, WorkbenchScreen):
            self.push_screen(HelpDialog(self.screen.current_help()))

    async def action_quit(self) -> None:
        self.ask_and_quit()

    @work(group="quit", exclusive=True)
    async def ask_and_quit(self) -> None:
        """Quit, after asking about runs under way and unsaved work."""
        unsaved = [text for s in self.visited.values() if (text := s.unsaved())]
        if unsaved and not await self._confirmed_loss(unsaved):
            return
        live = [seen for path in list(self.watched) if (seen := look_at(RunDirectory(path))).alive]
        live += [RunSeen(trainer.run, None, alive=True) for trainer in self._starting()]
        if live and not await self._settled(live):
            return
        for screen in self.visited.values():
            screen.leave()
        self.exit()

    async def _confirmed_loss(self, unsaved: list[str]) -> bool:
        answers = [Answer("quit", "Quit without saving", "warning")]
        text = "Not saved yet: " + "; ".join(unsaved) + "."
        return await self.push_screen_wait(Question("Unsaved changes", text, answers)) == "quit"

    async def _settled(self, live: list[RunSeen]) -> bool:
        """What to do with the runs under way was answered, and it was not: stay."""
        names = ", ".join(seen.run.path.name for seen in live)
        one = len(live) == 1
        text = (
            f"{names} {'is' if one else 'are'} still training. {'It' if one else 'They'} can go on "
            "without the workbench; the next start finds and joins it."
        )
        answers = [
            Answer("leave", "Leave it running", "primary"),
            Answer("stop", "Stop and save", "warning"),
        ]
        answer = await self.push_screen_wait(Question("A run is under way", text, answers))
        if answer == "stop":
            for seen in live:
                if seen.status is not None:
                    seen.run.send("stop")
            for trainer in self._starting():
                trainer.cancel()
        return answer in ("leave", "stop")

    def _starting(self) -> "list[TrainerProcess]":
        """The trainer that was started here and has not yet said a word in its directory."""
        if "train" not in self.visited:
            return []
        from tui.training.screen import TrainingScreen

        screen = self.visited["train"]
        starting = screen.starting if isinstance(screen, TrainingScreen) else None
        return [starting] if starting is not None else []


def max_steps_dialog(name: str, step: int) -> TextDialog:
    """Ask up to which step to resume a run that has reached its end at `step`."""

    def error_in(text: str) -> str | None:
        if text.replace("_", "").isdecimal() and int(text) > step:
            return None
        return f"Expected a whole number above {step:,}."

    text = f"{one_line(name)} has reached its end, step {step:,}. Train up to which step?"
    return TextDialog("Resume", text, str(2 * max(step, 1)), accept="Resume", error_in=error_in)


def has_begun(folder: Path) -> bool:
    """Whether there are runs or prepared data below `folder`: then it is no newcomer's."""
    if any((folder / "data").glob("*.bin")):
        return True
    return any(True for _ in find_runs(folder / "models")) or any(
        True for _ in find_runs(folder, depth=2)
    )
