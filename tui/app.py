"""The app: five screens as modes, the routes between them, the known runs, and quitting."""

import asyncio
import contextlib
import importlib
import math
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from rich.segment import Segment
from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.events import Event, InputEvent, Key, Paste
from textual.filter import LineFilter
from textual.reactive import reactive
from textual.screen import Screen
from textual.theme import Theme
from textual.worker import WorkerFailed

from simplegpt.cli import one_line, printable
from simplegpt.run.directory import RunDirectory, find_runs
from tui.shell import messages, settings
from tui.shell.bindings import EVERYWHERE
from tui.shell.collector import IDLE_SECONDS, Collector
from tui.shell.dialogs import Answer, Entry, Question, TextDialog
from tui.shell.header import Header
from tui.shell.key_queue import KeyQueue
from tui.shell.modes import TABS, Mode
from tui.shell.runs import (
    KnownRun,
    KnownRuns,
    end_message,
    refresh_runs,
    scan_runs,
)
from tui.shell.screen import WorkbenchScreen
from tui.shell.themes import DEFAULT_THEME, THEMES

if TYPE_CHECKING:
    from tui.chat.screen import ChatScreen
    from tui.config.screen import ConfigScreen
    from tui.data.screen import DataScreen
    from tui.runs.screen import RunsScreen
    from tui.training.screen import TrainingScreen

Start: TypeAlias = (
    messages.OpenConfig
    | messages.OpenRun
    | messages.OpenChat
    | messages.OpenData
    | messages.ResumeTraining
    | None
)
MAX_ERRORS, ERRORS_SECONDS = 5, 10.0
"""So many unexpected errors in so short a time end the workbench: it cannot be used any more."""
REFRESH_SECONDS = 2.0
"""Between two readings of the known runs' status."""
SCAN_SECONDS = 10.0
"""Between two scans for runs that were started elsewhere."""
IMPORT_SECONDS = 0.3
"""After the start, until the screens that were not visited are imported."""
PAINT_SECONDS = 0.2
"""Longest wait for a tab to be highlighted before its screen is opened."""
SCAN_SHARE = 0.02
"""Largest share of the time spent scanning, for folders with many files."""


# The first paint waits for the import of only one screen; a thread imports the others soon after.


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


class PrintableFilter(LineFilter):
    """Shows control characters of names and texts, which a terminal would obey, as symbols."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        shown = [
            segment if segment.control else Segment(printable(segment.text), segment.style)
            for segment in segments
        ]
        if shown == segments:
            return segments
        return Segment.adjust_line_length(shown, Segment.get_line_length(segments))


PRINTABLE = PrintableFilter()


class Workbench(App[None]):
    """`simplegpt-tui`. `start` says what to open; None opens Runs, or Data for a newcomer."""

    TITLE = "SimpleGPT"
    CSS_PATH = Path(__file__).with_name("app.tcss")  # also for a subclass elsewhere
    MODES: ClassVar = {
        "runs": _runs_screen,
        "data": _data_screen,
        "config": _config_screen,
        "train": _training_screen,
        "chat": _chat_screen,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                tab.key, f"visit('{tab.mode}')", tab.title, show=False, tooltip=f"Go to {tab.title}"
            )
            for tab in TABS
        ),
        *EVERYWHERE,
        Binding("f10", "quit", "Quit", priority=True, tooltip="Quit; runs continue"),
        Binding("ctrl+q", "quit", "Quit", priority=True, show=False),
    ]

    runs: reactive[KnownRuns | None] = reactive(None, repaint=False, init=False)
    """All runs below the working directory and those watched elsewhere, as last read."""

    def __init__(self, start: Start = None) -> None:
        # Without this, Textual shows shades of grey, and the ansi themes as black on black.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.start = start
        self.root = Path.cwd()
        self.visited: dict[str, WorkbenchScreen] = {}
        self.collector = Collector()
        self.keys = KeyQueue(self, super().on_event)
        self.recent_commands: list[str] = []
        """Labels of the palette's entries that were chosen last, newest first."""
        self._watched: list[Path] = []
        self._next_scan = 0.0
        self.stays_after_errors = False
        """Whether an unexpected error is reported; in a test, it is raised."""
        self._errors: list[float] = []
        """When the last unexpected errors came, by the monotonic clock."""
        self._refreshing = asyncio.Lock()
        self._is_waiting = False
        """Whether a refresh waits for the one before it; one is enough."""
        for theme in THEMES:
            self.register_theme(theme)
        kept = settings.Settings.load().theme
        self.theme = kept if kept in self.available_themes else DEFAULT_THEME
        if self.console.color_system == "standard" and not self.current_theme.ansi:
            # Of 16 colours the nearest to those of another theme are mostly the same one.
            self.theme = "ansi-dark" if self.current_theme.dark else "ansi-light"

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), PRINTABLE]

    async def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        if self.start is None:
            is_newcomer = not await asyncio.to_thread(has_runs_or_data, self.root)
            await self.visit("data" if is_newcomer else "runs")
        else:
            self.post_message(self.start)
        self.refresh_runs()
        self.set_interval(REFRESH_SECONDS, self.refresh_runs)
        if not self.is_headless:  # a test's process is shared
            self.stays_after_errors = True
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.end, number)
            self.collector.start()
            self.set_timer(IMPORT_SECONDS, self._import_screens)
        self.set_interval(IDLE_SECONDS, self.collector.collect_if_idle)

    @work(group="imports")
    async def _import_screens(self) -> None:
        """Import the other screens, so that their first visit does not wait for it."""
        for subject in ("config", "training", "chat", "data", "runs"):
            await asyncio.to_thread(importlib.import_module, f"tui.{subject}.screen")

    async def on_event(self, event: Event) -> None:
        if isinstance(event, InputEvent):
            self.collector.note_input()
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            await self.keys.put(event)
        else:
            await super().on_event(event)

    async def action_press(self, key: str) -> None:
        """Handle another key than the one that was pressed."""
        await super().on_event(Key(key, None))

    def get_key_display(self, binding: Binding) -> str:
        """Function keys as keyboards spell them: F1."""
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    @work(exclusive=True, group="theme")
    async def _keep_theme(self, theme: Theme) -> None:
        try:
            await asyncio.to_thread(settings.change, theme=theme.name)
        except OSError as error:
            self.notify(f"The theme cannot be saved: {error}", severity="warning", markup=False)

    # Routes

    async def visit(self, mode: Mode) -> WorkbenchScreen:
        """Bring a screen to the front and return it, mounted."""
        if mode not in self.visited:
            await self._show_opening(mode)
        await self.switch_mode(mode)
        screen = self.get_screen_stack(mode)[0]
        assert isinstance(screen, WorkbenchScreen)
        self.visited[mode] = screen
        screen.runs = self.runs
        return screen

    async def _show_opening(self, mode: Mode) -> None:
        """Highlight the tab of a screen before it is imported and mounted, which takes a moment."""
        for header in self.screen.query(Header):
            header.show_active(mode)
            painted = asyncio.Event()
            self.screen.call_after_refresh(painted.set)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(painted.wait(), PAINT_SECONDS)
            header.call_later(header.show_active, header.active)

    async def action_visit(self, mode: Mode) -> None:
        await self.visit(mode)

    @on(messages.Visit)
    async def visit_screen(self, event: messages.Visit) -> None:
        await self.visit(event.mode)

    @on(messages.OpenConfig)
    async def open_config(self, event: messages.OpenConfig) -> None:
        from tui.config.screen import ConfigScreen

        screen = await self.visit("config")
        assert isinstance(screen, ConfigScreen)
        screen.open(event.path, event.values, event.key, event.new_name)

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
    async def open_data(self, event: messages.OpenData) -> None:
        from tui.data.screen import DataScreen

        screen = await self.visit("data")
        assert isinstance(screen, DataScreen)
        screen.show_corpora(event.path)

    @on(messages.StartTraining)
    async def start_training(self, event: messages.StartTraining) -> None:
        (await self._training()).start(event.config, event.overrides)

    @on(messages.ResumeTraining)
    @work(group="resume", exclusive=True)
    async def resume_training(self, event: messages.ResumeTraining) -> None:
        """Resume a run; if it has finished, ask how many steps to train for first."""
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

    # Runs

    @on(messages.WatchRun)
    def watch_run(self, event: messages.WatchRun) -> None:
        self._watched = [path for path in self._watched if path != event.path] + [event.path]
        self.refresh_runs()

    @on(messages.RunsChanged)
    def scan_for_runs(self) -> None:
        self._next_scan = 0.0
        self.refresh_runs()

    @work(group="runs")
    async def refresh_runs(self) -> None:
        """Read the status of the known runs; every `SCAN_SECONDS`, scan for others."""
        if self._is_waiting:
            return
        self._is_waiting = True
        async with self._refreshing:
            self._is_waiting = False
            started, known = time.monotonic(), self.runs or ()
            if started < self._next_scan:
                paths = dict.fromkeys([*(run.path for run in known), *self._watched])
                self.runs = await asyncio.to_thread(refresh_runs, paths, known)
                return
            self._next_scan = math.inf  # until a scan is requested meanwhile, or this one ends
            found = await asyncio.to_thread(scan_runs, self.root, self._watched, known)
            ended = time.monotonic()
            pause = max(SCAN_SECONDS, (ended - started) / SCAN_SHARE)
            self._next_scan = min(self._next_scan, ended + pause)
            self.runs = found

    def watch_runs(self, before: KnownRuns | None, runs: KnownRuns) -> None:
        # A screen that is being mounted gets them from `visit`, when its widgets are there too.
        for screen in {*self.visited.values(), *self.screen_stack[1:]}:
            if isinstance(screen, WorkbenchScreen):
                screen.runs = runs
        were_live = {run.path for run in before or () if run.is_live}
        for run in runs:
            if run.path in were_live and not run.is_live:
                self._notify_of_end(run)

    def _notify_of_end(self, run: KnownRun) -> None:
        """Notify of a run's end, in the workbench and on the desktop, unless it is on screen."""
        if self.current_mode == "train" and self.app_focus:
            return
        message = one_line(end_message(run))
        failed = run.status is None or run.status.state not in ("finished", "stopped")
        self.notify(message, severity="error" if failed else "information", markup=False)
        self.bell()
        self.notify_desktop(message)

    def notify_desktop(self, message: str) -> None:
        """Ask the terminal for a desktop notification (OSC 9; others ignore it)."""
        if self._driver is not None and not self.is_headless:  # Textual has no public way
            self._driver.write(f"\x1b]9;{message}\x07")

    # Palette and help

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        if isinstance(screen, WorkbenchScreen):
            yield from screen.commands()
        for mode, title, key in TABS:
            yield SystemCommand(
                f"Go to {title}", f"({key.upper()}) The {title} screen", self._visitor(mode)
            )
        yield SystemCommand("Help", "(F1) Explain the focused widget; keys", self.action_help)
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save the screen as SVG", self.screenshot)
        yield SystemCommand("Quit", "(F10) Quit the workbench; runs continue", self.action_quit)

    def _visitor(self, mode: Mode) -> Callable[[], Awaitable[None]]:
        return lambda: self.action_visit(mode)

    def screenshot(self) -> None:
        self.call_after_refresh(self.deliver_screenshot)  # without the palette

    def action_command_palette(self) -> None:
        if isinstance(self.screen, WorkbenchScreen):
            self._show_palette()

    @work(group="palette", exclusive=True)
    async def _show_palette(self) -> None:
        """Run the command that is chosen in the palette."""
        from tui.data.palette_entries import data_entries
        from tui.shell.palette import MAX_RECENT, Command, Palette, find_places

        def find() -> list[Entry[Command]]:
            return [*find_places(self.runs or (), self.root), *data_entries()]

        commands, recent = list(self.get_system_commands(self.screen)), self.recent_commands
        palette = Palette(commands, find_places=find, recent=recent)
        entry = await self.push_screen_wait(palette)
        if entry is None:
            return
        others = [label for label in recent if label != entry.label]
        self.recent_commands = [entry.label, *others][:MAX_RECENT]
        if entry.value.request is not None:
            self.post_message(entry.value.request)
        elif entry.value.run is not None:
            self.call_later(entry.value.run)

    @work(group="help", exclusive=True)
    async def action_help(self) -> None:
        """Explain the focused widget and list the keys; run the one that is chosen."""
        from tui.shell.help import HelpDialog, help_for  # Markdown costs 50 ms: not at the start

        if isinstance(self.screen, HelpDialog):
            self.screen.action_cancel()  # the same key again
            return
        action = await self.push_screen_wait(help_for(self.screen))
        if action is not None:
            await self.run_action(action.name, action.node)

    def action_help_quit(self) -> None:
        """Answer Ctrl+C, which in other programs quits."""
        self.notify("Press F10 to quit.")

    # Quitting

    def end(self, number: signal.Signals) -> None:
        """Quit at once, as a closing terminal or a shutdown asks: nobody is there to answer.

        What is open is saved and the terminal restored; trainings continue.
        """
        for screen in self.visited.values():
            screen.leave()
        self.exit(return_code=128 + number)

    def _handle_exception(self, error: Exception) -> None:
        """Report an unexpected error of a worker or a handler, and stay: there may be unsaved text.

        Textual has no public way. Errors in quick succession, as of painting, end the workbench.
        """
        now = time.monotonic()
        self._errors = [one for one in self._errors if now - one < ERRORS_SECONDS] + [now]
        if not self.stays_after_errors or len(self._errors) > MAX_ERRORS or not self.visited:
            super()._handle_exception(error)
            return
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error
        try:
            report = write_report(error)
        except OSError as problem:
            report = f"no report: {problem.strerror}"
        self.notify(
            f"{type(error).__name__}: {one_line(str(error))}\nReport: {report}",
            title="Unexpected error",
            severity="error",
            timeout=30,
            markup=False,
        )

    async def action_quit(self) -> None:
        if not isinstance(self.screen, QuitQuestion):
            self._ask_and_quit()

    @work(group="quit", exclusive=True)
    async def _ask_and_quit(self) -> None:
        """Quit, after asking about unsaved work and live runs."""
        screens = self.visited.values()
        if not await self._is_saved_or_given_up([one for one in screens if one.unsaved()]):
            return
        # One that was just started may not be among the known runs yet.
        paths = dict.fromkeys([*(run.path for run in self.runs or ()), *self._watched])
        runs = await asyncio.to_thread(refresh_runs, paths)
        live = [run.path for run in runs if run.is_live]
        starting = [path for screen in screens for path in screen.starting_runs()]
        if (live or starting) and not await self._may_leave(live, starting):
            return
        for screen in screens:
            screen.leave()
        self.exit()

    async def _is_saved_or_given_up(self, unsaved: Sequence[WorkbenchScreen]) -> bool:
        """Ask whether to save the work of these screens, and do it; return False to stay."""
        if not unsaved:
            return True
        answers = [Answer("quit", "Quit without saving", "error")]
        if all(screen.CAN_SAVE for screen in unsaved):
            answers.insert(0, Answer("save", "Save and quit", "primary"))
        text = f"Not saved yet: {'; '.join(filter(None, (one.unsaved() for one in unsaved)))}."
        answer = await self.push_screen_wait(QuitQuestion("Unsaved changes", text, answers))
        if answer != "save":
            return answer == "quit"
        for screen in unsaved:
            await self.visit(screen.MODE)
            if not await screen.save_unsaved():
                return False
        return True

    async def _may_leave(self, live: Sequence[Path], starting: Sequence[Path]) -> bool:
        """Ask what to do with live runs, and do it; return False to stay."""
        names = [one_line(path.name) for path in (*live, *starting)]
        verb, them = ("is", "It") if len(names) == 1 else ("are", "They")
        text = (
            f"{', '.join(names)} {verb} still training. {them} can continue without the "
            "workbench, which finds such runs when it is started again."
        )
        answers = [
            Answer("leave", "Leave it running", "primary"),
            Answer("stop", "Stop and save", "warning"),
        ]
        answer = await self.push_screen_wait(QuitQuestion("A run is live", text, answers))
        if answer == "stop":
            await asyncio.to_thread(_stop, live)
            for screen in self.visited.values():
                screen.cancel_starting()
        return answer is not None


def write_report(error: Exception) -> str:
    """Write the traceback of `error` to a file of its own; return its path. Raises OSError."""
    descriptor, path = tempfile.mkstemp(prefix="simplegpt-error-", suffix=".txt")
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.writelines(traceback.format_exception(error))
    return path


class QuitQuestion(Question):
    """A question before quitting, asked only once at a time."""


def _stop(runs: Iterable[Path]) -> None:
    for path in runs:
        RunDirectory(path).send("stop")


def max_steps_dialog(name: str, step: int) -> TextDialog:
    """Ask how many steps to train for in all, before resuming a run that finished at `step`."""

    def error_in(text: str) -> str | None:
        with contextlib.suppress(ValueError):
            if int(text) > step:
                return None
        return f"Expected an integer above {step:,}."

    text = f"{one_line(name)} finished at step {step:,}. New total number of steps:"
    return TextDialog("Resume", text, str(2 * max(step, 1)), accept="Resume", error_in=error_in)


def has_runs_or_data(folder: Path) -> bool:
    """Whether `folder` has runs or prepared data below it; a newcomer's has neither."""
    if any((folder / "data").glob("*.bin")):
        return True
    return any(True for _ in find_runs(folder / "models")) or any(
        True for _ in find_runs(folder, depth=2)
    )
