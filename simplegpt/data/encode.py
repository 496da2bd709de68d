"""Encode documents to token IDs as a stream, on several threads, in order.

`encode_files` and `encode` read text in chunks that several threads encode, since the tokenizers
release the GIL. Only a few chunks are in memory at a time, and the IDs are exactly those of
encoding each document whole. `simplegpt.data.documents` reads documents from other files than
text. Nothing here imports torch.
"""

import codecs
import contextlib
import glob
import gzip
import itertools
import os
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError, nearest, one_line
from simplegpt.data.tokenizer import Ids, Tokenizer, UnknownCharacterError
from simplegpt.files import open_regular
from simplegpt.progress import ProgressLine

CHUNK = 1 << 17  # bytes: passing one to a thread costs little, and so does holding it in memory


@dataclass(frozen=True)
class Source:
    """A text file, or its bytes start … stop - 1. A file named ``.gz`` is decompressed."""

    path: Path
    start: int = 0
    stop: int | None = None

    @property
    def size(self) -> int:
        """Number of bytes in the file."""
        stop = self.path.stat().st_size if self.stop is None else self.stop
        return stop - self.start

    def blocks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Read the bytes, at most `size` at a time."""
        with open_text(self.path) as (file, _):
            file.seek(self.start)
            left = size if self.stop is None else self.stop - self.start
            while block := file.read(min(size, left)):
                left -= 0 if self.stop is None else len(block)
                yield block


@dataclass(frozen=True)
class Chunk:
    """A part of a document."""

    text: str
    where: str
    """Its file, or its record such as ``data.jsonl:12``, for messages."""
    line: int | None = None
    """The line of the file, from 1, in which it begins; None for a record."""
    ends_document: bool = True
    done: int = 0
    """Progress after it, in the unit of its source."""
    place: Any = None
    """Where reading can continue after it; see `simplegpt.data.documents`."""


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
    is_between = False
    for chunk, ids in encode(chunks, tokenizer, workers):
        if separator is not None and is_between:
            write(np.array([separator], dtype=np.uint32))
            n_tokens += 1
        is_between = chunk.ends_document
        write(ids)
        n_bytes += len(chunk.text.encode())
        n_tokens += len(ids)
        if progress:
            progress.update(n_bytes, tokens=n_tokens)


def encode(
    chunks: Iterable[Chunk], tokenizer: Tokenizer, workers: int | None = None
) -> Iterator[tuple[Chunk, Ids]]:
    """Yield the chunks with their token IDs, in order. `workers` threads encode them.

    Small chunks go to a thread together; two such groups per thread are in memory. Raises UserError
    for a character without an ID.
    """

    def encode_group(group: Sequence[Chunk]) -> list[Ids]:
        return [_encode(chunk, tokenizer) for chunk in group]

    workers = workers or min(8, os.cpu_count() or 1)
    in_flight: deque[tuple[Sequence[Chunk], Future[list[Ids]]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for group in _groups(chunks):
            in_flight.append((group, pool.submit(encode_group, group)))
            if len(in_flight) >= 2 * workers:
                first, future = in_flight.popleft()
                yield from zip(first, future.result(), strict=True)
        for first, future in in_flight:
            yield from zip(first, future.result(), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(chunk: Chunk, tokenizer: Tokenizer) -> Ids:
    try:
        return tokenizer.encode_to_numpy(chunk.text)
    except UnknownCharacterError as error:
        line = "" if chunk.line is None else f":{chunk.line + error.line - 1}"
        raise UserError(f"{chunk.where}{line}: {error.reason}") from None


def _groups(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Group chunks of together about `CHUNK` characters."""
    group: list[Chunk] = []
    size = 0
    for chunk in chunks:
        group.append(chunk)
        size += len(chunk.text)
        if size >= CHUNK:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_chunks(
    sources: Iterable[Source],
    tokenizer: Tokenizer,
    *,
    marker: str | None = None,
    size: int = CHUNK,
) -> Iterator[Chunk]:
    """Read the documents of text files in chunks of about `size`; see `read_text` and `cut`."""
    for source in sources:
        yield from cut(read_text(source, marker=marker, size=size), tokenizer, size)


def read_text(source: Source, *, marker: str | None = None, size: int = CHUNK) -> Iterator[Chunk]:
    """Read the documents of a text file in chunks of at most `size` bytes.

    A document ends at the end of its file and at each `marker`, which is not part of it. The UTF-8
    text is not changed, line endings included; only a byte-order mark at the start of a file is
    removed. Raises UserError for invalid UTF-8.
    """
    line = 1 + _count_line_ends(Source(source.path, stop=source.start))
    for text, ends_document in _documents(decode(source, size), marker):
        yield Chunk(text, str(source.path), line, ends_document)
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


def matching_paths(name: str) -> list[Path]:
    """Return the path `name`, or the files that it matches if it is a glob. Raises UserError."""
    if not glob.has_magic(name) or Path(name).exists():
        return [Path(name)]
    found = sorted(Path(path) for path in glob.glob(name, recursive=True))  # noqa: PTH207
    found = [path for path in found if path.is_file()]
    if not found:
        raise UserError(f"no file matches {name}")
    return found


def check_text_files(paths: Sequence[Path]) -> None:
    """Raise UserError if one of the files cannot be read, or all of them are empty."""
    for path in paths:
        check_text_file(path)
    if not any(path.stat().st_size for path in paths):
        raise UserError(f"no text to encode: {name_files(paths)}: empty")


def name_files(paths: Iterable[Path]) -> str:
    """Return the names of files for display, of at most three."""
    names = list(dict.fromkeys(one_line(str(path)) for path in paths))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


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


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file, decompressed if it is named ``.gz``, and the same file as it is on the disk.

    Raises UserError if the compressed data are damaged.
    """
    with open_regular(path) as raw:
        if path.suffix != ".gz":
            yield raw, raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                yield file, raw  # type: ignore[misc]  # a BinaryIO but for its declaration
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: damaged gzip file: {error}") from None


def _not_utf8(path: Path, offset: int) -> UserError:
    head = next(Source(path).blocks())
    line = 1 + _count_line_ends(Source(path, stop=offset))
    hint = "; it looks like UTF-16" if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
    return UserError(
        f"{path}:{line}: invalid UTF-8 at byte {offset:,}{hint}; "
        "convert it first, for example with iconv"
    )


def _documents(blocks: Iterable[str], marker: str | None) -> Iterator[tuple[str, bool]]:
    """Yield the blocks without markers, each with whether a document ends after it."""
    held = ""
    for block in blocks:
        *ended, rest = (held + block).split(marker) if marker else [block]
        for document in ended:
            yield document, True
        # A marker may span two blocks.
        known = max(0, len(rest) - len(marker) + 1) if marker else len(rest)
        yield rest[:known], False
        held = rest[known:]
    yield held, True


def cut(chunks: Iterable[Chunk], tokenizer: Tokenizer, size: int = CHUNK) -> Iterator[Chunk]:
    """Cut documents into chunks of about `size` characters, where it changes no token.

    A document that cannot be cut becomes one chunk.
    """
    held, searched, line = "", 0, None
    for chunk in chunks:
        if not held:
            if chunk.ends_document and len(chunk.text) <= size:
                yield chunk
                continue
            line = chunk.line
        held += chunk.text
        while found := tokenizer.cut.search(held, max(size - 1, searched)):
            text, held, searched = held[: found.end()], held[found.end() :], 0
            yield replace(chunk, text=text, line=line, ends_document=False, place=None)
            line = None if line is None else line + text.count("\n")
        if chunk.ends_document:
            yield replace(chunk, text=held, line=line)
            held = ""
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
    n_ends, last = 0, b"\n"
    for block in source.blocks():
        n_ends += block.count(b"\n")
        last = block[-1:]
    return n_ends + (last != b"\n")


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
