"""The prompt's editor: several lines, sent by Enter; the arrow keys recall earlier prompts."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tui.chat.prompt_history import PromptHistory


class PromptArea(TextArea, inherit_bindings=False):
    """Enter sends, Ctrl+N starts a new line."""

    HELP = """\
## The prompt

A base model continues a text: write its beginning. **Enter** sends, **Ctrl+N** starts a new line
(so does **Alt+Enter**, where the terminal tells it from Enter). **↑** on the first line recalls
earlier prompts. An empty prompt lets the model continue by itself.
A line that begins with **/** is a command: `/help` lists them, `//` sends a slash.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        # TextArea selects with F6 and F7, which are the screen's.
        *(b for b in TextArea.BINDINGS if isinstance(b, Binding) and b.key not in ("f6", "f7")),
        Binding("enter", "submit", "Send", show=False, priority=True),
        Binding("ctrl+n,alt+enter,ctrl+j", "newline", "New line", show=False, priority=True),
    ]

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, history: PromptHistory, *, id: str | None = None) -> None:
        super().__init__(
            id=id, show_line_numbers=False, soft_wrap=True, compact=True, tab_behavior="focus"
        )
        self.prompt_history = history

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    def action_newline(self) -> None:
        self.replace("\n", *self.selection, maintain_selection_offset=False)

    def take(self) -> str:
        """Empty the editor and add its text to the history; return the text."""
        text = self.text
        self.prompt_history.add(text)
        self.text = ""
        return text

    def put(self, text: str) -> None:
        """Replace the text, which goes to the history; move the cursor to the end."""
        if self.text and self.text != text and not self.prompt_history.is_browsing:
            self.prompt_history.add(self.text)
        self._show(text)

    def _show(self, text: str) -> None:
        self.text = text
        self.move_cursor(self.document.end)

    def action_cursor_up(self, select: bool = False) -> None:
        if not select and self.cursor_at_first_line:
            text = self.prompt_history.previous(self.text)
            if text is not None:
                self._show(text)
            return
        super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if not select and self.cursor_at_last_line:
            text = self.prompt_history.next()
            if text is not None:
                self._show(text)
            return
        super().action_cursor_down(select)
