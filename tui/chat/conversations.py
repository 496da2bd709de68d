"""Conversations, each a tree of turns in a JSONL file below the data folder.

A base model's turns are parts of one text, a chat model's are messages, with headings between them.
Everything that was generated is kept: a regenerated answer, an edited prompt or an answer with
another token is added as a sibling of the turn it replaces. `leaf` is the end of the path shown.
"""

import re
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simplegpt.config.schema import SamplingConfig
from simplegpt.files import text_lines, write_atomically
from simplegpt.inference.protocol import Reason
from tui.chat.sampling import describe_sampling

Role = Literal["you", "prefill", "model"]
PARAGRAPH = "\n\n"
TITLE_LENGTH = 60
MAX_DELETED = 100
"""Deleted conversations that can be restored."""


class Line(BaseModel):
    """One line of a conversation's file."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Turn(Line):
    """A part of the text: what the user wrote, or one answer."""

    type: Literal["turn"] = "turn"
    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    parent: str | None = None
    """The turn before it; None at the beginning."""
    role: Role
    """you: the prompt; prefill: the beginning of an answer, written by the user; model."""
    text: str
    created: float = Field(default_factory=time.time)
    """Seconds since 1970."""
    template: str = ""
    """The chat template of a message; empty for a part of a text."""

    # Of the model's turns only:
    model: str = ""
    source: str = ""
    """The file that the weights came from."""
    tokenizer: str = ""
    """The tokenizer of `ids`; empty in conversations of earlier versions."""
    sampling: SamplingConfig | None = None
    """The settings that, with the text before, repeat the answer."""
    n_tokens_to_generate: int = 0
    prompt_ids: list[int] = []
    """The tokens before it, where they are known (a message, or what continues given tokens)."""
    ids: list[int] = []
    pieces: list[str] = []
    """Text of each token: joined, they are `text`."""
    logprobs: list[float] = []
    """Natural log of each token's probability under the model itself."""
    n_given: int = 0
    """How many of its first tokens were given: kept from another answer, or chosen by hand."""
    reason: Reason | None = None
    """Why it ended; None where the engine crashed."""
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None
    context_used: int = 0
    n_ctx: int = 0
    context_slides: int = 0
    n_dropped: int = 0
    """How many of the oldest messages did not fit into the context."""


class Header(Line):
    """The metadata line of a conversation's file."""

    type: Literal["conversation"] = "conversation"
    version: int = 1
    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    title: str = ""
    """Given by the user; empty: the first words of the text."""
    created: float = Field(default_factory=time.time)
    updated: float = Field(default_factory=time.time)
    leaf: str | None = None
    """The last turn of the path that is shown."""
    model: str = ""
    """The model of the last answer."""
    system: str = ""
    """The system prompt, for chat models."""


_LINE: TypeAdapter[Header | Turn] = TypeAdapter(
    Annotated[Header | Turn, Field(discriminator="type")]
)


class Conversation:
    """A tree of turns and the path through it that is shown."""

    def __init__(self, header: Header | None = None, turns: Iterable[Turn] = ()) -> None:
        self.header = header or Header()
        self.turns: dict[str, Turn] = {turn.id: turn for turn in turns}

    @property
    def id(self) -> str:
        return self.header.id

    @property
    def leaf(self) -> str | None:
        return self.header.leaf

    @property
    def title(self) -> str:
        """The title given, or the first words of the text or the first message."""
        path = self.path()
        words = " ".join((path[0].text if path and path[0].template else self.text).split())
        if len(words) > TITLE_LENGTH:
            words = words[:TITLE_LENGTH].rpartition(" ")[0] or words[:TITLE_LENGTH]
        return self.header.title or words or "Empty conversation"

    @property
    def text(self) -> str:
        """The text that is shown."""
        return text_of(self.path())

    def path(self, to: str | None = None) -> list[Turn]:
        """The turns from the beginning to `to` (the leaf, where it is None)."""
        path: list[Turn] = []
        turn_id = self.leaf if to is None else to
        while turn_id is not None and turn_id in self.turns:
            path.append(self.turns[turn_id])
            turn_id = path[-1].parent
        return path[::-1]

    def add(self, turn: Turn) -> Turn:
        """Add (or replace) a turn and show the path to it."""
        self.turns[turn.id] = turn
        self.show_to(turn.id)
        if turn.model:
            self.change(model=turn.model)
        return turn

    def show_to(self, turn_id: str | None) -> None:
        """End the path that is shown at a turn; None shows nothing."""
        self.change(leaf=turn_id)

    def change(self, **fields: object) -> None:
        """Change fields of the header."""
        self.header = self.header.model_copy(update={**fields, "updated": time.time()})

    def children(self, turn_id: str | None) -> list[Turn]:
        """The turns that follow a turn (or begin the text), oldest first."""
        return [turn for turn in self.turns.values() if turn.parent == turn_id]

    def siblings(self, turn: Turn) -> list[Turn]:
        """The turn and those in its place, oldest first."""
        return self.children(turn.parent)

    def show_sibling(self, turn: Turn, offset: int) -> bool:
        """Show the path through a turn's neighbour; False where there is none on that side."""
        siblings = self.siblings(turn)
        index = [sibling.id for sibling in siblings].index(turn.id) + offset
        if not 0 <= index < len(siblings):
            return False
        self.show_branch(siblings[index].id)
        return True

    def show_branch(self, turn_id: str) -> None:
        """Show the path through a turn, to the end of what followed it last."""
        while children := self.children(turn_id):
            turn_id = children[-1].id
        self.show_to(turn_id)

    def snapshot(self) -> "Conversation":
        """The conversation as it is now: turns are frozen, so they are shared."""
        return Conversation(self.header, self.turns.values())

    def fork(self) -> "Conversation":
        """A new conversation whose text is the one shown."""
        header = Header(model=self.header.model, system=self.header.system)
        fork = Conversation(header, self.path())
        fork.show_to(self.leaf)
        return fork

    def lines(self) -> list[str]:
        """The conversation as lines of JSON."""
        return [self.header.model_dump_json(), *(t.model_dump_json() for t in self.turns.values())]


def heading(turn: Turn, before: Turn | None) -> str:
    """What stands between a message and the turn before it; empty within a text or an answer."""
    is_yours = turn.role == "you"
    is_within_text = not turn.template and (before is None or not before.template)
    if is_within_text or (before is not None and not is_yours and before.role != "you"):
        return ""
    return f"{'' if before is None else PARAGRAPH}{'You' if is_yours else 'Assistant'}:\n"


def text_of(path: Sequence[Turn]) -> str:
    """The text of successive turns, with the headings of messages."""
    pairs = zip([None, *path], path, strict=False)
    return "".join(heading(turn, before) + turn.text for before, turn in pairs)


def parse(lines: Iterable[bytes | str]) -> Conversation | None:
    """The conversation in `lines`, or None where they hold no header.

    A damaged line, and a type that this version does not know, are skipped. A turn whose parent
    is missing, and one in a cycle, become beginnings: nothing that can be read is lost.
    """
    header: Header | None = None
    turns: dict[str, Turn] = {}
    for line in lines:
        try:
            item = _LINE.validate_json(line)
        except ValidationError:
            continue
        if isinstance(item, Header):
            header = item
        else:
            orphaned = item.parent is not None and item.parent not in turns
            turns[item.id] = item.model_copy(update={"parent": None}) if orphaned else item
    if header is None:
        return None
    if header.leaf not in turns:
        header = header.model_copy(update={"leaf": next(reversed(turns), None)})
    return Conversation(header, turns.values())


class Summary(BaseModel):
    """A conversation as listed in the history."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    model: str
    updated: float
    excerpt: str
    """The end of its text, or the text around a search hit."""


@dataclass(frozen=True)
class Stored:
    """A conversation as it is searched."""

    conversation: Conversation
    text: str
    """Of all branches."""
    haystack: str
    """Casefolded: the title, the model and the text."""

    @classmethod
    def of(cls, conversation: Conversation) -> "Stored":
        text = "".join(turn.text for turn in conversation.turns.values())
        haystack = f"{conversation.title}\n{conversation.header.model}\n{text}".casefold()
        return cls(conversation, text, haystack)


class ConversationStore:
    """The folder of conversations. Its methods block on the disk: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trash = folder / "deleted"
        self._lock = threading.Lock()
        self._saved: dict[str, float] = {}
        """When each conversation saved here was last changed."""

    def path(self, conversation_id: str) -> Path:
        return self.folder / f"{conversation_id}.jsonl"

    def save(self, conversation: Conversation) -> None:
        """Replace a conversation's file, unless a later state was saved. Raises OSError."""
        header = conversation.header
        with self._lock:
            if header.updated < self._saved.get(header.id, 0):
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path(header.id), to_jsonl(conversation))
            self._saved[header.id] = header.updated

    def load(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None where it does not exist or cannot be read."""
        try:
            return parse(text_lines(self.path(conversation_id).read_bytes()))
        except OSError:
            return None

    def delete(self, conversation_id: str) -> None:
        """Move a conversation to the deleted ones, of which the latest are kept. Raises OSError."""
        self.trash.mkdir(exist_ok=True)
        path = self.trash / f"{time.time_ns()}-{conversation_id}.jsonl"
        self.path(conversation_id).rename(path)
        for old in sorted(self.trash.glob("*.jsonl"))[:-MAX_DELETED]:
            old.unlink(missing_ok=True)

    def restore(self) -> str | None:
        """Restore the conversation deleted last; return its id, None if there is none.

        Raises OSError.
        """
        deleted = max(self.trash.glob("*.jsonl"), default=None)
        if deleted is None:
            return None
        conversation_id = deleted.stem.partition("-")[2]
        deleted.rename(self.path(conversation_id))
        return conversation_id

    def read(self) -> list[Stored]:
        """All conversations, the latest first."""
        found = [self.load(path.stem) for path in self.folder.glob("*.jsonl")]
        stored = [Stored.of(conversation) for conversation in found if conversation is not None]
        return sorted(stored, key=lambda each: each.conversation.header.updated, reverse=True)


def search(stored: Iterable[Stored], query: str = "") -> list[Summary]:
    """The conversations in which every word of `query` occurs, in their order."""
    words = query.casefold().split()
    return [
        _summary(each.conversation, each.text, words)
        for each in stored
        if all(word in each.haystack for word in words)
    ]


def _summary(conversation: Conversation, text: str, words: list[str]) -> Summary:
    index = text.casefold().find(words[0]) if words else -1
    around = text[max(0, index - 40) : index + 130] if index >= 0 else conversation.text[-160:]
    whole = around == conversation.text or index in range(41)
    excerpt = around if whole else "… " + around.partition(" ")[2]
    return Summary(
        id=conversation.id,
        title=conversation.title,
        model=conversation.header.model,
        updated=conversation.header.updated,
        excerpt=" ".join(excerpt.split()),
    )


def to_jsonl(conversation: Conversation) -> str:
    """The whole tree, as it is stored: a header, then a turn a line."""
    return "\n".join(conversation.lines()) + "\n"


def to_markdown(conversation: Conversation) -> str:
    """The path that is shown: a heading for each turn, and its text unchanged."""
    parts = [f"# {conversation.title}"]
    if conversation.header.system:
        parts += ["## System", _fenced(conversation.header.system)]
    for turn in conversation.path():
        parts += [f"## {_author(turn)}", _fenced(turn.text)]
    return PARAGRAPH.join(parts) + "\n"


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _author(turn: Turn) -> str:
    """Who wrote a turn; of an answer, the model and the settings that repeat it."""
    if turn.role != "model":
        return "You" if turn.role == "you" else "Prefill"
    sampling = turn.sampling or SamplingConfig()
    return f"{turn.model} ({', '.join([f'seed {sampling.seed}', *describe_sampling(sampling)])})"
