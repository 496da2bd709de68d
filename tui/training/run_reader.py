"""Reads one run's directory for the dashboard. Without Textual."""

from dataclasses import dataclass
from pathlib import Path

from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure
from tui.shared.follower import Follower, Update
from tui.training.trainer_process import TrainerProcess


@dataclass(frozen=True)
class Reading:
    """What one look at the directory found."""

    update: Update
    config: Path | None
    checkpoint: Path | None
    """The newest that exists."""
    failure: Failure | None


class RunReader:
    """Reads what is new in a run's directory. Its methods block: call them in a thread, one at a
    time."""

    def __init__(self, run: RunDirectory, offset: int, trainer: TrainerProcess | None) -> None:
        """`offset`: bytes of the events that were read before. `trainer`: the run's process, where
        it was started here."""
        self.run = run
        self._follower = Follower(run, offset)
        self._trainer = trainer
        self._failure: Failure | None = None

    def continue_from(self, offset: int) -> None:
        """Read events from `offset` on; the log continues where it is."""
        self._follower.go_to(offset)

    def read(self) -> Reading:
        """Everything new since the last call."""
        update = self._follower.read()
        exit_code = self._trainer.exit_code() if self._trainer is not None else None
        if update.status is None or update.status.state not in ("failed", "crashed"):
            self._failure = None
        elif self._failure is None:
            self._failure = self.run.failure(exit_code)
        config = self.run.config if self.run.config.exists() else None
        return Reading(update, config, newest_checkpoint(self.run), self._failure)


def newest_checkpoint(run: RunDirectory) -> Path | None:
    """The last checkpoint; without one (``save_last = false``), that of the latest step."""
    if run.last_checkpoint.exists():
        return run.last_checkpoint
    checkpoints = list_checkpoints(run)
    return checkpoints[-1].path if checkpoints else None
