"""How a run stands, seen from outside: for the header, and for quitting."""

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message

from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import Status


@dataclass(frozen=True)
class RunSeen:
    """A run at one look."""

    run: RunDirectory
    status: Status | None
    alive: bool

    def in_words(self) -> Content:
        """For the header: name, state, progress."""
        status = self.status
        if status is None:
            return Content(self.run.path.name)
        done = f"{status.step / status.max_steps:.0%} " if status.max_steps else ""
        sign, colour = ("‖", "$warning") if status.state == "paused" else ("●", "$success")
        return Content.assemble((sign, colour), f" {done}{self.run.path.name}")

    def end_in_words(self) -> str:
        """For a notification: how it ended."""
        status, name = self.status, self.run.path.name
        if status is None:
            return f"{name} is gone."
        if status.state == "finished":
            return f"{name} is finished: {status.step:,} steps."
        if status.state == "stopped":
            return f"{name} stopped at step {status.step:,}, saved."
        if status.state == "failed":
            return f"{name} failed: {status.failure.message if status.failure else 'see its log'}"
        return f"{name} crashed at step {status.step:,}."


@dataclass
class RunsSeen(Message):
    """Runs were looked at."""

    runs: tuple[RunSeen, ...]


def look_at(run: RunDirectory) -> RunSeen:
    """Read a run's status (a small file) and see whether its process lives."""
    status = run.status()
    return RunSeen(run, status, alive=status is not None and status.is_live)
