"""The measurements of ``simplegpt evaluate`` on a run's checkpoints, in evaluations.jsonl."""

import time
from pathlib import Path

from pydantic import Field, ValidationError

from simplegpt.files import append_line, read_regular, text_lines
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Record


class EvaluationRecord(Record):
    """One line of evaluations.jsonl: a loss on a text, or an accuracy on questions."""

    time: float = Field(default_factory=time.time)
    checkpoint: str
    """File name, such as ``best.ckpt``."""
    step: int | None = None
    """The checkpoint's step: it may have been replaced since."""
    tokens: str | None = None
    """The token file, or the text; None for questions."""
    choices: str | None = None
    """The questions' file, or ``hellaswag``."""
    loss: float | None = None
    """Mean cross-entropy in nats per token."""
    bits_per_byte: float | None = None
    accuracy_normalized: float | None = None
    """Fraction of questions answered correctly, by the mean log-probability of an ending."""

    @property
    def data(self) -> str:
        """The name of the text or the questions."""
        return Path(self.tokens or self.choices or "").name


def run_of(checkpoint: Path) -> RunDirectory | None:
    """Return the run that a checkpoint belongs to; None if it is in no run's ckpts."""
    run = RunDirectory(checkpoint.absolute().parent.parent)
    return run if checkpoint.absolute().parent == run.checkpoints and run.exists() else None


def record_evaluation(run: RunDirectory, record: EvaluationRecord) -> None:
    """Append a record to the run's evaluations. Raise OSError."""
    append_line(run.evaluations, record.model_dump_json(exclude_none=True))


def read_evaluations(run: RunDirectory) -> list[EvaluationRecord]:
    """Return the run's evaluations, the newest last; invalid lines are skipped."""
    records = []
    try:
        lines = text_lines(read_regular(run.evaluations))
    except OSError:
        return []
    for line in lines:
        try:
            records.append(EvaluationRecord.model_validate_json(line))
        except ValidationError:
            continue
    return records
