"""Finding an earlier conversation: a list, searched as one types."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.chat.conversations import Conversation, ConversationStore, Found
from tui.chat.words import MUTED, short_name
from tui.shared.text import format_age, printable
from tui.shared.text_flow import NEWLINE

WIDTH = 68


@dataclass
class ConversationsFound(Message):
    """A worker's news: what there is."""

    found: Sequence[Found]


@dataclass
class ConversationRemoved(Message):
    """A worker's news: this one was deleted."""

    conversation: Conversation | None


class ConversationList(ModalScreen[str | None]):
    """Returns the id of the conversation chosen, or None."""

    HELP = """\
## Conversations

Every word typed has to occur in a conversation's title, model or text, in any of its branches.
**Enter** opens, **Delete** removes (**Ctrl+Y** brings the last one back).
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("delete,ctrl+d", "remove", "Delete", priority=True),
        Binding("ctrl+y", "bring_back", "Bring back", priority=True),
    ]

    def __init__(self, store: ConversationStore, words: str = "") -> None:
        super().__init__()
        self.store = store
        self.words = words
        self.found: Sequence[Found] = []
        self.removed: list[Conversation] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="conversations") as window:
            window.border_title = "Conversations"
            window.border_subtitle = "Enter opens · Del removes · Ctrl+Y brings back · Esc closes"
            yield Input(self.words, placeholder="Search", id="search", compact=True)
            yield OptionList(id="list", compact=True)

    def on_mount(self) -> None:
        self.query_one("#search").focus()
        self.query_one(OptionList).can_focus = False
        self._search(self.words)

    @work(thread=True, group="search", exclusive=True)
    def _search(self, query: str) -> None:
        self.post_message(ConversationsFound(self.store.search(query)))

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._search(event.value)

    @on(ConversationsFound)
    def _show(self, event: ConversationsFound) -> None:
        listing = self.query_one(OptionList)
        place = listing.highlighted or 0
        self.found = event.found
        listing.clear_options()
        listing.add_options([Option(_entry(item), id=item.id) for item in event.found])
        if event.found:
            listing.highlighted = min(place, len(event.found) - 1)
        else:
            nothing = "Nothing found" if self.query_one("#search", Input).value else "None yet"
            listing.add_option(Option(Content.styled(nothing, MUTED), disabled=True))

    def action_move(self, step: int) -> None:
        listing = self.query_one(OptionList)
        (listing.action_cursor_down if step > 0 else listing.action_cursor_up)()

    def _highlighted(self) -> str | None:
        place = self.query_one(OptionList).highlighted
        return self.found[place].id if place is not None and place < len(self.found) else None

    @on(Input.Submitted, "#search")
    def _submitted(self) -> None:
        chosen = self._highlighted()
        if chosen is not None:
            self.dismiss(chosen)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_remove(self) -> None:
        chosen = self._highlighted()
        if chosen is not None:
            self._remove(chosen)

    @work(thread=True, group="remove")
    def _remove(self, conversation_id: str) -> None:
        self.post_message(ConversationRemoved(self.store.delete(conversation_id)))

    @on(ConversationRemoved)
    def _removed(self, event: ConversationRemoved) -> None:
        if event.conversation is not None:
            self.removed.append(event.conversation)
        self._search(self.query_one("#search", Input).value)

    def action_bring_back(self) -> None:
        if self.removed:
            self._bring_back(self.removed.pop(), self.query_one("#search", Input).value)

    @work(thread=True, group="remove")
    def _bring_back(self, conversation: Conversation, query: str) -> None:
        self.store.save(conversation)
        self.post_message(ConversationsFound(self.store.search(query)))


def _entry(item: Found) -> Content:
    age = format_age(time.time() - item.updated)
    about = f"{short_name(item.model) or 'no model'} · {item.n_turns} turns · {age} ago"
    title, excerpt = (_shortened(text) for text in (item.title, item.excerpt))
    return Content.assemble((title, "bold"), "\n  ", (excerpt, MUTED), "\n  ", (about, MUTED))


def _shortened(text: str) -> str:
    """At most a line's width, cut between words."""
    text = printable(text).replace(NEWLINE, " ").strip()
    return text if len(text) <= WIDTH else text[:WIDTH].rpartition(" ")[0] + " …"
