"""Sample the next token: pure functions of logits, settings and a uniform draw.

The order is that of transformers: repetition penalty (over all tokens of the text), then the
presence and frequency penalties of OpenAI's API (over the generated ones), then temperature,
top-k, top-p and min-p, each applied to the tokens that the previous one kept. A whole batch is
processed at once, without waiting for the device.
"""

import math

import numpy as np
import torch
from torch import Tensor

from simplegpt.config.schema import SamplingConfig

# Even after rounding, a draw stays below the sum of the probabilities, so that no token of
# probability 0 is ever sampled. In float64 that sum is exact enough for 50,257 of them.
MAX_DRAW = 1 - 2.0**-40
MIN_TEMPERATURE = 1e-30  # lower ones may underflow to 0 in fp32; this is already greedy
# A CPU takes 4 ms to sort GPT-2's vocabulary, and a fifth of that to find its 1,024 most probable
# tokens, which mostly contain the nucleus. On other devices, checking that would mean waiting.
HEAD = 1024


def choose(logits: Tensor, sampling: SamplingConfig, draws: Tensor) -> Tensor:
    """Return the next token of each row, ``[b]``, given penalized `logits` ``[b, v]``.

    `draws` ``[b]`` are uniform in [0, 1), on any device; temperature 0 does not use them. The
    result is -1 for a row with NaN or infinite logits.
    """
    if sampling.temperature == 0:
        best, ids = logits.max(dim=-1)
        return torch.where(best.isfinite(), ids, -1)
    if logits.device.type == "mps":  # has no float64
        logits = logits.cpu()
    # The sum runs in the order of the IDs and excluded tokens add 0, so that a draw gives the same
    # token whatever the padding of the vocabulary.
    sums = probabilities(logits, sampling).double().cumsum(dim=-1)
    total = sums[:, -1:]
    draws = draws.to(sums, non_blocking=True).clamp(max=MAX_DRAW)
    ids = torch.searchsorted(sums, draws[:, None] * total, right=True)
    return torch.where(total.isfinite(), ids, -1).squeeze(1)


def probabilities(logits: Tensor, sampling: SamplingConfig) -> Tensor:
    """Return the distribution that `choose` samples from, ``[b, v]`` in fp32."""
    if sampling.temperature == 0:
        ids = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits, dtype=torch.float32).scatter_(-1, ids, 1.0)
    return filter_logits(logits, sampling).softmax(dim=-1)


def filter_logits(logits: Tensor, sampling: SamplingConfig) -> Tensor:
    """Divide `logits` ``[b, v]`` by the temperature; set excluded tokens to -inf. Returns fp32."""
    scores = logits.float()
    # Only differences matter: with a maximum of 0, no tiny temperature overflows.
    temperature = max(sampling.temperature, MIN_TEMPERATURE)
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        scores = keep_top_k(scores, sampling.top_k)
    if sampling.top_p < 1:
        scores = keep_top_p(scores, sampling.top_p)
    if sampling.min_p > 0:
        scores = keep_min_p(scores, sampling.min_p)
    return scores


def keep_top_k(scores: Tensor, k: int) -> Tensor:
    """Keep the k highest scores, and any that equal the lowest of them."""
    lowest = scores.topk(k, dim=-1).values[:, -1:]
    return scores.masked_fill(scores < lowest, -math.inf)


def keep_top_p(scores: Tensor, p: float) -> Tensor:
    """Keep the fewest tokens whose probabilities reach p (nucleus; Holtzman et al. 2019)."""
    total = scores.logsumexp(dim=-1, keepdim=True)
    ordered, ids = scores.topk(min(HEAD, scores.shape[-1]), dim=-1)
    chances = (ordered - total).exp()
    if scores.device.type != "cpu" or (chances.sum(dim=-1) < p).any():
        ordered, ids = scores.sort(dim=-1, descending=True)
        chances = (ordered - total).exp()
    removed = chances.cumsum(dim=-1) - chances >= p
    removed[:, 0] = False  # rounding must not remove the most probable token
    kept = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, ids, ~removed)
    return scores.masked_fill(~kept, -math.inf)


def keep_min_p(scores: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as probable as the most probable one (Nguyen et al. 2024)."""
    lowest = scores.amax(dim=-1, keepdim=True) + math.log(p)
    return scores.masked_fill(scores < lowest, -math.inf)


class Penalties:
    """The penalties for a batch of texts, and the tokens so far that they depend on."""

    def __init__(
        self, sampling: SamplingConfig, texts: list[list[int]], n_generated: int, n_vocab: int
    ) -> None:
        """Start with `texts`, whose last `n_generated` tokens count as generated."""
        self.sampling = sampling
        self.has_repetition = sampling.repetition_penalty != 1
        self.has_counts = sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
        self.seen = torch.zeros(len(texts), n_vocab, dtype=torch.bool)
        self.counts = torch.zeros(len(texts), n_vocab)
        for row, text in enumerate(texts):
            ids = torch.tensor(text, dtype=torch.long)
            generated = ids[max(0, len(ids) - n_generated) :]
            self.seen[row, ids[ids < n_vocab]] = True
            self.counts[row] += torch.bincount(generated[generated < n_vocab], minlength=n_vocab)

    def to(self, device: torch.device) -> "Penalties":
        """Move to `device`."""
        self.seen, self.counts = self.seen.to(device), self.counts.to(device)
        return self

    def __call__(self, logits: Tensor) -> Tensor:
        """Apply the penalties to `logits` ``[b, v]``."""
        if self.has_repetition:
            logits = penalize_repetition(logits, self.seen, self.sampling.repetition_penalty)
        if self.has_counts:
            logits = logits - self.sampling.presence_penalty * (self.counts > 0)
            logits = logits - self.sampling.frequency_penalty * self.counts
        return logits

    def add(self, ids: Tensor) -> None:
        """Append the generated tokens `ids` ``[b]``."""
        if self.has_repetition:
            self.seen.scatter_(1, ids[:, None], True)
        if self.has_counts:
            self.counts.scatter_add_(1, ids[:, None], torch.ones_like(self.counts[:, :1]))

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but `rows`."""
        self.seen, self.counts = self.seen[rows], self.counts[rows]


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of `seen` tokens, multiply negative ones (Keskar et al. 2019)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def result_generator(seed: int, copy: int) -> np.random.Generator:
    """Return the random generator of a prompt's result `copy`: one ``random()`` per token."""
    return np.random.default_rng((seed, copy))
