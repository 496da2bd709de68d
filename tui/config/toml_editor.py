"""The config's text, with its mistakes at their lines."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.theme import Theme
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from simplegpt.config.load import Problem

THEME = "workbench"


class TomlEditor(TextArea):
    """A TOML `TextArea` in the workbench's colours that marks lines."""

    HELP = """\
## TOML

The config as the file that it is; the form shows the same and follows each change. Lines with a
mistake are marked, and what is wrong with the line under the cursor is said below.
"""

    # F6 and F7 select in a TextArea; here they are the workbench's.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f6", "app.visit('chat')", "Chat", show=False),
        Binding("f7", "screen.save", "Save", tooltip="Show what would be written, and write it"),
    ]

    def __init__(self, text: str, *, id: str | None = None) -> None:
        super().__init__(
            text,
            language="toml",
            soft_wrap=False,
            show_line_numbers=True,
            tab_behavior="focus",
            id=id,
        )
        self.marked: dict[int, str] = {}
        """What is wrong, by line (from 1)."""
        self._mistake_style = Style(reverse=True)

    def on_mount(self) -> None:
        self._take_colours(self.app.current_theme)
        self.app.theme_changed_signal.subscribe(self, self._take_colours)

    def show(self, text: str) -> None:
        """Replace the text from outside, without a message; the cursor stays where it can."""
        if text == self.text:
            return
        line, column = self.cursor_location
        with self.prevent(TextArea.Changed):
            self.load_text(text)
        line = min(line, self.document.line_count - 1)
        self.move_cursor((line, min(column, len(self.document[line]))))

    def mark(self, problems: Iterable[Problem]) -> None:
        """Mark the lines of this file that have a mistake."""
        marked: dict[int, str] = {}
        for problem in problems:
            line = problem.origin.line
            if problem.origin.kind == "file" and line is not None:
                said = f"{', '.join(problem.keys)}: " if problem.keys else ""
                marked[line] = "; ".join(filter(None, [marked.get(line), said + problem.message]))
        if marked != self.marked:
            self.marked = marked
            self.notify_style_update()  # which forgets the lines as they were drawn
            self.refresh()

    def problem_here(self) -> str:
        """What is wrong with the line under the cursor, or else with the first marked one."""
        line = self.cursor_location[0] + 1
        if line in self.marked:
            return f"line {line}: {self.marked[line]}"
        first = min(self.marked, default=None)
        return "" if first is None else f"line {first}: {self.marked[first]}"

    def go_to_line(self, line: int) -> None:
        self.focus()
        self.move_cursor((min(line, self.document.line_count) - 1, 0))
        # Not before its size is known: the editor may just have come into sight.
        self.call_after_refresh(self.scroll_cursor_visible, center=True)

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        if line_index + 1 in self.marked:
            line.stylize(self._mistake_style)
        return line

    def _take_colours(self, theme: Theme) -> None:
        colours = self.app.theme_variables
        foreground, background = (Color.parse(colours[n]) for n in ("foreground", "background"))

        def style(name: str, **more: Any) -> Style:
            return Style(color=Color.parse(colours[name]).rich_color, **more)

        quiet = Style(color=foreground.blend(background, 0.45).rich_color, italic=True)
        error = background.blend(Color.parse(colours["error"]), 0.3)
        self._mistake_style = Style(bgcolor=error.rich_color, underline=True)
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
