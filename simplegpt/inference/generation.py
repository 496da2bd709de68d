"""Generate tokens from prompts: `Generation` handles token IDs, `TextStream` their text.

Each prompt is read once, however many results it has; then all results are decoded together, one
token per step.

**When the context is full**, its last half (n_ctx // 2 tokens, including the newest) is kept and
read again as a separate text. Of a prompt longer than the context, only the last n_ctx tokens are
read. So each token has at least half a context before it, and reading again is rare.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from simplegpt.cli import UserError
from simplegpt.config.schema import SamplingConfig
from simplegpt.data.tokenizer import StreamDecoder, Tokenizer
from simplegpt.inference.protocol import Reason
from simplegpt.inference.sampling import Penalties, choose, result_generator
from simplegpt.model import GPT, Cache


@dataclass(frozen=True)
class Token:
    """A generated token."""

    result: int
    """Index of its result."""
    id: int
    logprob: float | None = None
    """Log-probability before the sampling settings; None if not requested."""


@dataclass
class Result:
    """A result in progress."""

    index: int
    ids: list[int]
    """The tokens in the context, including the newest."""
    n_prompt: int
    """Number of tokens in the prompt, including those beyond the context."""
    generator: np.random.Generator
    n_generated: int = 0
    n_slides: int = 0
    """Number of times that the context was full."""
    reason: Reason | None = None
    """The reason why it ended; None if it has not. Setting it ends the result."""


@dataclass
class Generation:
    """An iterator over steps, each of which yields the next token of every unfinished result.

    Result r continues ``prompts[r // batch_size]``. Its random generator is seeded with
    ``(sampling.seed, r % batch_size)``, so it does not depend on the other results. IDs ≥ `n_vocab`
    (padding) are never sampled. Raises UserError for an invalid prompt.
    """

    gpt: GPT
    prompts: list[list[int]]
    n_tokens: int
    batch_size: int
    sampling: SamplingConfig
    n_vocab: int
    n_generated: int = 0
    """Number of last prompt tokens that the penalties count as generated."""
    logprobs: bool = False
    results: list[Result] = field(init=False)

    def __post_init__(self) -> None:
        check_ids(self.prompts, self.gpt.config.n_vocab)
        self.results = [
            Result(
                index=prompt * self.batch_size + copy,
                ids=ids[-self.gpt.config.n_ctx :],
                n_prompt=len(ids),
                generator=result_generator(self.sampling.seed, copy),
            )
            for prompt, ids in enumerate(self.prompts)
            for copy in range(self.batch_size)
        ]

    @torch.inference_mode()
    def __iter__(self) -> Iterator[list[Token]]:
        growing = list(self.results)
        cache = self.gpt.new_cache(len(growing), max(len(r.ids) for r in growing) + self.n_tokens)
        logits = self._read_prompts(cache)
        device = logits.device
        texts = [ids for ids in self.prompts for _ in range(self.batch_size)]
        penalties = Penalties(self.sampling, texts, self.n_generated, self.n_vocab).to(device)
        while True:
            draws = torch.tensor([r.generator.random() for r in growing], dtype=torch.float64)
            ids = choose(penalties(logits), self.sampling, draws).to(device)
            yield self._append(growing, ids, logits)
            kept = [row for row, result in enumerate(growing) if result.reason is None]
            if not kept:
                return
            penalties.add(ids)
            if len(kept) < len(growing):
                growing, ids = [growing[row] for row in kept], ids[kept]
                cache.keep(kept)
                penalties.keep(kept)
            make_room(self.gpt, cache, growing)
            logits = self.gpt.next_logits(ids[:, None], cache)[:, : self.n_vocab]

    def _read_prompts(self, cache: Cache) -> Tensor:
        """Read each prompt into its rows of `cache`; return the next token's logits ``[b, v]``."""
        logits = []
        for first in range(0, len(self.results), self.batch_size):
            logits.append(read(self.gpt, self.results[first].ids, cache.row(first)))
            for row in range(first + 1, first + self.batch_size):
                cache.copy_row(first, row)
        return torch.cat(logits).repeat_interleave(self.batch_size, dim=0)[:, : self.n_vocab]

    def _append(self, growing: list[Result], ids: Tensor, logits: Tensor) -> list[Token]:
        """Append `ids` to their results. The only place where a step waits for the device."""
        logprobs: list[float | None] = [None] * len(growing)
        if self.logprobs:
            all_logprobs = logits.float().log_softmax(dim=-1)
            logprobs = all_logprobs.gather(1, ids.clamp(min=0)[:, None]).squeeze(1).tolist()
        tokens = []
        for result, token, logprob in zip(growing, ids.tolist(), logprobs, strict=True):
            if token < 0:
                raise UserError(
                    "the model's output is NaN or infinite: its weights are invalid, or overflow "
                    "in this precision (try float32)"
                )
            result.ids.append(token)
            result.n_generated += 1
            if result.n_generated == self.n_tokens:
                result.reason = "length"
            tokens.append(Token(result.index, token, logprob))
        return tokens


def read(gpt: GPT, ids: list[int], row: Cache) -> Tensor:
    """Append `ids` to a cache of one row; return the logits ``[1, v]`` after them."""
    return gpt.next_logits(torch.tensor([ids], device=gpt.wte.weight.device), row)


def make_room(gpt: GPT, cache: Cache, results: list[Result]) -> None:
    """Reduce each full context to its last half, and read that again."""
    n_ctx = gpt.config.n_ctx
    for row, result in enumerate(results):
        if cache.lengths[row] == n_ctx:
            result.ids = result.ids[-max(1, n_ctx // 2) :]
            result.n_slides += 1
            cache.lengths[row] = 0
            if len(result.ids) > 1:  # the newest token is decoded with the other results'
                read(gpt, result.ids[:-1], cache.row(row))


def context_length(n_prompt: int, n_generated: int, n_ctx: int) -> int:
    """Return the length of the context after a prompt and `n_generated` tokens of an answer."""
    length = min(n_prompt, n_ctx) + n_generated
    kept = max(1, n_ctx // 2)
    return length if length <= n_ctx else kept + (length - n_ctx - 1) % (n_ctx + 1 - kept)


def check_ids(prompts: list[list[int]], n_vocab: int) -> None:
    """Raise UserError for a prompt without tokens or with IDs outside the vocabulary."""
    for prompt in prompts:
        if not prompt:
            raise UserError("a prompt must have at least one token")
        if not 0 <= min(prompt) <= max(prompt) < n_vocab:
            wrong = next(token for token in prompt if not 0 <= token < n_vocab)
            raise UserError(f"token ID {wrong} is not in the model's vocabulary of {n_vocab}")


@dataclass(frozen=True)
class Piece:
    """A token with its text."""

    token: Token
    text: str
    """The characters that the token completes; one that spans tokens belongs to the last."""


class TextStream:
    """The text of one result, in pieces of whole characters, up to the first stop string.

    Text that may be the start of a stop string is held back until that is decided. An incomplete
    character at the end is left out. Without a tokenizer all pieces are empty.
    """

    def __init__(self, tokenizer: Tokenizer | None, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        """Whether a stop string was found."""
        self._decoder = None if tokenizer is None else StreamDecoder(tokenizer)
        self._stop = tuple(stop)
        self._held: list[Piece] = []

    def push(self, token: Token) -> list[Piece]:
        """Add a token; return the pieces that are now certain."""
        self._held.append(Piece(token, self._decoder.push([token.id]) if self._decoder else ""))
        text = "".join(piece.text for piece in self._held)
        found = [start for start in map(text.find, self._stop) if start >= 0]
        if not found:
            return self._release(len(text) - self._possible_stop(text))
        self.stopped = True
        pieces = self._release(min(found))
        rest = min(found) - sum(len(piece.text) for piece in pieces)
        if rest > 0:  # the stop string starts inside this piece
            pieces.append(replace(self._held[0], text=self._held[0].text[:rest]))
        self._held = []
        return pieces

    def flush(self) -> list[Piece]:
        """End the stream; return the pieces held back."""
        held, self._held = self._held, []
        return held

    def _possible_stop(self, text: str) -> int:
        """Return the length of the longest suffix of `text` that is a prefix of a stop string."""
        starts = [stop[:n] for stop in self._stop for n in range(1, len(stop))]
        return max((len(start) for start in starts if text.endswith(start)), default=0)

    def _release(self, n: int) -> list[Piece]:
        """Remove and return the held pieces that lie within the first `n` characters."""
        released = []
        while self._held and len(self._held[0].text) <= n:
            n -= len(self._held[0].text)
            released.append(self._held.pop(0))
        return released
