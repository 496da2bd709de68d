"""Finding an earlier conversation: a list that is searched as the user types."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from simplegpt.cli import one_line
from tui.chat.conversations import Conversation, ConversationStore, Summary
from tui.chat.labels import short_name
from tui.shared.text import format_age
from tui.shell.dialogs import Entry, ListDialog

EXCERPT_LENGTH = 64
MODEL_LENGTH = 18
"""Both for a terminal of 80 columns."""


class ConversationList(ListDialog[str]):
    """The stored conversations; returns the id of the one chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,ctrl+d", "delete", "Delete", priority=True),
        Binding("ctrl+y", "restore", "Restore", priority=True),
    ]

    def __init__(self, store: ConversationStore, text: str = "") -> None:
        super().__init__(
            "Conversations",
            text=text,
            placeholder="Search titles, models and text",
            hint="Enter to open · Del to delete · Ctrl+Y to restore · Esc to cancel",
            search=self._find,
        )
        self.store = store
        self.deleted: list[Conversation] = []

    async def _find(self, text: str) -> Sequence[Entry[str]]:
        found = await asyncio.to_thread(self.store.search, text)
        return [summary_entry(summary) for summary in found]

    @work(group="delete")
    async def action_delete(self) -> None:
        if (entry := self.highlighted) is not None:
            deleted = await asyncio.to_thread(self.store.delete, entry.value)
            if deleted is not None:
                self.deleted.append(deleted)
            self.refresh_entries()

    @work(group="delete")
    async def action_restore(self) -> None:
        if self.deleted:
            await asyncio.to_thread(self.store.save, self.deleted.pop())
            self.refresh_entries()


def summary_entry(summary: Summary) -> Entry[str]:
    """A conversation's title, model and age, and an excerpt below."""
    model = one_line(short_name(summary.model) or "no model")
    if len(model) > MODEL_LENGTH:
        model = model[: MODEL_LENGTH - 1] + "…"
    age = format_age(time.time() - summary.updated)
    excerpt = one_line(summary.excerpt)
    if len(excerpt) > EXCERPT_LENGTH:
        excerpt = excerpt[:EXCERPT_LENGTH].rpartition(" ")[0] + " …"
    return Entry(summary.id, summary.title, (model, age), detail=excerpt)
