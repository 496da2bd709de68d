"""A run's directory: what passes between a training process and whoever watches it.

The trainer (rank 0) appends events and replaces the status; any process of the same user
appends commands; everyone else reads. Nothing here imports torch.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from simplegpt.files import append_line, write_atomically
from simplegpt.run.events import Command, CommandName, Event, LineReader, surviving
from simplegpt.run.state import LIVE_STATES, Status


class RunDirectory:
    """The files of one run, by name."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        return self.path / "commands.jsonl"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    @property
    def checkpoints(self) -> Path:
        return self.path / "ckpts"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.ckpt"

    def exists(self) -> bool:
        """Whether a run was ever started here."""
        return self.status_file.exists() or self.events.exists() or self.config.exists()

    def create(self) -> None:
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.commands.touch(mode=0o600)

    def discard(self) -> None:
        """Take back what `create` and a start that came to nothing left here."""
        files = (self.config, self.events, self.commands, self.status_file, self.log)
        for file in files:
            file.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path):
            with suppress(OSError):  # something else lies there
                folder.rmdir()

    # Status

    def write_status(self, status: Status) -> None:
        write_atomically(self.status_file, status.model_dump_json())

    def status(self) -> Status | None:
        """The run's status, or None where there is none or it cannot be read."""
        try:
            return Status.model_validate_json(self.status_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def is_lost(self) -> bool:
        """Whether the process died without a word: a live state and nobody behind it."""
        status = self.status()
        return status is not None and status.state in LIVE_STATES and not status.is_alive()

    # Commands

    def send(self, command: CommandName, *, factor: float | None = None) -> str:
        """Ask something of the run; returns the id that its answer will carry."""
        request = Command(command=command, factor=factor)
        append_line(self.commands, request.model_dump_json(), mode=0o600)
        return request.id

    # Events

    def append_event(self, event: Event) -> None:
        append_line(self.events, event.model_dump_json())

    def read_events(self) -> list[Event]:
        """All events that count, oldest first (see `surviving`)."""
        return surviving(LineReader(self.events).read_events())


def find_runs(root: Path, depth: int = 4) -> Iterator[RunDirectory]:
    """Runs at or below `root`, found by their status.json; hidden folders are left out."""
    try:
        entries = list(os.scandir(root))
    except OSError:
        return
    if any(entry.name == "status.json" for entry in entries):
        yield RunDirectory(root)
        return
    if depth > 0:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from find_runs(Path(entry.path), depth - 1)
