"""A run's directory: the files between a training process and its observers.

The trainer (rank 0) appends events and replaces the status; any process of the same user
appends commands; everyone else reads. Nothing here imports torch.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.config.edit import edit, literal
from simplegpt.files import append_line, check_regular_file, read_regular, write_atomically
from simplegpt.run.events import (
    Command,
    CommandName,
    Event,
    Failure,
    LineReader,
    System,
    skim,
    surviving,
)
from simplegpt.run.failure import crashed
from simplegpt.run.state import Status

MAX_NAME_BYTES = 255  # of the file systems that a run may be copied to


class RunDirectory:
    """The files of one run, by name."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.config = self.path / "config.toml"
        self.events = self.path / "events.jsonl"
        self.commands = self.path / "commands.jsonl"
        self.status_file = self.path / "status.json"
        self.log = self.path / "train.log"
        self.checkpoints = self.path / "ckpts"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.notes = self.path / "notes.json"
        self.evaluations = self.path / "evaluations.jsonl"
        self.tokenizer = self.path / "tokenizer.json"
        """A copy of the tokenizer's file, used if the original is missing."""
        self.files = (self.config, self.events, self.commands, self.status_file, self.log)
        """The files that every run has."""

    def exists(self) -> bool:
        """Whether a run was ever started here.

        A start that died before it could train leaves only commands.jsonl and an empty ckpts.
        """
        if any(os.path.lexists(file) for file in self.files if file != self.commands):
            return True
        try:
            return any(self.checkpoints.iterdir())
        except OSError:
            return os.path.lexists(self.checkpoints)

    def create(self) -> None:
        """Create missing files. Raises OSError if one is a pipe, a device …"""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            if file.exists():
                check_regular_file(file)
        self.commands.touch(mode=0o600)

    def own_files(self) -> set[Path]:
        """Return those files that are there, besides checkpoints, which a start may have made."""
        return {file for file in (*self.files, self.notes, self.tokenizer) if os.path.lexists(file)}

    def discard(self, before: Collection[Path]) -> None:
        """Remove the files of a start that failed; `before`: what was there before it."""
        for file in self.own_files().difference(before):
            file.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path):
            with suppress(OSError):  # it has other files
                folder.rmdir()

    def clean(self) -> None:
        """Remove partial files of a killed process. Only for the process that has the lock."""
        for path in (*self.path.glob(".*.partial"), *self.checkpoints.glob(".*")):
            with suppress(OSError):
                path.unlink()

    # Status

    def write_status(self, status: Status) -> None:
        write_atomically(self.status_file, status.model_dump_json())

    def status(self) -> Status | None:
        """Return the run's status; None if it is missing or unreadable."""
        status = self._read_status()
        if status is None or not status.is_live or status.process_exists():
            return status
        # read again: the process may have ended properly between the two reads
        status = self._read_status() or status
        return status.model_copy(update={"state": "crashed"}) if status.is_live else status

    def _read_status(self) -> Status | None:
        try:
            return Status.model_validate_json(read_regular(self.status_file))
        except (OSError, ValidationError):
            return None

    def failure(self, exit_code: int | None = None) -> Failure | None:
        """Return why the run failed or crashed; None if it did neither.

        `exit_code`: that of the run's process, if the caller is its parent (as from `Popen`).
        """
        status = self.status()
        if status is None or status.state != "crashed":
            return None if status is None else status.failure
        events = skim(self.events, tail_bytes=64_000, samples=0)
        systems = [event for event in events if isinstance(event, System)]
        try:
            config = config_file.load(self.config)
        except UserError:
            config = None
        return crashed(config, systems[-1] if systems else None, status.place, exit_code)

    # Its name

    def rename(self, name: str) -> "RunDirectory":
        """Rename the directory in place; return it under the new name.

        Raises UserError for a live run, and for a name that is taken or invalid.
        """
        name = name.strip()
        if problem := self.rename_problem(name):
            raise UserError(problem)
        status = self.status()
        if status is not None and status.is_live:
            raise UserError(
                f"{self.path.name} is {status.state} (process {status.pid} on {status.host}): "
                "stop it before renaming it"
            )
        try:
            self.path.rename(self.path.with_name(name))
        except OSError as error:
            raise UserError(f"cannot rename {self.path.name}: {error.strerror}") from error
        renamed = RunDirectory(self.path.with_name(name))
        with suppress(OSError, ValueError):  # a config that cannot be read stays as it is
            text = renamed.config.read_text(encoding="utf-8")
            changes = {"output_dir": literal(str(renamed.path))}
            write_atomically(renamed.config, edit(text, changes))
        return renamed

    def rename_problem(self, name: str) -> str | None:
        """Return why `name` is not a valid new name; None if it is."""
        if not name:
            return "A run needs a name."
        if "/" in name or "\\" in name:
            return "A name cannot contain a slash: a run is renamed in place, not moved."
        if name.startswith("."):
            return "A name cannot start with a dot: hidden folders are not listed."
        if re.search(r"[\x00-\x1f\x7f]", name):
            return "A name cannot contain control characters."
        if len(os.fsencode(name)) > MAX_NAME_BYTES:
            return f"A name can be at most {MAX_NAME_BYTES} bytes long."
        if name == self.path.name:
            return "This is already its name."
        target = self.path.with_name(name)
        # a file system that ignores case finds the run itself under the other spelling
        if target.exists() and not (self.path.exists() and target.samefile(self.path)):
            return f"{name!r} already exists here."
        return None

    # Commands

    def send(self, command: CommandName, *, factor: float | None = None) -> str:
        """Send a command to the run; return the id of its answer."""
        request = Command(command=command, factor=factor)
        append_line(self.commands, request.model_dump_json(), mode=0o600)
        return request.id

    # Events

    def append_event(self, event: Event) -> None:
        append_line(self.events, event.model_dump_json())

    def read_events(self) -> list[Event]:
        """Return all valid events, oldest first (see `surviving`)."""
        return surviving(LineReader(self.events).read_events())


def find_runs(root: Path, depth: int = 4) -> Iterator[RunDirectory]:
    """Yield the runs at or below `root`, found by status.json; hidden folders are left out."""
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
