"""The commands sent to a run from the dashboard, and their results. Without Textual."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from simplegpt.run.events import CommandDone, CommandName

NAMES: Mapping[CommandName, str] = {
    "stop": "Stop",
    "save": "Save checkpoint",
    "validate": "Validate",
    "sample": "Sample",
    "pause": "Pause",
    "resume": "Resume",
    "set_lr_factor": "Set LR factor",
}
# The activity of a run while it carries out a command.
_OWN_ACTIVITY: Mapping[CommandName, str] = {
    "stop": "saving",
    "save": "saving",
    "validate": "validating",
    "sample": "sampling",
}
_KEPT = 20
Outcome: TypeAlias = Literal["pending", "done", "failed", "expired"]


@dataclass(frozen=True)
class SentCommand:
    """One command."""

    id: str
    name: CommandName
    answer: CommandDone | None = None
    has_expired: bool = False
    """Whether the run ended before it answered."""

    @property
    def outcome(self) -> Outcome:
        if self.answer is not None:
            return "done" if self.answer.ok else "failed"
        return "expired" if self.has_expired else "pending"

    def describe(self, activity: str) -> str:
        """Describe the command and its outcome. `activity` is what the run is doing now."""
        name = NAMES[self.name]
        match self.outcome:
            case "done":
                return f"{name}: {self.answer.message if self.answer else ''}".removesuffix(": ")
            case "failed":
                return f"{name} failed: {self.answer.message if self.answer else ''}"
            case "expired":
                return f"{name}: not carried out, the run has ended"
        if activity == _OWN_ACTIVITY.get(self.name):
            return f"{name}: {activity} …"
        if activity and activity != "training":
            return f"{name}: waiting for {activity} to end"
        return f"{name}: waiting for the end of this step"


@dataclass(frozen=True)
class SentCommands:
    """The commands sent to one run, newest last."""

    commands: tuple[SentCommand, ...] = ()

    def add(self, id: str, name: CommandName) -> "SentCommands":
        return SentCommands((*self.commands[1 - _KEPT :], SentCommand(id, name)))

    def with_answers(self, answers: Iterable[CommandDone]) -> "SentCommands":
        """Match answers to commands by id; those to other observers' commands are skipped."""
        by_id = {answer.id: answer for answer in answers}
        return SentCommands(
            tuple(replace(one, answer=by_id.get(one.id, one.answer)) for one in self.commands)
        )

    def expire(self) -> "SentCommands":
        """Mark commands without an answer as expired: the run has ended."""
        return SentCommands(
            tuple(replace(one, has_expired=one.answer is None) for one in self.commands)
        )

    def is_pending(self, name: CommandName | None = None) -> bool:
        """Whether a command (of that name) still waits for its answer."""
        return any(one.outcome == "pending" and name in (None, one.name) for one in self.commands)

    @property
    def latest(self) -> SentCommand | None:
        """The newest that is pending, otherwise the newest."""
        pending = [one for one in self.commands if one.outcome == "pending"]
        newest_last = pending or self.commands
        return newest_last[-1] if newest_last else None
