"""One side of the chat: a state line, the text (plain or Markdown), a line about a turn."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.style import Style
from textual.widgets import ContentSwitcher, Markdown, Static
from textual.worker import Worker

from simplegpt.cli import one_line, printable
from simplegpt.inference.protocol import Tokens
from tui.chat import labels
from tui.chat.conversations import Conversation, Turn
from tui.chat.session import ChatSession, Draft
from tui.chat.transcript import Piece, Transcript, pieces_of

WELCOME = Content.from_markup(
    """\
[b $accent]A base model continues your text, a chat model answers your messages.[/]

Type some text below and press [b]Enter[/]. [b]Ctrl+G[/] continues the answer, [b]Ctrl+R[/] \
regenerates it, [b]Esc[/] stops. [b]/system[/] sets the system prompt of a chat.

[b]Shift+Tab[/] moves to the text: there [b]Enter[/] on a token shows its alternatives.
[b]F7[/] chooses the model, [b]F8[/] opens the history, [b]/[/] lists the commands.
"""
)


TITLE_CELLS = 32
"""Of a conversation's title, so that the model beside it can be read at 80 columns."""


def _key(key: str, action: str, title: str, explanation: str, *, show: bool = False) -> Binding:
    """A key of the text, for an action of the screen."""
    return Binding(key, f"screen.{action}", title, show=show, tooltip=explanation)


class ChatPane(Vertical):
    """Shows a `ChatSession`, and runs its answers.

    The letters are the screen's actions, bound here because they act only while the text has the
    focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("p", "probabilities", "Probabilities", "Colour tokens by probability", show=True),
        _key("e", "edit", "Edit", "Edit your text and resend it", show=True),
        _key("x", "compare", "Compare", "Compare two models or settings", show=True),
        _key("X", "compare_checkpoints", "Checkpoints", "Compare a run's checkpoints", show=True),
        _key(
            "left_square_bracket", "show_answer(-1)", "Previous answer", "Show the previous answer"
        ),
        _key("right_square_bracket", "show_answer(1)", "Next answer", "Show the next answer"),
        _key("equals_sign", "repeat", "Repeat", "Repeat the answer from its seed, and compare"),
        _key("b", "branch", "Branch here", "End the text here and continue from it"),
        _key("i", "prefill", "Prefill", "Write the beginning of the answer"),
        _key("m", "markdown", "Markdown", "Switch between Markdown and plain text"),
        _key("y", "copy", "Copy answer", "Copy the answer"),
        _key("Y", "copy('all')", "Copy all", "Copy all of the text"),
        _key("s", "export", "Save to a file", "Save as Markdown or JSONL"),
        _key("n", "new", "New chat", "Start a new conversation"),
        _key("R", "rename", "Rename chat", "Change the conversation's title"),
        _key("u", "load_newest", "Load newest", "Load the live run's newest checkpoint"),
        _key("ctrl+z", "undo", "Undo", "Undo the last exchange"),
        _key("ctrl+y,ctrl+shift+z", "redo", "Redo", "Redo the exchange that was undone"),
    ]

    probabilities: reactive[bool] = reactive(False)
    """Whether tokens are coloured by their probability."""
    markdown: reactive[bool] = reactive(False)
    """Whether the text is shown as Markdown."""
    side: reactive[str] = reactive("")
    """While comparing: which side this is, and what differs from the other one."""
    note: reactive[str] = reactive("")
    """Shown above the text unless there is an error or a load in progress."""

    @dataclass
    class StateChanged(Message):
        """An answer began or is stopping."""

        pane: "ChatPane" = field(repr=False)

    @dataclass
    class AnswerEnded(Message):
        """An answer has ended; `turn` is None where it is empty."""

        pane: "ChatPane" = field(repr=False)
        turn: Turn | None

    def __init__(self, session: ChatSession, *, id: str) -> None:
        super().__init__(id=id)
        self.session = session
        self._rendered = ""
        """The text in the Markdown view."""
        self._rendering = asyncio.Lock()
        self._state_line: tuple[str, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="state", markup=False)
        with ContentSwitcher(initial="welcome", classes="views"):
            with VerticalScroll(id="welcome", can_focus=False):
                yield Static(WELCOME)
            yield Transcript(id="text").data_bind(ChatPane.probabilities)
            with VerticalScroll(id="rendered"):
                yield Markdown(open_links=False)
        yield Static(classes="turn", markup=False)

    def on_mount(self) -> None:
        self.show_text()

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def conversation(self) -> Conversation:
        return self.session.conversation

    @property
    def current_turn(self) -> Turn | None:
        """The turn under the cursor, otherwise the last."""
        piece = self.transcript.piece
        turn_id = piece.turn if piece is not None else self.conversation.leaf
        return self.conversation.turns.get(turn_id) if turn_id is not None else None

    @property
    def is_at_system_prompt(self) -> bool:
        """Whether the cursor is on the system prompt, which is no turn."""
        return self.transcript.piece is not None and self.current_turn is None

    # Answers

    def generate(self, draft: Draft) -> Worker[None]:
        """Generate an answer; ends with `AnswerEnded`."""
        self.session.begin(draft)
        self.show_text()
        before = self.conversation.path()[-1] if self.conversation.leaf is not None else None
        self.transcript.extend(pieces_of(draft.turn, before))
        self.post_message(self.StateChanged(self))
        return self._generate(draft)

    @work(group="answer", exclusive=True)
    async def _generate(self, draft: Draft) -> None:
        async with aclosing(self.session.generate(draft)) as answer:
            async for tokens in answer:
                await self._append(draft, tokens)
        self._answer_ended(draft)

    def interrupt(self) -> None:
        """End the answer under way now; what was generated is kept."""
        draft = self.session.draft
        if draft is not None:
            self.session.finish()
            self.workers.cancel_group(self, "answer")
            self._answer_ended(draft)

    def stop(self) -> bool:
        """As `ChatSession.stop`."""
        restart = self.session.stop()
        self.show_state()
        self.post_message(self.StateChanged(self))
        return restart

    def _answer_ended(self, draft: Draft) -> None:
        turn = self.conversation.turns.get(draft.turn.id)
        if turn is None:
            self.show_text()
        self.show_state()
        self.post_message(self.AnswerEnded(self, turn))

    async def _append(self, draft: Draft, tokens: Tokens) -> None:
        start = len(draft.turn.ids) + len(draft.ids) - len(tokens.ids)
        logprobs: Sequence[float | None] = tokens.logprobs or [None] * len(tokens.ids)
        self.transcript.extend(
            [
                Piece(draft.turn.id, "model", start + i, text, logprobs[i])
                for i, text in enumerate(tokens.pieces)
            ]
        )
        self._switch_view()
        self.show_state()
        if self.markdown:
            await self._render_markdown()
            self.query_one("#rendered").scroll_end(animate=False)

    # The text

    def open(self, conversation: Conversation) -> None:
        """Show another conversation."""
        self.interrupt()
        self.session.open(conversation)
        self.show_text()

    def show_text(self) -> None:
        """Show the conversation's path."""
        self.transcript.show(self.conversation.path(), self.conversation.header.system)
        self._show_markdown()
        self._switch_view()
        self.show_state()

    def watch_markdown(self) -> None:
        if self.is_mounted:
            self._show_markdown()
            self._switch_view()

    def _show_markdown(self) -> None:
        if self.markdown:
            self.run_worker(self._render_markdown(), group="markdown")

    async def _render_markdown(self) -> None:
        """Bring the Markdown view up to the text: append what is new, or replace all."""
        async with self._rendering:
            text, view = printable(self.transcript.text), self.query_one(Markdown)
            if not text.startswith(self._rendered):
                self._rendered = ""
                await view.update("")
            # After `update` with a text, `append` would replace all lines of its last paragraph.
            await view.append(text[len(self._rendered) :])
            self._rendered = text

    def _switch_view(self) -> None:
        has_turns = bool(self.conversation.turns) or self.session.draft is not None
        has_text = has_turns or bool(self.conversation.header.system)
        view = ("rendered" if self.markdown else "text") if has_text else "welcome"
        switcher = self.query_one(ContentSwitcher)
        if switcher.current != view:
            switcher.current = view

    # The lines around it

    def watch_note(self) -> None:
        if self.is_mounted:
            self.show_state()

    def watch_side(self) -> None:
        if self.is_mounted:
            self.show_state()

    def show_state(self) -> None:
        """Show the model, what it is doing, and the turn under the cursor."""
        model = self.session.model
        name = labels.short_name(model.request.model) if model.request is not None else "No model"
        described = labels.describe_model(model.loaded) if model.loaded is not None else name
        title = Content(self.side or self._conversation_title())
        if not self.side:
            title = title.truncate(TITLE_CELLS, ellipsis=True)
        self.border_title = title + Content(f" · {described}")
        error = self.session.error or model.error
        if model.state == "loading" and model.progress is not None:
            loading = labels.describe_loading(model.progress, name)
            self._show_state_line(f"{printable(model.error)}\n{loading}".strip(), "-busy")
        elif error:
            hint = ""
            if model.state == "failed":
                hint = " F7 to choose a model."
            elif error == model.error:
                hint = " The model was reloaded."
            self._show_state_line(printable(error) + hint, "-error")
        elif model.state == "none" and not self.note:
            self._show_state_line("No model is loaded. F7 to choose one.", "")
        else:
            self._show_state_line(self.note, "")
        self.show_turn()

    def _conversation_title(self) -> str:
        return one_line(self.conversation.title) if self.conversation.turns else "New chat"

    def _show_state_line(self, text: str, style: str) -> None:
        if (text, style) == self._state_line:
            return  # an update costs a layout, and this is called every few tokens
        self._state_line = (text, style)
        line = self.query_one(".state", Static)
        line.update(text)
        line.display = bool(text)
        line.set_class(style == "-error", "-error")
        line.set_class(style == "-busy", "-busy")

    @on(Transcript.CursorMoved)
    def _cursor_moved(self, event: Transcript.CursorMoved) -> None:
        event.stop()
        self.show_turn()

    def watch_probabilities(self) -> None:
        if self.is_mounted:
            self.show_turn()

    def show_turn(self) -> None:
        """Show the lines below the text: the token and the turn under the cursor, statistics."""
        turn, piece = self.current_turn, self.transcript.piece
        parts: list[str] = []
        if turn is not None and self.session.draft is None:
            if not self.markdown:
                if piece is not None and piece.token is not None:
                    token_id = turn.ids[piece.token]
                    parts.append(labels.describe_token(piece.text, piece.logprob, token_id))
                elif self.probabilities:
                    parts.append("underlined: under 10%, bold: under 1%")
            parts.append(labels.describe_turn(turn, self.conversation.siblings(turn)))
        line = self.query_one(".turn", Static)
        line.update(with_links(" · ".join(parts)), layout=False)
        self.border_subtitle = printable(self._statistics(turn))

    def _statistics(self, turn: Turn | None) -> str:
        draft, loaded = self.session.draft, self.session.model.loaded
        if draft is not None:
            return describe_draft(draft, self.session.is_stopping)
        if turn is not None and turn.role == "model":
            return labels.describe_statistics(turn, max(10, self.size.width - 4))
        return f"context of {loaded.config.n_ctx:,} tokens" if loaded is not None else ""


def describe_draft(draft: Draft, is_stopping: bool) -> str:
    """The progress of an answer."""
    if is_stopping:
        return "stopping at the next token · Esc again to restart the engine"
    if not draft.ids:
        return "processing the prompt …"
    assert draft.turn.sampling is not None
    limit = f"{draft.turn.n_tokens_to_generate:,} tokens"
    return f"seed {draft.turn.sampling.seed} · {len(draft.ids):,} of {limit}"


def with_links(line: str) -> Content:
    """The line about a turn; a click on ‹ or › shows the previous or next answer."""
    content = Content(line)
    for sign, offset in (("‹", -1), ("›", 1)):
        index = line.find(sign)
        if index >= 0:
            click = Style.from_meta({"@click": f"screen.show_answer({offset})"})
            content = content.stylize(click, max(0, index - 1), index + 2)
    return content
