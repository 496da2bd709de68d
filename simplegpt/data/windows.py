"""The windows of tokens for training and validation, as pure functions of (seed, index).

`Windows` gives the position of sample k of a run; `ValidationWindows` covers a split, always in the
same way. `DialogueWindows` does both for dialogues, which stay whole. All are stateless, so a
resumed or distributed run needs only the k of its next sample. Nothing here imports torch.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError
from simplegpt.data.chat import ANSWER, BEGIN
from simplegpt.data.tokens import Tokens

IGNORED = -100  # torch's cross-entropy ignores this target


def random_seed(*parts: int) -> int:
    """Return a 64-bit seed mixed from non-negative integers, such as (seed, step, rank)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def window_count(n_tokens: int, seq_len: int) -> int:
    """Count the windows of seq_len + 1 tokens that share their boundary tokens.

    Raises UserError if there are not enough tokens for one.
    """
    if n_tokens <= seq_len:
        raise UserError(
            f"the data has {n_tokens:,} tokens: one window needs seq_len + 1 = {seq_len + 1:,} "
            "(the inputs and the next token)"
        )
    return (n_tokens - 1) // seq_len


@dataclass(frozen=True)
class Windows:
    """The training windows: sample k is a pure function of (seed, k), for any k ≥ 0.

    A window is seq_len + 1 tokens: tokens 0 … seq_len - 1 are the inputs and 1 … seq_len their
    targets. Epoch e is samples e * len(windows) to (e + 1) * len(windows) - 1: every window once,
    in random order. Windows start seq_len apart, so each shares one token with the next and every
    target occurs once. The offset of the first, in 0 … seq_len - 1, is random for each epoch, so
    the text is cut at different places. A last window that would exceed the end is moved back and
    overlaps its neighbour, so every epoch has the same length.
    """

    n_tokens: int
    seq_len: int
    seed: int

    def __post_init__(self) -> None:
        window_count(self.n_tokens, self.seq_len)

    def __len__(self) -> int:
        """Return the number of windows per epoch."""
        return window_count(self.n_tokens, self.seq_len)

    def start(self, k: int) -> int:
        """Return the first token of sample k; the window is start … start + seq_len."""
        epoch, index = divmod(k, len(self))
        phase, order = _epoch(self.seed, epoch, len(self), self.seq_len)
        last = self.n_tokens - 1 - self.seq_len
        return min(phase + int(order[index]) * self.seq_len, last)

    def window(self, k: int) -> slice:
        """Return the slice of the seq_len + 1 tokens of sample k."""
        start = self.start(k)
        return slice(start, start + self.seq_len + 1)


@dataclass(frozen=True)
class ValidationWindow:
    """Tokens start … start + seq_len; the first `skip` targets belong to the window before."""

    start: int
    skip: int = 0


@dataclass(frozen=True)
class ValidationWindows:
    """Fixed windows of equal length that predict every token but the first exactly once.

    Window i begins at i * seq_len. The last one is moved back to full length; its first `skip`
    targets do not count, because the window before it predicted them. `limit` keeps that many
    windows, evenly spaced.
    """

    n_tokens: int
    seq_len: int
    limit: int | None = None

    def __post_init__(self) -> None:
        window_count(self.n_tokens, self.seq_len)

    def __len__(self) -> int:
        return self._total if self.limit is None else min(self.limit, self._total)

    def __getitem__(self, i: int) -> ValidationWindow:
        if not 0 <= i < len(self):
            raise IndexError(i)
        start = i * self._total // len(self) * self.seq_len
        last = self.n_tokens - 1 - self.seq_len
        return ValidationWindow(min(start, last), max(0, start - last))

    @property
    def _total(self) -> int:
        return -(-(self.n_tokens - 1) // self.seq_len)


class Batch(NamedTuple):
    """Windows, int64 ``[batch, seq]`` each."""

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    """The next tokens; `IGNORED` where they do not count, as outside the answers of dialogues."""
    documents: npt.NDArray[np.int64] | None = None
    """The number of each token's dialogue in its window, from 1; None for text."""


class DialogueWindows:
    """Windows of whole dialogues: each has as many of them, in order, as fit.

    A window is up to seq_len + 1 tokens and padded. Of a longer dialogue, which has a window of its
    own, only the first seq_len + 1 tokens are used; without an answer in them, it is left out.
    Epoch e is samples e * len(windows) to (e + 1) * len(windows) - 1: every window once, in random
    order. Raises UserError if no window is left.
    """

    def __init__(self, tokens: Tokens, seq_len: int, seed: int = 0) -> None:
        self.tokens, self.seq_len, self.seed = tokens, seq_len, seed
        self.marks = marks = tokens.marks()
        starts = np.flatnonzero(marks & BEGIN)
        ends = np.append(starts[1:], len(marks))
        self.n_dialogues = len(starts)
        self.n_cut = int((ends - starts > seq_len + 1).sum())
        """Number of dialogues that are too long."""
        windows = []
        i = 0
        while i < len(starts):
            limit = starts[i] + seq_len + 1
            n = max(1, np.searchsorted(ends, limit, side="right") - i)
            windows.append((starts[i], min(ends[i + n - 1], limit)))
            i += n
        counts = [np.count_nonzero(marks[start:stop] & ANSWER) for start, stop in windows]
        if not any(counts):
            raise UserError(
                f"no dialogue has an answer in its first seq_len + 1 = {seq_len + 1:,} tokens"
            )
        kept = np.flatnonzero(counts)
        self._slices = np.array(windows, dtype=np.int64)[kept]
        self._n_answers = np.array(counts, dtype=np.int64)[kept]

    def __len__(self) -> int:
        """Return the number of windows per epoch."""
        return len(self._slices)

    def sample(self, k: int) -> int:
        """Return the window of sample k."""
        epoch, index = divmod(k, len(self))
        _, order = _epoch(self.seed, epoch, len(self), self.seq_len)
        return int(order[index])

    def spaced(self, limit: int | None) -> list[int]:
        """Return at most `limit` windows, evenly spaced; None for all."""
        n = len(self) if limit is None else min(limit, len(self))
        return [i * len(self) // n for i in range(n)]

    def n_answers(self, windows: Sequence[int]) -> int:
        """Return the number of tokens of answers in `windows`, the targets that count."""
        return int(self._n_answers[list(windows)].sum())

    def batch(self, windows: Sequence[int]) -> Batch:
        """Read `windows`. Raises UserError if a file was truncated meanwhile."""
        shape = len(windows), self.seq_len + 1
        ids, marks = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, (start, stop) in enumerate(self._slices[list(windows)]):
            ids[row, : stop - start] = self.tokens.slice(start, stop)
            marks[row, : stop - start] = self.marks[start:stop]
        targets = np.where(marks & ANSWER, ids, IGNORED)[:, 1:]
        documents = np.cumsum(marks & BEGIN != 0, axis=1)
        return Batch(ids[:, :-1], targets, documents[:, :-1])


# A process reads its samples in order, so caching one epoch is enough. The order takes 8 bytes per
# window: 70 MB for 9e9 tokens in windows of 1024.
@functools.lru_cache(maxsize=1)
def _epoch(
    seed: int, epoch: int, n_windows: int, seq_len: int
) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the phase and the order of the windows of an epoch."""
    generator = np.random.default_rng((seed, epoch))
    return int(generator.integers(seq_len)), generator.permutation(n_windows)
