"""One side of the chat: a conversation, its model, and the answer that is being generated.

A base model continues the text of the conversation. A model with a chat template answers its
messages, of which a base model's continuation counts as an answer too.
"""

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from simplegpt.data.chat import ChatMessage, Role
from simplegpt.inference.protocol import (
    Alternative,
    Alternatives,
    AlternativesRequest,
    Done,
    GenerateRequest,
    Tokens,
)
from tui.chat.conversations import Conversation, Turn, text_of
from tui.chat.engine import EngineError, EngineExitError, new_id
from tui.chat.model import ChatModel
from tui.chat.sampling import GenerationSettings

N_ALTERNATIVES = 40


@dataclass(frozen=True)
class Given:
    """The first tokens of an answer that continues from a choice of another answer's tokens."""

    prompt_ids: list[int]
    """All tokens before the answer."""
    ids: Sequence[int]
    pieces: Sequence[str]
    logprobs: Sequence[float]


@dataclass
class Draft:
    """An answer that is being generated."""

    turn: Turn
    """What is known before generating: parent, model, settings, and the given tokens."""
    before: Sequence[Turn]
    """The turns before `ids_before`."""
    messages: Sequence[ChatMessage]
    """`before` as a dialogue; empty for a model that continues text."""
    ids_before: list[int]
    """The tokens of the answers that directly precede this one."""
    n_generated: int
    """How many of the last prompt tokens the penalties count as generated."""
    prompt_ids: list[int] | None = None
    """All tokens before this answer, where they are known."""
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def needs_prompt_ids(self) -> bool:
        """Whether the engine has to be asked for the tokens of `before`.

        An answer that continues given tokens continues exactly these; tokenizing their text may
        give others.
        """
        return self.prompt_ids is None and bool(self.ids_before)

    def request(self) -> GenerateRequest:
        assert self.turn.sampling is not None
        known = self.prompt_ids is not None
        ids = [*(self.prompt_ids or ()), *self.turn.ids]
        n_tokens = self.turn.n_tokens_to_generate
        if known and self.turn.template:  # a message ends where the context does
            n_tokens = max(1, min(n_tokens, self.turn.n_ctx - len(ids)))
        return GenerateRequest(
            id=self.turn.id,
            prompts=[] if known or self.messages else [text_of(self.before)],
            messages=[] if known else [*self.messages],
            prompt_ids=[ids] if known else [],
            n_tokens_to_generate=n_tokens,
            sampling=self.turn.sampling,
            n_generated=self.n_generated,
            logprobs=True,
        )

    def add(self, tokens: Tokens) -> None:
        self.ids += tokens.ids
        self.pieces += tokens.pieces
        self.logprobs += tokens.logprobs or []

    def finished(self, done: Done | None) -> Turn:
        """The turn, as far as it was generated; `done` is None where it was interrupted."""
        pieces = [*self.turn.pieces, *self.pieces]
        result = done.results[0] if done is not None and done.results else None
        return self.turn.model_copy(
            update={
                "text": "".join(pieces),
                "pieces": pieces,
                "ids": [*self.turn.ids, *self.ids],
                "logprobs": [*self.turn.logprobs, *self.logprobs],
                "prompt_ids": self.prompt_ids or (done.prompt_ids if done is not None else []),
                "n_dropped": done.n_dropped if done is not None else 0,
                "reason": done.reason if done is not None else None,
                "time_to_first_token": done.time_to_first_token if done is not None else None,
                "tokens_per_second": done.tokens_per_second if done is not None else None,
                "context_used": result.context_used if result is not None else 0,
                "context_slides": result.context_slides if result is not None else 0,
            }
        )


@dataclass(frozen=True)
class Undone:
    """The user's part of an exchange that was undone."""

    text: str
    prefill: str
    leaf: str
    """The end of the text before."""


class ChatSession:
    """State and logic of one side of the chat, without Textual.

    Methods that return a `Draft` prepare an answer for `generate` and need `can_generate`.
    """

    def __init__(self, model: ChatModel, conversation: Conversation | None = None) -> None:
        self.model = model
        self.conversation = conversation or Conversation()
        self.settings = GenerationSettings()
        self.draft: Draft | None = None
        self.is_stopping = False
        self.undone: list[Undone] = []
        """Exchanges to redo, the last one last."""
        self.error = ""
        """Why the last answer could not be generated."""

    @property
    def can_generate(self) -> bool:
        return self.model.state == "ready" and self.draft is None

    @property
    def is_busy(self) -> bool:
        return self.draft is not None or self.model.state in ("loading", "crashed")

    @property
    def template(self) -> str:
        """The chat template of the model; empty for one that continues text."""
        loaded = self.model.loaded
        return loaded.chat_template or "" if loaded is not None else ""

    @property
    def needs_message(self) -> bool:
        """Whether there is nothing yet that a chat model could answer."""
        is_empty = self.conversation.leaf is None and not self.conversation.header.system
        return bool(self.template) and is_empty

    def messages(self, path: Sequence[Turn]) -> list[ChatMessage]:
        """The turns as a dialogue, for a model with a chat template; for another one, nothing."""
        messages: list[ChatMessage] = []
        if not self.template:
            return messages
        if self.conversation.header.system:
            messages.append(ChatMessage(role="system", content=self.conversation.header.system))
        for turn in path:
            role: Role = "user" if turn.role == "you" else "assistant"
            text = turn.text
            if role == "assistant" and messages and messages[-1].role == role:
                text = messages.pop().content + text  # it continues a prefill or an answer
            messages.append(ChatMessage(role=role, content=text))
        return messages

    def shares_tokens(self, turn: Turn) -> bool:
        """Whether the tokens of an answer mean the same to the model that is loaded."""
        loaded = self.model.loaded
        tokenizer = loaded.tokenizer_name or "" if loaded is not None else ""
        return turn.tokenizer in ("", tokenizer) and turn.template == self.template

    # Answers

    def send(self, text: str, prefill: str, parent: str | None) -> Draft:
        """Add the user's text (and the answer's beginning) after `parent`, to be answered."""
        for role, written in (("you", text), ("prefill", prefill)):
            if written:
                turn = Turn.model_validate(
                    {"role": role, "text": written, "parent": parent, "template": self.template}
                )
                parent = self.conversation.add(turn).id
        return self._draft(parent, self.settings)

    def continue_text(self) -> Draft:
        """Generate what follows the text as it is."""
        return self._draft(self.conversation.leaf, self.settings)

    def regenerate(self, turn: Turn | None) -> Draft:
        """Another answer in place of the one at `turn`, from the first seed not used there yet.

        A text of the user's at the end, left without an answer by an error, gets its first one.
        """
        is_at_end = turn is None or turn.id == self.conversation.leaf
        path = self.conversation.path()
        turn = self.answer_at(turn)
        if turn is None or (is_at_end and path[-1].role != "model"):
            return self.continue_text()
        siblings = self.conversation.siblings(turn)
        tried = [each.sampling.seed for each in siblings if each.sampling is not None]
        seed = (max(tried, default=self.settings.seed) + 1) % 2**63
        return self._draft(turn.parent, self.settings.with_seed(seed))

    def repeat(self, turn: Turn) -> Draft:
        """The same answer once more, from its own seed and settings."""
        assert turn.sampling is not None
        settings = GenerationSettings(
            **dict(turn.sampling), n_tokens_to_generate=max(1, turn.n_tokens_to_generate)
        )
        is_given = turn.n_given and self.shares_tokens(turn)
        given = _first_tokens(turn, turn.n_given, turn.prompt_ids) if is_given else None
        return self._draft(turn.parent, settings, given)

    def choose(self, turn: Turn, index: int, choice: Alternative, ids_before: list[int]) -> Draft:
        """An answer in place of `turn` with another token at `index`.

        `ids_before` are all tokens before that position: the prompt's and the answer's own.
        """
        first = _first_tokens(turn, index, ids_before[: len(ids_before) - index])
        logprob = math.log(choice.probability) if choice.probability > 0 else -math.inf
        given = Given(
            first.prompt_ids,
            [*first.ids, choice.id],
            [*first.pieces, choice.text],
            [*first.logprobs, logprob],
        )
        seed = turn.sampling.seed if turn.sampling is not None else self.settings.seed
        return self._draft(turn.parent, self.settings.with_seed(seed), given)

    def _draft(
        self, parent: str | None, settings: GenerationSettings, given: Given | None = None
    ) -> Draft:
        """The answer that follows `parent`: after the user's text, all of the text (or dialogue) is
        tokenized; after another answer, it continues that answer's own tokens."""
        loaded = self.model.loaded
        assert loaded is not None
        path = self.conversation.path(parent) if parent is not None else []
        answers = self._trailing_answers(path)
        if self.template and answers and answers[-1].context_used == loaded.config.n_ctx:
            answers = []  # the context is full: read the dialogue anew, without its beginning
        before = path[: len(path) - len(answers)]
        ids_before = [token for answer in answers for token in answer.ids]
        prompt_ids: list[int] | None = None
        if given is not None:
            prompt_ids = given.prompt_ids
        elif answers and answers[0].prompt_ids:
            prompt_ids = [*answers[0].prompt_ids, *ids_before]
        tokens: dict[str, object] = {}
        if given is not None:
            tokens = {
                "text": "".join(given.pieces),
                "ids": given.ids,
                "pieces": given.pieces,
                "logprobs": given.logprobs,
                "n_given": len(given.ids),
            }
        turn = Turn(
            parent=parent,
            role="model",
            text="",
            model=loaded.model,
            source=loaded.source,
            tokenizer=loaded.tokenizer_name or "",
            template=self.template,
            sampling=settings.sampling,
            n_tokens_to_generate=settings.n_tokens_to_generate,
            n_ctx=loaded.config.n_ctx,
        ).model_copy(update=tokens)
        return Draft(
            turn,
            before,
            self.messages(before),
            ids_before,
            n_generated=len(ids_before) + turn.n_given,
            prompt_ids=prompt_ids,
        )

    def begin(self, draft: Draft) -> None:
        """Show the text up to a new answer, which `generate` generates."""
        self.conversation.show_to(draft.turn.parent)
        self.undone.clear()
        self.draft, self.is_stopping, self.error = draft, False, ""
        self.model.error = ""  # it is shown until the next answer

    async def generate(self, draft: Draft) -> AsyncGenerator[Tokens, None]:
        """Generate the answer begun with `draft`; yield its tokens and add it to the text."""
        done: Done | None = None
        try:
            if draft.needs_prompt_ids:
                draft.prompt_ids = await self._token_ids(draft.before) + draft.ids_before
            async with aclosing(self.model.engine.generate(draft.request())) as answers:
                async for answer in answers:
                    if isinstance(answer, Tokens):
                        draft.add(answer)
                        yield answer
                        if self.is_stopping:  # cancelled before the engine had read the request
                            self.model.engine.cancel(draft.turn.id)
                    else:
                        done = answer
        except EngineExitError:
            pass  # the model reports it and is reloaded
        except EngineError as error:
            self.error = str(error)
        finally:
            if self.draft is draft:
                self.finish(done)

    def finish(self, done: Done | None = None) -> None:
        """End the answer under way: add what was generated to the conversation."""
        draft, self.draft, self.is_stopping = self.draft, None, False
        if draft is not None and (draft.ids or (done is not None and done.reason != "cancelled")):
            self.conversation.add(draft.finished(done))

    def stop(self) -> bool:
        """Stop at the next token; the second call stops immediately.

        Returns whether the engine has to be restarted, because it has not stopped by itself.
        """
        if self.draft is None:
            return False
        if self.is_stopping:
            self.finish()
            return True
        self.is_stopping = True
        self.model.engine.cancel(self.draft.turn.id)
        return False

    # Token probabilities

    async def alternatives(self, turn: Turn, index: int) -> Alternatives:
        """The most probable tokens at a position of an answer. Raises `EngineError`."""
        if not self.shares_tokens(turn):
            raise EngineError("Another kind of model generated this: regenerate it first.")
        path = self.conversation.path(turn.id)[:-1]
        prompt_ids = turn.prompt_ids or await self._token_ids(path)
        n_generated = sum(len(answer.ids) for answer in self._trailing_answers(path)) + index
        return await self.model.engine.alternatives(
            AlternativesRequest(
                id=new_id(),
                prompt_ids=[*prompt_ids, *turn.ids[:index]],
                k=N_ALTERNATIVES,
                sampling=self.settings.sampling,
                n_generated=n_generated,
                n_answer=max(0, index - turn.n_given),
            )
        )

    async def _token_ids(self, path: Sequence[Turn]) -> list[int]:
        request = AlternativesRequest(
            id=new_id(), prompt=text_of(path), messages=self.messages(path), k=1
        )
        return (await self.model.engine.alternatives(request)).prompt_ids

    def _trailing_answers(self, path: Sequence[Turn]) -> list[Turn]:
        """The answers at the end of a path whose tokens the model can continue."""
        answers: list[Turn] = []
        for turn in reversed(path):
            if turn.role != "model" or not turn.ids or not self.shares_tokens(turn):
                break
            answers.insert(0, turn)
        return answers

    # The conversation

    def open(self, conversation: Conversation) -> None:
        """Replace the conversation, between answers."""
        self.conversation = conversation
        self.undone.clear()
        self.error = ""

    def undo(self) -> Undone | None:
        """Take the last exchange out of the text, into a branch of its own."""
        path, leaf = self.conversation.path(), self.conversation.leaf
        if not path or leaf is None:
            return None
        prefill = ""
        while path:
            turn = path.pop()
            if turn.role == "prefill":
                prefill = turn.text
            if turn.role == "you" or not path or path[-1].role == "model":
                break
        self.conversation.show_to(turn.parent)
        self.undone.append(Undone(turn.text if turn.role == "you" else "", prefill, leaf))
        return self.undone[-1]

    def redo(self) -> Undone | None:
        """Show the exchange that was undone last."""
        if not self.undone:
            return None
        self.conversation.show_to(self.undone[-1].leaf)
        return self.undone.pop()

    def answer_at(self, turn: Turn | None) -> Turn | None:
        """`turn` if it is an answer, otherwise the last answer of the text."""
        if turn is not None and turn.role == "model":
            return turn
        answers = [each for each in self.conversation.path() if each.role == "model"]
        return answers[-1] if answers else None

    def own_turn_at(self, turn: Turn | None) -> Turn | None:
        """The user's turn that is `turn`, or the last before it."""
        path = self.conversation.path(turn.id) if turn is not None else []
        own = [each for each in path if each.role == "you"]
        return own[-1] if own else None


def _first_tokens(turn: Turn, n: int, prompt_ids: list[int]) -> Given:
    return Given(prompt_ids, turn.ids[:n], turn.pieces[:n], turn.logprobs[:n])
