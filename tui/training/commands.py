"""Commands that were asked of a run and what became of them: pending, answered, never answered."""

from collections.abc import Iterable
from dataclasses import dataclass

from simplegpt.run.events import CommandDone, CommandName
from tui.training.words import ShownState

DOING: dict[CommandName, str] = {
    "stop": "stop and save",
    "save": "save a checkpoint",
    "validate": "validate",
    "sample": "write a sample",
    "pause": "pause",
    "resume": "go on",
    "set_lr_factor": "change the learning rate",
}
# What the run says it does while it obeys.
OWN_ACTIVITY: dict[CommandName, str] = {
    "stop": "saving",
    "save": "saving",
    "validate": "validating",
    "sample": "sampling",
}
ENDED: tuple[ShownState, ...] = ("finished", "stopped", "failed", "crashed")


@dataclass
class Asked:
    """One command."""

    id: str
    command: CommandName
    answer: CommandDone | None = None
    unanswered: bool = False
    """The run ended first."""

    @property
    def pending(self) -> bool:
        return self.answer is None and not self.unanswered


class CommandsAsked:
    """What was asked from here of one run, newest last."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []

    def ask(self, id: str, command: CommandName) -> None:
        self._asked = [*self._asked[-19:], Asked(id, command)]

    def answer(self, answers: Iterable[CommandDone]) -> None:
        by_id = {asked.id: asked for asked in self._asked}
        for event in answers:
            if event.id in by_id:
                by_id[event.id].answer = event

    def run_ended(self) -> None:
        """No more answers come."""
        for asked in self._asked:
            asked.unanswered = asked.answer is None

    def pending(self, command: CommandName) -> bool:
        return any(asked.pending and asked.command == command for asked in self._asked)

    @property
    def last(self) -> Asked | None:
        """The newest one that still waits, or else the newest."""
        waiting = [asked for asked in self._asked if asked.pending]
        newest = waiting or self._asked
        return newest[-1] if newest else None


def in_words(asked: Asked, activity: str) -> tuple[str, str, str]:
    """Sign, sentence and colour of what became of a command.

    `activity` is what the run is busy with: that is what a command waits for.
    """
    doing = DOING[asked.command]
    if asked.answer is not None:
        told = f": {asked.answer.message}" if asked.answer.message else ""
        if asked.answer.ok:
            return "✓", f"{doing}{told or ': done'}", "$text-success"
        return "✗", f"could not {doing}{told}", "$text-error"
    if asked.unanswered:
        if asked.command == "stop":
            return "✓", "the run has ended", "$text-success"
        return "✗", f"{doing}: the run ended before it answered", "$text-warning"
    if activity == OWN_ACTIVITY.get(asked.command):
        return "…", f"asked to {doing}: {activity} now", "$text-warning"
    busy = activity and activity != "training"
    waits = f"{activity} comes to its end first" if busy else "at the end of this step"
    return "…", f"asked to {doing}; {waits}", "$text-warning"
