"""The chosen text: its first lines, plain or as tokens, and its statistics."""

from typing import Literal, get_args

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from simplegpt.cli import one_line, printable
from simplegpt.progress import plural
from tui.data.statistics_panel import StatisticsPanel
from tui.data.text_file import TextHead, TextStatistics, TokenPreview, TokenStatistics
from tui.data.text_sample import TextSample
from tui.shared.run_signs import MUTED

Shown = Literal["text", "tokens", "statistics"]
SHOWN: tuple[Shown, ...] = get_args(Shown)


class TextPreview(Vertical):
    """Name and size above; below, the text or its tokens, and the statistics.

    A short screen shows one of the three.
    """

    DEFAULT_CSS = """
    TextPreview {
        #facts { height: auto; max-height: 6; padding: 0 1; }
        #error {
            height: auto; max-height: 6; padding: 0 1; display: none;
            color: $text-error; background: $error 12%;
        }
        &.-error #error { display: block; }
        TextSample {
            height: 1fr;
            padding: 0 1;
            border: round $border;
            border-title-color: $accent;
            border-subtitle-color: $text-muted;
            &:focus { border: round $primary; }
        }
    }
    """

    shown: reactive[Shown] = reactive[Shown]("text")

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        yield Static(id="error", markup=False)
        yield TextSample(id="text")
        yield TextSample(id="tokens")
        yield StatisticsPanel(id="statistics")

    def on_mount(self) -> None:
        self.text.border_title = "Text"
        self.tokens.border_title = "Tokens"

    @property
    def text(self) -> TextSample:
        return self.query_one("#text", TextSample)

    @property
    def tokens(self) -> TextSample:
        return self.query_one("#tokens", TextSample)

    @property
    def statistics(self) -> StatisticsPanel:
        return self.query_one(StatisticsPanel)

    def watch_shown(self) -> None:
        for name in SHOWN:
            self.set_class(self.shown == name, f"-{name}")

    def show_next(self, *, is_short: bool) -> None:
        """Show the next of text and tokens; on a short screen also of the statistics."""
        order = SHOWN if is_short else SHOWN[:2]
        at = order.index(self.shown) if self.shown in order else -1
        self.shown = order[(at + 1) % len(order)]

    def show_name(self, name: str, about: str = "") -> None:
        """Show a text without its content: a corpus to download, or an unsuitable file."""
        facts = Content.assemble((one_line(name), "bold"), (f"\n{about}" if about else "", MUTED))
        self.query_one("#facts", Static).update(facts)
        self.text.show((), coloured=False)
        self.text.border_subtitle = ""
        self.show_tokens(None)
        self.statistics.clear()

    def show_text(self, name: str, head: TextHead) -> None:
        """Show the first lines of a text."""
        self.show_facts(name, head, None)
        self.statistics.clear()
        self.text.show([head.text], coloured=False)
        self.text.border_subtitle = "" if head.is_whole else "the first lines"

    def show_facts(self, name: str, head: TextHead, known: TextStatistics | None) -> None:
        """Show a text's size and, once they are `known`, its lines."""
        facts = [head.amount] if head.amount else []
        if known is not None:
            more = "" if known.is_whole else "more than "
            facts.append(f"{more}{plural(known.n_lines, known.unit)}")
            self.statistics.show_text(known)
        title = Content.assemble((one_line(name), "bold"), (f"  {' · '.join(facts)}", MUTED))
        self.query_one("#facts", Static).update(title)

    def show_tokens(
        self, preview: TokenPreview | None, statistics: TokenStatistics | None = None
    ) -> None:
        """Show the same lines as tokens; None clears them."""
        tokens = self.tokens
        if preview is None:
            tokens.show((), coloured=True)
            tokens.border_title, tokens.border_subtitle = "Tokens", ""
            self.statistics.show_tokens("", None)
            return
        tokens.show(preview.pieces, coloured=True)
        tokens.border_title = (
            f"{plural(len(preview.pieces), 'token')} of {plural(preview.n_characters, 'character')}"
        )
        ratio = (
            f": {statistics.characters_per_token:.2f} characters per token" if statistics else ""
        )
        tokens.border_subtitle = f"{preview.tokenizer}{ratio}"
        self.statistics.show_tokens(preview.tokenizer, statistics)

    def show_error(self, error: str) -> None:
        """Show why the text cannot be tokenized; empty clears it."""
        self.set_class(bool(error), "-error")
        self.query_one("#error", Static).update(printable(error))
