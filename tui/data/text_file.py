"""A text before it is tokenized: its first lines, its statistics, and its first lines as tokens.

The functions read files of any size, so they are for threads. An unsuitable file is a `UserError`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from simplegpt.cli import UserError

HEAD_BYTES = 16_000  # some two hundred lines
BLOCK = 1 << 20
# The statistics of a longer text are those of its beginning: reading more than this takes seconds.
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class TextHead:
    """How a text begins."""

    size: int
    """Bytes of the whole file."""
    text: str
    """The first lines."""
    is_whole: bool
    """Whether that is all of the text."""


@dataclass(frozen=True)
class TextStatistics:
    """What a text consists of."""

    alphabet: str
    """The distinct characters, sorted by code."""
    n_lines: int
    n_characters: int
    is_whole: bool
    """Whether the whole text was counted."""


@dataclass(frozen=True)
class TokenPreview:
    """The first lines as tokens."""

    tokenizer: str
    n_vocab: int
    pieces: tuple[str, ...]
    """The text of each token; bytes that are not a whole character look like ``\\xe2``."""
    n_characters: int

    @property
    def characters_per_token(self) -> float:
        return self.n_characters / len(self.pieces) if self.pieces else 0.0


def read_head(path: Path) -> TextHead:
    """Read the start of a text, cut after a line. Raises UserError if the file is not a text."""
    from simplegpt.data.encode import Source, decode  # tiktoken: not before the first paint

    check_file(path)
    size = path.stat().st_size
    is_whole = size <= HEAD_BYTES
    blocks = decode(Source(path), HEAD_BYTES)
    text = "".join(blocks) if is_whole else next(blocks)
    if not is_whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return TextHead(size, text, is_whole)


def check_file(path: Path) -> None:
    """Raise UserError if there is no text file at `path`, or an empty one."""
    from simplegpt.data.encode import check_text_file

    check_text_file(path)
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty, there is no text to encode")


def count(path: Path, block: int = BLOCK, limit: int = MOST_BYTES) -> Iterator[TextStatistics]:
    """Read a text of at least one byte and yield its statistics so far, after each block.

    Raises UserError if it is not UTF-8.
    """
    from simplegpt.data.encode import Source, decode

    size = path.stat().st_size
    characters: set[str] = set()
    n_ends = n_characters = n_bytes = 0
    last = ""
    for text in decode(Source(path), block):
        characters.update(text)
        n_ends += text.count("\n")
        n_characters += len(text)
        last = text[-1:] or last
        n_bytes = min(n_bytes + block, size)
        alphabet = "".join(sorted(characters))
        n_lines = n_ends + (last not in ("", "\n"))
        yield TextStatistics(alphabet, n_lines, n_characters, n_bytes == size)
        if n_bytes >= limit:
            return


def preview_tokens(name: str, text: str) -> TokenPreview:
    """Encode `text` with the tokenizer called `name`.

    Raises UserError if the tokenizer is unavailable, or has no id for a character.
    """
    from simplegpt.data.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(name)
    ids = tokenizer.encode(text)
    pieces = tuple(tokenizer.decode_bytes([i]).decode(errors="backslashreplace") for i in ids)
    return TokenPreview(name, tokenizer.n_vocab, pieces, len(text))


def format_alphabet(characters: str) -> str:
    """Return ``"↵ space ! ' , - . A–Z a–z"``: neighbours as a range, white space by name."""
    names = {"\n": "↵", " ": "space", "\t": "tab", "\r": "CR"}
    parts: list[str] = []
    for run in _ranges(characters):
        if len(run) > 3 and run[0].isalnum() and run[-1].isalnum():
            parts.append(f"{run[0]}–{run[-1]}")
        else:
            parts += [names.get(c, c if c.isprintable() else f"U+{ord(c):04X}") for c in run]
    return " ".join(parts)


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
