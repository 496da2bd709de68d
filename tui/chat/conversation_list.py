"""The history: a list of earlier conversations, searched as the user types."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList

from simplegpt.cli import one_line
from tui.chat.conversations import ConversationStore, Stored, Summary, search
from tui.chat.labels import short_name
from tui.shared.text import format_age
from tui.shell.dialogs import Entry, ListDialog

MODEL_CELLS = 18
"""For a terminal of 80 columns."""


class ConversationList(ListDialog[str]):
    """The stored conversations; returns the id of the one chosen.

    They are deleted only while the list has the focus: in the search box, keys edit its text.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ConversationList OptionList:focus > .option-list--option-highlighted {
        background: $primary 40%;
        color: $foreground;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,delete", "delete", "Delete"),
        Binding("ctrl+z", "restore", "Undo"),
    ]

    def __init__(self, store: ConversationStore, text: str = "") -> None:
        super().__init__(
            "Conversations",
            text=text,
            placeholder="Search titles, models and text",
            hint="Enter to open · Tab, D to delete · Ctrl+Z to undo · Esc to cancel",
            search=self._find,
        )
        self.store = store
        self.stored: Sequence[Stored] | None = None
        """All conversations, None before they are read."""

    def compose_body(self) -> ComposeResult:
        for widget in super().compose_body():
            if isinstance(widget, OptionList):
                widget.can_focus = True
            yield widget

    async def _find(self, text: str) -> Sequence[Entry[str]]:
        if self.stored is None:
            self.stored = await asyncio.to_thread(self.store.read)
        return [summary_entry(summary) for summary in search(self.stored, text)]

    @work(group="delete")
    async def action_delete(self) -> None:
        if (entry := self.highlighted) is not None:
            try:
                await asyncio.to_thread(self.store.delete, entry.value)
            except OSError as error:
                self.show_error(f"Cannot delete: {error}")
                return
            self._read_again()

    @work(group="delete")
    async def action_restore(self) -> None:
        """Restore the conversation deleted last, also in an earlier window."""
        try:
            restored = await asyncio.to_thread(self.store.restore)
        except OSError as error:
            self.show_error(f"Cannot restore: {error}")
            return
        if restored is None:
            self.show_error("Nothing to restore")
        else:
            self._read_again()

    def _read_again(self) -> None:
        self.stored = None
        self.refresh_entries()


def summary_entry(summary: Summary) -> Entry[str]:
    """A conversation's title, model and age, and an excerpt below."""
    model = Content(one_line(short_name(summary.model) or "no model"))
    age = format_age(time.time() - summary.updated)
    columns = (model.truncate(MODEL_CELLS, ellipsis=True).plain, age)
    return Entry(summary.id, summary.title, columns, detail=summary.excerpt)
