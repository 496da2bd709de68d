"""A text before it is tokenized: its first lines, its statistics, and its first lines as tokens.

The functions read files of any size: call them in a thread. They raise `UserError` for a file that
is not UTF-8 text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simplegpt.cli import UserError
from simplegpt.progress import format_bytes, plural

if TYPE_CHECKING:
    import numpy as np

    from simplegpt.data.tokenizer import Tokenizer
    from simplegpt.data.tokens import TokenSet

HEAD_BYTES = 16_000  # about two hundred lines
BLOCK = 1 << 20
# The statistics of a longer text cover this much of it: reading more takes seconds.
MAX_BYTES = 256 * 2**20
TOKENS_BYTES = 1 << 20  # which the statistics of its tokens cover: a fraction of a second
N_TOKENS, N_COUNTED = 4_000, 1_000_000  # tokens of a file that are shown, and counted
N_FREQUENT = 12
_LONGEST = 10_000  # characters of a line; a longer one counts as this long
_N_CODES = 0x110000  # of Unicode

Unit = Literal["line", "document", "dialogue"]


@dataclass(frozen=True)
class TextHead:
    """The first lines of a text."""

    size: int
    """Of the whole, in `unit`; 0 if unknown."""
    text: str
    """The first lines."""
    is_whole: bool
    """Whether that is all of the text."""
    unit: str = "B"
    """``B``, or ``documents`` of a dataset."""

    @property
    def amount(self) -> str:
        """``4.20 KiB``, ``8.01 M documents``; empty if unknown."""
        if self.unit == "B":
            return format_bytes(self.size)
        return plural(self.size, self.unit.removesuffix("s")) if self.size else ""


@dataclass(frozen=True)
class LineLengths:
    """Characters per line, without the line end, or per document."""

    median: int
    most: int
    """95% of the lines are at most this long."""
    longest: int
    """At most 10,000 for a line."""
    empty: float
    """Fraction that is empty."""


@dataclass(frozen=True)
class TextStatistics:
    """Counts of a text's characters and lines."""

    counts: dict[str, int]
    """By distinct character, sorted by code."""
    n_lines: int
    lines: LineLengths
    read_bytes: int
    """How much of the text was counted."""
    size: int
    """Bytes of the whole text, or the documents of a dataset; 0 if unknown."""
    unit: Unit = "line"
    """What `n_lines` and `lines` count."""

    @property
    def alphabet(self) -> str:
        """The distinct characters, sorted by code."""
        return "".join(self.counts)

    @property
    def n_characters(self) -> int:
        return sum(self.counts.values())

    @property
    def is_whole(self) -> bool:
        """Whether the whole text was counted."""
        return self.read_bytes == self.size

    @property
    def read(self) -> float:
        """Fraction of the text that was counted, 0 to 1."""
        return self.read_bytes / self.size if self.size else 0.0

    @property
    def frequent(self) -> list[tuple[str, float]]:
        """The most frequent characters and their fractions, the most frequent first."""
        ranked = sorted(self.counts.items(), key=lambda item: -item[1])
        return [(character, n / self.n_characters) for character, n in ranked[:N_FREQUENT]]


@dataclass(frozen=True)
class TokenPreview:
    """The first lines as tokens."""

    tokenizer: str
    n_vocab: int
    pieces: tuple[str, ...]
    """The text of each token; bytes that are not a whole character look like ``\\xe2``."""
    n_characters: int


@dataclass(frozen=True)
class TokenStatistics:
    """Counts of the tokens at the beginning of a text or of token files."""

    n_tokens: int
    n_characters: int
    n_used: int
    """Distinct token IDs."""
    scope: str
    """The part that was counted, such as ``the first 1.00 MiB``; empty for all of it."""
    frequent: Sequence[tuple[str, float]]
    """The most frequent tokens and their fractions, the most frequent first."""
    answers: float | None = None
    """Fraction of the tokens of dialogues that are answers, which the loss counts."""

    @property
    def characters_per_token(self) -> float:
        return self.n_characters / max(self.n_tokens, 1)


def read_head(path: Path) -> TextHead:
    """Read the start of a text, cut after a line. Raises UserError if the file is not a text."""
    check_file(path)
    size = path.stat().st_size
    text, is_whole = _read_start(path, HEAD_BYTES)
    if not is_whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return TextHead(size, text, is_whole)


def _read_start(path: Path, n_bytes: int) -> tuple[str, bool]:
    """Return the text of the first `n_bytes`, and whether that is all of it."""
    from simplegpt.data.encode import Source, decode  # tiktoken: not before the first paint

    is_whole = path.stat().st_size <= n_bytes
    blocks = decode(Source(path), n_bytes)
    return "".join(blocks) if is_whole else next(blocks), is_whole


def check_file(path: Path) -> None:
    """Raise UserError if there is no text file at `path`, or an empty one."""
    from simplegpt.data.encode import check_text_file

    check_text_file(path)
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty file")


def count(path: Path, block: int = BLOCK, limit: int = MAX_BYTES) -> Iterator[TextStatistics]:
    """Read a text of at least one byte and yield its statistics so far, after each block.

    Raises UserError if it is not UTF-8.
    """
    import numpy as np

    from simplegpt.data.encode import Source, decode

    size = path.stat().st_size
    codes = np.zeros(_N_CODES, np.int64)
    lengths = np.zeros(_LONGEST + 1, np.int64)
    """How many lines are of each length."""
    open_line = n_bytes = 0  # characters of the line that has not ended yet
    for text in decode(Source(path), block):
        found = np.frombuffer(text.encode("utf-32-le"), "<u4")
        n_each = np.bincount(found)
        codes[: len(n_each)] += n_each
        ends = np.flatnonzero(found == ord("\n"))
        ended = np.diff(ends, prepend=-1) - 1
        if len(ends):
            ended[0] += open_line
            open_line = 0
        open_line += len(found) - (int(ends[-1]) + 1 if len(ends) else 0)
        lengths += np.bincount(np.minimum(ended, _LONGEST), minlength=_LONGEST + 1)
        n_bytes = min(n_bytes + block, size)
        yield _statistics(codes, lengths, open_line, n_bytes, size)
        if n_bytes >= limit:
            return


def _statistics(
    codes: "np.ndarray[Any, Any]",
    lengths: "np.ndarray[Any, Any]",
    open_line: int,
    read_bytes: int,
    size: int,
) -> TextStatistics:
    import numpy as np

    lengths = lengths.copy()
    lengths[min(open_line, _LONGEST)] += open_line > 0  # the last line needs no line end
    n_lines = int(lengths.sum())
    shares = np.cumsum(lengths) / max(n_lines, 1)
    used = np.flatnonzero(codes)
    return TextStatistics(
        counts={chr(code): int(codes[code]) for code in used},
        n_lines=n_lines,
        lines=LineLengths(
            median=int(np.searchsorted(shares, 0.5)),
            most=int(np.searchsorted(shares, 0.95)),
            longest=int(np.flatnonzero(lengths)[-1]) if n_lines else 0,
            empty=float(lengths[0] / max(n_lines, 1)),
        ),
        read_bytes=read_bytes,
        size=size,
    )


def preview_tokens(name: str, text: str) -> TokenPreview:
    """Encode `text` with the tokenizer called `name`.

    Raises UserError if the tokenizer is unavailable, or has no id for a character.
    """
    from simplegpt.data.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(name)
    ids = tokenizer.encode(text)
    return TokenPreview(name, tokenizer.n_vocab, token_pieces(tokenizer, ids), len(text))


def token_pieces(tokenizer: "Tokenizer", ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each token."""
    return tuple(_piece(tokenizer.decode_bytes([i])) for i in ids)


def count_tokens(name: str, path: Path, n_bytes: int = TOKENS_BYTES) -> TokenStatistics:
    """Encode the first `n_bytes` of a text of at least one byte with the tokenizer `name`.

    Raises UserError as `preview_tokens` does, and if the text is not UTF-8.
    """
    from simplegpt.data.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(name)
    text, is_whole = _read_start(path, n_bytes)
    scope = "" if is_whole else f"the first {format_bytes(n_bytes)}"
    return token_statistics(tokenizer, tokenizer.encode_to_numpy(text), len(text), scope)


def token_statistics(
    tokenizer: "Tokenizer", ids: "np.ndarray[Any, Any]", n_characters: int, scope: str
) -> TokenStatistics:
    """Count token IDs, ``[n]``, that encode `n_characters`."""
    import numpy as np

    used, counts = np.unique(ids, return_counts=True)
    ranked = np.argsort(-counts, kind="stable")[:N_FREQUENT]
    frequent = [
        (_piece(tokenizer.decode_bytes([int(used[i])])), float(counts[i] / len(ids)))
        for i in ranked
    ]
    return TokenStatistics(len(ids), n_characters, len(used), scope, frequent)


def read_tokens(tokens: "TokenSet") -> tuple[TokenPreview, TokenStatistics] | None:
    """Return the first tokens of a training file; None if their tokenizer needs a download.

    Raises UserError if the file cannot be read.
    """
    from simplegpt.data.tokenizer import download_size, load_tokenizer
    from simplegpt.data.tokens import open_tokens

    name = tokens.train_info.tokenizer
    if download_size(name) != 0:
        return None
    tokenizer, file = load_tokenizer(name), open_tokens(tokens.train)
    ids = file.slice(0, min(N_COUNTED, len(file)))
    pieces = token_pieces(tokenizer, ids[:N_TOKENS].tolist())
    preview = TokenPreview(name, tokenizer.n_vocab, pieces, sum(map(len, pieces)))
    scope = "" if len(ids) == len(file) else f"the first {plural(len(ids), 'token')}"
    n_characters = len(tokenizer.decode(ids.tolist()))
    return preview, token_statistics(tokenizer, ids, n_characters, scope)


def _piece(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def format_alphabet(characters: str) -> str:
    """Return ``"↵ space ! ' , - . A–Z a–z"``: neighbours as a range, white space by name."""
    parts: list[str] = []
    for run in _ranges(characters):
        if len(run) > 3 and run[0].isalnum() and run[-1].isalnum():
            parts.append(f"{run[0]}–{run[-1]}")
        else:
            parts += map(format_character, run)
    return " ".join(parts)


def format_character(character: str) -> str:
    """A character that can be seen: ``a``, ``space``, ``↵``, ``U+001B``."""
    names = {"\n": "↵", " ": "space", "\t": "tab", "\r": "CR"}
    code = f"U+{ord(character):04X}"
    return names.get(character, character if character.isprintable() else code)


def _ranges(characters: str) -> Iterator[str]:
    """Yield neighbours by code of one kind: digits, capitals, small letters or the rest."""
    start = 0
    for i, (a, b) in enumerate(pairwise(characters), start=1):
        if ord(b) != ord(a) + 1 or _kind(a) != _kind(b):
            yield characters[start:i]
            start = i
    if characters:
        yield characters[start:]


def _kind(character: str) -> tuple[bool, ...]:
    return character.isdigit(), character.isupper(), character.isalpha()
