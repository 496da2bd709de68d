"""A text before it is tokenized: its first lines, what it is written in, and the same as tokens.

For thread workers: a text may be any size, so its start is read at once and the whole of it in a
stream that can be stopped. Every mistake of a file is a `UserError` in a sentence.
"""

import codecs
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from simplegpt.cli import UserError, nearest

HEAD_BYTES = 16_000
"""What is shown of a text: some two hundred lines."""
_READ = 1 << 20
# Beyond this the alphabet is that of the text's beginning: two seconds are what one waits for it.
SURVEY_BYTES = 256 * 2**20
_UTF8_BOM = "\ufeff"


@dataclass(frozen=True)
class TextHead:
    """A file that holds text, and how it begins."""

    path: Path
    size: int
    """Bytes of the whole file."""
    text: str
    """Its first lines; cut at a line's end where the text goes on."""
    is_whole: bool
    """Whether that is all of it."""


@dataclass(frozen=True)
class Survey:
    """What a text is made of."""

    characters: str
    """The distinct ones, by code."""
    lines: int
    n_characters: int
    is_whole: bool
    """False: only the beginning was read."""


@dataclass(frozen=True)
class TokenLook:
    """The first lines as tokens."""

    tokenizer: str
    n_vocab: int
    pieces: tuple[str, ...]
    """The text of each token. One that is no whole character is shown by its bytes: ``<e2>``."""
    n_characters: int
    end_of_text: bool = False

    @property
    def characters_a_token(self) -> float:
        return self.n_characters / len(self.pieces) if self.pieces else 0.0


def read_head(path: Path) -> TextHead:
    """The start of the text at `path`. Raises UserError where it is no text to train on."""
    check_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from None
    is_whole = size <= len(data)
    text = _decode(path, data, 0, final=is_whole, decoder=_decoder())
    if not is_whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return TextHead(path, size, text, is_whole)


def check_file(path: Path) -> None:
    """Raise UserError where there is no text file at `path`."""
    if path.is_dir():
        raise UserError(f"{path.name} is a folder; choose a text file in it.")
    if not path.exists():
        names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"There is no file {path}{nearest(path.name, names)}")
    if not path.is_file():
        raise UserError(f"{path.name} is not an ordinary file.")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path.name} cannot be read: permission denied.")
    if path.stat().st_size == 0:
        raise UserError(f"{path.name} is empty: there is no text in it.")


def survey(path: Path, stopped: Callable[[], bool] = lambda: False) -> Survey | None:
    """Read the text for its alphabet and its length; None where it was `stopped`.

    Raises UserError where it is not UTF-8, and says where.
    """
    found: set[str] = set()
    lines = count = done = 0
    last = ""
    decoder = _decoder()
    for data, final in _chunks(path):
        if stopped():
            return None
        text = _decode(path, data, done, final=final, decoder=decoder)
        done += len(data)
        found.update(text)
        lines += text.count("\n")
        count += len(text)
        last = text[-1:] or last
    found.discard(_UTF8_BOM)
    is_whole = done >= path.stat().st_size
    return Survey("".join(sorted(found)), lines + (last not in ("", "\n")), count, is_whole)


def look_at_tokens(name: str, text: str) -> TokenLook:
    """`text` as the tokenizer called `name` cuts it.

    Raises UserError where the tokenizer cannot be had, or has no id for a character.
    """
    from simplegpt.data.tokenizer import load_tokenizer  # tiktoken costs 0.1 s: not at the start

    tokenizer = load_tokenizer(name)
    pieces = tuple(_piece(tokenizer.decode_bytes([token])) for token in tokenizer.encode(text))
    return TokenLook(
        name, tokenizer.n_vocab, pieces, len(text), end_of_text=tokenizer.end_of_text is not None
    )


def alphabet_in_words(characters: str) -> str:
    """``"↵ space ! ' , - . A–Z a–z"``: runs of neighbours as a range, white space by name."""
    names = {"\n": "↵", " ": "space", "\t": "tab", "\r": "CR"}
    parts: list[str] = []
    for run in _runs(characters):
        if len(run) > 3 and run[0].isalnum() and run[-1].isalnum():
            parts.append(f"{run[0]}–{run[-1]}")
        else:
            parts += [
                names.get(one, one if one.isprintable() else f"U+{ord(one):04X}") for one in run
            ]
    return " ".join(parts)


def _runs(characters: str) -> Iterator[str]:
    """Neighbours by code, of one kind: digits, capitals, small letters or the rest."""
    if not characters:
        return
    start = 0
    for i, (a, b) in enumerate(pairwise(characters), start=1):
        if ord(b) != ord(a) + 1 or _kind(a) != _kind(b):
            yield characters[start:i]
            start = i
    yield characters[start:]


def _kind(character: str) -> tuple[bool, ...]:
    return character.isdigit(), character.isupper(), character.isalpha()


def _piece(data: bytes) -> str:
    return data.decode(errors=_AS_HEX)


def _as_hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    said = "".join(f"<{byte:02x}>" for byte in error.object[error.start : error.end])
    return said, error.end


_AS_HEX = "simplegpt.as_hex"
codecs.register_error(_AS_HEX, _as_hex)


def _chunks(path: Path) -> Iterator[tuple[bytes, bool]]:
    """(bytes, whether they are the last of the file), up to SURVEY_BYTES."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while (done := file.tell()) < min(size, SURVEY_BYTES):
                data = file.read(_READ)
                if not data:
                    return
                yield data, done + len(data) >= size
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from None


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")()


def _decode(
    path: Path, data: bytes, done: int, *, final: bool, decoder: codecs.IncrementalDecoder
) -> str:
    held = len(decoder.getstate()[0])
    try:
        return decoder.decode(data, final)
    except UnicodeDecodeError as error:
        at = done - held + error.start
        raise UserError(
            f"{path.name} is not UTF-8 text: byte {at:,} is {error.object[error.start]:#04x}. "
            "Save it as UTF-8, or choose another file."
        ) from None
