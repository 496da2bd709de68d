"""A text and the engine that goes on with it: loads, generates, survives the engine's end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from textual import on, work
from textual.content import Content
from textual.message import Message

from simplegpt.inference.protocol import (
    Alternatives,
    Answer,
    Done,
    Failed,
    Loaded,
    Loading,
    LoadRequest,
    Tokens,
)
from tui.chat import words as chat_words
from tui.chat.answers import Draft
from tui.chat.conversation_view import ConversationView
from tui.chat.conversations import Turn
from tui.chat.engine import EngineExitError, EngineProcess
from tui.chat.pieces import Piece, pieces_of
from tui.chat.sampling_form import GenerationSettings
from tui.shared.text import printable

State = Literal["empty", "loading", "ready", "generating", "stopping", "failed"]


@dataclass
class EngineSaid(Message):
    """A worker's news: an answer of the engine."""

    job: int
    answer: Answer


@dataclass
class EngineLost(Message):
    """A worker's news: the engine ended."""

    job: int
    cause: str


class EnginePane(ConversationView):
    """A model, its conversation and its engine."""

    @dataclass
    class StateChanged(Message):
        """The pane's model or what it is doing has changed."""

        pane: "EnginePane" = field(repr=False)

    @dataclass
    class AnswerEnded(Message):
        """An answer is complete, or as complete as it gets."""

        pane: "EnginePane" = field(repr=False)
        turn: Turn

    BORDER_TITLE = "No model"

    def __init__(self, log: Path, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.log_path = log
        self.engine = EngineProcess(log, on_exit=self._exited)
        self.shares_engine = False
        """The engine is another pane's, which sees to it."""
        self.settings = GenerationSettings()
        self.state: State = "empty"
        self.loaded: Loaded | None = None
        self.wanted: LoadRequest | None = None
        """The last load asked for, to be repeated after the engine died."""
        self.note = ""
        """Where the model runs beside a run, and the like: a line above the text."""
        self.error = ""
        self.draft: Draft | None = None
        self._loading: Loading | None = None
        self._job = 0
        self._request_id = ""

    def on_mount(self) -> None:
        self.describe()

    # The model

    def load(
        self,
        model: str,
        device: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
    ) -> None:
        """Load a model in place of this one; its end is a `StateChanged`."""
        self.wanted = LoadRequest.model_validate(
            {
                "id": self.engine.new_id(),
                "model": model,
                "device": device,
                "precision": precision,
                "threads": threads,
            }
        )
        self._reload("")

    def _reload(self, error: str) -> None:
        """Load what is wanted, saying why it has to be loaded again."""
        assert self.wanted is not None
        self.loaded, self.error = None, error
        self.wanted = self.wanted.model_copy(update={"id": self.engine.new_id()})
        self._loading = Loading(id="", progress=0, message="starting the engine")
        self._become("loading")
        self._run_load(self._new_job(), self.wanted)

    def adopt(self, other: "EnginePane") -> None:
        """Use another pane's engine and model, and follow it when these change."""
        self.engine, self.shares_engine = other.engine, True
        self.wanted, self.loaded, self.note = other.wanted, other.loaded, other.note
        if self.state not in ("generating", "stopping"):
            self._become("ready" if self.loaded is not None else "empty")

    def use_engine(self, niceness: int) -> None:
        """Take a new engine of a given priority; the old one ends, unless it is shared."""
        self.keep_what_came()
        self._new_job()
        old, shared = self.engine, self.shares_engine
        self.engine = EngineProcess(self.log_path, niceness=niceness, on_exit=self._exited)
        self.shares_engine = False
        if not shared:
            self.run_worker(old.close(), group="closing")

    def keep_what_came(self) -> None:
        """End the answer under way here, at what has come of it."""
        if self.draft is not None:
            self.engine.cancel(self._request_id)
            self._keep_draft(None)

    def leave(self) -> None:
        """The workbench quits."""
        self.keep_what_came()
        self.engine.kill()

    def _new_job(self) -> int:
        self._job += 1
        return self._job

    def _exited(self, cause: str) -> None:
        self.post_message(EngineLost(self._job, cause))

    @work(group="engine", exclusive=True)
    async def _run_load(self, job: int, request: LoadRequest) -> None:
        try:
            async for answer in self.engine.answers(request):
                self.post_message(EngineSaid(job, answer))
        except EngineExitError as error:
            self.post_message(EngineLost(job, str(error)))

    # Answers

    @property
    def can_generate(self) -> bool:
        return self.state == "ready" and self.loaded is not None

    @property
    def is_busy(self) -> bool:
        return self.state in ("loading", "generating", "stopping")

    def generate(self, draft: Draft) -> None:
        """Generate an answer; it is shown as it comes and ends with `AnswerEnded`."""
        self.conversation.go_to(draft.turn.parent)
        self.show()
        self.draft, self.error = draft, ""
        self._request_id = self.engine.new_id()
        self._live = True
        self._become("generating")
        self.transcript.extend(pieces_of(draft.turn))
        self._run_draft(self._new_job(), draft, self._request_id)

    @work(group="engine", exclusive=True)
    async def _run_draft(self, job: int, draft: Draft, request_id: str) -> None:
        try:
            if draft.needs_ids:
                async for answer in self.engine.answers(draft.ids_request(self.engine.new_id())):
                    if not isinstance(answer, Alternatives):
                        self.post_message(EngineSaid(job, answer))
                        return
                    draft.ids_before = answer.prompt_ids
            async for answer in self.engine.collected(draft.request(request_id)):
                self.post_message(EngineSaid(job, answer))
        except EngineExitError as error:
            self.post_message(EngineLost(job, str(error)))

    def stop(self) -> None:
        """End what is under way. What has been generated stays; a load is given up.

        Asked twice, it does not wait for the next token: the engine is ended and started again.
        """
        if self.state == "generating":
            self.engine.cancel(self._request_id)
            self._become("stopping")
        elif self.state == "stopping":
            self._keep_draft(None)
            if self.shares_engine:
                return
            self.engine.kill()
            self._reload("Stopped at once; the model is loaded again.")
        elif self.state == "loading":
            self._new_job()
            self.engine.kill()
            self.error = "Loading was stopped."
            self._become("failed")

    # News from the workers

    @on(EngineSaid)
    async def _said(self, event: EngineSaid) -> None:
        event.stop()
        if event.job != self._job:
            return
        match event.answer:
            case Loading() as loading:
                self._loading = loading
                self.describe()
            case Loaded() as loaded:
                self.loaded = loaded
                self._become("ready")
            case Tokens() as tokens:
                await self._take(tokens)
            case Done() as done:
                self._keep_draft(done)
                self._become("ready")
            case Failed() as failed:
                self.error = failed.error
                self._keep_draft(None)
                self._become("failed" if self.loaded is None else "ready")

    @on(EngineLost)
    def _lost(self, event: EngineLost) -> None:
        event.stop()
        if event.job != self._job:
            return
        self._keep_draft(None)
        if self.shares_engine:
            self.loaded = None
            self._become("empty")
        elif self.state in ("loading", "failed") or self.wanted is None:
            self.error, self.loaded = event.cause, None
            self._become("failed")
        else:
            self._reload(f"{event.cause} It is started again.")

    async def _take(self, tokens: Tokens) -> None:
        draft = self.draft
        if draft is None:
            return
        if self.state == "stopping":
            self.engine.cancel(self._request_id)
        start = len(draft.turn.ids) + len(draft.ids)
        draft.add(tokens)
        known: Sequence[float | None] = tokens.logprobs or [None] * len(tokens.ids)
        await self.extend(
            [
                Piece(draft.turn.id, "model", start + i, piece, known[i])
                for i, piece in enumerate(tokens.pieces)
            ]
        )
        self.describe()

    def _keep_draft(self, done: Done | None) -> None:
        """The answer has ended: keep it, unless nothing came."""
        draft, self.draft = self.draft, None
        self._live = False
        if draft is None:
            return
        self.run_worker(self._end_stream(), group="markdown")
        if draft.ids or (done is not None and done.reason != "cancelled"):
            turn = self.conversation.add(draft.finished(done, self.loaded))
            self.post_message(self.AnswerEnded(self, turn))
        else:
            self.transcript.show(self.conversation.path())

    # What it says of itself

    def _become(self, state: State) -> None:
        self.state = state
        self.describe()
        self.post_message(self.StateChanged(self))

    def describe(self) -> None:
        """Title, state line and figures, from what is known now."""
        name = chat_words.short_name(self.wanted.model) if self.wanted is not None else "No model"
        words = chat_words.model_in_words(self.loaded) if self.loaded is not None else name
        self.border_title = Content(words)
        if self.state == "loading" and self._loading is not None:
            loading = chat_words.loading_in_words(self._loading, name)
            self.tell(f"{self.error}\n{loading}".strip(), "busy")
        elif self.error:
            hint = " F7 chooses a model." if self.state == "failed" else ""
            self.tell(printable(self.error) + hint, "error")
        elif self.state == "empty" and not self.note and not self.shares_engine:
            self.tell("No model is loaded yet: F7 chooses one.")
        else:
            self.tell(self.note)
        self.show_turn()
        if self.draft is not None:
            self.border_subtitle = self._progress(self.draft)

    def figures_at_rest(self) -> str:
        if self.loaded is None or self.state != "ready":
            return ""
        return f"context of {self.loaded.config.n_ctx:,} tokens"

    def _progress(self, draft: Draft) -> str:
        if self.state == "stopping":
            return "stopping at the next token · Esc again ends the engine"
        if not draft.ids:
            return "reading the prompt …"
        assert draft.turn.sampling is not None
        seed = draft.turn.sampling.seed
        return f"seed {seed} · {len(draft.ids):,} of {draft.turn.n_tokens_to_generate:,} tokens"
