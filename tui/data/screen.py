"""The Data screen: choose a text and a tokenizer, preview the tokens, write the token files."""

import asyncio
import contextlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerCancelled

from simplegpt.cli import UserError, one_line
from simplegpt.progress import ProgressReport, format_bytes, format_count
from tui.data.choices import Choice, choice_of, find_choices, relative
from tui.data.file_picker import FilePicker
from tui.data.fitted_config import FittedConfig, fit_config
from tui.data.text_file import (
    TextHead,
    TextStatistics,
    TokenPreview,
    count,
    preview_tokens,
    read_head,
)
from tui.data.text_preview import TextPreview
from tui.data.tokenizing import Job, TokenizingError, tokenize
from tui.data.write_panel import WritePanel
from tui.shell import messages
from tui.shell.dialogs import Answer, Question
from tui.shell.screen import WorkbenchScreen

if TYPE_CHECKING:
    from simplegpt.data.__main__ import Done

# Those that need no network.
TOKENIZERS = {"char": "character-level", "byte": "byte-level", "gpt2": "BPE (GPT-2)"}
LAST_CHAR = "\xff"  # of the tokenizer char
PROGRESS_SECONDS = 0.1  # between two reports of a download
SHOWS_TOKENS = {"corpora": False, "tokenizers": True, "write": True}
"""Whether a step is about the tokens of a text, or about the text."""


class FetchCancelledError(Exception):
    """Ends the fetching of a corpus, which then removes its partial file."""


class DataScreen(WorkbenchScreen):
    """Three steps on the left, the chosen text on the right; Enter leads to the next step."""

    MODE = "data"
    CSS_PATH = "screen.tcss"
    HELP = """\
A model is trained on **tokens**. Choose a text, see how a tokenizer splits it, and write the token
files: **Enter** leads from step to step, and after the last one to the config. A text marked ↓ is
not on this machine yet: Enter downloads or builds it.

- **char** makes every character a token: a small vocabulary, quick to train, best for a start.
- **byte** makes every byte a token, and encodes any text.
- **gpt2** makes tokens of common pieces of words: fewer tokens, a vocabulary of 50,257, for larger
  models.

*Folder* is where the token files go. Existing files are replaced only after a question.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "prepare", "Prepare", tooltip="Write the token files"),
        Binding("f9", "open_config", "Config", tooltip="Open a config that fits the data"),
        Binding("f7", "pick_file", "File", tooltip="Choose a text file from any folder"),
        Binding("f8,t", "switch_sample", "Tokens", key_display="F8", tooltip="Text or tokens"),
        Binding("escape", "cancel", "Cancel", tooltip="Stop and keep no partial files"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.choices: list[Choice] = []
        self.picked: list[Path] = []
        """Files that were chosen in the file dialog."""
        self.choice: Choice | None = None
        self.tokenizer = "char"
        self.is_proposed = False
        """Whether the tokenizer was changed because of the text, not by the user."""
        self.head: TextHead | None = None
        self.statistics: TextStatistics | None = None
        self.tokens: TokenPreview | None = None
        self.text_error = ""
        self.token_error = ""
        self.written: tuple[Job, int] | None = None
        """The last token files, and the size of their vocabulary."""
        self._previewing: Worker[None] | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="steps"):
                yield OptionList(id="corpora", markup=False)
                options = [_tokenizer_option(*item) for item in TOKENIZERS.items()]
                yield OptionList(*options, id="tokenizers", markup=False)
                yield WritePanel(id="write")
            yield TextPreview(id="preview")

    def on_mount(self) -> None:
        self.query_one("#corpora").border_title = "1 Text"
        self.query_one("#tokenizers").border_title = "2 Tokenizer"
        self.query_one("#write").border_title = "3 Token files"
        self.query_one("#corpora").focus()
        self.query_one("#tokenizers", OptionList).highlighted = 0
        self.find_choices()
        self.list_tokenizers()

    @property
    def preview(self) -> TextPreview:
        return self.query_one(TextPreview)

    @property
    def panel(self) -> WritePanel:
        return self.query_one(WritePanel)

    def show_corpora(self) -> None:
        """Begin with the first step."""
        if self.panel.phase == "done":
            self.panel.phase = "choosing"
        self.query_one("#corpora").focus()
        self.find_choices()

    # 1: the text

    @work(group="find-choices", exclusive=True)
    async def find_choices(self, chosen: Path | None = None) -> None:
        """Find the texts, and choose the one at `chosen`, or again the one chosen before."""
        before = chosen or (self.choice.path if self.choice else None)
        self.choices = await asyncio.to_thread(find_choices, self.picked)
        corpora = self.query_one("#corpora", OptionList)
        corpora.clear_options()
        corpora.add_options([*map(self._choice_prompt, self.choices), _OTHER_FILE])
        paths = [choice.path for choice in self.choices]
        corpora.highlighted = paths.index(before) if before in paths else 0

    @on(events.Resize)
    def _fit_names(self) -> None:
        corpora = self.query_one("#corpora", OptionList)
        for index, choice in enumerate(self.choices[: corpora.option_count]):
            corpora.replace_option_prompt_at_index(index, self._choice_prompt(choice))

    def _choice_prompt(self, choice: Choice) -> Content:
        """The name, shortened in its middle if it is too long, and the size."""
        room = self.query_one("#corpora").scrollable_content_region.width
        size = f"  {'' if choice.is_available else '↓ '}{format_bytes(choice.size)}"
        name, rest = one_line(choice.name), max(room - len(size), 8)
        if len(name) > rest:
            head = rest // 3
            name = f"{name[:head]}…{name[len(name) - (rest - head - 1) :]}"
        return Content.assemble(name, (size, "dim"))

    @on(OptionList.OptionHighlighted, "#corpora")
    def _choice_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index < len(self.choices) and self.panel.phase != "working":
            self.choose_text(self.choices[event.option_index])

    @on(OptionList.OptionSelected, "#corpora")
    async def _choice_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_index >= len(self.choices):
            await self.run_action("pick_file")  # if it is possible now
        elif self.panel.phase == "working":
            self.notify("Still working on a text: wait, or press Esc to cancel.")
        else:
            choice = self.choices[event.option_index]
            self.choose_text(choice)
            if choice.is_available:
                self.set_focus(self.query_one("#tokenizers"))  # now: an Enter may be waiting
            else:
                self.fetch(choice)

    @work(group="pick-file", exclusive=True)
    async def action_pick_file(self) -> None:
        """Choose a text file from any folder."""
        picked = await self.app.push_screen_wait(FilePicker())
        if picked is None:
            return
        path = relative(picked.absolute())
        self.picked = [path, *(other for other in self.picked if other != path)]
        self.query_one("#tokenizers").focus()
        self.choose_text(await asyncio.to_thread(choice_of, path))
        self.find_choices(path)

    def choose_text(self, choice: Choice) -> None:
        """Show `choice` and its tokens."""
        if choice == self.choice:
            return
        self.choice = choice
        self.head = self.statistics = self.tokens = None
        self.text_error = self.token_error = ""
        self.panel.phase = "choosing"
        self.panel.propose_folder(choice.output_dir)
        self.preview.show_error("")
        self.panel.show_status("")
        self.workers.cancel_group(self, "preview")
        self.workers.cancel_group(self, "count")
        if choice.is_available:
            self._previewing = self._preview(choice)
        elif corpus := choice.corpus:
            how = "download" if corpus.needs_network else "build"
            about = f"{corpus.description}\n{corpus.licence} · not available yet: Enter to {how} it"
            self.preview.show_name(choice.name, about)

    @work(group="preview", exclusive=True)
    async def _preview(self, choice: Choice) -> None:
        """Read the start of a text, unless it is known, and show it as tokens."""
        try:
            if self.head is None:
                self.head = await asyncio.to_thread(read_head, choice.path)
                self.preview.show_text(choice.name, self.head)
                self._count(choice, self.head)
        except (UserError, OSError) as error:
            self.text_error = str(error)
            self.preview.show_name(choice.name)
        else:
            await self._tokenize_head(self.head)
        self._show_estimate()
        self._show_error()

    async def _tokenize_head(self, head: TextHead) -> None:
        self.tokens, self.token_error = None, ""
        self.preview.show_tokens(None)
        try:
            self.tokens = await asyncio.to_thread(preview_tokens, self.tokenizer, head.text)
        except UserError as error:
            self.token_error = str(error)
        self.preview.show_tokens(self.tokens)

    @work(group="count", exclusive=True)
    async def _count(self, choice: Choice, head: TextHead) -> None:
        """Count the whole text, block by block, so that another choice ends it."""
        blocks = count(choice.path)
        try:
            while (statistics := await asyncio.to_thread(next, blocks, None)) is not None:
                found = statistics
        except (UserError, OSError) as error:
            self.text_error = str(error)
        else:
            self.statistics = found
            self.preview.show_statistics(choice.name, head, found)
            self._propose_tokenizer(needs_more=found.alphabet[-1:] > LAST_CHAR)
        self._show_estimate()
        self._show_error()

    def _propose_tokenizer(self, *, needs_more: bool) -> None:
        """Choose gpt2 for a text that char cannot encode, and char again for the next text."""
        if needs_more and self.tokenizer == "char":
            self.is_proposed = True
            self._highlight_tokenizer("gpt2")
        elif self.is_proposed and not needs_more:
            self.is_proposed = False
            self._highlight_tokenizer("char")

    # A corpus that is not available yet

    @work(group="fetch", exclusive=True)
    async def fetch(self, choice: Choice) -> None:
        """Download or build a corpus. Its progress is shown where that of the writing is."""
        from simplegpt.data import corpus  # urllib: not before the first paint

        loop, started, cancelled = asyncio.get_running_loop(), time.monotonic(), threading.Event()
        shown = started

        def on_progress(done: int) -> None:  # in the thread
            nonlocal shown
            if cancelled.is_set():
                raise FetchCancelledError
            now = time.monotonic()
            if now - shown >= PROGRESS_SECONDS:
                shown = now
                report = ProgressReport(
                    label="fetch",
                    unit="B",
                    done=done,
                    total=choice.size,
                    rate=done / (now - started),
                    eta=None,
                )
                loop.call_soon_threadsafe(self._show_progress, report)

        self.panel.start(choice.size)
        try:
            await asyncio.to_thread(corpus.fetch, choice.name, on_progress)
        except UserError as error:
            self.text_error = str(error)
            offline = [c.name for c in self.choices if c.corpus and not c.corpus.needs_network]
            hint = f"\n{offline[0]} needs no network." if offline else ""
            self._end_work("", "#corpora", f"{error}{hint}")
        except asyncio.CancelledError:
            cancelled.set()
            self._end_work("Cancelled; nothing was kept.", "#corpora")
            raise
        else:
            self.choice = None  # it is available now
            self._end_work("", "#tokenizers")
            self.find_choices(choice.path)

    def _show_progress(self, report: ProgressReport) -> None:
        if self.is_attached and self.panel.phase == "working":
            self.panel.show_progress(report)

    def _end_work(self, status: str, focus: str, error: str = "") -> None:
        """Go back to choosing, after work that was cancelled or failed."""
        if not self.is_attached:  # the workbench quits
            return
        self.panel.phase = "choosing"
        self.panel.show_status(status)
        self.preview.show_error(error)
        self.query_one(focus).focus()

    # 2: the tokenizer

    @work(group="list-tokenizers", exclusive=True)
    async def list_tokenizers(self) -> None:
        """Add tiktoken's encodings to the list."""
        names = await asyncio.to_thread(_tokenizer_names)
        options = [_tokenizer_option(n, "BPE (tiktoken)") for n in names if n not in TOKENIZERS]
        self.query_one("#tokenizers", OptionList).add_options(options)

    @on(OptionList.OptionHighlighted, "#tokenizers")
    def _tokenizer_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.has_focus:
            self.is_proposed = False
        if self.panel.phase != "working" and event.option.id is not None:
            self.choose_tokenizer(event.option.id)

    @on(OptionList.OptionSelected, "#tokenizers")
    def _tokenizer_selected(self, event: OptionList.OptionSelected) -> None:
        self.set_focus(self.query_one("#write #next"))

    def _highlight_tokenizer(self, name: str) -> None:
        tokenizers = self.query_one("#tokenizers", OptionList)
        tokenizers.highlighted = tokenizers.get_option_index(name)

    def choose_tokenizer(self, name: str) -> None:
        """Show the text as the tokens of this tokenizer."""
        if name == self.tokenizer:
            return
        self.tokenizer = name
        if self.panel.phase == "done":
            self.panel.phase = "choosing"
        if self.choice is not None and self.choice.is_available and not self.text_error:
            self._previewing = self._preview(self.choice)

    # 3: the token files

    @on(WritePanel.Pressed)
    async def _button_pressed(self, event: WritePanel.Pressed) -> None:
        actions = {"choosing": "prepare", "working": "cancel", "done": "open_config"}
        await self.run_action(actions[event.phase])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "pick_file":
            return self.panel.phase != "working"
        needed = {"prepare": "choosing", "open_config": "done", "cancel": "working"}.get(action)
        return needed is None or self.panel.phase == needed

    def planned_job(self) -> Job:
        """Return what to write. Raises UserError where something is missing for it."""
        if self.choice is None:
            raise UserError("Choose a text first.")
        if not self.choice.is_available:
            raise UserError(f"{self.choice.name} is not available yet: Enter on it fetches it.")
        if error := self.error:
            raise UserError(error)
        val_fraction = self.panel.val_fraction
        if val_fraction is None:
            raise UserError("Validation must be a percentage, from 0 to below 100.")
        if val_fraction and self.statistics is not None and self.statistics.n_lines < 2:
            raise UserError("The text is a single line, which has no split: set Validation to 0 %.")
        return Job(self.choice.path, self.tokenizer, relative(self.panel.folder), val_fraction)

    @work(group="prepare", exclusive=True)
    async def action_prepare(self) -> None:
        """Write the token files; ask first if they exist."""
        if self._previewing is not None:  # Enter may come before the text is read
            with contextlib.suppress(WorkerCancelled):
                await self._previewing.wait()
        try:
            job = self.planned_job()
            existing = await asyncio.to_thread(_check_outputs, job)
        except UserError as error:
            self.preview.show_error(str(error))
            return
        if self.head is None or self.tokens is None:  # another text was chosen meanwhile
            return
        self.preview.show_error("")
        if existing:
            answer = await self._ask(job, existing)
            if answer == "use":
                self.written = job, self.tokens.n_vocab
                self.action_open_config()
            if answer != "replace":
                return
            job = replace(job, overwrite=True)
        self.panel.start(self.head.size)
        self._write(job, self.tokens.n_vocab)

    async def _ask(self, job: Job, existing: list[Path]) -> str | None:
        names = " and ".join(path.name for path in existing)
        text = (
            f"{names} already {'exist' if len(existing) > 1 else 'exists'} in {job.output_dir}. "
            "A run that is reading them keeps the old content."
        )
        answers = [Answer("replace", "Replace", "error")]
        if await asyncio.to_thread(job.is_done):
            answers = [Answer("use", "Use existing files", "primary"), *answers]
        return await self.app.push_screen_wait(Question("Replace token files?", text, answers))

    @work(group="write", exclusive=True)
    async def _write(self, job: Job, n_vocab: int) -> None:
        try:
            async with contextlib.aclosing(tokenize(job)) as reports:
                async for report in reports:
                    if isinstance(report, ProgressReport):
                        self._show_progress(report)
                    else:
                        self.written = job, n_vocab
                        self._show_written(job, report)
        except TokenizingError as error:
            self._end_work("", "#write #next", str(error))
            self._show_estimate()
        except asyncio.CancelledError:
            self._end_work("Cancelled; nothing was written.", "#write #next")
            raise

    def _show_written(self, job: Job, done: "Done") -> None:
        self.panel.phase = "done"
        uses = ("for training", "for validation")
        counts = [
            f"{format_count(file.tokens)} tokens {use}"
            for file, use in zip(done.files, uses, strict=False)
        ]
        where = one_line(str(job.output_dir))
        self.panel.show_status(
            Content.assemble(("✓ ", "$text-success"), ",\n  ".join(counts), f"\n  in {where}")
        )
        if self.app.screen is self:
            self.query_one("#write #next").focus()
        else:
            self.notify(f"Token files of {job.text.name} are written.", markup=False)

    def action_cancel(self) -> None:
        """Stop the fetching or the writing."""
        self.workers.cancel_group(self, "write")
        self.workers.cancel_group(self, "fetch")

    @work(group="open-config", exclusive=True)
    async def action_open_config(self) -> None:
        """Open the editor with a config that fits the token files."""
        if self.written is not None:
            fitted = await asyncio.to_thread(_fit_config, *self.written)
            self.post_message(messages.OpenConfig(fitted.template, fitted.values))

    # The preview

    @property
    def error(self) -> str:
        """Why the text cannot be tokenized as chosen; empty if nothing is known."""
        if self.text_error or self.token_error:
            return self.text_error or self.token_error
        last = self.statistics.alphabet[-1:] if self.statistics else ""
        if self.tokenizer == "char" and last > LAST_CHAR:
            return (
                f"The text has characters beyond code 255, such as {last!r}, which 'char' does "
                "not have; 'byte' and 'gpt2' encode any text."
            )
        return ""

    def _show_error(self) -> None:
        self.preview.show_error(self.error)

    def _show_estimate(self) -> None:
        """Show how many tokens there will be, once that is known."""
        if self.panel.phase != "choosing":
            return
        tokens, statistics = self.tokens, self.statistics
        if tokens is None or statistics is None or not tokens.pieces:
            self.panel.show_status("")
            return
        n_tokens = statistics.n_characters / tokens.characters_per_token
        estimate = format_count(float(f"{n_tokens:.3g}"))  # the first lines tell no more digits
        if not statistics.is_whole:
            estimate = f"more than {estimate}"
        elif self.tokenizer == "char":
            estimate = format_count(n_tokens)
        else:
            estimate = f"about {estimate}"
        size = format_bytes(n_tokens * (2 if tokens.n_vocab <= 1 << 16 else 4))
        self.panel.show_status(f"{estimate} tokens, {size} on disk")

    def action_switch_sample(self) -> None:
        """Show the text or its tokens, if there is room for only one."""
        self.preview.toggle_class("-tokens")

    def on_descendant_focus(self) -> None:
        """Show the sample that the current step is about."""
        focused = self.focused
        if focused is None or isinstance(focused, Input):
            return
        for widget in focused.ancestors_with_self:
            if widget.id in SHOWS_TOKENS:
                self.preview.set_class(SHOWS_TOKENS[widget.id], "-tokens")

    # Leaving

    def unsaved(self) -> str | None:
        return "token files that are being written" if self.panel.phase == "working" else None

    def leave(self) -> None:
        self.action_cancel()


def _tokenizer_option(name: str, kind: str) -> Option:
    return Option(Content.assemble(name, (f"  {kind}", "dim")), id=name)


_OTHER_FILE = Content.assemble(("+ ", "$text-accent"), "Other file …")


# In threads


def _tokenizer_names() -> list[str]:
    from simplegpt.data.tokenizer import tokenizer_names  # tiktoken: not before the first paint

    return tokenizer_names()


def _check_outputs(job: Job) -> list[Path]:
    """Return the output files that exist. Raises UserError if the folder cannot hold them."""
    if job.output_dir.is_file():
        raise UserError(f"{job.output_dir} is not a directory; choose another folder.")
    return job.existing_outputs()


def _fit_config(job: Job, n_vocab: int) -> FittedConfig:
    from simplegpt.run.hardware import gpus

    return fit_config(job, n_vocab, has_gpu=bool(gpus()))
