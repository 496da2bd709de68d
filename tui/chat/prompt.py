"""The prompt editor: Enter sends, Tab completes a command, the arrow keys recall prompts."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tui.chat.command_popup import CommandPopup
from tui.chat.prompt_history import PromptHistory
from tui.chat.slash_commands import suggestions
from tui.shell.text_area import StableTextArea


class PromptArea(StableTextArea, inherit_bindings=False):
    """Enter sends, Ctrl+N starts a new line."""

    HELP = """\
## The prompt

A base model continues your text, a chat model answers it. **Enter** sends, **Ctrl+N** inserts a new
line (so does **Alt+Enter**, if the terminal supports it). **↑** on the first line recalls earlier
prompts. With an empty prompt the model continues the text.
A line that begins with **/** is a command: **↑** and **↓** choose one from the list, **Tab**
completes it. `//` sends a slash. **Shift+Tab** moves to the text.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        # TextArea selects with F6 and F7, which are the screen's.
        *(b for b in TextArea.BINDINGS if isinstance(b, Binding) and b.key not in ("f6", "f7")),
        Binding("enter", "submit", "Send", show=False, priority=True),
        Binding("ctrl+n,alt+enter,ctrl+j", "newline", "New line", show=False, priority=True),
        Binding("ctrl+shift+z", "redo", "Redo", show=False),
        Binding("tab", "complete", "Complete the command", show=False),
    ]

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(
        self, history: PromptHistory, popup: CommandPopup, *, id: str | None = None
    ) -> None:
        super().__init__(id=id, show_line_numbers=False, soft_wrap=True, compact=True)
        self.prompt_history = history
        self.popup = popup

    def action_submit(self) -> None:
        """Send the text, or complete a command of which only the beginning was typed."""
        if self._is_choosing:
            self.action_complete()
        else:
            self.post_message(self.Submitted())

    def action_complete(self) -> None:
        """Complete the command that is being typed; without one, nothing happens."""
        command = self.popup.chosen(suggestions(self.text))
        if command is not None:
            self._show(f"/{command.name} ")

    def action_newline(self) -> None:
        self.replace("\n", *self.selection, maintain_selection_offset=False)

    def put(self, text: str) -> None:
        """Replace the text, which goes to the history; move the cursor to the end."""
        if self.text and self.text != text and not self.prompt_history.is_browsing:
            self.prompt_history.add(self.text)
        self._show(text)

    def _show(self, text: str) -> None:
        self.text = text
        self.move_cursor(self.document.end)

    @property
    def _is_choosing(self) -> bool:
        """Whether several commands match, and the arrow keys move in their list."""
        return len(suggestions(self.text)) > 1

    def action_cursor_up(self, select: bool = False) -> None:
        if self._is_choosing:
            self.popup.action_cursor_up()
        elif not select and self.cursor_at_first_line:
            text = self.prompt_history.previous(self.text)
            if text is not None:
                self._show(text)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if self._is_choosing:
            self.popup.action_cursor_down()
        elif not select and self.cursor_at_last_line:
            text = self.prompt_history.next()
            if text is not None:
                self._show(text)
        else:
            super().action_cursor_down(select)
