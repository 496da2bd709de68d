"""The looking part of the Data screen: the chosen text read, fetched, surveyed and cut in workers.

What a worker finds is thrown away where another text or tokenizer was chosen meanwhile.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from simplegpt.cli import UserError
from simplegpt.progress import ProgressReport, format_bytes, format_count
from tui.data.choices import Choice
from tui.data.text_look import (
    Survey,
    TextHead,
    TokenLook,
    look_at_tokens,
    read_head,
    survey,
)
from tui.data.text_preview import TextPreview
from tui.data.write_panel import WritePanel
from tui.shell.screen import WorkbenchScreen

LAST_CHAR = "\xff"  # of the char tokenizer's 256
TELL_SECONDS = 0.1  # as often as an eye can follow


@dataclass
class HeadRead(Message):
    """The start of a text, or why there is none."""

    choice: Choice
    head: TextHead | None
    problem: str | None = None


@dataclass
class Surveyed(Message):
    """The whole of a text, or why it is none."""

    choice: Choice
    survey: Survey | None
    problem: str | None = None


@dataclass
class TokensCut(Message):
    """The start of a text as tokens, or why not."""

    choice: Choice
    tokenizer: str
    look: TokenLook | None
    problem: str | None = None


@dataclass
class FetchAdvanced(Message):
    """A corpus is on its way."""

    step: ProgressReport


@dataclass
class Fetched(Message):
    """A corpus is here, or cannot be had."""

    choice: Choice
    problem: str | None = None
    cancelled: bool = False


@dataclass
class TokenizersListed(Message):
    """Every tokenizer's name."""

    names: list[str]


class FetchCancelledError(Exception):
    """The person cancelled; raised through the fetch, which removes what it had."""


class DataLooking(WorkbenchScreen):
    """Knows the text and the tokenizer that are chosen, and what was seen of them."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path.cwd()
        self.choices: list[Choice] = []
        """What there is to choose from."""
        self.choice: Choice | None = None
        self.tokenizer = "char"
        self.proposed = False
        """Whether the tokenizer was changed for the text's sake, not by the person."""
        self.head: TextHead | None = None
        self.survey: Survey | None = None
        self.look: TokenLook | None = None
        self.text_problem: str | None = None
        self.token_problem: str | None = None

    @property
    def preview(self) -> TextPreview:
        return self.query_one(TextPreview)

    @property
    def panel(self) -> WritePanel:
        return self.query_one(WritePanel)

    def find_choices(self, chosen: Path | None = None) -> None:
        """Look for texts again; `chosen` is the one to choose then."""
        raise NotImplementedError

    def tokenizer_proposed(self, name: str) -> None:
        """The text asks for this tokenizer."""
        raise NotImplementedError

    # The text

    def look_at(self, choice: Choice) -> None:
        """Show what there is to see of `choice`."""
        if choice == self.choice:
            return
        self.choice = choice
        self.head = self.survey = self.look = self.text_problem = self.token_problem = None
        self.panel.phase = "choosing"
        self.panel.propose_folder(choice.folder)
        self._show_problem()
        self._say_estimate()
        if choice.is_here:
            self._read_head(choice)
            return
        corpus = choice.corpus
        assert corpus is not None
        how = "downloads it" if corpus.needs_network else "makes it"
        self.preview.show_nothing(
            choice.name, f"{corpus.description}\n{corpus.licence} · not here yet: Enter {how}"
        )

    @work(thread=True, group="read-head", exclusive=True)
    def _read_head(self, choice: Choice) -> None:
        try:
            self.post_message(HeadRead(choice, read_head(choice.path)))
        except UserError as error:
            self.post_message(HeadRead(choice, None, str(error)))

    @on(HeadRead)
    def _head_read(self, event: HeadRead) -> None:
        if event.choice != self.choice:
            return
        self.head, self.text_problem = event.head, event.problem
        if event.head is None:
            self.preview.show_nothing(event.choice.name, "")
        else:
            self.preview.show_head(event.choice.name, event.head)
            self._survey(event.choice)
            self._cut()
        self._show_problem()

    @work(thread=True, group="survey", exclusive=True)
    def _survey(self, choice: Choice) -> None:
        worker = get_current_worker()
        try:
            found = survey(choice.path, lambda: worker.is_cancelled)
        except UserError as error:
            self.post_message(Surveyed(choice, None, str(error)))
            return
        if found is not None:
            self.post_message(Surveyed(choice, found))

    @on(Surveyed)
    def _surveyed(self, event: Surveyed) -> None:
        if event.choice != self.choice:
            return
        self.survey, self.text_problem = event.survey, event.problem
        if event.survey is not None:
            self.preview.show_survey(event.choice.name, event.survey)
            self._propose_tokenizer(beyond=event.survey.characters[-1:] > LAST_CHAR)
        self._say_estimate()
        self._show_problem()

    def _propose_tokenizer(self, *, beyond: bool) -> None:
        """Take gpt2 for a text that char cannot write, and char again for the next that it can."""
        if beyond and self.tokenizer == "char":
            self.proposed = True
            self.tokenizer_proposed("gpt2")
        elif self.proposed and not beyond:
            self.proposed = False
            self.tokenizer_proposed("char")

    # A corpus that is not here yet

    @work(thread=True, group="fetch", exclusive=True)
    def fetch(self, choice: Choice) -> None:
        """Download or make a corpus; its progress stands where the writing's will."""
        from simplegpt.data.corpus import fetch

        worker = get_current_worker()
        began = told = time.monotonic()

        total = choice.corpus.size if choice.corpus else 0

        def on_progress(done: int) -> None:
            nonlocal told
            if worker.is_cancelled:
                raise FetchCancelledError
            now = time.monotonic()
            if now - told >= TELL_SECONDS:
                told, rate = now, done / (now - began)
                left = max(total - done, 0) / rate
                step = ProgressReport(
                    label="fetch", unit="B", done=done, total=total, rate=rate, eta=left
                )
                self.post_message(FetchAdvanced(step))

        try:
            fetch(choice.name, on_progress)
        except FetchCancelledError:
            self.post_message(Fetched(choice, cancelled=True))
        except UserError as error:
            self.post_message(Fetched(choice, str(error)))
        else:
            self.post_message(Fetched(choice))

    @on(FetchAdvanced)
    def _fetch_advanced(self, event: FetchAdvanced) -> None:
        if self.panel.phase == "working":
            self.panel.advance(event.step)

    # The tokenizer

    @work(thread=True, group="list-tokenizers", exclusive=True)
    def list_tokenizers(self) -> None:
        from simplegpt.data.tokenizer import tokenizer_names  # tiktoken: not before the first paint

        self.post_message(TokenizersListed(tokenizer_names()))

    def choose_tokenizer(self, name: str) -> None:
        """Show the text as this tokenizer cuts it."""
        if name == self.tokenizer and (self.look is not None or self.token_problem is not None):
            return
        self.tokenizer, self.look, self.token_problem = name, None, None
        if self.panel.phase == "done":
            self.panel.phase = "choosing"
        self._cut()
        self._show_problem()

    def _cut(self) -> None:
        self.look = self.token_problem = None
        self.preview.show_tokens(None)
        if self.choice is not None and self.head is not None:
            self._cut_head(self.choice, self.tokenizer, self.head.text)
        self._say_estimate()

    @work(thread=True, group="cut", exclusive=True)
    def _cut_head(self, choice: Choice, tokenizer: str, text: str) -> None:
        try:
            self.post_message(TokensCut(choice, tokenizer, look_at_tokens(tokenizer, text)))
        except UserError as error:
            self.post_message(TokensCut(choice, tokenizer, None, str(error)))

    @on(TokensCut)
    def _tokens_cut(self, event: TokensCut) -> None:
        if event.choice != self.choice or event.tokenizer != self.tokenizer:
            return
        self.look, self.token_problem = event.look, event.problem
        self.preview.show_tokens(event.look)
        self._say_estimate()
        self._show_problem()

    # What there is to say

    @property
    def problem(self) -> str | None:
        """Why the choice cannot be prepared, in a sentence; None where nothing is known against
        it. A text is known to be none before its tokens are."""
        if self.text_problem or self.token_problem:
            return self.text_problem or self.token_problem
        beyond = self.survey.characters[-1:] if self.survey else ""
        if self.tokenizer == "char" and beyond > LAST_CHAR:
            return (
                f"The text has characters beyond code 255, such as {beyond!r}, which 'char' does "
                "not have; 'byte' and 'gpt2' take any text."
            )
        return None

    def _show_problem(self) -> None:
        self.preview.show_problem(self.problem)

    def _say_estimate(self) -> None:
        """How many tokens it will be, as far as that is known."""
        if self.panel.phase != "choosing":
            return
        if self.look is None or self.survey is None or not self.look.pieces:
            self.panel.say("")
            return
        whole = self.survey.n_characters / self.look.characters_a_token
        size = format_bytes(whole * (2 if self.look.n_vocab <= 1 << 16 else 4))
        if not self.survey.is_whole:
            said = f"more than {format_count(_rounded(whole))}"
        elif self.tokenizer == "char":
            said = format_count(whole)
        else:
            said = f"about {format_count(_rounded(whole))}"
        self.panel.say(f"{said} tokens, {size} on disk")


def _rounded(count: float) -> float:
    """To three digits: an estimate from the first lines knows no more."""
    return float(f"{count:.3g}")
