"""Which tokens make which sample: pure functions of (seed, index), for training and validation.

`Windows` says where sample k of a run begins; `ValidationWindows` covers a split the same way every
time. Neither holds any state, so a resumed run, or one spread over several processes, needs nothing
but the k of its next sample. Nothing here imports torch.
"""

from dataclasses import dataclass

from simplegpt.cli import UserError


def window_count(n_tokens: int, seq_len: int) -> int:
    """Windows of seq_len + 1 tokens that share their boundary tokens: (n_tokens - 1) // seq_len.

    Raises UserError where there is not one.
    """
    if n_tokens <= seq_len:
        raise UserError(
            f"the data has {n_tokens:,} tokens, which is too short for one window: seq_len is "
            f"{seq_len:,}, which takes {seq_len + 1:,} tokens (the next token is the target)"
        )
    return (n_tokens - 1) // seq_len


@dataclass(frozen=True)
class Windows:
    """Where sample k of a run begins: a pure function of (seed, k), for any k ≥ 0, in O(1).

    A window is seq_len + 1 tokens: tokens 0 … seq_len - 1 are the inputs and 1 … seq_len their
    targets. Epoch e is samples e * len(windows) up to (e + 1) * len(windows) - 1: every window
    once, in an order of its own. Its windows lie seq_len apart, so that each shares one token with
    the next and no target comes twice, from a phase in 0 … seq_len - 1 that each epoch draws anew,
    so that the model sees the text cut at other places. Where the last window would run over the
    end it is moved back and overlaps its neighbour; so every epoch has the same length.
    """

    n_tokens: int
    seq_len: int
    seed: int

    def __post_init__(self) -> None:
        window_count(self.n_tokens, self.seq_len)

    def __len__(self) -> int:
        """Windows an epoch."""
        return window_count(self.n_tokens, self.seq_len)

    def phase(self, epoch: int) -> int:
        """The first window's first token in that epoch."""
        return _mix(self.seed, epoch, 0) % self.seq_len

    def start(self, k: int) -> int:
        """The first token of sample k; the window is start … start + seq_len."""
        epoch, index = divmod(k, len(self))
        place = permuted(index, len(self), _mix(self.seed, epoch, 1))
        last = self.n_tokens - 1 - self.seq_len
        return min(self.phase(epoch) + place * self.seq_len, last)

    def window(self, k: int) -> slice:
        """The tokens of sample k, seq_len + 1 of them."""
        start = self.start(k)
        return slice(start, start + self.seq_len + 1)


@dataclass(frozen=True)
class ValidationWindow:
    """Tokens start … start + seq_len; the first `skip` targets belong to the window before."""

    start: int
    skip: int = 0


@dataclass(frozen=True)
class ValidationWindows:
    """Fixed windows that predict every token but the first exactly once, all of one shape.

    Window i begins at i * seq_len. What is left at the end, shorter than a window, becomes one more
    that is moved back to full length, and whose `skip` leading targets do not count, because
    the window before it predicted them. `limit` keeps that many windows, evenly spaced.
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


def permuted(index: int, length: int, key: int) -> int:
    """Where a permutation of 0 … length - 1, drawn by `key`, sends `index`.

    A Feistel network over a rows-by-columns grid just large enough, which walks on while it lands
    outside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002): a shuffle of any
    length without a table, which for 9e9 tokens in short windows would take a gigabyte.
    """
    rows = max(1, round(length**0.5))
    columns = -(-length // rows)
    while True:
        row, column = divmod(index, columns)
        for step in range(4):
            row = (row + _mix(key + step, column)) % rows
            column = (column + _mix(key - step - 1, row)) % columns
        index = row * columns + column
        if index < length:
            return index


def _mix(*values: int) -> int:
    """64 well-mixed bits of some integers, the same on every machine (splitmix64's finalizer)."""
    state = 0x9E3779B97F4A7C15
    for value in values:
        state = (state + value) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state
