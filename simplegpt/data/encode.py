"""Text files in, ids out: in a stream, on several threads, in order.

`encode_files` reads the files in chunks (`simplegpt.data.chunks`) that several threads encode,
since tiktoken lets go of Python's lock; a few chunks are in flight at a time, so memory does not
grow with the input. Nothing here imports torch.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from simplegpt.cli import UserError
from simplegpt.data.chunks import Chunk, Source, read_chunks
from simplegpt.data.tokenizer import BytePairTokenizer, Tokenizer, UnknownCharacterError
from simplegpt.progress import ProgressLine

# A thread with an encoder of its own is a fifth faster; to make one takes as long as two chunks,
# and 220 bytes an id: together at most 130 MB.
_TWIN_AFTER = 8  # chunks
_TWIN_IDS = 600_000


def encode_files(
    sources: Iterable[Source],
    tokenizer: Tokenizer,
    write: Callable[[npt.NDArray[Any]], None],
    *,
    separator: int | None = None,
    marker: str | None = None,
    workers: int | None = None,
    progress: ProgressLine | None = None,
    **cutting: int,
) -> int:
    """Encode text files in order and hand the ids to `write`, some at a time; gives their bytes.

    `separator` is an id written between two documents: the files, and what a `marker` in their text
    parts. `workers` threads encode (all cores but at most 8 when None). `cutting` goes to
    `read_chunks`. Raises UserError for what is wrong with the text, with file and line.
    """
    chunks = read_chunks(sources, tokenizer, marker=marker, **cutting)
    done = n_tokens = 0
    last: int | None = None
    pending = False  # a document has ended, and it is not known yet whether another follows
    for chunk, ids in _encoded(chunks, tokenizer, workers or min(8, os.cpu_count() or 1)):
        if pending and separator is not None:
            write(np.array([separator], dtype=np.uint32))
            n_tokens += 1
        if chunk.joined and isinstance(tokenizer, BytePairTokenizer):
            assert last is not None
            if tokenizer.merges_across(last, int(ids[0])):
                raise UserError(
                    f"{chunk.path}: line {chunk.line} is one piece too long to be encoded exactly; "
                    "break it up, or take the tokenizer 'byte'"
                )
        write(ids)
        last = int(ids[-1]) if len(ids) else last
        pending = chunk.ends_document
        done += chunk.n_bytes
        n_tokens += len(ids)
        if progress:
            progress.update(done, tokens=n_tokens)
    return done


def _encoded(
    chunks: Iterator[Chunk], tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[Chunk, npt.NDArray[np.uint32]]]:
    """The chunks in order with their ids; two chunks a thread are in flight."""
    of_thread = threading.local()
    twins_fit = tokenizer.n_vocab * workers <= _TWIN_IDS

    def encode(chunk: Chunk) -> npt.NDArray[np.uint32]:
        of_thread.chunks = getattr(of_thread, "chunks", 0) + 1
        if of_thread.chunks == _TWIN_AFTER and twins_fit:
            of_thread.tokenizer = tokenizer.twin()
        try:
            return getattr(of_thread, "tokenizer", tokenizer).encode_to_numpy(chunk.text)
        except UnknownCharacterError as error:
            line = chunk.line + error.line - 1
            where = f"{chunk.path}: "
            raise UnknownCharacterError(error.tokenizer, error.character, line, where) from None

    in_flight: deque[tuple[Chunk, Future[npt.NDArray[np.uint32]]]] = deque()
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
