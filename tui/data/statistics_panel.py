"""Statistics of the chosen text: its characters, its lines and its tokens."""

from collections.abc import Iterable

from textual.content import Content
from textual.widgets import Static

from simplegpt.cli import one_line, printable
from simplegpt.progress import format_bytes, format_count, plural
from tui.data.text_file import (
    MAX_BYTES,
    TextStatistics,
    TokenStatistics,
    format_alphabet,
    format_character,
)
from tui.shared.run_signs import MUTED
from tui.shared.text import show_token

_ALPHABET_LENGTH = 150  # characters; more would push the rest off the screen


class StatisticsPanel(Static):
    """What is known so far."""

    DEFAULT_CSS = """
    StatisticsPanel {
        height: 1fr;
        padding: 0 1;
        border: round $border;
        border-title-color: $accent;
        border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.border_title = "Statistics"
        self.text: TextStatistics | None = None
        self.tokens: TokenStatistics | None = None
        self.tokenizer = ""
        self.note = ""
        """Shown in place of the tokens' statistics."""

    def clear(self) -> None:
        """Show none, as of a text that is not read yet."""
        self.text = self.tokens = None
        self.note = ""
        self._show()

    def show_text(self, text: TextStatistics) -> None:
        """Show the characters and lines that were counted so far."""
        self.text = text
        self._show()

    def show_tokens(self, tokenizer: str, tokens: TokenStatistics | None, note: str = "") -> None:
        """Show the tokens, or a note in their place."""
        self.tokenizer, self.tokens, self.note = tokenizer, tokens, note
        self._show()

    def _show(self) -> None:
        text, parts = self.text, list[Content]()
        self.border_subtitle = ""
        if text is not None:
            is_sample = text.unit != "line"
            first = plural(text.n_lines, text.unit) if is_sample else format_bytes(MAX_BYTES)
            limit = f"of the first {first}"
            is_counting = not (text.is_whole or is_sample or text.read_bytes >= MAX_BYTES)
            self.border_subtitle = (
                f"counting {text.read:.0%}" if is_counting else "" if text.is_whole else limit
            )
            parts += [_characters(text), _lines(text)]
        if self.tokens is not None:
            parts.append(_tokens(self.tokenizer, self.tokens))
        elif self.note:
            parts.append(Content.assemble(("Tokens ", "$text-accent"), (self.note, MUTED)))
        self.update(Content("\n").join(parts), layout=False)


def _characters(text: TextStatistics) -> Content:
    alphabet = printable(format_alphabet(text.alphabet))
    if len(alphabet) > _ALPHABET_LENGTH:
        alphabet = alphabet[:_ALPHABET_LENGTH].rsplit(" ", 1)[0] + " …"
    frequent = (
        (one_line(format_character(character)), share) for character, share in text.frequent
    )
    return Content.assemble(
        ("Characters ", "$text-accent"),
        f"{format_count(text.n_characters)}, {format_count(len(text.counts))} different: ",
        f"{alphabet}\n",
        _frequent(frequent),
    )


def _lines(text: TextStatistics) -> Content:
    lines = text.lines
    empty = f", {lines.empty:.0%} of them empty" if text.unit == "line" else ""
    return Content.assemble(
        (f"{text.unit.capitalize()}s ", "$text-accent"),
        f"{format_count(text.n_lines)}{empty}\n",
        (" length ", MUTED),
        f"median {lines.median:,}, 95% ≤ {lines.most:,}, longest {lines.longest:,}",
    )


def _tokens(tokenizer: str, tokens: TokenStatistics) -> Content:
    of = f" in {tokens.scope}" if tokens.scope else ""
    answers = "" if tokens.answers is None else f", {tokens.answers:.0%} of the tokens in answers"
    return Content.assemble(
        ("Tokens ", "$text-accent"),
        f"{tokenizer}: {tokens.characters_per_token:.2f} characters per token, ",
        f"{plural(tokens.n_used, 'token ID')} used{of}{answers}\n",
        _frequent((show_token(piece), share) for piece, share in tokens.frequent),
    )


def _frequent(items: Iterable[tuple[str, float]]) -> Content:
    """``most frequent  space 15%  e 8.5%``."""
    parts = [
        Content.assemble(name, (f"\N{NO-BREAK SPACE}{share:.1%}", MUTED)) for name, share in items
    ]
    return Content.assemble((" most frequent ", MUTED), Content("  ").join(parts))
