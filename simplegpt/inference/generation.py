"""Prompts in, tokens out: ids only, nothing of text.

Reading a prompt and decoding one more token are two functions, since they are two problems: the
first is bound by arithmetic, the second by reading the weights. Each prompt is read once, by
itself, however many results it has.

**When the context is full**, its last half is kept (n_ctx // 2 tokens, the newest one included),
read again as if it were a text of its own, and generation goes on behind it. A prompt that is
longer than the context is read from its last n_ctx tokens on. So every text has at least half a
context behind it, and reading is rare.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from simplegpt.cli import UserError
from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.sampling import Penalties, choose, generator_of
from simplegpt.model import GPT, Cache


@dataclass(frozen=True)
class Token:
    """A token that result `result` now ends with."""

    result: int
    id: int
    logprob: float | None
    """Under the model itself; None where it was not asked for."""


@dataclass
class Row:
    """A result under way."""

    result: int
    ids: list[int]
    """What the model has in sight, the newest token included."""
    n_prompt: int
    """Tokens of the prompt as it was given."""
    n_generated: int = 0
    slides: int = 0
    """How often the context was full."""
    finished: bool = False


@dataclass
class Generation:
    """Results that grow token by token: iterate over it, each step gives one token a result.

    Result r continues ``prompts[r // batch_size]`` and draws from the generator of its own that
    ``(seed, r % batch_size)`` makes, so it is what it would be alone. `finish` ends a result
    early. A prompt must hold a token. Ids from `n_vocab` on (padding) are never taken.
    """

    gpt: GPT
    prompts: list[list[int]]
    n_tokens: int
    batch_size: int
    sampling: SamplingConfig
    n_vocab: int
    n_generated: int = 0
    """How many of a prompt's last tokens count as generated, for the penalties."""
    logprobs: bool = False
    rows: list[Row] = field(init=False)
    """All results, by number."""

    def __post_init__(self) -> None:
        check_ids(self.prompts, self.gpt.config.n_vocab)
        self.rows = [
            Row(result, prompt[-self.gpt.config.n_ctx :], len(prompt))
            for result, prompt in enumerate(
                prompt for prompt in self.prompts for _ in range(self.batch_size)
            )
        ]

    def finish(self, result: int) -> None:
        """Let `result` grow no further."""
        self.rows[result].finished = True

    @torch.inference_mode()
    def __iter__(self) -> Iterator[list[Token]]:
        device = self.gpt.wte.weight.device
        active = list(self.rows)
        size = max(len(row.ids) for row in active) + self.n_tokens
        cache = self.gpt.new_cache(len(active), size)
        logits = self._read_prompts(cache)
        texts = [prompt for prompt in self.prompts for _ in range(self.batch_size)]
        generated = [min(self.n_generated, len(text)) for text in texts]
        penalties = Penalties(self.sampling, texts, generated, self.n_vocab).to(device)
        seed = self.sampling.seed
        generators = [generator_of(seed, row.result % self.batch_size) for row in active]
        for step in range(self.n_tokens):
            draws = torch.tensor([g.random() for g in generators], dtype=torch.float64)
            ids = choose(penalties(logits), self.sampling, draws).to(device)
            yield self._tokens(active, ids, logits)
            if step == self.n_tokens - 1:
                break
            going = [index for index, row in enumerate(active) if not row.finished]
            if not going:
                break
            penalties.add(ids)
            if len(going) < len(active):
                active = [active[index] for index in going]
                generators = [generators[index] for index in going]
                ids = ids[going]
                cache.keep(going)
                penalties.keep(going)
            make_room(self.gpt, cache, active)
            logits = self.gpt.next_logits(ids[:, None], cache)[:, : self.n_vocab]

    def _read_prompts(self, cache: Cache) -> Tensor:
        """Read each prompt into its rows of `cache`; the next token's logits ``[b, v]``."""
        logits = []
        for first in range(0, len(self.rows), self.batch_size):
            logits.append(read(self.gpt, self.rows[first].ids, cache.row(first)))
            for row in range(first + 1, first + self.batch_size):
                cache.copy_row(first, row)
        together = torch.cat(logits).repeat_interleave(self.batch_size, dim=0)
        return together[:, : self.n_vocab]

    def _tokens(self, active: list[Row], ids: Tensor, logits: Tensor) -> list[Token]:
        """Note the step's tokens in their rows and report them. The one wait of a step."""
        chances: list[float | None] = [None] * len(active)
        if self.logprobs:
            logprobs = logits.float().log_softmax(dim=-1)
            chances = logprobs.gather(1, ids.clamp(min=0)[:, None]).squeeze(1).tolist()
        tokens = []
        for row, token, logprob in zip(active, ids.tolist(), chances, strict=True):
            if token < 0:
                raise UserError(
                    "the model's output is not a number: its weights are broken, or the precision "
                    "is too small for them (try float32)"
                )
            row.ids.append(token)
            row.n_generated += 1
            tokens.append(Token(row.result, token, logprob))
        return tokens


def read(gpt: GPT, ids: list[int], cache: Cache) -> Tensor:
    """Read `ids` into a `cache` of one row; return the logits ``[1, v]`` after them."""
    return gpt.next_logits(torch.tensor([ids], device=cache.buffer.device), cache)


def make_room(gpt: GPT, cache: Cache, rows: list[Row]) -> None:
    """Slide the rows whose context is full: keep the last half and read it again."""
    n_ctx = gpt.config.n_ctx
    for index, row in enumerate(rows):
        if cache.lengths[index] == n_ctx:
            row.ids = row.ids[-max(1, n_ctx // 2) :]
            row.slides += 1
            cache.lengths[index] = 0
            if len(row.ids) > 1:  # the newest is decoded with the others
                read(gpt, row.ids[:-1], cache.row(index))


def check_ids(prompts: list[list[int]], n_vocab: int) -> None:
    """Raises UserError for a prompt without tokens, or with ids that the model does not have."""
    for prompt in prompts:
        if not prompt:
            raise UserError("a prompt must hold at least one token")
        if not 0 <= min(prompt) <= max(prompt) < n_vocab:
            wrong = next(token for token in prompt if not 0 <= token < n_vocab)
            raise UserError(f"token id {wrong} is not in the model's vocabulary of {n_vocab}")
