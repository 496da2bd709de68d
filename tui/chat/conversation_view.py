"""A conversation as it is seen: a line of state, the text (raw or Markdown), a line on the turn."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import ContentSwitcher, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from tui.chat import words as chat_words
from tui.chat.conversations import Conversation, Turn
from tui.chat.pieces import Piece
from tui.chat.transcript import CursorMoved, Transcript
from tui.shared.text import printable

WELCOME = Content.from_markup(
    """\
[b $accent]A language model goes on with a text.[/]

Write a beginning below and press [b]Enter[/]. The model's words follow yours; \
[b]Ctrl+G[/] lets it go on, [b]Ctrl+R[/] asks for another answer, [b]Esc[/] stops it.

[b]Shift+Tab[/] goes to the text: there [b]Enter[/] on a token shows what else could have come.
[b]F7[/] chooses the model, [b]F8[/] finds earlier conversations, [b]/help[/] lists the commands.
"""
)


class ConversationView(Vertical):
    """Draws a `Conversation` and the answer that is being added to it."""

    DEFAULT_CSS: ClassVar[str] = ""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.conversation = Conversation()
        self._stream: MarkdownStream | None = None
        self._live = False
        """An answer is being added."""
        self._told: tuple[str, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="state", markup=False)
        with ContentSwitcher(initial="welcome", classes="views"):
            with VerticalScroll(id="welcome", can_focus=False):
                yield Static(WELCOME)
            yield Transcript(id="text")
            with VerticalScroll(id="rendered"):
                yield Markdown(open_links=False)
        yield Static(classes="turn", markup=False)

    # The text

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def is_rendered(self) -> bool:
        """Whether the text is shown as Markdown."""
        return self._wants_markdown

    _wants_markdown = False

    async def show_markdown(self, wanted: bool) -> None:
        """Show the text as Markdown, or raw."""
        self._wants_markdown = wanted
        await self._end_stream()
        if wanted:
            text = printable("".join(piece.text for piece in self.transcript.pieces))
            await self.query_one(Markdown).update(text)
        self._switch()

    def show(self) -> None:
        """Show the conversation's path."""
        self.transcript.show(self.conversation.path())
        if self._wants_markdown:
            self.run_worker(self.show_markdown(True), group="markdown", exclusive=True)
        self._switch()
        self.show_turn()

    async def extend(self, pieces: Sequence[Piece]) -> None:
        """Add pieces of an answer at the end."""
        self.transcript.extend(pieces)
        self._switch()
        if self._wants_markdown:
            if self._stream is None:
                self._stream = Markdown.get_stream(self.query_one(Markdown))
            await self._stream.write(printable("".join(piece.text for piece in pieces)))
            self.query_one("#rendered").scroll_end(animate=False)

    async def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()

    def _switch(self) -> None:
        filled = bool(self.transcript.pieces) or self._live
        view = ("rendered" if self._wants_markdown else "text") if filled else "welcome"
        switcher = self.query_one(ContentSwitcher)
        if switcher.current != view:
            switcher.current = view

    # The lines around it

    def tell(self, text: str, kind: str = "") -> None:
        """The line above the text; `kind` is "", "error" or "busy"."""
        if (text, kind) == self._told:
            return  # an update costs a layout, and this is called with every few tokens
        self._told = (text, kind)
        line = self.query_one(".state", Static)
        line.update(text)
        line.display = bool(text)
        line.set_class(kind == "error", "-error")
        line.set_class(kind == "busy", "-busy")

    def current_turn(self) -> Turn | None:
        """The turn under the cursor; without one, the last."""
        piece = self.transcript.piece
        if piece is not None and piece.turn in self.conversation.turns:
            return self.conversation.turns[piece.turn]
        leaf = self.conversation.leaf
        return self.conversation.turns[leaf] if leaf is not None else None

    def show_turn(self) -> None:
        """The line below the text: the turn or token under the cursor."""
        turn, piece = self.current_turn(), self.transcript.piece
        words: list[str] = []
        if turn is not None and not self._live:
            words.append(chat_words.turn_in_words(turn, self.conversation.siblings(turn)))
            on_token = piece is not None and piece.turn == turn.id and not self._wants_markdown
            if on_token and piece is not None and piece.token is not None:
                words.insert(0, self._token_in_words(piece, piece.token, turn))
        if self.transcript.probabilities and not self._wants_markdown and len(words) == 1:
            words.insert(0, "red unlikely, green likely")
        self.query_one(".turn", Static).update(clickable(" · ".join(words)), layout=False)
        figures = self.figures_at_rest()
        if turn is not None and turn.role == "model" and not self._live:
            figures = chat_words.figures_in_words(turn, max(10, self.size.width - 4))
        self.border_subtitle = printable(figures)

    def figures_at_rest(self) -> str:
        """What stands below the text while there is no answer."""
        return ""

    @staticmethod
    def _token_in_words(piece: Piece, token: int, turn: Turn) -> str:
        return chat_words.token_in_words(piece.text, piece.logprob, turn.ids[token])

    @on(CursorMoved)
    def _cursor_moved(self, event: CursorMoved) -> None:
        event.stop()
        self.show_turn()


def clickable(words: str) -> Content:
    """The line on a turn; a click on ‹ or › shows the turn's neighbour."""
    content = Content(words)
    for sign, offset in (("‹", -1), ("›", 1)):
        place = words.find(sign)
        if place >= 0:
            click = Style.from_meta({"@click": f"screen.sibling({offset})"})
            content = content.stylize(click, max(0, place - 1), place + 2)
    return content
