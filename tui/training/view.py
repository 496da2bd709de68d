"""The state of the run on the dashboard, its possible actions and messages. Without Textual."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from simplegpt.config.schema import Config
from simplegpt.progress import format_count, format_duration, format_loss, format_rate, plural
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure
from simplegpt.run.state import RunState, Status
from simplegpt.run.upcoming import upcoming
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
    settings: Config | None = None
    """What the run trains with; None where it cannot be read."""
    checkpoint: Path | None = None
    """The newest that exists."""

    @property
    def state(self) -> ShownState:
        if self.starting_command is not None:
            return "starting"
        return self.status.state if self.status is not None else "none"

    @property
    def is_live(self) -> bool:
        return self.state not in (*ENDED, "none")

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
        """As the training itself estimates it; None where nothing trains."""
        return self.status.eta_seconds if self.status is not None and self.is_live else None

    @property
    def lr_factor(self) -> float:
        return self.status.lr_factor if self.status is not None else 1.0

    @property
    def mfu(self) -> float | None:
        """Of the last steps; None on a CPU and on a GPU whose peak is not published, whatever
        earlier versions have recorded."""
        last, started = self.history.last, self.history.started
        if last is None or last.mfu is None or last.mfu > 1 or started is None:
            return None
        return last.mfu if hardware.is_peak_published(started.device) else None


RUN_ACTIONS = frozenset(
    {
        *("overlay", "freeze", "show_panel", "zoom_panel", "filter_log"),
        *("zoom_in", "zoom_out", "reset_zoom", "toggle_cursor"),
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
    if view.state == "queued" and view.status is not None:
        names = ", ".join(Path(path).name for path in view.status.waits_for)
        return StatusLine(f"Queued: starts after {names}. Press F8 to remove it from the queue.")
    if view.state == "stopped":
        return StatusLine(f"Stopped at step {view.step:,}. Press F7 to resume.")
    latest = sent.latest
    if latest is not None and latest.outcome != "done":
        return StatusLine(latest.describe(view.activity), latest.outcome)
    if view.state == "paused" and (latest is None or latest.name in ("pause", "resume")):
        return StatusLine(f"Paused at step {view.step:,}. Press F7 to resume.")
    if latest is not None:
        return StatusLine(latest.describe(view.activity), "done")
    return StatusLine(next_line(view)) if view.state == "running" else StatusLine()


def next_line(view: RunView) -> str:
    """The steps until the next validation, sample and checkpoint."""
    if view.settings is None:
        return ""
    following = upcoming(view.settings, view.step)
    is_saved = following.checkpoint == following.validation
    events = {
        "validation and checkpoint" if is_saved else "validation": following.validation,
        "checkpoint": None if is_saved else following.checkpoint,
        "sample": following.sample,
    }
    counts = [(name, step - view.step) for name, step in events.items() if step is not None]
    if not counts:
        return ""
    *others, (name, count) = counts
    parts = [*(f"{other} in {n:,}" for other, n in others), f"{name} in {plural(count, 'step')}"]
    return f"Next: {' · '.join(parts)}"


@dataclass(frozen=True)
class Callout:
    """A message above the run or in its place: what happened, and how to continue."""

    title: str
    text: str = ""
    log: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """Label and action of each button."""
    is_error: bool = True


_RUNS = ("Runs", "app.visit('runs')")
NO_RUN = Callout(
    "No run is open",
    "Open a config and press F9 to train it. The workbench attaches to live runs below this folder "
    "automatically.",
    choices=(
        ("Open a config", "app.visit('config')"),
        ("Choose a corpus", "app.visit('data')"),
        _RUNS,
    ),
    is_error=False,
)
_EDIT_CONFIG = ("Edit config", "screen.edit")


def callout_of(view: RunView, log_end: Sequence[str]) -> Callout | None:
    """The message about a run that finished, failed or is gone; None for another one."""
    if view.state == "finished":
        return finished_callout(view)
    if view.state == "none" and view.is_whole:
        text = f"{view.path} has no status: the run was deleted, renamed or removed from the queue."
        return Callout("The run is gone", text, choices=(_RUNS,), is_error=False)
    if view.failure is None or view.starting_command is not None:
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


def finished_callout(view: RunView) -> Callout:
    """The results of a finished run, and what to do next."""
    history, parts = view.history, []
    if history.last is not None:
        parts.append(f"{format_count(history.last.tokens)} tokens")
    if history.mean_tokens_per_second is not None:
        parts.append(f"mean {format_rate(history.mean_tokens_per_second)}")
    if history.best is not None:
        loss = history.best.val_loss
        parts.append(f"best val loss {format_loss(loss)} at step {history.best.step:,}")
        parts.append(format_perplexity(loss, view.settings.tokenizer_name if view.settings else ""))
    choices = []
    if view.checkpoint is not None:
        choices.append(("Chat", "screen.chat"))
    if view.can_resume:
        choices.append(("Train longer", "screen.resume"))
    choices.append(("Overlay runs", "screen.overlay"))
    if view.config is not None:
        choices.append(_EDIT_CONFIG)
    duration = format_duration(history.elapsed_seconds)
    title = f"Finished: {plural(view.step, 'step')} in {duration}"
    if history.ended is not None and history.ended.error is not None:
        title += f" ({history.ended.error})"
    return Callout(title, " · ".join(parts), choices=tuple(choices), is_error=False)


def format_perplexity(loss: float, tokenizer_name: str) -> str:
    """The perplexity; bits per character or byte where a token is one."""
    units = {"char": "character", "byte": "byte"}
    if tokenizer_name in units:
        return f"{loss / math.log(2):.2f} bits per {units[tokenizer_name]}"
    return f"perplexity {math.exp(min(loss, 100)):,.1f}"


def start_callout(
    name: str, message: str, exit_code: int | None = None, *, is_resume: bool = False
) -> Callout:
    """Why a run did not start; `exit_code` of its process, if there was one."""
    title = f"{name} was not resumed" if is_resume else f"{name} did not start"
    if exit_code is not None:
        title += f" (exit code {exit_code})"
    again = (("Try again", "screen.resume"),) if is_resume else ()
    choices = (*again, _EDIT_CONFIG, _RUNS, ("Close", "screen.close_message"))
    return Callout(title, message, choices=choices)


def read_callout(error: OSError | RuntimeError) -> Callout:
    """Why a run's files cannot be read."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        text = f"{error.filename}: {error.strerror}"
    return Callout("Cannot read the run", text, choices=(_RUNS,))


def format_edits(edits: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in edits.items())
