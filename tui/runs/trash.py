"""A trash for runs: deleting moves a folder aside, undo moves it back.

The trash is a hidden folder in the working directory, so that moving is a rename on the same disk
and the search for runs (which leaves hidden folders out) no longer finds what is in it. It stays
until it is emptied: an undo is possible after a restart of the workbench too.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from simplegpt.cli import UserError
from simplegpt.files import write_atomically
from simplegpt.run.directory import RunDirectory
from tui.runs.summary import folder_size

FOLDER_NAME = ".simplegpt-trash"
_NOTE_NAME = "trashed.json"


class _Note(BaseModel):
    """Kept beside what was deleted: where it came from, and when."""

    original: Path
    time: float


@dataclass(frozen=True)
class TrashedItem:
    """Something in the trash."""

    slot: Path
    """The folder that holds it and its note."""
    original: Path
    """Where it was, and where an undo puts it."""
    time: float
    """When it was deleted, in seconds since 1970."""

    @property
    def path(self) -> Path:
        return self.slot / self.original.name


class Trash:
    """The trash of one working directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.folder = self.root / FOLDER_NAME

    def delete(self, path: Path, time: float) -> TrashedItem:
        """Move the run at `path` into the trash; `time` is the same for all deleted together.

        Raises UserError for a live run, for the working directory itself, and where the folder is
        gone or cannot be moved.
        """
        path = path.absolute()
        status = RunDirectory(path).status()
        if status is not None and status.is_live:
            raise UserError(f"{path.name} is {status.state}: stop it before it is deleted")
        if path == self.root or path in self.root.parents:
            raise UserError(f"{path} contains the working directory: it cannot be deleted here")
        if not os.path.isdir(path):
            raise UserError(f"no such directory: {path}")
        item = TrashedItem(self.folder / uuid.uuid4().hex[:12], path, time)
        try:
            self._make_folder()
            item.slot.mkdir()
            # The note first: without it, the folder could not be restored.
            note = _Note(original=path, time=item.time)
            write_atomically(item.slot / _NOTE_NAME, note.model_dump_json())
            _move(path, item.path)
        except OSError as error:
            if not os.path.lexists(item.path):
                shutil.rmtree(item.slot, ignore_errors=True)
            raise UserError(f"cannot delete {path}: {error.strerror}") from error
        return item

    def restore(self, item: TrashedItem) -> Path:
        """Put `item` back where it was and return that path. Raises UserError if that fails."""
        if os.path.lexists(item.original):
            raise UserError(f"{item.original} already exists: rename that first")
        if not os.path.isdir(item.path):
            raise UserError(f"{item.original.name} is no longer in the trash")
        try:
            item.original.parent.mkdir(parents=True, exist_ok=True)
            _move(item.path, item.original)
        except OSError as error:
            raise UserError(f"cannot restore {item.original}: {error.strerror}") from error
        shutil.rmtree(item.slot, ignore_errors=True)
        return item.original

    def items(self) -> list[TrashedItem]:
        """Return what is in the trash, last deleted first."""
        items = [_read(slot) for slot in self._slots()]
        found = [item for item in items if item is not None and os.path.isdir(item.path)]
        return sorted(found, key=lambda item: item.time, reverse=True)

    def sizes(self, items: Sequence[TrashedItem]) -> list[int]:
        """Return the bytes on disk of each of `items`."""
        return [folder_size(item.path) for item in items]

    def empty(self) -> None:
        """Delete all items permanently. Raises UserError where something stays."""
        try:
            for slot in self._slots():
                shutil.rmtree(slot)
        except OSError as error:
            raise UserError(f"cannot empty the trash: {error}") from error

    def _slots(self) -> list[Path]:
        try:
            return [Path(entry.path) for entry in os.scandir(self.folder) if entry.is_dir()]
        except OSError:  # there is none, or it cannot be read
            return []

    def _make_folder(self) -> None:
        self.folder.mkdir(exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")  # deleted runs are not for a commit


def _read(slot: Path) -> TrashedItem | None:
    try:
        note = _Note.model_validate_json((slot / _NOTE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return TrashedItem(slot, note.original, note.time)


def _move(source: Path, target: Path) -> None:
    """Rename, or copy to another disk, and then all or nothing."""
    try:
        os.rename(source, target)  # noqa: PTH104 - Path.rename says no more
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        try:
            shutil.copytree(source, target, symlinks=True)
        except (OSError, shutil.Error) as failure:
            shutil.rmtree(target, ignore_errors=True)
            raise OSError(errno.EIO, f"copying to another disk failed ({failure})") from failure
        shutil.rmtree(source)
