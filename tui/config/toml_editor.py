"""The config's text, with its errors at their lines."""

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Vertical
from textual.reactive import var
from textual.theme import Theme
from textual.widgets import Static, TextArea
from textual.widgets.text_area import TextAreaTheme

from simplegpt.config.load import Problem
from tui.config.fields import ConfigState
from tui.shell.text_area import StableTextArea

THEME = "workbench"


class TomlPane(Vertical):
    """The editor, and below it the error of the line under the cursor, or else the first one."""

    state: var[ConfigState | None] = var(None, init=False)
    line_error: var[str] = var("")

    def compose(self) -> ComposeResult:
        yield TomlEditor()
        yield Static(id="line-error", classes="message", markup=False)

    @property
    def editor(self) -> "TomlEditor":
        return self.query_one(TomlEditor)

    def watch_state(self, old: ConfigState | None, new: ConfigState | None) -> None:
        if new is not None:
            # Only another text replaces the editor's, which may be ahead of it by a letter.
            if old is None or new.text != old.text:
                self.editor.show(new.text)
            self.editor.mark(new.errors)
            self._update_line_error()

    @on(TextArea.SelectionChanged)
    def _update_line_error(self) -> None:
        self.line_error = self.editor.error_at_cursor()

    def watch_line_error(self) -> None:
        message = self.query_one("#line-error", Static)
        message.display = bool(self.line_error)
        message.update(self.line_error)


class TomlEditor(StableTextArea):
    """A TOML `TextArea` in the workbench's colours that marks lines."""

    HELP = """\
## TOML

The config as it is in the file. The form shows the same values and follows each change. Lines with
an error are marked; the error of the line under the cursor is shown below.
"""

    # A TextArea has actions and a history of its own for these; here they are the screen's.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "screen.undo", "Undo", tooltip="Undo the last change"),
        Binding("ctrl+y,ctrl+shift+z", "screen.redo", "Redo", show=False),
        Binding("ctrl+e", "screen.next_error", "Next error", tooltip="Go to the next error"),
        Binding("f6", "app.visit('chat')", "Chat", show=False),
        Binding("f7", "screen.save", "Save", tooltip="Show the changes and save them"),
    ]

    def __init__(self) -> None:
        super().__init__(
            language="toml", soft_wrap=False, show_line_numbers=True, tab_behavior="focus"
        )
        self.errors: dict[int, str] = {}
        """By line, from 1."""
        self._error_style = Style(reverse=True)

    def on_mount(self) -> None:
        self._apply_theme(self.app.current_theme)
        self.app.theme_changed_signal.subscribe(self, self._apply_theme)

    def show(self, text: str) -> None:
        """Replace the text without a message; the cursor stays where it can."""
        if text == self.text:
            return
        line, column = self.cursor_location
        with self.prevent(TextArea.Changed):
            self.load_text(text)
        line = min(line, self.document.line_count - 1)
        self.move_cursor((line, min(column, len(self.document[line]))))

    def mark(self, problems: Sequence[Problem]) -> None:
        """Mark the lines of this file that have an error."""
        errors: dict[int, str] = {}
        for problem in problems:
            line = problem.origin.line
            if problem.origin.kind == "file" and line is not None:
                keys = f"{', '.join(problem.keys)}: " if problem.keys else ""
                errors[line] = "; ".join(filter(None, [errors.get(line), keys + problem.message]))
        if errors != self.errors:
            self.errors = errors
            self.notify_style_update()  # drops the lines as they were drawn
            self.refresh()

    def error_at_cursor(self) -> str:
        """Return the error of the line under the cursor, or else the first one."""
        here = self.cursor_location[0] + 1
        line = here if here in self.errors else min(self.errors, default=None)
        return "" if line is None else f"line {line}: {self.errors[line]}"

    def go_to_next_error(self) -> None:
        """Move the cursor to the next line that has an error, from the last one to the first."""
        here = self.cursor_location[0] + 1
        following = [line for line in self.errors if line > here]
        self.go_to_line(min(following or self.errors))

    def go_to_line(self, line: int) -> None:
        self.focus()
        self.move_cursor((min(line, self.document.line_count) - 1, 0))
        # Not before its size is known: the editor may just have come into sight.
        self.call_after_refresh(self.scroll_cursor_visible, center=True)

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        if line_index + 1 in self.errors:
            line.stylize(self._error_style)
        return line

    def _apply_theme(self, theme: Theme) -> None:
        colours = self.app.theme_variables
        foreground, background = (Color.parse(colours[n]) for n in ("foreground", "background"))

        def style(name: str, **more: Any) -> Style:
            return Style(color=Color.parse(colours[name]).rich_color, **more)

        quiet = Style(color=foreground.blend(background, 0.45).rich_color, italic=True)
        error = background.blend(Color.parse(colours["error"]), 0.3)
        self._error_style = Style(bgcolor=error.rich_color, underline=True)
        if self.app.native_ansi_color:  # they do not blend: the text would be unreadable on red
            self._error_style = Style(
                color=Color.parse(colours["error"]).rich_color, underline=True
            )
        styles = {
            "comment": quiet,
            "string": style("success"),
            "number": style("accent"),
            "float": style("accent"),
            "boolean": style("secondary"),
            "toml.type": style("primary"),
        }
        self.register_theme(TextAreaTheme(name=THEME, syntax_styles=styles))
        self.theme = THEME
