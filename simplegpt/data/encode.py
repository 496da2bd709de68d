"""Encode text files to token IDs as a stream, on several threads, in order.

`encode_files` reads the files in chunks that several threads encode, since tiktoken releases the
GIL. Only a few chunks are in memory at a time, and the IDs are exactly those of encoding each
document whole. Nothing here imports torch.
"""

import codecs
import itertools
import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError, nearest
from simplegpt.data.tokenizer import Ids, Tokenizer, UnknownCharacterError
from simplegpt.files import open_regular
from simplegpt.progress import ProgressLine

CHUNK = 1 << 17  # bytes: passing one to a thread costs little, and so does holding it in memory


@dataclass(frozen=True)
class Source:
    """A text file, or its bytes start … stop - 1."""

    path: Path
    start: int = 0
    stop: int | None = None

    @property
    def size(self) -> int:
        """Number of bytes."""
        stop = self.path.stat().st_size if self.stop is None else self.stop
        return stop - self.start

    def blocks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Read the bytes, at most `size` at a time."""
        with open_regular(self.path) as file:
            file.seek(self.start)
            left = self.size
            while block := file.read(min(size, left)):
                left -= len(block)
                yield block


@dataclass(frozen=True)
class Chunk:
    """A part of a document that is encoded separately."""

    text: str
    path: Path
    line: int
    """The line of the file, from 1, in which it begins."""
    begins_document: bool


def encode_files(
    sources: Iterable[Source],
    tokenizer: Tokenizer,
    write: Callable[[npt.NDArray[Any]], None],
    *,
    separator: int | None = None,
    marker: str | None = None,
    workers: int | None = None,
    progress: ProgressLine | None = None,
    chunk_size: int = CHUNK,
) -> None:
    """Encode text files in order and pass the token IDs to `write` in parts.

    `separator` is an ID to write between documents: the files, and the parts of their text that
    `marker` separates. `workers` threads encode; None for all cores, at most 8. Raises UserError
    for invalid text, with file and line.
    """
    chunks = read_chunks(sources, tokenizer, marker=marker, size=chunk_size)
    n_bytes = n_tokens = 0
    encoded = _encode_in_order(chunks, tokenizer, workers or min(8, os.cpu_count() or 1))
    for index, (chunk, ids) in enumerate(encoded):
        if separator is not None and chunk.begins_document and index:
            write(np.array([separator], dtype=np.uint32))
            n_tokens += 1
        write(ids)
        n_bytes += len(chunk.text.encode())
        n_tokens += len(ids)
        if progress:
            progress.update(n_bytes, tokens=n_tokens)


def _encode_in_order(
    chunks: Iterator[Chunk], tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[Chunk, Ids]]:
    """Yield the chunks with their token IDs; two chunks per thread are in memory."""

    def encode(chunk: Chunk) -> Ids:
        try:
            return tokenizer.encode_to_numpy(chunk.text)
        except UnknownCharacterError as error:
            where = f"{chunk.path}:{chunk.line + error.line - 1}: "
            raise UserError(f"{where}{error.reason}") from None

    in_flight: deque[tuple[Chunk, Future[Ids]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for chunk in chunks:
            in_flight.append((chunk, pool.submit(encode, chunk)))
            if len(in_flight) >= 2 * workers:
                first, future = in_flight.popleft()
                yield first, future.result()
        for first, future in in_flight:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_chunks(
    sources: Iterable[Source],
    tokenizer: Tokenizer,
    *,
    marker: str | None = None,
    size: int = CHUNK,
) -> Iterator[Chunk]:
    """Read the documents of text files in chunks of about `size`, cut where it changes no token.

    A document ends at the end of its file and at each `marker`, which is not part of it. The UTF-8
    text is not changed, line endings included; only a byte-order mark at the start of a file is
    removed. A document that cannot be cut is one chunk. Raises UserError for invalid UTF-8.
    """
    for source in sources:
        line = 1 + _count_line_ends(Source(source.path, stop=source.start))
        for text, begins in _cut(_documents(decode(source, size), marker), tokenizer.cut, size):
            yield Chunk(text, source.path, line, begins)
            line += text.count("\n")


def decode(source: Source, size: int = CHUNK) -> Iterator[str]:
    """Read a source's text, at most `size` bytes at a time. Raises UserError if it is not UTF-8."""
    if source.start == 0 and next(source.blocks(3), b"") == BOM_UTF8:
        source = replace(source, start=3)
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = source.start
    for block in itertools.chain(source.blocks(size), [b""]):
        n_held = len(decoder.getstate()[0])
        try:
            yield decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _not_utf8(source.path, offset - n_held + error.start) from None
        offset += len(block)


def check_text_file(path: Path) -> None:
    """Raise UserError if there is no readable file at `path`."""
    try:
        open_regular(path).close()
    except FileNotFoundError:
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"no such text file: {path}{nearest(path.name, names)}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory, not a text file") from None
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or '').lower()}") from None


def _not_utf8(path: Path, offset: int) -> UserError:
    head = next(Source(path).blocks())
    line = 1 + _count_line_ends(Source(path, stop=offset))
    hint = "; it looks like UTF-16" if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
    return UserError(
        f"{path}:{line}: invalid UTF-8 at byte {offset:,}{hint}; "
        "convert it first, for example with iconv"
    )


def _documents(blocks: Iterable[str], marker: str | None) -> Iterator[str | None]:
    """Yield the blocks without markers, and None at the end of each document."""
    held = ""
    for block in blocks:
        *ended, rest = (held + block).split(marker) if marker else [block]
        for document in ended:
            yield document
            yield None
        # A marker may span two blocks.
        known = max(0, len(rest) - len(marker) + 1) if marker else len(rest)
        yield rest[:known]
        held = rest[known:]
    yield held
    yield None


def _cut(
    parts: Iterable[str | None], cut: re.Pattern[str], size: int
) -> Iterator[tuple[str, bool]]:
    """Yield (text, whether a document begins with it), cut after at least `size` characters."""
    held, searched, begins = "", 0, True
    for part in parts:
        if part is None:
            yield held, begins
            held, searched, begins = "", 0, True
            continue
        held += part
        while found := cut.search(held, max(size - 1, searched)):
            yield held[: found.end()], begins
            held, searched, begins = held[found.end() :], 0, False
        searched = max(0, len(held) - 2)  # a match and its look-ahead take at most 3 characters


def split_by_line(sources: Sequence[Source], val_fraction: float) -> tuple[tuple[Source, ...], ...]:
    """Return the training part (the first lines over all files) and the validation part (the last).

    `sources` are whole files. The validation part has at least one line; the last line need not end
    with a newline. Raises UserError if there is only one line.
    """
    counts = [_count_lines(source) for source in sources]
    n_val = max(1, round(sum(counts) * val_fraction))
    n_train = sum(counts) - n_val
    if n_train < 1:
        raise UserError(
            f"{sources[0].path}: too few lines ({sum(counts)}) for a train / val split; "
            "use --val_fraction 0 for no split"
        )
    at = 0  # the file in which the training part ends
    while n_train > counts[at]:
        n_train -= counts[at]
        at += 1
    boundary = _end_of_line(sources[at], n_train)
    train, val = replace(sources[at], stop=boundary), replace(sources[at], start=boundary)
    return (*sources[:at], train), (*([val] if val.size else []), *sources[at + 1 :])


def _count_line_ends(source: Source) -> int:
    return sum(block.count(b"\n") for block in source.blocks())


def _count_lines(source: Source) -> int:
    if not source.size:
        return 0
    last_byte = next(replace(source, start=source.size - 1).blocks())
    return _count_line_ends(source) + (last_byte != b"\n")


def _end_of_line(source: Source, line: int) -> int:
    """Return the offset of the byte after the given line, counted from 1."""
    offset = 0
    for block in source.blocks():
        n_ends = block.count(b"\n")
        if n_ends >= line:
            return offset + [end.end() for end in re.finditer(b"\n", block)][line - 1]
        line -= n_ends
        offset += len(block)
    return offset
