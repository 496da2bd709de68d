"""The time machine: one prompt through all checkpoints of a run, so that one sees it learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from simplegpt.inference.protocol import Done, Failed, GenerateRequest, LoadRequest, Tokens
from simplegpt.progress import format_loss
from simplegpt.run.checkpoints import Checkpoint, list_checkpoints
from simplegpt.run.directory import RunDirectory
from tui.chat.beside import LOW_PRIORITY
from tui.chat.engine import EngineExitError, EngineProcess
from tui.chat.sampling_form import GenerationSettings
from tui.shared.text import one_line, printable

Checkpoints = Sequence[Checkpoint]


@dataclass
class CheckpointsFound(Message):
    """A worker's news: the run's checkpoints."""

    checkpoints: Checkpoints
    is_live: bool
    """The run goes on: the engine takes little."""


@dataclass
class Said(Message):
    """A worker's news: more of a checkpoint's answer."""

    place: int
    text: str


@dataclass
class Ended(Message):
    """A worker's news: a checkpoint's answer is complete, or why there is none."""

    place: int
    error: str = ""


class Era(Vertical):
    """What one checkpoint said."""

    def __init__(self, title: str, prompt: str) -> None:
        super().__init__()
        self.border_title = Content(title)
        self.prompt = prompt
        self.text = ""

    def compose(self) -> ComposeResult:
        yield Static("waits", markup=False)

    def add(self, text: str) -> None:
        """Show more of the answer."""
        self.text += text
        shown = Content.assemble((printable(self.prompt), "$accent"), printable(self.text))
        self.query_one(Static).update(shown)

    def end(self, error: str) -> None:
        """Show that nothing more comes."""
        self.add_class("-ended")
        if error:
            self.query_one(Static).update(Content.styled(printable(error), "$error"))
        elif not self.text:
            self.add("")


class TimeMachine(ModalScreen[None]):
    """Loads one checkpoint after the other into an engine of its own."""

    HELP = """\
## Time machine

The same prompt, settings and seed for each checkpoint of a run, the oldest first. A run keeps one
best checkpoint and its last; `save_top_k = -1` in `[checkpointing]` keeps them all.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close"),
        Binding("c", "copy", "Copy all"),
    ]

    def __init__(self, run: Path, prompt: str, settings: GenerationSettings, log: Path) -> None:
        super().__init__()
        self.run = run
        self.prompt = prompt
        self.settings = settings
        self.engine = EngineProcess(log)
        self.threads: int | None = None
        self.eras: list[Era] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="time-machine") as window:
            window.border_title = Content(f"Time machine · {one_line(self.run.name)}")
            window.border_subtitle = "C copies · Esc closes"
            yield Static("Looking for checkpoints …", id="progress", markup=False)
            yield VerticalScroll(id="eras")

    def on_mount(self) -> None:
        self.query_one("#eras").focus()
        self._find()

    async def on_unmount(self) -> None:
        await self.engine.close()

    @work(thread=True, group="checkpoints", exclusive=True)
    def _find(self) -> None:
        run = RunDirectory(self.run)
        status = run.status()
        is_live = status is not None and status.is_live
        self.post_message(CheckpointsFound(list_checkpoints(run), is_live))

    @on(CheckpointsFound)
    async def _found(self, event: CheckpointsFound) -> None:
        if not event.checkpoints:
            self.query_one("#progress", Static).update("This run has no checkpoint yet.")
            return
        self.eras = [
            Era(f"step {c.info.step:,} · val loss {format_loss(c.info.val_loss)}", self.prompt)
            for c in event.checkpoints
        ]
        await self.query_one("#eras").mount(*self.eras)
        self._describe(0)
        if event.is_live:
            self.engine.niceness, self.threads = LOW_PRIORITY, 1
        self._ask_all([checkpoint.path for checkpoint in event.checkpoints])

    @work(group="time", exclusive=True)
    async def _ask_all(self, paths: Sequence[Path]) -> None:
        for place, path in enumerate(paths):
            try:
                error = await self._ask(place, path)
            except EngineExitError as died:
                error = str(died)
            self.post_message(Ended(place, error))

    async def _ask(self, place: int, path: Path) -> str:
        """One checkpoint's answer; returns what went wrong."""
        load = LoadRequest(id=self.engine.new_id(), model=str(path), threads=self.threads)
        async for answer in self.engine.answers(load):
            if isinstance(answer, Failed):
                return answer.error
        request = GenerateRequest(
            id=self.engine.new_id(),
            prompts=[self.prompt],
            n_tokens_to_generate=self.settings.n_tokens_to_generate,
            sampling=self.settings.sampling,
        )
        async for answer in self.engine.collected(request):
            if isinstance(answer, Tokens):
                self.post_message(Said(place, answer.text))
            elif isinstance(answer, Failed):
                return answer.error
            elif isinstance(answer, Done):
                break
        return ""

    @on(Said)
    def _said(self, event: Said) -> None:
        self.eras[event.place].add(event.text)

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        self.eras[event.place].end(event.error)
        self._describe(event.place + 1)

    def _describe(self, done: int) -> None:
        seed = self.settings.sampling.seed
        left = f"checkpoint {done + 1} of {len(self.eras)}" if done < len(self.eras) else "all done"
        self.query_one("#progress", Static).update(f"seed {seed} · {left}")

    def action_copy(self) -> None:
        parts = [f"{era.border_title}\n{self.prompt}{era.text}" for era in self.eras]
        self.app.copy_to_clipboard("\n\n".join(parts))
        self.notify("Copied.", timeout=3)
