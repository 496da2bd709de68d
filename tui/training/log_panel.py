"""The log of the training."""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Vertical
from textual.widgets import Input, RichLog

from simplegpt.cli import printable

_KEPT_LINES = 5_000
_LEVELS = {"warning:": "warning", "error:": "error"}
"""How the lines of a level begin, and its colour in the theme."""


class LogPanel(Vertical):
    """What the training printed, scrolled to its end, with a filter."""

    HELP: ClassVar[str] = """\
## Log
What the training process printed. **/** goes to the filter: only lines that contain all its words
are shown, ignoring case; Enter returns to the log, **Esc** shows all lines again. **Space** wraps
long lines or cuts them.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "end_filter", "End the filter", show=False),
        Binding("space", "toggle_wrap", "Wrap lines", show=False),
    ]
    ALLOW_MAXIMIZE = True
    DEFAULT_CSS: ClassVar[str] = """
    LogPanel {
        Input { height: 1; border: none; padding: 0 1; background: $panel; }
        RichLog { height: 1fr; background: transparent; padding: 0 1; }
    }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def compose(self) -> ComposeResult:
        yield RichLog(max_lines=_KEPT_LINES, wrap=True, markup=False, highlight=False, min_width=20)
        yield Input(placeholder="filter the log  ( / )", compact=True)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_again())

    def write(self, lines: Iterable[str]) -> None:
        """Add lines to the end."""
        new = [printable(line) for line in lines]
        self.lines.extend(new)
        self._show(new)

    def last_lines(self, count: int = 8) -> tuple[str, ...]:
        return tuple(self.lines)[-count:]

    def clear(self) -> None:
        self.lines.clear()
        self.query_one(RichLog).clear()

    def focus_filter(self) -> None:
        self.query_one(Input).focus()

    def action_end_filter(self) -> None:
        self.query_one(Input).value = ""
        self.query_one(RichLog).focus()

    def action_toggle_wrap(self) -> None:
        log = self.query_one(RichLog)
        log.wrap = not log.wrap
        self._show_again()

    def _show_again(self) -> None:
        self.query_one(RichLog).clear()
        self._show(self.lines)

    def _show(self, lines: Iterable[str]) -> None:
        words = self.query_one(Input).value.lower().split()
        log = self.query_one(RichLog)
        for line in lines:
            if all(word in line.lower() for word in words):
                log.write(Text(line, self._style_of(line)))

    def _style_of(self, line: str) -> Style:
        """The colour of a line's level; the level is also its first word."""
        colour = next((c for start, c in _LEVELS.items() if line.startswith(start)), None)
        if colour is None:
            return Style()
        return Style(color=Color.parse(self.app.theme_variables[colour]).rich_color)

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_again()

    @on(Input.Submitted)
    def _filter_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(RichLog).focus()
