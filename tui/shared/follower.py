"""Reads a run's history from its events: a first picture, or all of it."""

from collections.abc import Callable
from pathlib import Path

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import LineReader, skim
from tui.shared.history import History

CHUNK_BYTES = 2_000_000
"""Read at once: some 6,000 events, and a few MB of memory."""
SMALL_BYTES = 600_000
"""A history up to this size is read whole at once, in less time than it takes to notice."""


def first_picture(run: RunDirectory, tail_bytes: int = 256_000, samples: int = 400) -> History:
    """Head, samples and tail of a long history, in well under a second."""
    history = History()
    history.extend(skim(run.events, tail_bytes, samples))
    return history


def read_all(run: RunDirectory, cancelled: Callable[[], bool]) -> tuple[History, int] | None:
    """The whole history and how far it was read; None where it was cancelled."""
    history, reader = History(), LineReader(run.events)
    end = size_of(run.events)
    while reader.offset < end:
        if cancelled():
            return None
        before = reader.offset
        history.extend(reader.read_events(CHUNK_BYTES))
        if reader.offset == before:
            break  # a half-written last line
    return history, reader.offset


def size_of(path: Path) -> int:
    """Bytes; 0 where there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
