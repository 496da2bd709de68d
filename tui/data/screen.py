"""The Data screen: choose a text, documents or dialogues and a tokenizer; write token files."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerCancelled

from simplegpt.cli import UserError, one_line
from simplegpt.files import first_free_path
from simplegpt.progress import ProgressReport, format_bytes, format_count, plural
from tui.data.choices import (
    Choice,
    Choices,
    choice_of,
    choice_of_dataset,
    find_choices,
    remember,
)
from tui.data.document_sample import DocumentSample, preview_sample, read_sample
from tui.data.file_picker import FilePicker
from tui.data.fitted_config import FittedConfig, fit_config
from tui.data.hub_dialog import HubDialog
from tui.data.text_file import (
    TextHead,
    TextStatistics,
    TokenPreview,
    TokenStatistics,
    count,
    count_tokens,
    preview_tokens,
    read_head,
    read_tokens,
)
from tui.data.text_preview import Shown, TextPreview
from tui.data.tokenizing import Job, tokenize
from tui.data.write_panel import WritePanel
from tui.shared.command import CommandError, module, run_command
from tui.shared.paths import short_path
from tui.shared.text import shorten_middle
from tui.shell import messages
from tui.shell.dialogs import Answer, Question, TextDialog
from tui.shell.screen import WorkbenchScreen

if TYPE_CHECKING:
    from simplegpt.data.tokens import TokenSet

# Those that need no network.
TOKENIZERS = {"char": "character-level", "byte": "byte-level", "gpt2": "BPE (GPT-2)"}
LAST_CHAR = "\xff"  # of the tokenizer char
PROGRESS_SECONDS = 0.1  # between two reports of a download
_STILL_WORKING = "Still processing a text. Press Esc to cancel."
SHOWS: dict[str, Shown] = {"corpora": "text", "tokenizers": "tokens", "write": "tokens"}
"""What a step is about."""


class FetchCancelledError(Exception):
    """Cancels the download of a corpus, which then removes its partial file."""


class TextList(OptionList):
    """The list of texts; it says when it is resized, as names are shortened to its width."""

    class Resized(Message):
        """Its width or height changed, or its scrollbar came or went."""

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class DataScreen(WorkbenchScreen):
    """Three steps on the left, the chosen text on the right; Enter leads to the next step."""

    MODE = "data"
    CSS_PATH = "screen.tcss"
    HELP = """\
Models are trained on **tokens**. Choose a text, preview how a tokenizer splits it, and write the
token files. **Enter** goes to the next step and, after the last one, to the config. A text marked ↓
is not available yet: Enter downloads or builds it. Token files that are prepared already are at the
end of the list: Enter opens a config that trains on them.

**Documents** come from `.jsonl` and `.parquet` files, from folders, and from datasets of the
Hugging Face Hub, which are read while they are downloaded; they become shards.

**Dialogues**, JSON Lines with `messages`, are what a chat is fine-tuned on; *python-questions* is
an example.

- **char** (character-level): every character is a token. A small vocabulary, fast to train: a good
  start.
- **byte** (byte-level): every byte is a token. Encodes any text.
- **gpt2** (BPE): common words and word pieces are tokens. Fewer tokens, but a vocabulary of 50,257:
  for larger models.
- the others (BPE) are tokenizer files here and in `data`, and those of tiktoken, which Enter
  downloads the first time. *Train a tokenizer* makes such a file from the chosen text.

*Folder* is where the token files are written. Existing files are overwritten only after you
confirm.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "prepare", "Prepare", tooltip="Write the token files"),
        Binding("f9", "open_config", "Config", tooltip="Open a config that trains on them"),
        Binding("f7", "pick_file", "File", tooltip="Choose a text, documents or dialogues"),
        Binding("slash,ctrl+f", "pick_file", "Find a file", show=False),
        Binding("f8", "show_next", "View", tooltip="Text, tokens or statistics"),
        Binding("escape", "cancel", "Cancel", tooltip="Cancel and delete partial files"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.choices = Choices()
        self.listed: Sequence[Choice | TokenSet] = ()
        """What the first list holds, by the option's ID."""
        self.choice: Choice | None = None
        """The chosen text."""
        self.tokenizer = "char"
        self.loaded_tokenizers = set(TOKENIZERS)
        """Those that need no download; others are loaded by Enter, never by the cursor."""
        self.is_proposed = False
        """Whether the tokenizer was changed because of the text, not by the user."""
        self.head: TextHead | None = None
        self.sample: DocumentSample | None = None
        """The first documents, if the choice has documents, and the column that they are from."""
        self.column = "text"
        self.datasets: tuple[Choice, ...] = ()
        """The datasets of the Hugging Face Hub that were chosen, the last one first."""
        self.statistics: TextStatistics | None = None
        self.tokens: TokenPreview | None = None
        self.token_statistics: TokenStatistics | None = None
        self.text_error = ""
        self.token_error = ""
        self.token_set: TokenSet | None = None
        """Token files that are ready to train on: the chosen or the last written ones."""
        self._previewing: Worker[None] | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="steps"):
                yield TextList(id="corpora", markup=False)
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

    def show_corpora(self, chosen: Path | None = None) -> None:
        """Begin with the first step, and choose the text or token file at `chosen`."""
        if chosen is not None and self.panel.phase == "working":
            self.notify(_STILL_WORKING)
            return
        if self.panel.phase == "done":
            self.panel.phase = "choosing"
        self.query_one("#corpora").focus()
        self.find_choices(chosen)

    # 1: the text

    @work(group="find-choices", exclusive=True)
    async def find_choices(self, chosen: Path | None = None) -> None:
        """Find what can be chosen, and choose what is at `chosen`, or the text chosen before."""
        before = chosen or (self.choice.path if self.choice else None)
        found = await asyncio.to_thread(find_choices)
        self.choices = replace(found, recent=(*self.datasets, *found.recent))
        self.listed = (*self.choices.texts, *self.choices.recent, *self.choices.token_sets)
        corpora = self.query_one("#corpora", OptionList)
        corpora.clear_options()
        corpora.add_options(self._options())
        self.call_after_refresh(self._fit_names)  # the list may have a scrollbar now
        paths = [item.path if isinstance(item, Choice) else item.train for item in self.listed]
        if before is None or before in paths:
            index = paths.index(before) if before is not None else 0
            corpora.highlighted = corpora.get_option_index(str(index))
        elif chosen is not None:  # deleted, or not kept among the recent texts
            self.choose_text(await asyncio.to_thread(choice_of, chosen))

    def _options(self) -> Iterator[Option]:
        """The texts, the recent ones and the token files, each group under its heading."""
        choices = self.choices
        groups = (("", choices.texts), ("Recent", choices.recent), ("Prepared", choices.token_sets))
        index = 0
        for heading, items in groups:
            if heading == "Prepared":
                yield Option(_OTHER_FILE, id=_OTHER_FILE_ID)
                yield Option(_DATASET, id=_DATASET_ID)
            if heading and items:
                yield Option(Content.styled(heading, "$accent bold"), disabled=True)
            for item in items:
                yield Option(self._prompt(item), id=str(index))
                index += 1

    @on(TextList.Resized)
    def _fit_names(self) -> None:
        corpora = self.query_one("#corpora", OptionList)
        for index, item in enumerate(self.listed):
            corpora.replace_option_prompt(str(index), self._prompt(item))

    def _prompt(self, item: "Choice | TokenSet") -> Content:
        """The name, shortened in its middle if it is too long, and the size."""
        room = self.query_one("#corpora").scrollable_content_region.width
        if isinstance(item, Choice):
            name, size = item.name, format_bytes(item.size)
            size = "dataset" if item.dataset else size if item.is_available else f"↓ {size}"
        else:
            name, size = _name_of(item), f"{format_count(item.train_info.count)} tokens"
        name = shorten_middle(one_line(name), max(room - len(size) - 2, 8))
        return Content.assemble(name, (f"  {size}", "dim"))

    def _item(self, option_id: str | None) -> "Choice | TokenSet | None":
        is_item = option_id is not None and option_id.isdecimal()
        return self.listed[int(option_id or 0)] if is_item else None

    @on(OptionList.OptionHighlighted, "#corpora")
    def _choice_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        item = self._item(event.option_id)
        if self.panel.phase == "working" or item is None:
            return
        if isinstance(item, Choice):
            self.choose_text(item)
        else:
            self.choose_token_set(item)

    @on(OptionList.OptionSelected, "#corpora")
    async def _choice_selected(self, event: OptionList.OptionSelected) -> None:
        item = self._item(event.option_id)
        if item is None:  # a dialog, if it is possible now
            is_dataset = event.option_id == _DATASET_ID
            await self.run_action("pick_dataset" if is_dataset else "pick_file")
        elif self.panel.phase == "working":
            self.notify(_STILL_WORKING)
        elif isinstance(item, Choice):
            self.choose_text(item)
            if item.is_available:
                self.set_focus(self.query_one("#tokenizers"))  # now: an Enter may be waiting
            else:
                self.fetch(item)
        else:
            self.choose_token_set(item)
            self.action_open_config()

    @work(group="pick-dataset", exclusive=True)
    async def action_pick_dataset(self) -> None:
        """Choose a dataset of the Hugging Face Hub."""
        dataset = await self.app.push_screen_wait(HubDialog())
        if dataset is None:
            return
        choice = choice_of_dataset(dataset)
        self.datasets = tuple(dict.fromkeys([choice, *self.datasets]))
        self.query_one("#tokenizers").focus()
        self.choose_text(choice)
        self.find_choices(choice.path)

    @work(group="pick-file", exclusive=True)
    async def action_pick_file(self) -> None:
        """Choose a text or documents from any folder."""
        picked = await self.app.push_screen_wait(FilePicker())
        if picked is None:
            return
        path = short_path(picked)
        self.query_one("#tokenizers").focus()
        self.choose_text(await asyncio.to_thread(choice_of, path))
        try:
            await asyncio.to_thread(remember, path)
        except OSError as error:
            self.notify(
                f"The recent texts cannot be saved: {error}", severity="warning", markup=False
            )
        self.find_choices(path)

    def choose_text(self, choice: Choice) -> None:
        """Show `choice` and its tokens."""
        if choice == self.choice:
            return
        self._forget_text()
        self.preview.shown = "text"
        self.choice = choice
        self.panel.show_choice(choice.output_dir, choice.kind)
        self.panel.show_status("")
        if choice.is_available:
            self._previewing = self._preview(choice)
        elif corpus := choice.corpus:
            how = "download" if corpus.needs_network else "build"
            about = f"{corpus.description}\n{corpus.licence} · not available yet: Enter to {how} it"
            self.preview.show_name(choice.name, about)

    def choose_token_set(self, tokens: "TokenSet") -> None:
        """Show token files that are prepared already."""
        self._forget_text()
        info = tokens.train_info
        about = (
            f"{info.tokenizer} · token IDs up to {info.max_id:,} · {info.dtype}\n"
            f"from {one_line(info.source)}"
        )
        self.preview.show_name(_name_of(tokens), about)
        self.preview.shown = "tokens"
        self._show_ready(tokens)
        self._read_tokens(tokens)

    @work(group="preview", exclusive=True)
    async def _read_tokens(self, tokens: "TokenSet") -> None:
        try:
            found = await asyncio.to_thread(read_tokens, tokens)
            if found is not None:
                self.preview.show_tokens(*found)
        except (UserError, OSError) as error:
            self.preview.show_error(str(error))

    def _forget_text(self) -> None:
        self.choice = None
        self.head = self.sample = self.statistics = self.tokens = self.token_statistics = None
        self.text_error = self.token_error = ""
        self.panel.phase = "choosing"
        self.preview.show_error("")
        self.workers.cancel_group(self, "preview")
        self.workers.cancel_group(self, "count")

    @work(group="preview", exclusive=True)
    async def _preview(self, choice: Choice) -> None:
        """Read the start of a text, unless it is known, and show it as tokens."""
        try:
            if self.head is None and choice.kind != "text":
                await self._read_sample(choice)
            elif self.head is None:
                self.head = await asyncio.to_thread(read_head, choice.path)
                self.preview.show_text(choice.name, self.head)
                self._count(choice, self.head)
        except (UserError, OSError) as error:
            self.text_error = str(error)
            self.preview.show_name(choice.name)
        else:
            if self.head is not None:
                await self._tokenize_head(choice, self.head)
        self._show_estimate()
        self._show_error()

    async def _read_sample(self, choice: Choice) -> None:
        """Read the first documents or dialogues, which are also the text of the statistics."""
        self.preview.show_name(choice.name, f"Reading the first {choice.kind} …")
        self.column = self.panel.column
        self.sample = await asyncio.to_thread(read_sample, choice, self.column)
        self.head, self.statistics = self.sample.head, self.sample.statistics
        self.preview.show_text(choice.name, self.head)
        self.preview.show_facts(choice.name, self.head, self.statistics)
        self._propose_tokenizer(needs_more=True)  # char has no token to end them with

    @on(WritePanel.ColumnTyped)
    def _read_column(self) -> None:
        """Read the documents again if their text is in another column now."""
        choice = self.choice
        if choice is None or choice.kind != "documents":
            return
        if self.panel.column != self.column:
            self._forget_text()
            self.choice = choice
            self._previewing = self._preview(choice)

    async def _tokenize_head(self, choice: Choice, head: TextHead) -> None:
        self.tokens, self.token_statistics, self.token_error = None, None, ""
        self.preview.show_tokens(None)
        name = self.tokenizer
        if name not in self.loaded_tokenizers:
            size = await asyncio.to_thread(_download_size, name)
            note = f"Enter to load {name}; the first time, it is downloaded{size}."
            self.preview.statistics.show_tokens(name, None, note)
            return
        try:
            if self.sample is not None:
                found = await asyncio.to_thread(preview_sample, name, self.sample)
                self.tokens, self.token_statistics = found
                self.preview.show_tokens(*found)
                return
            self.tokens = await asyncio.to_thread(preview_tokens, name, head.text)
            self.preview.show_tokens(self.tokens)
            self.token_statistics = await asyncio.to_thread(count_tokens, name, choice.path)
        except (UserError, OSError) as error:
            self.token_error = str(error)
        self.preview.show_tokens(self.tokens, self.token_statistics)

    @work(group="count", exclusive=True)
    async def _count(self, choice: Choice, head: TextHead) -> None:
        """Count the whole text, block by block, so that another choice ends it."""
        blocks = count(choice.path)
        try:
            while (statistics := await asyncio.to_thread(next, blocks, None)) is not None:
                found = statistics
                self.preview.statistics.show_text(found)
        except (UserError, OSError) as error:
            self.text_error = str(error)
        else:
            self.statistics = found
            self.preview.show_facts(choice.name, head, found)
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
        """Download or build a corpus, with its progress in the write panel."""
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
            offline = [
                c.name for c in self.choices.texts if c.corpus and not c.corpus.needs_network
            ]
            hint = f"\n{offline[0]} needs no network." if offline else ""
            self._end_work("", "#corpora", f"{error}{hint}")
        except asyncio.CancelledError:
            cancelled.set()
            self._end_work("Cancelled. Partial files were deleted.", "#corpora")
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
    async def list_tokenizers(self, chosen: str = "") -> None:
        """List the tokenizer files and tiktoken's encodings too, and choose `chosen`."""
        files, names = await asyncio.to_thread(_tokenizer_names)
        self.loaded_tokenizers.update(files)
        tokenizers = self.query_one("#tokenizers", OptionList)
        tokenizers.clear_options()
        tokenizers.add_options(
            [
                *(_tokenizer_option(name, kind) for name, kind in TOKENIZERS.items()),
                *(_tokenizer_option(name, "BPE (file)") for name in files),
                Option(_TRAIN, id=_TRAIN_ID),
                *(_tokenizer_option(n, "BPE (tiktoken)") for n in names if n not in TOKENIZERS),
            ]
        )
        self._highlight_tokenizer(chosen or self.tokenizer)

    @work(group="train-tokenizer", exclusive=True)
    async def train_tokenizer(self) -> None:
        """Train a tokenizer on the text, with its progress in the write panel, and choose it."""
        choice = self.choice
        if choice is None or not choice.is_available:
            self.notify("Choose a text first: a tokenizer is trained on it.")
            return
        text = f"Size of its vocabulary; it is trained on {one_line(choice.name)}."
        dialog = TextDialog(
            "Train a tokenizer", text, "4096", accept="Train", error_in=_vocabulary_error
        )
        n_vocab = await self.app.push_screen_wait(dialog)
        if n_vocab is None:
            return
        output = Path("data", f"{Path(choice.name).stem}-{n_vocab}-tokenizer.json")
        output = await asyncio.to_thread(first_free_path, output)
        job = Job(
            *(choice.path, self.tokenizer, output.parent, 0.0),
            kind=choice.kind,
            dataset=choice.dataset,
            column=self.panel.column,
        )
        words = [*job.source(), "--n_vocab", n_vocab, "--output_file", str(output)]
        self.panel.start(choice.size)
        try:
            lines = run_command([*module("simplegpt.tokenizer"), *words])
            async with contextlib.aclosing(lines):
                async for line in lines:
                    with contextlib.suppress(ValidationError):  # of the lines about the result
                        self._show_progress(ProgressReport.model_validate_json(line))
        except CommandError as error:
            self._end_work("", "#tokenizers", str(error))
        except asyncio.CancelledError:
            self._end_work("Cancelled. No tokenizer was written.", "#tokenizers")
            raise
        else:
            self._end_work("", "#tokenizers")
            self.list_tokenizers(str(output))

    @on(OptionList.OptionHighlighted, "#tokenizers")
    def _tokenizer_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.has_focus:
            self.is_proposed = False
        if self.panel.phase != "working" and event.option.id not in (None, _TRAIN_ID):
            self.choose_tokenizer(event.option.id or "")

    @on(OptionList.OptionSelected, "#tokenizers")
    def _tokenizer_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id == _TRAIN_ID:
            if self.panel.phase != "working":
                self.train_tokenizer()
            return
        if event.option.id is not None and event.option.id not in self.loaded_tokenizers:
            self.load_tokenizer(event.option.id)
        self.set_focus(self.query_one("#write #next"))

    def _highlight_tokenizer(self, name: str) -> None:
        tokenizers = self.query_one("#tokenizers", OptionList)
        tokenizers.highlighted = tokenizers.get_option_index(name)

    def load_tokenizer(self, name: str) -> None:
        """Let the tokenizer be loaded, which may download it, and show its tokens."""
        self.loaded_tokenizers.add(name)
        self._show_tokens_of(name)

    def choose_tokenizer(self, name: str) -> None:
        """Show the text as the tokens of this tokenizer."""
        if name != self.tokenizer:
            self._show_tokens_of(name)

    def _show_tokens_of(self, name: str) -> None:
        self.tokenizer = name
        if self.panel.phase == "done" and self.choice is not None:
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
        if action in ("pick_file", "pick_dataset"):
            return self.panel.phase != "working"
        needed = {"prepare": "choosing", "open_config": "done", "cancel": "working"}.get(action)
        return needed is None or self.panel.phase == needed

    def planned_job(self) -> Job:
        """Return the job to run. Raises UserError if a setting is missing or invalid."""
        if self.choice is None:
            raise UserError("Choose a text first.")
        if not self.choice.is_available:
            raise UserError(f"{self.choice.name} is not available yet: select it and press Enter.")
        if error := self.error:
            raise UserError(error)
        val_fraction = self.panel.val_fraction
        if val_fraction is None:
            raise UserError("Validation must be a percentage ≥ 0 and < 100.")
        is_one = self.statistics is not None and self.statistics.n_lines < 2
        if val_fraction and is_one and self.choice.kind == "text":
            raise UserError("The text has only one line, so it has no split: set Validation to 0%.")
        return Job(
            self.choice.path,
            self.tokenizer,
            short_path(self.panel.folder),
            val_fraction,
            kind=self.choice.kind,
            dataset=self.choice.dataset,
            column=self.panel.column,
            marker=self.panel.marker,
            separator=self.panel.separator,
        )

    @work(group="prepare", exclusive=True)
    async def action_prepare(self) -> None:
        """Write the token files; ask first if they exist."""
        if self.tokenizer not in self.loaded_tokenizers:
            self.load_tokenizer(self.tokenizer)
        self._read_column()
        if self._previewing is not None:  # Enter may come before the text is read
            with contextlib.suppress(WorkerCancelled):
                await self._previewing.wait()
        try:
            job = self.planned_job()
            existing = await asyncio.to_thread(_check_outputs, job)
            is_unfinished = await asyncio.to_thread(job.is_unfinished)
        except (UserError, OSError) as error:
            self.preview.show_error(str(error))
            return
        if self.head is None or self.tokens is None:  # another text was chosen meanwhile
            return
        self.preview.show_error("")
        if existing:
            ready = None if is_unfinished else await asyncio.to_thread(job.written)
            if is_unfinished:
                answer = await self._ask_to_resume(job)
            else:
                answer = await self._ask(job, existing, can_use=ready is not None)
            if answer == "use" and ready is not None:
                self._show_ready(ready)
                self.action_open_config()
            if answer not in ("overwrite", "resume"):
                return
            job = replace(job, overwrite=answer == "overwrite")
        self.panel.start(self.head.size)
        self._write(job)

    async def _ask_to_resume(self, job: Job) -> str | None:
        text = f"{job.output_dir} has the first shards of a conversion that was interrupted."
        answers = [
            Answer("resume", "Resume", "primary"),
            Answer("overwrite", "Overwrite", "error"),
        ]
        return await self.app.push_screen_wait(Question("Resume?", text, answers))

    async def _ask(self, job: Job, existing: list[Path], *, can_use: bool) -> str | None:
        is_shards = job.is_sharded
        names = f"{len(existing)} shards" if is_shards else " and ".join(p.name for p in existing)
        text = (
            f"{names} already {'exist' if len(existing) > 1 else 'exists'} in {job.output_dir}. "
            "A run that is using them keeps the old content."
        )
        answers = [Answer("overwrite", "Overwrite", "error")]
        if can_use:
            answers = [Answer("use", "Use existing files", "primary"), *answers]
        return await self.app.push_screen_wait(Question("Overwrite token files?", text, answers))

    @work(group="write", exclusive=True)
    async def _write(self, job: Job) -> None:
        try:
            async with contextlib.aclosing(tokenize(job)) as reports:
                async for report in reports:
                    if isinstance(report, ProgressReport):
                        self._show_progress(report)
            await self._show_written(job)
        except CommandError as error:
            self._end_work("", "#write #next", str(error))
            self._show_estimate()
        except asyncio.CancelledError:
            kept = "Whole shards are kept: prepare again to resume."
            deleted = "Partial files were deleted."
            status = f"Cancelled. {kept if job.is_sharded else deleted}"
            self._end_work(status, "#write #next")
            raise

    async def _show_written(self, job: Job) -> None:
        ready = await asyncio.to_thread(job.written)
        if ready is None:
            raise CommandError(f"the token files in {job.output_dir} cannot be read")
        self._show_ready(ready)
        self.find_choices()  # they are listed now
        if self.app.screen is self:
            self.query_one("#write #next").focus()
        else:
            self.notify(f"Token files for {one_line(job.text.name)} written.", markup=False)

    def _show_ready(self, tokens: "TokenSet") -> None:
        """Show token files that can be trained on."""
        self.token_set = tokens
        self.panel.phase = "done"
        counts = [f"{plural(tokens.train_info.count, 'token')} for training"]
        if tokens.val_info is not None:
            counts.append(f"{plural(tokens.val_info.count, 'token')} for validation")
        where = one_line(str(tokens.train.parent))
        self.panel.show_status(
            Content.assemble(("✓ ", "$text-success"), ",\n  ".join(counts), f"\n  in {where}")
        )

    def action_cancel(self) -> None:
        """Cancel the download, the tokenizing or the training of a tokenizer."""
        self.workers.cancel_group(self, "write")
        self.workers.cancel_group(self, "train-tokenizer")
        self.workers.cancel_group(self, "fetch")

    @work(group="open-config", exclusive=True)
    async def action_open_config(self) -> None:
        """Open the editor with a config that fits the token files."""
        if self.token_set is not None:
            fitted = await asyncio.to_thread(_fit_config, self.token_set)
            self.post_message(
                messages.OpenConfig(fitted.template, fitted.values, new_name=fitted.new_name)
            )

    # The preview

    @property
    def error(self) -> str:
        """Why the text cannot be tokenized with these settings; empty if no error is known."""
        if self.text_error or self.token_error:
            return self.text_error or self.token_error
        last = self.statistics.alphabet[-1:] if self.statistics else ""
        if self.tokenizer == "char" and last > LAST_CHAR:
            return (
                f"The text has characters above code 255, such as {last!r}, which 'char' cannot "
                "encode; 'byte' and 'gpt2' encode any text."
            )
        return ""

    def _show_error(self) -> None:
        self.preview.show_error(self.error)

    def _show_estimate(self) -> None:
        """Show how many tokens there will be, once that is known."""
        if self.panel.phase != "choosing":
            return
        tokens, statistics, sample = self.tokens, self.statistics, self.token_statistics
        if tokens is None or statistics is None or sample is None:
            self.panel.show_status("")
            return
        n_tokens = statistics.n_characters / sample.characters_per_token
        is_estimate = self.sample is not None and statistics.read > 0
        if is_estimate:  # from the fraction of the documents that was read
            n_tokens /= statistics.read
        estimate = format_count(float(f"{n_tokens:.3g}"))  # a sample tells no more digits
        if not statistics.is_whole and not is_estimate:
            estimate = f"more than {estimate}"
        elif self.tokenizer == "char" or not sample.scope:
            estimate = format_count(n_tokens)
        else:
            estimate = f"about {estimate}"
        n_bytes = 2 if tokens.n_vocab <= 1 << 16 else 4
        n_marks = 1 if sample.answers is not None else 0
        size = format_bytes(n_tokens * (n_bytes + n_marks))
        self.panel.show_status(f"{estimate} tokens, {size} on disk")

    def action_show_next(self) -> None:
        """Show the text, its tokens or, if there is no room for them beside, its statistics."""
        self.preview.show_next(is_short=self.has_class("-short"))

    def on_descendant_focus(self) -> None:
        """Show what the current step is about."""
        focused = self.focused
        if focused is None or isinstance(focused, Input):
            return
        for widget in focused.ancestors_with_self:
            if widget.id in SHOWS:
                self.preview.shown = SHOWS[widget.id]

    # Leaving

    def unsaved(self) -> str | None:
        return "token files that are being written" if self.panel.phase == "working" else None

    def leave(self) -> None:
        self.action_cancel()


def _tokenizer_option(name: str, kind: str) -> Option:
    return Option(Content.assemble(name, (f"  {kind}", "dim")), id=name)


_OTHER_FILE_ID = "other"
_OTHER_FILE = Content.assemble(("+ ", "$text-accent"), "Other file or folder …")
_TRAIN_ID = "train"
_TRAIN = Content.assemble(("+ ", "$text-accent"), "Train a tokenizer …")
_DATASET_ID = "dataset"
_DATASET = Content.assemble(("+ ", "$text-accent"), "Hugging Face dataset …")


# In threads


def _name_of(tokens: "TokenSet") -> str:
    """``verse · char``; without its folder, ``data · char``."""
    tokenizer = Path(tokens.train_info.tokenizer).name
    return f"{tokens.train.parent.name or tokens.train.stem} · {tokenizer}"


def _vocabulary_error(n_vocab: str) -> str | None:
    from simplegpt.tokenizer import MAX_VOCAB, MIN_VOCAB  # tiktoken: not before the first paint

    is_valid = n_vocab.isdecimal() and MIN_VOCAB <= int(n_vocab) <= MAX_VOCAB
    return None if is_valid else f"must be a whole number from {MIN_VOCAB} to {MAX_VOCAB:,}"


def _download_size(tokenizer: str) -> str:
    from simplegpt.data.tokenizer import download_size

    size = download_size(tokenizer)
    return f" ({format_bytes(size)})" if size else ""


def _tokenizer_names() -> tuple[list[str], list[str]]:
    """Return the tokenizer files here and in ``data``, and the tokenizers that have a name."""
    from simplegpt.data.tokenizer import tokenizer_names  # tiktoken: not before the first paint

    folders = (Path("data"), Path())
    files = [str(path) for folder in folders for path in sorted(folder.glob("*tokenizer*.json"))]
    return files, tokenizer_names()


def _check_outputs(job: Job) -> list[Path]:
    """Return the output files that exist. Raises UserError if the folder cannot hold them."""
    if os.path.isfile(job.output_dir):
        raise UserError(f"{job.output_dir} is not a directory; choose another folder.")
    return job.existing_outputs()


def _fit_config(tokens: "TokenSet") -> FittedConfig:
    from simplegpt.run.hardware import gpus

    return fit_config(tokens, has_gpu=bool(gpus()))
