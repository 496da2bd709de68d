"""The writing part of the Data screen: the token files made by a child process, then the config."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.worker import Worker

from simplegpt.progress import ProgressReport, format_count
from tui.data.choices import Fitting, are_whole, existing_outputs, fitting_config
from tui.data.looking import DataLooking, Fetched
from tui.data.tokenizing import TokenizingError, Work, tokenize
from tui.shared.text import one_line
from tui.shell import messages
from tui.shell.dialogs import Answer, Question

if TYPE_CHECKING:
    from simplegpt.data.__main__ import Done

STILL_READING = "The text is still being read; a moment."
READING_LOOKS, READING_GLANCE = 200, 0.05  # how often, and seconds between: ten in all


@dataclass
class Advanced(Message):
    """The child process reported."""

    step: ProgressReport


@dataclass
class FilesWritten(Message):
    """The child process is done."""

    work: Work
    done: "Done"


@dataclass
class WritingFailed(Message):
    """The child process could not do it."""

    sentence: str


@dataclass
class WritingCancelled(Message):
    """The child process was ended, and nothing of it is left."""


@dataclass
class ConfigFitted(Message):
    """What to open in the editor."""

    fitting: Fitting


class DataWriting(DataLooking):
    """The third step and what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Work | None = None
        """What the token files on the screen were made by; None until there are any."""
        self._n_vocab = 256
        self._writer: Worker[None] | None = None

    def planned(self) -> Work | str:
        """What to write, or what is missing for it, in a sentence."""
        if self.choice is None:
            return "Choose a text first."
        if not self.choice.is_here:
            return f"{self.choice.name} is not here yet: Enter on it fetches it."
        if self.problem is not None:
            return self.problem
        if self.look is None:
            return STILL_READING
        fraction = self.panel.fraction
        if fraction is None:
            return "The part for validation is a percentage, from 0 to below 100."
        if fraction and self.survey is not None and self.survey.lines < 2:
            return "The text is a single line, which cannot be split: set 0 % for validation."
        folder = self.panel.folder
        if (self.root / folder).is_file():
            return f"{folder} is a file; name a folder for the token files."
        return Work(self.choice.path, self.tokenizer, folder, fraction)

    @work(group="prepare", exclusive=True)
    async def action_prepare(self) -> None:
        """Write the token files; where there are some already, ask first."""
        for _ in range(READING_LOOKS):  # Enter came before the text was read: not in vain
            planned = self.planned()
            if planned != STILL_READING:
                break
            self.preview.show_problem(planned)
            await asyncio.sleep(READING_GLANCE)
        if isinstance(planned, str):
            self.preview.show_problem(planned)
            return
        self.preview.show_problem(None)
        assert self.look is not None
        assert self.head is not None
        self._n_vocab = self.look.n_vocab
        existing = existing_outputs(planned)
        if existing:
            answer = await self._ask(planned, [path.name for path in existing])
            if answer == "use":
                self.written = planned
                self.action_open_config()
            if answer != "replace":
                return
            planned = Work(
                planned.text, planned.tokenizer, planned.output_dir, planned.val_fraction, True
            )
        self.panel.start(self.head.size)
        self._writer = self._write(planned)

    async def _ask(self, planned: Work, names: list[str]) -> str | None:
        text = (
            f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} in {planned.output_dir} "
            "already. A run that reads them now keeps what it has open."
        )
        answers = [Answer("replace", "Replace", "error")]
        if are_whole(planned):
            answers = [Answer("use", "Use as they are", "primary"), *answers]
        title = "There are token files already"
        return await self.app.push_screen_wait(Question(title, text, answers))

    @work(group="write", exclusive=True, exit_on_error=False)
    async def _write(self, planned: Work) -> None:
        finished = False
        try:
            async with contextlib.aclosing(tokenize(planned)) as progress:
                async for report in progress:
                    if isinstance(report, ProgressReport):
                        self.post_message(Advanced(report))
                    else:
                        finished = True
                        self.post_message(FilesWritten(planned, report))
        except TokenizingError as error:
            finished = True
            self.post_message(WritingFailed(str(error)))
        finally:
            if not finished:
                self.post_message(WritingCancelled())

    @on(Advanced)
    def _advanced(self, event: Advanced) -> None:
        if self.panel.phase == "working":
            self.panel.advance(event.step)

    @on(FilesWritten)
    def _files_written(self, event: FilesWritten) -> None:
        self.written = event.work
        self.panel.phase = "done"
        counts = [format_count(file.tokens) for file in event.done.files]
        uses = ("to train on", "to validate on")
        said = [f"{n} tokens {use}" for n, use in zip(counts, uses, strict=False)]
        where = one_line(str(event.work.output_dir))
        self.panel.say(
            Content.assemble(("✓ ", "$text-success"), ",\n  ".join(said), f"\n  in {where}")
        )
        if self.app.screen is self:
            self.query_one("#write #next").focus()
        else:
            self.notify(f"The token files of {event.work.text.name} are written.", markup=False)

    @on(WritingFailed)
    def _writing_failed(self, event: WritingFailed) -> None:
        self.panel.phase = "choosing"
        self._say_estimate()
        self.preview.show_problem(event.sentence)
        self.query_one("#write #next").focus()

    @on(WritingCancelled)
    def _writing_cancelled(self, event: WritingCancelled) -> None:
        if self.panel.phase == "working":
            self.panel.phase = "choosing"
            self.panel.say("Cancelled; nothing was written.")
            self.query_one("#write #next").focus()

    # Fetching shows itself in the same place

    def fetch_begun(self) -> None:
        assert self.choice is not None
        self.panel.start(self.choice.size)

    @on(Fetched)
    def _fetched(self, event: Fetched) -> None:
        self.panel.phase = "choosing"
        if event.cancelled:
            self.panel.say("Cancelled; nothing was kept.")
            self.query_one("#corpora").focus()
        elif event.problem is not None:
            self.panel.say("")
            self.text_problem = event.problem
            others = [
                one.name for one in self.choices if one.corpus and not one.corpus.needs_network
            ]
            hint = f"\n{others[0]} needs no network." if others else ""
            self.preview.show_problem(event.problem + hint)
            self.query_one("#corpora").focus()
        else:
            self.choice = None  # as it was known, it was not here
            self.find_choices(event.choice.path)
            self.query_one("#tokenizers").focus()

    def action_cancel(self) -> None:
        """Stop what is under way."""
        if self.panel.phase == "working":
            self.workers.cancel_group(self, "write")
            self.workers.cancel_group(self, "fetch")

    def action_open_config(self) -> None:
        """On to the editor, with the config that suits the data."""
        if self.written is not None:
            self._fit(self.written, self._n_vocab)

    @work(thread=True, group="fit", exclusive=True)
    def _fit(self, written: Work, n_vocab: int) -> None:
        from simplegpt.run.hardware import gpus

        fitting = fitting_config(self.root, written, n_vocab, has_gpu=bool(gpus()))
        self.post_message(ConfigFitted(fitting))

    @on(ConfigFitted)
    def _config_fitted(self, event: ConfigFitted) -> None:
        self.post_message(messages.OpenConfig(event.fitting.template, event.fitting.values))

    # Leaving

    def unsaved(self) -> str | None:
        return "token files that are being written" if self.panel.phase == "working" else None

    def leave(self) -> None:
        self.action_cancel()
