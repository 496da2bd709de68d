"""The windows of tokens for training and validation, as pure functions of (seed, index).

`open_windows` returns those of text, `TextWindows`, or of dialogues, which stay whole,
`DialogueWindows`. Both give the window of sample k of a run, a fixed set for validation, and the
batch of any windows. They are stateless, so a resumed or distributed run needs only the k of its
next sample. Nothing here imports torch.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError
from simplegpt.data.chat import ANSWER, BEGIN
from simplegpt.data.tokens import Tokens, open_tokens

IGNORED = -100  # torch's cross-entropy ignores this target
N_ROUNDS = 6  # of the permutation of an epoch; four are the least that mixes both halves


class Window(NamedTuple):
    """Tokens start … stop - 1: all but the last are inputs, all but the first their targets."""

    start: int
    stop: int
    skip: int = 0
    """The first targets, which do not count: they belong to the window before."""


class Batch(NamedTuple):
    """Windows, int64 ``[batch, seq]`` each."""

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    """The next tokens; `IGNORED` where they do not count, as outside the answers of dialogues."""
    documents: npt.NDArray[np.int64] | None = None
    """The number of each token's dialogue in its window, from 1; None for text."""


def open_windows(tokens: Tokens, seq_len: int, seed: int = 0) -> "TextWindows | DialogueWindows":
    """Return the windows of `tokens`. Raises UserError if there is none."""
    kind = TextWindows if tokens.chat_template is None else DialogueWindows
    return kind(tokens, seq_len, seed)


def tokens_per_epoch(spec: str | Path, seq_len: int) -> int | None:
    """Return the number of tokens in an epoch's windows; None without a usable token file.

    Windows of dialogues are padded, and leave out what is too long.
    """
    try:
        tokens = open_tokens(spec)
        if tokens.chat_template is None:
            return len(tokens)
        return len(DialogueWindows(tokens, seq_len)) * seq_len
    except UserError:
        return None


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


class TextWindows:
    """Windows of seq_len + 1 tokens of a text; those of training are pure functions of (seed, k).

    Epoch e is samples e * len(windows) to (e + 1) * len(windows) - 1: every window once, in random
    order. Windows start seq_len apart, so each shares one token with the next and every target
    occurs once. The offset of the first, in 0 … seq_len - 1, is random for each epoch, so the text
    is cut at different places. A last window that would exceed the end is moved back and overlaps
    its neighbour, so every epoch has the same length.
    """

    def __init__(self, tokens: Tokens, seq_len: int, seed: int = 0) -> None:
        self.tokens, self.seq_len, self.seed = tokens, seq_len, seed
        self._n = window_count(len(tokens), seq_len)

    def __len__(self) -> int:
        """Return the number of windows per epoch."""
        return self._n

    def training(self, samples: Sequence[int]) -> list[Window]:
        """Return the windows of `samples` of the run."""
        last = len(self.tokens) - 1 - self.seq_len
        found = []
        for epoch, index in _places(samples, len(self), self.seed):
            phase = random_phase(self.seed, epoch, self.seq_len)
            start = min(phase + index * self.seq_len, last)
            found.append(Window(start, start + self.seq_len + 1))
        return found

    def weight(self, samples: Sequence[int], step: Sequence[int]) -> float:
        """Return the weight of the mean loss of `samples` in that of their optimizer `step`."""
        return 1.0

    def validation(self, limit: int | None = None) -> Sequence[Window]:
        """Return the fixed windows that predict every token but the first exactly once.

        `limit` keeps that many, evenly spaced.
        """
        return ValidationWindows(len(self.tokens), self.seq_len, limit)

    def n_targets(self, windows: Sequence[Window]) -> int:
        """Return the number of targets in `windows` that count."""
        return sum(window.stop - window.start - 1 - window.skip for window in windows)

    def batch(self, windows: Sequence[Window]) -> Batch:
        """Read `windows`. Raises UserError if a file was truncated meanwhile."""
        ids = np.stack([self.tokens.slice(window.start, window.stop) for window in windows])
        skipped = np.arange(self.seq_len) < np.array([[window.skip] for window in windows])
        return Batch(ids[:, :-1], np.where(skipped, IGNORED, ids[:, 1:]))


@dataclass(frozen=True)
class ValidationWindows(Sequence[Window]):
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

    def __getitem__(self, i: int) -> Window:  # type: ignore[override]
        if not 0 <= i < len(self):
            raise IndexError(i)
        start = i * self._total // len(self) * self.seq_len
        last = self.n_tokens - 1 - self.seq_len
        first = min(start, last)
        return Window(first, first + self.seq_len + 1, max(0, start - last))

    @property
    def _total(self) -> int:
        return -(-(self.n_tokens - 1) // self.seq_len)


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

    def training(self, samples: Sequence[int]) -> list[Window]:
        """Return the windows of `samples` of the run."""
        return [self._window(index) for _, index in _places(samples, len(self), self.seed)]

    def weight(self, samples: Sequence[int], step: Sequence[int]) -> float:
        """Return the weight of the mean loss of `samples` in that of their optimizer `step`.

        Each token of an answer has the same weight in the step's loss, their mean over all devices
        and accumulated batches. That is the mean of the batches' losses, which Lightning and DDP
        compute, if each loss is multiplied by its number of answers' tokens over the mean of that
        of the step's batches.
        """
        n = self.n_targets(self.training(samples))
        return n * (len(step) / len(samples)) / self.n_targets(self.training(step))

    def validation(self, limit: int | None = None) -> Sequence[Window]:
        """Return all windows, or at most `limit`, evenly spaced."""
        n = len(self) if limit is None else min(limit, len(self))
        return [self._window(i * len(self) // n) for i in range(n)]

    def n_targets(self, windows: Sequence[Window]) -> int:
        """Return the number of tokens of answers in `windows`, the targets that count."""
        starts = np.array([window.start for window in windows])
        return int(self._n_answers[np.searchsorted(self._slices[:, 0], starts)].sum())

    def batch(self, windows: Sequence[Window]) -> Batch:
        """Read `windows`. Raises UserError if a file was truncated meanwhile."""
        shape = len(windows), self.seq_len + 1
        ids, marks = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, (start, stop, _) in enumerate(windows):
            ids[row, : stop - start] = self.tokens.slice(start, stop)
            marks[row, : stop - start] = self.marks[start:stop]
        targets = np.where(marks & ANSWER, ids, IGNORED)[:, 1:]
        documents = np.cumsum(marks & BEGIN != 0, axis=1)
        return Batch(ids[:, :-1], targets, documents[:, :-1])

    def _window(self, index: int) -> Window:
        start, stop = self._slices[index]
        return Window(int(start), int(stop))


def _places(samples: Sequence[int], n_windows: int, seed: int) -> list[tuple[int, int]]:
    """Return the epoch of each sample and its place in the data, 0 … n_windows - 1."""
    epochs = [k // n_windows for k in samples]
    places = np.array([k % n_windows for k in samples], dtype=np.uint64)
    for epoch in set(epochs):
        own = np.array([one == epoch for one in epochs])
        places[own] = _permuted(places[own], n_windows, _round_keys(seed, epoch))
    return list(zip(epochs, places.tolist(), strict=True))


def _permuted(
    indices: npt.NDArray[np.uint64], n: int, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Return where a random permutation of 0 … n - 1 takes `indices`, without a table of it.

    A Feistel network permutes the numbers of a fixed length in bits; what falls outside 0 … n - 1
    is permuted again until it is inside (Black and Rogaway, Ciphers with arbitrary finite domains).
    """
    n_bits = max((n - 1).bit_length(), 2)
    result = indices
    outside = np.ones(len(indices), dtype=bool)
    while outside.any():
        # the sizes of the halves swap in each round, and are back after an even number
        low_bits, high_bits = n_bits // 2, n_bits - n_bits // 2
        walked = result[outside]
        high, low = walked >> np.uint64(low_bits), walked & np.uint64(2**low_bits - 1)
        for key in keys:
            high, low = low, high ^ (_mixed(low, key) & np.uint64(2**high_bits - 1))
            low_bits, high_bits = high_bits, low_bits
        result[outside] = (high << np.uint64(low_bits)) | low
        outside = result >= n
    return result


def _mixed(values: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """Return 64 bits of hash of each value (the finalizer of SplitMix64)."""
    mixed = values + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@functools.lru_cache(maxsize=4)  # batches may reach into the next epoch
def _round_keys(seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    keys = np.random.SeedSequence((seed, epoch)).generate_state(N_ROUNDS, np.uint64)
    return keys.astype(np.uint64)  # as its type says


@functools.lru_cache(maxsize=4)
def random_phase(seed: int, epoch: int, seq_len: int) -> int:
    """Return the start of the first window of an epoch."""
    return int(np.random.default_rng((seed, epoch)).integers(seq_len))
