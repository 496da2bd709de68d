"""One prompt through all checkpoints of a run, to see what the model has learned."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from simplegpt.cli import printable
from simplegpt.data.chat import ChatMessage
from simplegpt.inference.protocol import GenerateRequest, Loaded, LoadRequest, Tokens
from simplegpt.progress import format_loss
from simplegpt.run.checkpoints import Checkpoint, list_checkpoints
from simplegpt.run.directory import RunDirectory
from tui.chat.engine import EngineError, EngineProcess, new_id
from tui.chat.labels import MUTED
from tui.chat.live_run import LOW_PRIORITY
from tui.chat.sampling import GenerationSettings
from tui.shell.dialogs import Dialog


class CheckpointAnswer(Widget):
    """One checkpoint's answer."""

    DEFAULT_CSS: ClassVar[str] = """
    CheckpointAnswer {
        height: auto;
        border: round $border;
        border-title-color: $text-muted;
        padding: 0 1;
        &.-ended { border-title-color: $text; }
    }
    """
    text: reactive[str] = reactive("", layout=True)
    error: reactive[str] = reactive("", layout=True)

    def __init__(self, checkpoint: Checkpoint, prompt: str) -> None:
        super().__init__()
        info = checkpoint.info
        self.border_title = f"step {info.step:,} · val loss {format_loss(info.own_val_loss)}"
        self.checkpoint = checkpoint
        self.prompt = prompt
        self.is_chat = False

    def render(self) -> Content:
        if self.error:
            return Content.styled(printable(self.error), "$text-error")
        if not self.text and not self.has_class("-ended"):
            return Content.styled("waiting", MUTED)
        # A chat model answers the prompt; a base model continues it.
        between = "\n" if self.is_chat else ""
        return Content.assemble((printable(self.prompt), "$accent"), between + printable(self.text))


class CheckpointComparison(Dialog[None]):
    """Loads the checkpoints one after the other into an engine of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y,Y", "copy", "Copy all")]
    DEFAULT_CSS: ClassVar[str] = """
    CheckpointComparison {
        #dialog { width: 96%; height: 90%; padding: 0 1; }
        #progress { color: $text-muted; }
        #answers { height: 1fr; scrollbar-size-vertical: 1; }
    }
    """

    def __init__(
        self, run: Path, prompt: str, settings: GenerationSettings, engine: EngineProcess
    ) -> None:
        super().__init__(f"Checkpoints of {run.name}", hint="Y to copy · Esc to close")
        self.run = RunDirectory(run)
        self.prompt = prompt
        self.settings = settings
        self.engine = engine
        self.answers: Sequence[CheckpointAnswer] = []

    def compose_body(self) -> ComposeResult:
        yield Static(id="progress", markup=False)
        yield VerticalScroll(id="answers")

    async def on_unmount(self) -> None:
        await self.engine.close()

    @work
    async def on_mount(self) -> None:
        self.query_one("#answers").focus()
        progress = self.query_one("#progress", Static)
        status = await asyncio.to_thread(self.run.status)
        checkpoints = await asyncio.to_thread(list_checkpoints, self.run)
        if not checkpoints:
            progress.update("No checkpoints yet.")
            return
        is_live = status is not None and status.is_live
        self.engine.niceness = LOW_PRIORITY if is_live else 0
        self.answers = [CheckpointAnswer(each, self.prompt) for each in checkpoints]
        await self.query_one("#answers").mount(*self.answers)
        seed = f"seed {self.settings.seed}"
        for number, answer in enumerate(self.answers, start=1):
            progress.update(f"{seed} · checkpoint {number} of {len(self.answers)}")
            try:
                await self._generate(answer, threads=1 if is_live else None)
            except EngineError as error:
                answer.error = str(error)
            answer.add_class("-ended")
            answer.refresh(layout=True)
        progress.update(f"{seed} · done")

    async def _generate(self, answer: CheckpointAnswer, threads: int | None) -> None:
        load = LoadRequest(id=new_id(), model=str(answer.checkpoint.path), threads=threads)
        async for each in self.engine.load(load):
            answer.is_chat = isinstance(each, Loaded) and each.chat_template is not None
        messages = [ChatMessage(role="user", content=self.prompt)] if answer.is_chat else []
        request = GenerateRequest(
            id=new_id(),
            prompts=[] if answer.is_chat else [self.prompt],
            messages=messages,
            n_tokens_to_generate=self.settings.n_tokens_to_generate,
            sampling=self.settings.sampling,
        )
        async with aclosing(self.engine.generate(request)) as stream:
            async for reply in stream:
                if isinstance(reply, Tokens):
                    answer.text += reply.text

    def action_copy(self) -> None:
        parts = [f"{each.border_title}\n{each.prompt}{each.text}" for each in self.answers]
        self.app.copy_to_clipboard("\n\n".join(parts))
        self.notify("Copied.", timeout=3)
