"""Reads a run's directory for the dashboard, in threads: a first picture, all of it, what is new.

`first_picture` and `read_all` are for joining; a `Follower` then reads what was appended. None of
this touches a widget.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Event, LineReader, skim
from simplegpt.run.state import Status
from tui.shared.history import History

CHUNK_BYTES = 2_000_000
"""Read at once: some 6,000 events, and a few MB of memory."""
SMALL_BYTES = 600_000
"""A history up to this size is read whole at once, in less time than it takes to notice."""
LOG_TAIL_BYTES = 64_000


@dataclass(frozen=True)
class Update:
    """What is new in a run's directory."""

    events: tuple[Event, ...] = ()
    log: tuple[str, ...] = ()
    status: Status | None = None
    alive: bool = False
    restarted: bool = False
    """The events begin anew: another run took the directory, and the history no longer holds."""
    more: bool = False
    """More was appended than is read at once: read again soon."""


@dataclass
class Follower:
    """Where one has read to. To be used by one thread at a time."""

    run: RunDirectory
    events_offset: int = 0
    _log: "LogTail" = field(init=False)

    def __post_init__(self) -> None:
        self._events = LineReader(self.run.events, self.events_offset)
        self._log = LogTail(self.run.log)

    def go_to(self, offset: int) -> None:
        """Read events from `offset` on; the log goes on where it is."""
        self._events = LineReader(self.run.events, offset)

    def read(self) -> Update:
        """Everything new since the last call, or the next `CHUNK_BYTES` of it."""
        events = tuple(self._events.read_events(CHUNK_BYTES))
        status = self.run.status()
        return Update(
            events,
            tuple(self._log.read()),
            status,
            alive=status is not None and status.is_live,
            restarted=self._events.restarted,
            more=size_of(self.run.events) - self._events.offset > CHUNK_BYTES // 4,
        )


class LogTail:
    """The end of a log, and then what is appended to it, as lines."""

    def __init__(self, path: Path) -> None:
        size = size_of(path)
        self._reader = LineReader(path, max(0, size - LOG_TAIL_BYTES))
        self._cut = size > LOG_TAIL_BYTES

    def read(self) -> list[str]:
        lines = self._reader.read_lines(CHUNK_BYTES)
        if self._cut and lines:
            self._cut, lines = False, lines[1:]  # the first may be cut in half
        return [line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2] for line in lines]


def first_picture(run: RunDirectory) -> History:
    """Head, samples and tail of a long history, in well under a second."""
    history = History()
    history.extend(skim(run.events))
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
