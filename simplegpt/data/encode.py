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
import io
import itertools
import os
import re
import threading
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from encodings.aliases import aliases
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError, nearest, one_line
from simplegpt.data.tokenizer import Ids, Tokenizer, UnknownCharacterError
from simplegpt.files import open_regular
from simplegpt.progress import ProgressLine

CHUNK = 1 << 17  # bytes: passing one to a thread costs little, and so does holding it in memory
GROUPS_BEFORE_COPY = 16  # a thread copies the tokenizer when it pays: 0.1 s for about 2 MB
UTF8 = "utf-8"
_MARKS_OF_UTF16, _MARKS_OF_UTF32 = (BOM_UTF16_LE, BOM_UTF16_BE), (BOM_UTF32_LE, BOM_UTF32_BE)
# Of texts that are not UTF-8, the frequent ones first: several may read a text equally well.
_ENCODINGS = (
    *("cp1252", "cp1251", "koi8_r", "gb18030", "shift_jis", "euc_jp", "euc_kr", "big5", "cp1250"),
    *("iso8859_2", "cp1253", "cp1254", "cp1255", "cp1256", "cp866", "utf_16_le", "utf_16_be"),
)


@dataclass(frozen=True)
class Source:
    """A text file, or the bytes start … stop - 1 of its UTF-8; see `open_text`."""

    path: Path
    start: int = 0
    stop: int | None = None
    encoding: str = UTF8

    @property
    def size(self) -> int:
        """Number of bytes in UTF-8."""
        if self.stop is not None:
            return self.stop - self.start
        if self.encoding != UTF8:
            return sum(map(len, self.blocks()))
        return self.path.stat().st_size - self.start

    def blocks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Read the bytes, at most `size` at a time."""
        with open_text(self.path, self.encoding) as (file, _):
            if self.encoding == UTF8:
                file.seek(self.start)
            else:  # the place is known in UTF-8 only
                left = self.start
                while left and (skipped := file.read(min(CHUNK, left))):
                    left -= len(skipped)
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

    workers = workers or min(8, os.cpu_count() or 1)
    of_thread = threading.local()

    def encode_group(group: Sequence[Chunk]) -> list[Ids]:
        own = getattr(of_thread, "tokenizer", tokenizer)
        of_thread.n_groups = getattr(of_thread, "n_groups", 0) + 1
        if workers > 1 and of_thread.n_groups == GROUPS_BEFORE_COPY:
            of_thread.tokenizer = own = tokenizer.copy()
        return [_encode(chunk, own) for chunk in group]

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
    line = 1 + _count_line_ends(replace(source, start=0, stop=source.start))
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


def read_marker(text: str) -> str:
    r"""Return the marker that is typed as `text`, where ``\n``, ``\r`` and ``\t`` are those signs.

    Two backslashes stand for one.
    """
    signs = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    return re.sub(r"\\([nrt\\])", lambda match: signs[match[1]], text)


def check_marker(marker: str, sources: Sequence[Source]) -> None:
    """Raise UserError if `marker` occurs in none of the texts."""
    for source in sources:
        n_ended = 0
        for chunk in read_text(source, marker=marker):
            n_ended += chunk.ends_document
            if n_ended > 1:  # the end of the file ends one, too
                return
    raise UserError(
        f"the marker {marker!r} never occurs in {name_files([one.path for one in sources])}"
    )


def matching_paths(name: str, left_out: tuple[str, ...] = ()) -> list[Path]:
    """Return the path `name`, or the files that it matches if it is a glob. Raises UserError.

    A glob leaves out files whose names end with one of `left_out`, unless it ends so itself.
    """
    if not glob.has_magic(name) or Path(name).exists():
        return [Path(name)]
    found = sorted(Path(path) for path in glob.glob(name, recursive=True))  # noqa: PTH207
    left_out = tuple(suffix for suffix in left_out if not name.endswith(suffix))
    found = [path for path in found if path.is_file() and not path.name.endswith(left_out)]
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
def open_text(path: Path, encoding: str = UTF8) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a text as UTF-8, decompressed if it is named ``.gz``, and the file as it is on the disk.

    Raises UserError if the compressed data are damaged, or not in the `encoding`.
    """
    with open_regular(path) as raw:
        file: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            yield file if encoding == UTF8 else io.BufferedReader(_Recoded(file, encoding)), raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: damaged gzip file: {error}") from None
        except UnicodeDecodeError as error:
            reason = f"invalid {encoding}: {error.reason}"
            raise UserError(f"{path}: {reason}{encoding_hint(path)}") from None


class _Recoded(io.RawIOBase):
    """The text of a file in another encoding, as UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._held = file, b""
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held:
            block = self._file.read(len(buffer))
            self._held = self._decoder.decode(block, final=not block).encode(errors="replace")
            if not block:
                break
        part, self._held = self._held[: len(buffer)], self._held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def check_encoding(name: str) -> str:
    """Return Python's name of a text encoding. Raises UserError if it has none called `name`."""
    try:
        codecs.getincrementaldecoder(name)
        "".encode(name)  # a LookupError if it is not one of text
    except (LookupError, ValueError):
        raise UserError(f"--encoding: unknown encoding '{name}'{nearest(name, aliases)}") from None
    return codecs.lookup(name).name


def encoding_hint(path: Path, offset: int = 0) -> str:
    """Return ``; it looks like cp1251, …`` for a text that is not UTF-8 from byte `offset` on."""
    import charset_normalizer

    start = max(0, offset - CHUNK // 4) & ~3  # whole characters, also of UTF-32
    with open_text(path) as (file, _):
        head = file.read(4)
        file.seek(start)
        sample = file.read(CHUNK // 2)
    if head.startswith(_MARKS_OF_UTF32):
        found = "utf-32"
    elif head.startswith(_MARKS_OF_UTF16):
        found = "utf-16"
    else:
        if b"\0" not in sample:  # lines in ASCII tell nothing
            sample = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())
        matches = charset_normalizer.from_bytes(sample, cp_isolation=list(_ENCODINGS))
        best = matches.best()
        names = {
            name
            for one in matches
            if best and (one.chaos, one.coherence) == (best.chaos, best.coherence)
            for name in one.could_be_from_charset
        }
        found = next((name.replace("_", "-") for name in _ENCODINGS if name in names), "")
    if not found:
        return "; it looks like binary data, not text"
    return f"; it looks like {found}, which simplegpt data reads with --encoding {found}"


def _not_utf8(path: Path, offset: int) -> UserError:
    line = 1 + _count_line_ends(Source(path, stop=offset))
    where = f"{path}:{line}: invalid UTF-8 at byte {offset:,}"
    return UserError(f"{where}{encoding_hint(path, offset)}")


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
        start = 0
        while found := tokenizer.cut.search(held, max(start + size - 1, searched)):
            text, start, searched = held[start : found.end()], found.end(), 0
            yield replace(chunk, text=text, line=line, ends_document=False, place=None)
            line = None if line is None else line + text.count("\n")
        held = held[start:]  # once: in a long document, each copy takes time
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
