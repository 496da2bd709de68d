"""Reads one run's directory for the dashboard. Without Textual."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.config.schema import Config
from simplegpt.files import open_regular
from simplegpt.run.checkpoints import newest_checkpoint
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Event, Failure, LineReader
from simplegpt.run.state import Status
from tui.shared.history import History
from tui.shared.history_reader import (
    CHUNK_BYTES,
    SMALL_BYTES,
    first_picture,
    read_all,
    read_in_child,
    size_of,
)
from tui.training.trainer_process import TrainerProcess

LOG_TAIL_BYTES = 64_000


@dataclass(frozen=True)
class Reading:
    """What is new in the run's directory, and its state."""

    events: tuple[Event, ...]
    """New since the last reading."""
    log: tuple[str, ...]
    """Lines that are new since the last reading."""
    status: Status | None
    failure: Failure | None
    config: Path | None
    """The run's copy, if it exists."""
    settings: Config | None
    """Its content; None where it cannot be read."""
    checkpoint: Path | None
    """The newest that exists."""
    has_restarted: bool
    """Whether a new run has replaced the one in the directory: what was read before is outdated."""
    has_more: bool
    """Whether there is more to read now."""


class RunReader:
    """A run's history, kept up to date, and what else its directory holds.

    Files are read in threads, never two readings at a time.
    """

    def __init__(self, run: RunDirectory, trainer: TrainerProcess | None) -> None:
        self.run = run
        self.history = History()
        self.is_whole = False
        """Whether `history` is the whole, not a first picture of a long one."""
        self.trainer = trainer
        """The run's process, where it was started here."""
        self._events: LineReader | None = None
        self._log: LogTail | None = None
        self._failure: Failure | None = None
        self._settings: Config | None = None
        self._config_version = 0
        """When the config that was read last was written, in nanoseconds; 0: none was."""
        self._lock = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether there is a history, and no reading is under way."""
        return self._events is not None and not self._lock.locked()

    async def load(self) -> AsyncIterator[None]:
        """Load what the run has written so far; yields whenever `history` is another one.

        Of a long history a first picture comes before the whole. Raises OSError and RuntimeError.
        """
        size = await asyncio.to_thread(size_of, self.run.events)
        is_long = size > SMALL_BYTES
        if is_long:
            await self._replace(await asyncio.to_thread(first_picture, self.run), size)
            yield
        is_cancelled = threading.Event()
        try:
            read = read_in_child if is_long else read_all
            found = await asyncio.to_thread(read, self.run, is_cancelled.is_set)
        finally:
            is_cancelled.set()  # a cancelled task leaves its thread behind
        if found is not None:
            await self._replace(*found)
            self.is_whole = True
            yield

    async def _replace(self, history: History, offset: int) -> None:
        """Take a history that was read up to `offset` of the events."""
        async with self._lock:
            self.history = history
            self._events = LineReader(self.run.events, offset)

    async def read(self) -> Reading:
        """Read what is new, and add its events to the history. Raises OSError."""
        async with self._lock:
            reading = await asyncio.to_thread(self._read)
            if not reading.has_restarted:
                self.history.extend(reading.events)
            return reading

    def _read(self) -> Reading:
        assert self._events is not None
        for path in (self.run.events, self.run.log):
            with suppress(FileNotFoundError):
                open_regular(path).close()  # the readers below take an unreadable file as empty
        if self._log is None:
            self._log = LogTail(self.run.log)
        events = tuple(self._events.read_events(CHUNK_BYTES))
        status = self.run.status()
        return Reading(
            events,
            tuple(self._log.read()),
            status,
            self._read_failure(status),
            config=self.run.config if self._read_settings() else None,
            settings=self._settings,
            checkpoint=newest_checkpoint(self.run),
            has_restarted=self._events.restarted,
            has_more=size_of(self.run.events) - self._events.offset > CHUNK_BYTES // 4,
        )

    def _read_settings(self) -> bool:
        """Load the config where it has changed; whether there is one."""
        if not self.run.config.exists():
            return False
        version = self.run.config.stat().st_mtime_ns
        if version != self._config_version:
            self._config_version, self._settings = version, None
            with suppress(UserError):
                self._settings = config_file.load(self.run.config)
        return True

    def _read_failure(self, status: Status | None) -> Failure | None:
        exit_code = self.trainer.exit_code() if self.trainer is not None else None
        if status is None or status.state not in ("failed", "crashed"):
            self._failure = None
        elif self._failure is None:
            self._failure = self.run.failure(exit_code)
        return self._failure


class LogTail:
    """The end of a log, and then what is appended to it, as lines."""

    def __init__(self, path: Path) -> None:
        start = max(0, size_of(path) - LOG_TAIL_BYTES)
        self._reader = LineReader(path, start)
        self._is_first_cut = start > 0

    def read(self) -> list[str]:
        lines = self._reader.read_lines(CHUNK_BYTES)
        if self._is_first_cut and lines:
            self._is_first_cut, lines = False, lines[1:]
        # of a line that overwrites itself, what a terminal would show last
        last = (line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines)
        return [line.decode("utf-8", "replace") for line in last]
