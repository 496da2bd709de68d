"""The base of the five screens, and how to build one.

A screen is one class in `tui/SUBJECT/screen.py`, with one stylesheet beside it (``CSS_PATH =
"screen.tcss"``) whose rules are all nested in ``NameScreen { … }``. It sets `MODE`, `HELP`
(Markdown) and `BINDINGS`, and yields its widgets in `compose_body`; header and footer come from
here.

**State.** What the screen shows lives in reactives; children get it by `data_bind`, and post
messages upwards. `runs` holds all known runs: the app sets it about every two seconds (define
`watch_runs` to follow it). The part of a screen that needs no Textual is a module of its own.

**Keys.** Each action is a `Binding` with a description: the footer, the help and the command
palette are made from it (extend `commands` for what has no key). A key has one meaning on all
screens: `tests/tui/test_keys.py` has the table. Keys have to work in tmux, over SSH and in every
terminal, so every action also has a function key, a letter (which acts only where no text field has
the focus) or an entry in the palette: terminals keep or change some control keys, F11 and F12. The
app has F1 and ? (help), F2-F6 (screens), F10 and ctrl+q (quit), ctrl+p (palette), j and k (down,
up). F7, F8 and F9 are the screen's main actions. Related bindings are adjacent and have the same
`group=Binding.Group("Zoom")`. Return False from `check_action` for what cannot be done now, from
state that is already known, and call `refresh_bindings()` when that changes: the footer shows only
what can be done.

**Other screens.** Post a message of `tui.shell.messages`; never import another subject. The app
calls `DataScreen.show_corpora()`, `ConfigScreen.open(path, values)`,
`TrainingScreen.attach/start/resume` and `ChatScreen.open_model(model, beside_run)`.

**Dialogs** are those of `tui.shell.dialogs`, or subclasses of its `Dialog`.

**Work.** Files and processes are read in async workers (``@work(group=…, exclusive=True)``) that
``await asyncio.to_thread(…)`` and then set state; never on the event loop. Start and stop what is
periodic in `on_screen_resume` and `on_screen_suspend`. Import what is slow (numpy, tiktoken,
huggingface_hub) inside the function that needs it; never torch, lightning or transformers.

**Looks.** Colours are theme variables: $primary for focus and choice, $accent for keys and
headings, $success, $warning and $error for states, $text-muted for the rest. The screen has the
classes `-narrow` (under 100 columns) or `-wide`, `-short` (under 32 rows) or `-tall`. At 80x24 it
shows what matters most, and scrolls or folds the rest. Nothing moves by itself (clocks, spinners):
a snapshot has to come out the same twice. Look at it with
``python -m tests.tui.picture SCREEN 80x24 out.png``.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from textual.actions import parse as parse_action
from textual.app import ComposeResult, SystemCommand
from textual.containers import Container
from textual.reactive import Reactive, reactive
from textual.screen import Screen
from textual.widget import Widget

from tui.shell.bindings import Shortcut, shortcuts_of
from tui.shell.footer import KeyFooter
from tui.shell.header import Header
from tui.shell.modes import Mode
from tui.shell.runs import KnownRuns


class WorkbenchScreen(Screen[None]):
    """One of the five screens: header, its own body, footer."""

    MODE: ClassVar[Mode]
    CAN_SAVE: ClassVar[bool] = False
    """Whether `save_unsaved` can save what `unsaved` names."""
    HELP: ClassVar[str | None] = None
    """What the screen is for and how it is used, in Markdown."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (not declared as a ClassVar in Textual)
        (0, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    # Textual's own redraws the whole screen at each change of focus.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    runs: reactive[KnownRuns | None] = reactive(None, repaint=False)
    """All known runs; set by the app, None before they were first read."""

    def compose(self) -> ComposeResult:
        yield Header(self.MODE).data_bind(WorkbenchScreen.runs)
        with Container(id="body"):
            yield from self.compose_body()
        yield KeyFooter()

    def compose_body(self) -> ComposeResult:
        """The screen's own widgets."""
        return []

    # What the app asks before it quits

    def unsaved(self) -> str | None:
        """What would be lost by quitting now, in a few words; None where nothing would."""
        return None

    async def save_unsaved(self) -> bool:
        """Save what `unsaved` names, in a worker; return False where that was cancelled."""
        return False

    def starting_runs(self) -> Sequence[Path]:
        """Runs that were started here and have not written a status yet."""
        return ()

    def cancel_starting(self) -> None:
        """End the processes of `starting_runs`."""

    def leave(self) -> None:
        """End child processes: the workbench quits."""

    # Palette and help

    def commands(self) -> Iterable[SystemCommand]:
        """The screen's entries in the command palette: its bindings that can be used now."""
        for shortcut in self.shortcuts():
            _, name, parameters = parse_action(shortcut.action)
            if self.check_action(name, parameters) is True:
                yield self._palette_entry(shortcut)

    def shortcuts(self) -> list[Shortcut]:
        """The screen's actions that have a key, for the palette and the help."""
        return shortcuts_of(type(self), self.app)

    def _palette_entry(self, shortcut: Shortcut) -> SystemCommand:
        async def run() -> None:
            await self.run_action(shortcut.action)

        explanation = shortcut.explanation if shortcut.explanation != shortcut.title else ""
        return SystemCommand(shortcut.title, f"({shortcut.keys[0]}) {explanation}".rstrip(), run)


@runtime_checkable
class HasHelp(Protocol):
    """A widget whose help depends on its state."""

    def help_text(self) -> str:
        """Markdown."""


def widget_help(widget: Widget) -> str | None:
    """A widget's help in Markdown: of its state, or its class's `HELP`."""
    return widget.help_text() if isinstance(widget, HasHelp) else widget.HELP
