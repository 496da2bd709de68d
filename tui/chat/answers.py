"""An answer in the making: what the engine is asked for it, and the turn that comes of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import (
    Alternative,
    AlternativesRequest,
    Done,
    GenerateRequest,
    Loaded,
    Tokens,
)
from tui.chat.conversations import Conversation, Turn
from tui.chat.sampling_form import GenerationSettings


@dataclass
class Draft:
    """An answer that is being generated."""

    turn: Turn
    """What is known of it beforehand: parent, model, settings, and the tokens that are given."""
    text_before: str
    """The text before the tokens that are known by their ids."""
    ids_before: list[int] | None
    """The ids of `text_before`, where they are known; they are asked for where they are needed."""
    ids_after: list[int]
    """The ids that follow it: of the answers that this one goes on from, and those given."""
    n_generated: int
    """How many of the last prompt tokens the penalties count as generated."""
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def needs_ids(self) -> bool:
        """Whether the ids of the text before have to be asked for: an answer that goes on from
        given tokens goes on from exactly these, which their text may not tell."""
        return bool(self.ids_after) and self.ids_before is None

    def ids_request(self, request_id: str) -> AlternativesRequest:
        """Asks for the ids of the text before."""
        return AlternativesRequest(id=request_id, prompt=self.text_before, k=1)

    def request(self, request_id: str) -> GenerateRequest:
        """Asks for the answer."""
        assert self.turn.sampling is not None
        exact = self.ids_before is not None
        return GenerateRequest(
            id=request_id,
            prompts=[] if exact else [self.text_before],
            prompt_ids=[[*(self.ids_before or ()), *self.ids_after]] if exact else [],
            n_tokens_to_generate=self.turn.n_tokens_to_generate,
            sampling=self.turn.sampling,
            n_generated=self.n_generated,
            logprobs=True,
        )

    def add(self, tokens: Tokens) -> None:
        self.ids += tokens.ids
        self.pieces += tokens.pieces
        self.logprobs += tokens.logprobs or []

    def finished(self, done: Done | None, loaded: Loaded | None) -> Turn:
        """The turn, as far as it came; `done` is None where the engine died."""
        pieces = [*self.turn.pieces, *self.pieces]
        # The tokens before this turn: what follows `text_before`, less those given in this turn.
        earlier = self.ids_after[: len(self.ids_after) - self.turn.n_given]
        before = None if self.ids_before is None else [*self.ids_before, *earlier]
        fields: dict[str, object] = {
            "text": "".join(pieces),
            "pieces": pieces,
            "ids": [*self.turn.ids, *self.ids],
            "logprobs": [*self.turn.logprobs, *self.logprobs],
            "prompt_ids": before or [],
            "n_ctx": loaded.config.n_ctx if loaded is not None else 0,
        }
        if done is not None:
            fields |= {
                "reason": done.reason,
                "time_to_first_token": done.time_to_first_token,
                "tokens_per_second": done.tokens_per_second,
            }
            if done.results:
                fields["context_used"] = done.results[0].context_used
                fields["context_slides"] = done.results[0].context_slides
        return self.turn.model_copy(update=fields)


def answer_after(
    conversation: Conversation,
    parent: str | None,
    settings: GenerationSettings,
    loaded: Loaded,
    given: "Given | None" = None,
) -> Draft:
    """The answer that follows the turn `parent`, with `given` as its first tokens.

    After the person's text, the whole text is tokenized anew; after an answer, it goes on from
    that answer's own tokens.
    """
    path = conversation.path(parent) if parent is not None else []
    answers: list[Turn] = []  # the last turns, as far as they are the model's with tokens
    while path and path[-1].role == "model" and path[-1].ids:
        answers.insert(0, path.pop())
    known = given.prompt_ids if given is not None else None
    if known is None and answers and answers[0].prompt_ids:
        known = answers[0].prompt_ids
    answered = [token for turn in answers for token in turn.ids]
    if given is not None and given.prompt_ids is not None:
        answered = []  # they are part of its prompt's ids
    ids_after = [*answered, *(given.ids if given is not None else ())]
    turn = Turn(
        parent=parent,
        role="model",
        text=given.text if given is not None else "",
        model=loaded.model,
        source=loaded.source,
        sampling=settings.sampling,
        n_tokens_to_generate=settings.n_tokens_to_generate,
        ids=list(given.ids) if given is not None else [],
        pieces=list(given.pieces) if given is not None else [],
        logprobs=list(given.logprobs) if given is not None else [],
        n_given=len(given.ids) if given is not None else 0,
    )
    n_generated = sum(len(turn.ids) for turn in answers) + turn.n_given
    return Draft(turn, "".join(t.text for t in path), known, ids_after, n_generated)


@dataclass(frozen=True)
class Given:
    """The first tokens of an answer that goes on from another choice."""

    prompt_ids: list[int] | None
    """The tokens before the answer."""
    ids: Sequence[int]
    pieces: Sequence[str]
    logprobs: Sequence[float]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def other_choice(turn: Turn, token: int, choice: Alternative, ids_before: Sequence[int]) -> Given:
    """An answer's first tokens with another one at index `token`.

    `ids_before` are all tokens before that place: the prompt's and the answer's own.
    """
    logprob = math.log(choice.probability) if choice.probability > 0 else -math.inf
    prompt = list(ids_before[: len(ids_before) - token])
    return Given(
        prompt,
        [*turn.ids[:token], choice.id],
        [*turn.pieces[:token], choice.text],
        [*turn.logprobs[:token], logprob],
    )


def next_seed(conversation: Conversation, turn: Turn) -> SamplingConfig:
    """The settings of another answer in the place of `turn`: the first seed not tried there."""
    sampling = turn.sampling or SamplingConfig()
    tried = [t.sampling.seed for t in conversation.siblings(turn) if t.sampling is not None]
    return sampling.model_copy(update={"seed": (max(tried, default=sampling.seed) + 1) % 2**63})
