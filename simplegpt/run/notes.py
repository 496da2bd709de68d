"""The user's note and tags on a run, in its notes.json. Training never reads it."""

from collections.abc import Iterable

from pydantic import ValidationError

from simplegpt.cli import UserError
from simplegpt.files import read_regular, write_atomically
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Record

BASELINE = "baseline"
"""The tag of the run that the others are compared with."""


class Notes(Record):
    """The content of notes.json."""

    text: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: str) -> "Notes":
        """Read a line as it is typed: ``"wider, as in the paper #wide #keep"``."""
        words = line.split()
        tags = [word[1:] for word in words if word.startswith("#") and len(word) > 1]
        text = " ".join(word for word in words if not (word.startswith("#") and len(word) > 1))
        return cls(text=text, tags=tuple(dict.fromkeys(tags)))

    def __str__(self) -> str:
        """Return the line that `parse` reads."""
        return " ".join([*([self.text] if self.text else []), *(f"#{tag}" for tag in self.tags)])


def read_notes(run: RunDirectory) -> Notes:
    """Return the notes on a run; empty if missing or unreadable."""
    try:
        return Notes.model_validate_json(read_regular(run.notes))
    except (OSError, ValidationError):
        return Notes()


def write_notes(run: RunDirectory, notes: Notes) -> None:
    """Replace the notes on a run; empty notes remove the file. Raises UserError."""
    try:
        if notes == Notes():
            run.notes.unlink(missing_ok=True)
        else:
            write_atomically(run.notes, notes.model_dump_json())
    except OSError as error:
        raise UserError(f"cannot write {run.notes}: {error.strerror}") from error


def move_baseline(run: RunDirectory | None, others: Iterable[RunDirectory]) -> None:
    """Make `run` the only baseline among `others`; None removes the baseline."""
    for other in others:
        notes = read_notes(other)
        if BASELINE in notes.tags:
            tags = tuple(tag for tag in notes.tags if tag != BASELINE)
            write_notes(other, notes.model_copy(update={"tags": tags}))
    if run is not None:
        notes = read_notes(run)
        write_notes(run, notes.model_copy(update={"tags": (*notes.tags, BASELINE)}))
