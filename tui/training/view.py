"""The state of the run on the dashboard, its possible actions and messages. Without Textual."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure
from simplegpt.run.state import RunState, Status
from tui.shared.history import History
from tui.training.commands import SentCommands

ENDED: tuple[RunState, ...] = ("finished", "stopped", "failed", "crashed")
ShownState: TypeAlias = RunState | Literal["none"]


@dataclass(frozen=True, eq=False)
class RunView:
    """One reading of a run. `history` is shared and grows; the rest is replaced."""

    path: Path
    history: History = field(default_factory=History)
    is_whole: bool = False
    """Whether `history` is the whole, not a first picture of a long one."""
    starting_command: str | None = None
    """Of a process that was started here and has not claimed the directory yet."""
    status: Status | None = None
    failure: Failure | None = None
    config: Path | None = None
    """The file to edit for a run like this one."""
    checkpoint: Path | None = None
    """The newest that exists."""

    @property
    def state(self) -> ShownState:
        if self.starting_command is not None:
            return "starting"
        return self.status.state if self.status is not None else "none"

    @property
    def is_live(self) -> bool:
        return self.status is not None and self.status.is_live

    @property
    def can_resume(self) -> bool:
        """Whether the run has ended and has a checkpoint to resume from."""
        return self.state in ENDED and self.checkpoint == RunDirectory(self.path).last_checkpoint

    @property
    def activity(self) -> str:
        return self.status.activity if self.status is not None and self.is_live else ""

    @property
    def step(self) -> int:
        return max(self.history.last_step, self.status.step if self.status else 0)

    @property
    def max_steps(self) -> int:
        return self.history.max_steps or (self.status.max_steps if self.status else 0)

    @property
    def eta_seconds(self) -> float | None:
        """Until the last step, at the pace of the latest ones; None where nothing trains."""
        step_seconds = self.history.mean_step_seconds
        if self.state not in ("running", "paused") or step_seconds is None or not self.max_steps:
            return None
        return max(self.max_steps - self.step, 0) * step_seconds


RUN_ACTIONS = frozenset(
    {
        *("overlay", "freeze", "show_panel", "filter_log"),
        *("toggle_log_scale", "toggle_raw", "next_axis", "next_lower_plot"),
    }
)
"""The screen's actions that need a run."""
STATE_ACTIONS = frozenset({"pause", "resume", "stop", "send", "lr_factor", "chat", "edit"})
"""Those that depend on the run's state too."""


def possible_actions(view: RunView | None, sent: SentCommands) -> frozenset[str]:
    """Those of `RUN_ACTIONS` and `STATE_ACTIONS` that are possible now."""
    if view is None:
        return frozenset()
    possible: set[str] = set()
    if view.config is not None:
        possible.add("edit")
    if view.checkpoint is not None:
        possible.add("chat")
    if view.state in ("running", "paused"):
        possible |= {"send", "lr_factor"}
        # A pending pause can be cancelled by a resume.
        possible.add("resume" if view.state == "paused" or sent.is_pending("pause") else "pause")
    if view.is_live and view.state != "stopping" and not sent.is_pending("stop"):
        possible.add("stop")
    if view.can_resume:
        possible.add("resume")
    return RUN_ACTIONS | possible


@dataclass(frozen=True)
class StatusLine:
    """One line below the buttons."""

    text: str = ""
    kind: Literal["state", "pending", "done", "failed", "expired"] = "state"


def status_line(view: RunView | None, sent: SentCommands) -> StatusLine:
    """The latest command's progress or result, or else the run's state and the keys to press."""
    if view is None:
        return StatusLine()
    if view.starting_command is not None:
        return StatusLine(f"Starting: {view.starting_command}", "pending")
    latest = sent.latest
    if view.state == "finished":
        return StatusLine(
            f"Finished at step {view.step:,}. Press F9 to chat, F7 to resume.", "done"
        )
    if view.state == "stopped":
        return StatusLine(f"Stopped at step {view.step:,}. Press F7 to resume.")
    if latest is not None and latest.outcome != "done":
        return StatusLine(latest.describe(view.activity), latest.outcome)
    if view.state == "paused" and (latest is None or latest.name in ("pause", "resume")):
        return StatusLine(f"Paused at step {view.step:,}. Press F7 to resume.")
    if latest is not None:
        return StatusLine(latest.describe(view.activity), "done")
    return StatusLine()


@dataclass(frozen=True)
class Callout:
    """A message above the run or in its place: what happened, and how to continue."""

    title: str
    text: str = ""
    log: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """Label and action of each button."""
    is_error: bool = True


NO_RUN = Callout(
    "No run is open",
    "Open a config and press F9 to train it. The workbench attaches to live runs below this folder "
    "automatically.",
    choices=(
        ("Open a config", "app.visit('config')"),
        ("Choose a corpus", "app.visit('data')"),
        ("Runs", "app.visit('runs')"),
    ),
    is_error=False,
)
_EDIT_CONFIG = ("Edit config", "screen.edit")


def failure_callout(view: RunView, log_end: Sequence[str]) -> Callout | None:
    """Why the run failed or crashed; None where it did neither."""
    if view.failure is None:
        return None
    choices = [_EDIT_CONFIG] if view.config is not None else []
    if view.failure.edits:
        choices.insert(0, ("Apply these edits", "screen.apply_edits"))
    if view.can_resume:
        choices.append(("Resume from the last checkpoint", "screen.resume"))
    title = view.failure.message
    if view.state == "failed":
        title = f"failed at step {view.step:,}: {title}"
    text = f"Suggested: {format_edits(view.failure.edits)}" if view.failure.edits else ""
    return Callout(title, text, tuple(log_end), tuple(choices))


def start_error_callout(message: str, exit_code: int | None, *, has_config: bool) -> Callout:
    """Why a training did not start; `exit_code` of its process, if there was one."""
    title = "The training did not start"
    if exit_code is not None:
        title += f" (exit code {exit_code})"
    runs = ("Runs", "app.visit('runs')")
    return Callout(title, message, choices=(_EDIT_CONFIG, runs) if has_config else (runs,))


def format_edits(edits: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in edits.items())
