"""From logits to the next token: pure functions of logits, settings and a uniform draw.

The order is transformers' own: repetition penalty (over all tokens in sight), then, over the
generated ones, the presence and frequency penalties of OpenAI's API, then temperature, top-k,
top-p and min-p, each on what the one before has left. Everything is done for a whole batch at
once, and nothing here waits for the device.
"""

import math

import numpy as np
import torch
from torch import Tensor

from simplegpt.config.schema import SamplingConfig

# float64 keeps the running sum of 50,257 probabilities exact enough, and 1 - 2^-40 keeps a draw
# below it whatever the rounding, so that no token of probability 0 is ever taken.
LARGEST_DRAW = 1 - 2.0**-40
LEAST_TEMPERATURE = 1e-30  # less would be 0 in fp32; this already leaves nothing but the likeliest
# A CPU takes 4 ms to sort GPT-2's vocabulary, and a fifth of that to find its 1,024 likeliest,
# which mostly hold the nucleus. (Elsewhere, to ask whether they do would be to wait.)
HEAD = 1024


def choose(logits: Tensor, sampling: SamplingConfig, draws: Tensor) -> Tensor:
    """The next token of each row, ``[b]``, from penalised `logits` ``[b, v]``.

    `draws` ``[b]`` are uniform in [0, 1), on any device; temperature 0 takes the likeliest and
    needs none. A row whose logits are no numbers gives -1.
    """
    if sampling.temperature == 0:
        best, ids = logits.max(dim=-1)
        return torch.where(best.isfinite(), ids, -1)
    if logits.device.type == "mps":  # has no float64
        logits = logits.cpu()
    # Probabilities are summed up in the order of the ids, so tokens that are ruled out (0) change
    # no sum: a draw takes the same token however wide the vocabulary is padded.
    sums = probabilities(logits, sampling).double().cumsum(dim=-1)
    total = sums[:, -1:]
    draws = draws.to(sums, non_blocking=True).clamp(max=LARGEST_DRAW)
    targets = draws[:, None] * total
    ids = torch.searchsorted(sums, targets, right=True)
    return torch.where(total.isfinite(), ids, -1).squeeze(1)


def probabilities(logits: Tensor, sampling: SamplingConfig) -> Tensor:
    """What `choose` draws from, ``[b, v]``: fp32, 0 for tokens that the settings rule out."""
    if sampling.temperature == 0:
        ids = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits, dtype=torch.float32).scatter_(-1, ids, 1.0)
    return filtered(logits, sampling).softmax(dim=-1)


def filtered(logits: Tensor, sampling: SamplingConfig) -> Tensor:
    """Logits over the temperature, ``[b, v]`` in fp32, -inf for tokens that are ruled out."""
    scores = logits.float()
    # Only differences count, so the largest is made 0, which no tiny temperature can overflow.
    temperature = max(sampling.temperature, LEAST_TEMPERATURE)
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        scores = keep_top_k(scores, sampling.top_k)
    if sampling.top_p < 1:
        scores = keep_top_p(scores, sampling.top_p)
    if sampling.min_p > 0:
        scores = keep_min_p(scores, sampling.min_p)
    return scores


def keep_top_k(scores: Tensor, k: int) -> Tensor:
    """The k highest; tokens as high as the last of them stay too."""
    least = scores.topk(k, dim=-1).values[:, -1:]
    return scores.masked_fill(scores < least, -math.inf)


def keep_top_p(scores: Tensor, p: float) -> Tensor:
    """The fewest whose probabilities reach p: nucleus sampling (Holtzman et al. 2019)."""
    total = scores.logsumexp(dim=-1, keepdim=True)
    ordered, ids = scores.topk(min(HEAD, scores.shape[-1]), dim=-1)
    chances = (ordered - total).exp()
    if scores.device.type != "cpu" or (chances.sum(dim=-1) < p).any():
        ordered, ids = scores.sort(dim=-1, descending=True)
        chances = (ordered - total).exp()
    removed = chances.cumsum(dim=-1) - chances >= p
    removed[:, 0] = False  # rounding may not take the likeliest
    kept = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, ids, ~removed)
    return scores.masked_fill(~kept, -math.inf)


def keep_min_p(scores: Tensor, p: float) -> Tensor:
    """Those at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    least = scores.amax(dim=-1, keepdim=True) + math.log(p)
    return scores.masked_fill(scores < least, -math.inf)


class Penalties:
    """What the penalties need to know of the tokens so far; does nothing where none is set."""

    def __init__(
        self, sampling: SamplingConfig, texts: list[list[int]], n_generated: list[int], n_vocab: int
    ) -> None:
        """Row r has `texts[r]` in sight, of which the last ``n_generated[r]`` were generated."""
        self.sampling = sampling
        self.repeats = sampling.repetition_penalty != 1
        self.counts_matter = sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
        self.seen = torch.zeros(len(texts), n_vocab, dtype=torch.bool)
        self.counts = torch.zeros(len(texts), n_vocab if self.counts_matter else 0)
        for row, (text, n) in enumerate(zip(texts, n_generated, strict=True)):
            known = torch.tensor([token for token in text if token < n_vocab], dtype=torch.long)
            self.seen[row, known] = True
            if self.counts_matter and n:
                new = torch.tensor([token for token in text[-n:] if token < n_vocab])
                self.counts[row] += torch.bincount(new.long(), minlength=n_vocab)

    def to(self, device: torch.device) -> "Penalties":
        """Move to `device`."""
        self.seen, self.counts = self.seen.to(device), self.counts.to(device)
        return self

    def __call__(self, logits: Tensor) -> Tensor:
        """`logits` ``[b, v]``, penalised."""
        if self.repeats:
            logits = penalise_repetition(logits, self.seen, self.sampling.repetition_penalty)
        if self.counts_matter:
            logits = logits - self.sampling.presence_penalty * (self.counts > 0)
            logits = logits - self.sampling.frequency_penalty * self.counts
        return logits

    def add(self, ids: Tensor) -> None:
        """Each row has generated the token in `ids` ``[b]``."""
        if self.repeats:
            self.seen.scatter_(1, ids[:, None], True)
        if self.counts_matter:
            self.counts.scatter_add_(1, ids[:, None], torch.ones_like(self.counts[:, :1]))

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but `rows`."""
        self.seen, self.counts = self.seen[rows], self.counts[rows]


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Positive logits of `seen` tokens divided, negative ones multiplied (Keskar et al. 2019)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def generator_of(seed: int, result: int) -> np.random.Generator:
    """Result `result`'s own generator, of which each of its tokens takes one ``random()``."""
    return np.random.default_rng((seed, result))
