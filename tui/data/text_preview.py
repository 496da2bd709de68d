"""What is known of the text chosen: its facts, its first lines, and the same lines as tokens."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from simplegpt.progress import format_bytes, format_count
from tui.data.text_look import Survey, TextHead, TokenLook, alphabet_in_words
from tui.data.text_sample import TextSample
from tui.shared.run_signs import MUTED
from tui.shared.text import one_line, printable

# More of an alphabet than this tells nobody more, and would push the text off the screen.
_MOST_ALPHABET = 150


class TextPreview(Vertical):
    """Facts above, then the text, then its tokens. A short screen shows one of the two samples:
    the class `-tokens` says which."""

    DEFAULT_CSS = """
    TextPreview {
        #facts { height: auto; max-height: 6; padding: 0 1; }
        #problem {
            height: auto; max-height: 6; padding: 0 1; display: none;
            color: $text-error; background: $error 12%;
        }
        &.-problem #problem { display: block; }
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

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.head: TextHead | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False)
        yield Static(id="problem", markup=False)
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

    def show_nothing(self, name: str, about: str) -> None:
        """A corpus that is not here yet, or a text that is no text."""
        self.head = None
        facts = Content.assemble((one_line(name), "bold"), (f"\n{about}" if about else "", MUTED))
        self.query_one("#facts", Static).update(facts)
        self.text.show((), coloured=False)
        self.text.border_subtitle = ""
        self.show_tokens(None)

    def show_head(self, name: str, head: TextHead) -> None:
        """The start of a text; its alphabet comes with `show_survey`."""
        self.head = head
        self._show_facts(name, head, None)
        self.text.show([head.text], coloured=False)
        self.text.border_subtitle = "" if head.is_whole else "the first lines"

    def show_survey(self, name: str, survey: Survey) -> None:
        """The alphabet and the length of the text whose head is shown."""
        if self.head is not None:
            self._show_facts(name, self.head, survey)

    def show_tokens(self, look: TokenLook | None) -> None:
        """The same lines as tokens; None where there are none (yet)."""
        tokens = self.tokens
        if look is None:
            tokens.show((), coloured=True)
            tokens.border_title, tokens.border_subtitle = "Tokens", ""
            return
        tokens.show(look.pieces, coloured=True)
        tokens.border_title = f"{len(look.pieces):,} tokens of {look.n_characters:,} characters"
        tokens.border_subtitle = (
            f"{look.tokenizer}: {look.characters_a_token:.2f} characters a token"
        )

    def show_problem(self, sentence: str | None) -> None:
        """A mistake in the person's words; None takes it away."""
        self.set_class(bool(sentence), "-problem")
        self.query_one("#problem", Static).update(printable(sentence or ""))

    def _show_facts(self, name: str, head: TextHead, survey: Survey | None) -> None:
        facts = [format_bytes(head.size)]
        if survey is not None:
            more = "" if survey.is_whole else "more than "
            facts.append(f"{more}{format_count(survey.lines)} lines")
        lines = [
            Content.assemble((one_line(name), "bold"), (f"  {' · '.join(facts)}", MUTED)),
            _alphabet(survey),
        ]
        self.query_one("#facts", Static).update(Content("\n").join(lines))


def _alphabet(survey: Survey | None) -> Content:
    if survey is None:
        return Content.styled("reading its alphabet …", MUTED)
    words = alphabet_in_words(survey.characters)
    if len(words) > _MOST_ALPHABET:
        words = words[:_MOST_ALPHABET].rsplit(" ", 1)[0] + " …"
    count = len(survey.characters)
    where = "" if survey.is_whole else " in its beginning"
    head = f"{count:,} character{'s' if count != 1 else ''}{where}: "
    return Content.assemble((head, "$text-accent"), printable(words))
