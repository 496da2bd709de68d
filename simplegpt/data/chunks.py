"""Text files in, chunks of text out, cut only where that changes no token.

`read_chunks` is how a text of any size becomes ids in bounded memory: encoding its chunks one by
one gives exactly the ids of encoding each document whole. A byte-pair tokenizer first splits a text
into pieces by a regular expression and merges inside the pieces only, so a cut is exact

- **between two pieces**, where no piece and no look-ahead of the expression can reach across:
  `_BETWEEN_PIECES` are the places that hold for every one of tiktoken's expressions, and
  `_is_between_pieces` has the rarer ones by Unicode class (Chinese text without a blank, say);
- **inside one piece**, when it is too long to be held (a gigabyte of one letter), between two
  tokens that do not merge with each other. Merging always takes the best pair of neighbours, so
  tokens are the encoding of their text if and only if every two neighbours encode to themselves
  (the first merge across a border would also be made in the text of the two tokens alone). Such a
  chunk is marked `joined`, and whoever encodes it checks the seam with `merges_across`.

Anything else is refused (`UserError`) rather than cut wrongly. Nothing here imports torch.
"""

import codecs
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tiktoken

from simplegpt.cli import UserError
from simplegpt.data.tokenizer import BytePairTokenizer, Tokenizer

CHUNK = 1 << 17  # characters: large enough that the hand-over costs nothing, small in memory
_READ = 1 << 18  # bytes read at a time
_SLACK = 4096  # characters after CHUNK in which to look for a cut; longer than any token
_LONGEST_PIECE = 1 << 20  # characters held at most where no cut inside a piece is proven

# After an ASCII letter or digit: before a blank, the end of a line, and any ASCII sign but the
# apostrophe ("it's" may be one piece). After anything but white space: before a blank.
_BETWEEN_PIECES = re.compile(r"[0-9A-Za-z](?=[ \n!-&(-/:-@\[-`{-~])|\S(?= )")

# The expressions of which the cuts here are proven, by the names of tiktoken's encodings.
_ONE_CLASS_PIECES = {"gpt2", "r50k_base", "p50k_base", "p50k_edit"}
_MIXED_PIECES = {"cl100k_base", "o200k_base", "o200k_harmony"}


@dataclass(frozen=True)
class Source:
    """A text file, or its bytes start … stop - 1."""

    path: Path
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Chunk:
    """A part of a text, to be encoded by itself."""

    text: str
    path: Path
    line: int
    """The line of the file, from 1, in which it begins."""
    n_bytes: int
    """What it took of the file."""
    joined: bool = False
    """It goes on inside the piece in which the chunk before it ended: check the seam."""
    ends_document: bool = False


def read_chunks(
    sources: Iterable[Source],
    tokenizer: Tokenizer,
    *,
    marker: str | None = None,
    size: int = CHUNK,
    slack: int = _SLACK,
) -> Iterator[Chunk]:
    """The documents of some text files, in chunks of about `size` characters.

    A document ends at the end of its file, and at each `marker`, which is no part of it. The text
    is taken as it is: UTF-8, line ends untouched, except that a byte-order mark at a file's
    beginning, which tells the encoding and is no text, is dropped.

    Raises UserError for a file that cannot be read or is not UTF-8, and for a piece without end.
    """
    for source in sources:
        line = 1 + _lines_before(source)
        blocks = _documents(_decoded(source), marker)
        for text, joined, ends in _cut(blocks, tokenizer, size, slack, source.path):
            n_bytes = len(text) if text.isascii() else len(text.encode())
            yield Chunk(text, source.path, line, n_bytes, joined, ends)
            line += text.count("\n")
            if ends and marker:
                line += marker.count("\n")


def split_by_line(sources: Sequence[Source], val_fraction: float) -> tuple[tuple[Source, ...], ...]:
    """(training part, validation part) of whole files: the first lines and the last, over them all.

    At least one line is validation's; a last line needs no line end. Raises UserError where there
    is only one line.
    """
    counts = [_count_lines(source.path) for source in sources]
    n_val = max(1, round(sum(counts) * val_fraction))
    n_train = sum(counts) - n_val
    if n_train < 1:
        raise UserError(
            f"{sources[0].path}: the split is by line, and there are too few lines ({sum(counts)}) "
            "for a training and a validation part; --val_fraction 0 makes no split"
        )
    at = 0  # the file in which the training part ends
    while n_train > counts[at]:
        n_train -= counts[at]
        at += 1
    path = sources[at].path
    offset = _end_of_line(path, n_train)
    rest = (Source(path, start=offset),) if offset < path.stat().st_size else ()
    return (*sources[:at], Source(path, stop=offset)), (*rest, *sources[at + 1 :])


def _count_lines(path: Path) -> int:
    lines, block = 0, b""
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_READ), b""):
            lines += block.count(b"\n")
    return lines + (bool(block) and not block.endswith(b"\n"))


def _end_of_line(path: Path, line: int) -> int:
    """The offset of the byte after the given line, counted from 1."""
    offset = 0
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_READ), b""):
            lines = block.count(b"\n")
            if lines >= line:
                return offset + [end.end() for end in re.finditer(b"\n", block)][line - 1]
            line -= lines
            offset += len(block)
    return offset


def _decoded(source: Source) -> Iterator[str]:
    """The text of a source in blocks, decoded strictly."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = source.start
    try:
        with source.path.open("rb") as file:
            file.seek(offset)
            while True:
                limit = _READ if source.stop is None else min(_READ, source.stop - offset)
                data = file.read(limit)
                held = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    raise _not_utf8(source.path, offset - held + error.start) from None
                if offset == 0:
                    text = text.removeprefix("\ufeff")
                offset += len(data)
                if text:
                    yield text
                if not data:
                    return
    except OSError as error:
        raise UserError(f"{source.path} cannot be read: {error.strerror}") from None


def _not_utf8(path: Path, offset: int) -> UserError:
    with path.open("rb") as file:
        head = file.read(2)
    line = 1 + _lines_before(Source(path, start=offset))
    hint = "; it looks like UTF-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
    return UserError(
        f"{path} is not UTF-8 text at byte {offset:,} (line {line:,}){hint}; "
        f"convert it first, for example with iconv"
    )


def _lines_before(source: Source) -> int:
    """Line ends before a source's first byte."""
    if not source.start:
        return 0
    lines = 0
    with source.path.open("rb") as file:
        for offset in range(0, source.start, _READ):
            lines += file.read(min(_READ, source.start - offset)).count(b"\n")
    return lines


def _documents(blocks: Iterable[str], marker: str | None) -> Iterator[str | None]:
    """The blocks, with None where a marker stood, even one that lay across two blocks."""
    held = ""
    for block in blocks:
        *ended, rest = (held + block).split(marker) if marker else (block,)
        for document in ended:
            yield document
            yield None
        held = _possible_start(rest, marker) if marker else ""
        yield rest[: len(rest) - len(held)]
    yield held


def _possible_start(text: str, marker: str) -> str:
    """The longest end of `text` with which a marker may begin."""
    for length in range(min(len(text), len(marker) - 1), 0, -1):
        if text.endswith(marker[:length]):
            return text[-length:]
    return ""


def _cut(
    blocks: Iterable[str | None], tokenizer: Tokenizer, size: int, slack: int, path: Path
) -> Iterator[tuple[str, bool, bool]]:
    """(text, joined to the text before, last of its document) of each chunk."""
    held, joined = "", False
    for block in blocks:
        if block is None:
            yield held, joined, True
            held, joined = "", False
            continue
        held += block
        while len(held) >= size + slack:
            cut, inside = _place(held, tokenizer, size, slack)
            if not cut:
                if len(held) < max(_LONGEST_PIECE, size + slack):
                    break  # one may be in the next block
                if not isinstance(tokenizer, BytePairTokenizer) or _knows(tokenizer):
                    raise UserError(
                        f"{path}: the '{tokenizer.name}' tokenizer cannot cut "
                        f"{len(held):,} characters on end that begin {held[:20]!r} without "
                        "changing tokens; break them up, or take 'gpt2' or 'byte'"
                    )
                break  # an expression that is not known here: the document is encoded whole
            yield held[:cut], joined, False
            held, joined = held[cut:], inside
    yield held, joined, True


def _knows(tokenizer: BytePairTokenizer) -> bool:
    return tokenizer.name in _ONE_CLASS_PIECES | _MIXED_PIECES


def _place(text: str, tokenizer: Tokenizer, size: int, slack: int) -> tuple[int, bool]:
    """(where to cut after about `size` characters, whether inside a piece); 0 for nowhere."""
    if not isinstance(tokenizer, BytePairTokenizer):
        return size, False  # one character is encoded like another
    if not _knows(tokenizer):
        return 0, False
    can_cut_inside = tokenizer.name in _ONE_CLASS_PIECES
    end = size + slack if can_cut_inside else len(text)
    if found := _BETWEEN_PIECES.search(text, size - 1, end):
        return found.end(), False
    for cut in range(size, end):
        if _is_between_pieces(text[cut - 1], text[cut], tokenizer):
            return cut, False
    return (
        (_inside_piece(text[:end], tokenizer, slack // 2), True) if can_cut_inside else (0, False)
    )


def _is_between_pieces(before: str, after: str, tokenizer: BytePairTokenizer) -> bool:
    """Whether two neighbouring characters always belong to two pieces, and no look-ahead to both.

    GPT-2's pieces are runs of one class (with a blank before): of letters, numbers, white space, or
    the rest; only a contraction begins with an apostrophe and goes on in letters. Later ones also
    take one leading sign to a word, line ends to signs, and marks (accents) to letters.
    """
    left, right = _class_of(before), _class_of(after)
    if tokenizer.name in _ONE_CLASS_PIECES:
        return (left in "LN" and right != left) or (left != "S" and right == "S")
    if left not in "LN":
        return left != "S" and right == "S" and after not in "\r\n"
    return right != left and right != "M" and after != "'"


def _inside_piece(text: str, tokenizer: BytePairTokenizer, rest: int) -> int:
    """A cut inside GPT-2's long piece with which `text` ends, at least `rest` before the end.

    Both sides must be split by the expression as the whole is. That is so amid characters of one
    class (marks and the rest being one): what is left of the cut ends with a run of that class, and
    what is right of it begins with the rest of that run; a contraction has two letters at most.
    """
    ids = tokenizer.encode(text)
    for kept in range(len(ids) - 1, 0, -1):
        rest_bytes = tokenizer.decode_bytes(ids[kept : kept + 1])
        rest -= len(rest_bytes)
        if rest > 0 or rest_bytes[0] & 0xC0 == 0x80:  # inside a character
            continue
        cut = len(text) - len(tokenizer.decode_bytes(ids[kept:]).decode())
        if cut < 4:
            break
        around = {_class_of(character).replace("M", "P") for character in text[cut - 4 : cut + 4]}
        first_after = tokenizer.encode(text[cut:])[0]
        if len(around) == 1 and not tokenizer.merges_across(ids[kept - 1], first_after):
            return cut
    return 0


@functools.lru_cache(maxsize=1 << 16)
def _class_of(character: str) -> str:
    """L(etter), N(umber), S(pace), M(ark) or P for all else, by tiktoken's own Unicode tables.

    Python's tables may be of another Unicode version, in which a new letter is no letter yet.
    """
    for name, encoding in _class_encodings().items():
        if encoding.encode_ordinary(character):
            return name
    return "P"


@functools.cache
def _class_encodings() -> dict[str, tiktoken.Encoding]:
    """Encodings whose expression takes one class only: what it does not match gives no ids."""
    expressions = {"L": r"\p{L}", "N": r"\p{N}", "S": r"\s", "M": r"\p{M}"}
    ranks = {bytes([byte]): byte for byte in range(256)}
    return {
        name: tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens={})
        for name, expression in expressions.items()
    }
