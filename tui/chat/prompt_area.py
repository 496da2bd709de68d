"""The prompt's editor: several lines, sent by Enter, with a history at its edges."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

HISTORY_LENGTH = 500


class History:
    """What was sent before, and where in it one is looking."""

    def __init__(self, sent: Sequence[str] = ()) -> None:
        self.sent = list(sent)[-HISTORY_LENGTH:]
        self._place = len(self.sent)
        self._draft = ""

    @property
    def is_looking_back(self) -> bool:
        """Whether an earlier text is shown, not a draft."""
        return self._place < len(self.sent)

    def add(self, text: str) -> None:
        """Add what was just sent; the same text twice in a row is kept once."""
        if text and (not self.sent or self.sent[-1] != text):
            self.sent = [*self.sent, text][-HISTORY_LENGTH:]
        self._place = len(self.sent)
        self._draft = ""

    def before(self, text: str) -> str | None:
        """The entry before the one that is shown, or None at the beginning.

        `text` is what stands in the editor: a draft is kept, to come back to.
        """
        if self._place == 0:
            return None
        if self._place == len(self.sent):
            self._draft = text
        self._place -= 1
        return self.sent[self._place]

    def after(self) -> str | None:
        """The entry after it, at last the draft; None where one is not looking back."""
        if self._place >= len(self.sent):
            return None
        self._place += 1
        return self._draft if self._place == len(self.sent) else self.sent[self._place]


class PromptArea(TextArea, inherit_bindings=False):
    """Enter sends, Ctrl+N begins a new line."""

    HELP = """\
## The prompt

A base model goes on with a text: write its beginning. **Enter** sends, **Ctrl+N** begins a new
line (so does **Alt+Enter**, where the terminal tells it from Enter). **↑** on the first line
brings back what you sent before. An empty prompt lets the model go on by itself.
A line that begins with **/** is a command: `/help` lists them, `//` sends a slash.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        # TextArea selects with F6 and F7, which are the screen's.
        *(b for b in TextArea.BINDINGS if isinstance(b, Binding) and b.key not in ("f6", "f7")),
        Binding("enter", "submit", "Send", show=False, priority=True),
        Binding("ctrl+n,alt+enter,ctrl+j", "newline", "New line", show=False, priority=True),
    ]

    @dataclass
    class Submitted(Message):
        """Enter was pressed."""

        text: str
        area: "PromptArea" = field(repr=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id, show_line_numbers=False, soft_wrap=True, compact=True, tab_behavior="focus"
        )
        self.earlier = History()

    def action_submit(self) -> None:
        self.post_message(self.Submitted(self.text, self))

    def action_newline(self) -> None:
        start, end = self.selection
        self._replace_via_keyboard("\n", start, end)

    def take(self) -> str:
        """Empty the editor and keep its text in the history; returns the text."""
        text = self.text
        self.earlier.add(text)
        self.text = ""
        return text

    def put(self, text: str) -> None:
        """Replace the text; the cursor goes to its end. What stood there is in the history."""
        if self.text and self.text != text and not self.earlier.is_looking_back:
            self.earlier.add(self.text)
        self._show(text)

    def _show(self, text: str) -> None:
        self.text = text
        self.move_cursor(self.document.end)

    def action_cursor_up(self, select: bool = False) -> None:
        if not select and self.cursor_at_first_line:
            text = self.earlier.before(self.text)
            if text is not None:
                self._show(text)
            return
        super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if not select and self.cursor_at_last_line:
            text = self.earlier.after()
            if text is not None:
                self._show(text)
            return
        super().action_cursor_down(select)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":  # reached only where the binding is switched off
            event.prevent_default()
            return
        await super()._on_key(event)
