"""What the five screens share, and the conventions for building one.

A screen is one module `tui/screens/NAME.py` with one class `NameScreen(WorkbenchScreen)` and one
stylesheet `NAME.tcss` beside it (`CSS_PATH = "NAME.tcss"`), every rule of which is nested in
``NameScreen { … }``. It sets `MODE` (its tab), `HEADING`, `HELP` (Markdown) and `BINDINGS`, and
yields its content in `compose_body`; the header and the footer come from here.

**Keys.** Each action of a screen is a `Binding` of the screen with a description; from it come the
footer's entry, the help's line and the command palette's entry, all by themselves (`commands`
adds what has no key). Keys have to survive tmux, SSH and every terminal: function keys, plain
letters (they act only while no input has the focus), and ctrl+letter, except ctrl+s, j, i, m, h,
o, q, c, z and everything with shift+enter or ctrl+enter. Taken by the shell: F1 help, F2–F6 the
screens, F10 and ctrl+q quit, ctrl+p the palette. F7, F8 and F9 belong to each screen; F9 is its
main action, the next step of the newcomer's way (prepare → train → chat). Avoid F11 and F12:
terminals take them. Related bindings stand together in the footer where they follow each other
and share a `group=Binding.Group("Zoom")`; `show=False` keeps rare ones out of
the footer. An action that cannot be taken now returns None from `check_action`; call
`refresh_bindings()` when that changes.

**Help.** F1 shows the help of the focused widget: the nearest widget outwards that has a
`help_text()` method returning Markdown, or a `HELP` class attribute; then the screen's keys.

**Asking the shell.** Post a message of `tui.shell.messages`; never reach into another screen.
Public methods that the shell calls: `RunsScreen.refresh_runs()`, `DataScreen.show_corpora()`,
`ConfigScreen.open(path, values)`, `TrainingScreen.attach/start/resume`,
`ChatScreen.open_model(model, beside_run)`.

**Questions** to the person go through `tui.shell.dialogs.Question`. Before the workbench quits
it calls each visited screen's `unsaved()`, and `leave()` when it does quit (end child processes
there). `shown()` and `hidden()` are called when the screen comes to the front and goes from it:
stop timers in `hidden`.

**Effects.** Files and processes only in workers (`@work(thread=True)`, `exclusive`, a `group`),
which post typed messages and never touch a widget. Import what costs time (numpy, tiktoken,
huggingface_hub) inside the function that needs it; torch, lightning and transformers never.

**Looks.** Colours only as theme variables ($primary marks what has the focus or is chosen,
$accent keys and headings, $success, $warning, $error states, $text-muted the rest). The classes
`-narrow` (under 100 columns), `-wide`, `-short` (under 32 rows) and `-tall` are set on the screen.
At 80x24 a screen shows its main thing and scrolls or folds the rest. No fixed clock, spinner or
animation: a snapshot test has to come out the same twice. Widgets have `tooltip`s.
Look at it: ``python -m tests.tui.picture SCREEN 80x24 out.png``.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.actions import parse as parse_action
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Container
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from tui.shell.footer import KeyFooter
from tui.shell.header import Header, Mode

if TYPE_CHECKING:
    from tui.app import Workbench

GENERAL_HELP = """\
Move with **Tab** and the arrow keys, or click. **F2**–**F6** change the screen, **Ctrl+P** finds
any action by its name, **F10** quits. Text that is selected with the mouse is copied by **Ctrl+C**,
over SSH too where the terminal allows it.
"""


# Of every screen of Textual's: neither ours to explain nor worth a place in the palette.
_TEXTUALS_ACTIONS = frozenset({"app.focus_next", "app.focus_previous", "screen.copy_text"})


class WorkbenchScreen(Screen[None]):
    """One of the five screens: header, its own body, footer."""

    MODE: ClassVar[Mode]
    """Name of its tab and of the app's mode."""
    HEADING: ClassVar[str]
    """Its name in help and palette."""
    HELP: ClassVar[str | None] = None
    """Markdown: what the screen is for and how it is used."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (not declared as a ClassVar in Textual)
        (0, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    # Textual's own draws the whole screen anew at each change of focus.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def compose(self) -> ComposeResult:
        yield Header(self.MODE)
        with Container(id="body"):
            yield from self.compose_body()
        yield KeyFooter()

    def compose_body(self) -> ComposeResult:
        """The screen's own widgets."""
        raise NotImplementedError

    @property
    def workbench(self) -> "Workbench":
        """The app, typed."""
        from tui.app import Workbench

        assert isinstance(self.app, Workbench)
        return self.app

    def on_screen_resume(self) -> None:
        self.workbench.show_live_run()
        self.shown()

    def on_screen_suspend(self) -> None:
        self.hidden()

    def shown(self) -> None:
        """The screen came to the front."""

    def hidden(self) -> None:
        """The screen went behind another one."""

    def runs_seen(self) -> None:
        """The shell has looked at the runs under way (about once a second)."""

    def unsaved(self) -> str | None:
        """What would be lost by quitting now, in a few words; None where nothing would."""
        return None

    def leave(self) -> None:
        """The workbench quits: let go of child processes."""

    def commands(self) -> Iterable[SystemCommand]:
        """The screen's entries of the command palette: its bindings, and what a screen adds."""
        for binding in self._own_bindings():
            _, name, parameters = parse_action(binding.action)
            if self.check_action(name, parameters) is True:
                yield self._palette_entry(binding)

    def _own_bindings(self) -> list[Binding]:
        """The screen's actions, each once, in the order they were declared."""
        found: dict[str, Binding] = {}
        for _, binding in self._bindings:
            if binding.description and binding.action not in _TEXTUALS_ACTIONS:
                found.setdefault(binding.action, binding)
        return list(found.values())

    def _palette_entry(self, binding: Binding) -> SystemCommand:
        key = self.app.get_key_display(binding)
        help_text = binding.tooltip or self.HEADING
        return SystemCommand(
            binding.description, f"{help_text} ({key})", lambda: self._run_bound(binding.action)
        )

    async def _run_bound(self, action: str) -> None:
        await self.run_action(action)

    def current_help(self) -> str:
        """Markdown for F1: of the focused widget if it has any, and of the screen."""
        node: Widget | None = self.focused
        parts: list[str] = []
        while node is not None and node is not self:
            text = own_help(node)
            if text:
                parts.append(text)
                break
            parent = node.parent
            node = parent if isinstance(parent, Widget) else None
        if self.HELP:
            parts.append(f"## {self.HEADING}\n\n{self.HELP}")
        keys = [
            f"| **{self.app.get_key_display(b)}** | {b.tooltip or b.description} |"
            for b in self._own_bindings()
        ]
        if keys:
            parts.append("\n".join(["| Key | |", "| --- | --- |", *keys]))
        return "\n\n".join([*parts, "## Everywhere", GENERAL_HELP])


def own_help(widget: Widget) -> str | None:
    """A widget's own help: its `help_text()`, or the `HELP` of a class of ours."""
    method = getattr(widget, "help_text", None)
    if callable(method):
        text = method()
        return text if isinstance(text, str) else None
    return widget.HELP
