"""The chosen text: its statistics, its first lines, and the same lines as tokens."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from simplegpt.cli import one_line, printable
from simplegpt.progress import format_bytes, format_count
from tui.data.text_file import TextHead, TextStatistics, TokenPreview, format_alphabet
from tui.data.text_sample import TextSample
from tui.shared.run_signs import MUTED

_ALPHABET_LENGTH = 150  # characters; more would push the text off the screen


class TextPreview(Vertical):
    """Statistics and an error above, the text and its tokens below.

    A short screen shows one of the two samples: the tokens if it has the class `-tokens`.
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

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        yield Static(id="error", markup=False)
        yield TextSample(id="text")
        yield TextSample(id="tokens")

    def on_mount(self) -> None:
        self.text.border_title = "Text"
        self.tokens.border_title = "Tokens"

    @property
    def text(self) -> TextSample:
        return self.query_one("#text", TextSample)

    @property
    def tokens(self) -> TextSample:
        return self.query_one("#tokens", TextSample)

    def show_name(self, name: str, about: str = "") -> None:
        """Show a text without its content: a corpus to download, or an unsuitable file."""
        facts = Content.assemble((one_line(name), "bold"), (f"\n{about}" if about else "", MUTED))
        self.query_one("#facts", Static).update(facts)
        self.text.show((), coloured=False)
        self.text.border_subtitle = ""
        self.show_tokens(None)

    def show_text(self, name: str, head: TextHead) -> None:
        """Show the first lines of a text."""
        self.show_statistics(name, head, None)
        self.text.show([head.text], coloured=False)
        self.text.border_subtitle = "" if head.is_whole else "the first lines"

    def show_statistics(self, name: str, head: TextHead, known: TextStatistics | None) -> None:
        """Show a text's size and, once they are `known`, its statistics."""
        facts = [format_bytes(head.size)]
        alphabet = Content.styled("counting its characters …", MUTED)
        if known is not None:
            more = "" if known.is_whole else "more than "
            facts.append(f"{more}{format_count(known.n_lines)} lines")
            alphabet = _alphabet(known)
        title = Content.assemble((one_line(name), "bold"), (f"  {' · '.join(facts)}", MUTED))
        self.query_one("#facts", Static).update(Content("\n").join([title, alphabet]))

    def show_tokens(self, preview: TokenPreview | None) -> None:
        """Show the same lines as tokens; None clears them."""
        tokens = self.tokens
        if preview is None:
            tokens.show((), coloured=True)
            tokens.border_title, tokens.border_subtitle = "Tokens", ""
            return
        tokens.show(preview.pieces, coloured=True)
        tokens.border_title = (
            f"{len(preview.pieces):,} tokens of {preview.n_characters:,} characters"
        )
        tokens.border_subtitle = (
            f"{preview.tokenizer}: {preview.characters_per_token:.2f} characters per token"
        )

    def show_error(self, error: str) -> None:
        """Show why the text cannot be tokenized; empty clears it."""
        self.set_class(bool(error), "-error")
        self.query_one("#error", Static).update(printable(error))


def _alphabet(statistics: TextStatistics) -> Content:
    text = format_alphabet(statistics.alphabet)
    if len(text) > _ALPHABET_LENGTH:
        text = text[:_ALPHABET_LENGTH].rsplit(" ", 1)[0] + " …"
    count = len(statistics.alphabet)
    where = "" if statistics.is_whole else " in its beginning"
    head = f"{count:,} character{'s' if count != 1 else ''}{where}: "
    return Content.assemble((head, "$text-accent"), printable(text))
