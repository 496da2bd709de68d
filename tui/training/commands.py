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
SHOWN_SECONDS = 15.0
"""How long an answer is shown."""
Outcome: TypeAlias = Literal["pending", "done", "failed", "expired"]


@dataclass(frozen=True)
class SentCommand:
    """One command."""

    id: str
    name: CommandName
    answer: CommandDone | None = None
    settled: float | None = None
    """When it was answered, or expired without an answer, in seconds; None: it is pending."""

    @property
    def outcome(self) -> Outcome:
        if self.answer is not None:
            return "done" if self.answer.ok else "failed"
        return "pending" if self.settled is None else "expired"

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

    def settle(
        self, answers: Iterable[CommandDone], now: float, *, has_ended: bool
    ) -> "SentCommands":
        """Match answers to commands by id, and forget commands that were settled a while ago.

        Answers to other observers' commands are skipped. Once the run `has_ended`, commands without
        an answer have expired. `now` is in seconds.
        """
        by_id = {answer.id: answer for answer in answers}
        commands: list[SentCommand] = []
        for one in self.commands:
            if one.settled is None and (one.id in by_id or has_ended):
                one = replace(one, answer=by_id.get(one.id), settled=now)
            if one.settled is None or now - one.settled < SHOWN_SECONDS:
                commands.append(one)
        return SentCommands(tuple(commands))

    def is_pending(self, name: CommandName | None = None) -> bool:
        """Whether a command (of that name) still waits for its answer."""
        return any(one.outcome == "pending" and name in (None, one.name) for one in self.commands)

    @property
    def latest(self) -> SentCommand | None:
        """The newest that is pending, otherwise the newest."""
        pending = [one for one in self.commands if one.outcome == "pending"]
        newest_last = pending or self.commands
        return newest_last[-1] if newest_last else None
