"""One run as the list of runs shows it, read from its directory without reading its history."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from simplegpt.config.edit import differences as config_differences
from simplegpt.config.load import inspect
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CheckpointSaved, Event, RunStarted, TrainStep, Validation, skim
from simplegpt.run.state import RunState, Status
from tui.runs.run_files import folder_size

ListedState: TypeAlias = RunState | Literal["unreadable"]
CURVE_POINTS = 24
# A list wants a curve's shape only: much less of each history than the dashboard reads.
_TAIL_BYTES, _SAMPLES = 32_000, 120
# Where a run's files lie says nothing about how it differs from another.
NOT_COMPARED = frozenset({"output_dir", "include"})


@dataclass(frozen=True)
class RunSummary:
    """What one row shows."""

    path: Path
    name: str
    """Its path from the folder that was searched; the folder's own name for that folder itself."""
    state: ListedState
    alive: bool = False
    """Whether a process is behind it: then it can be neither renamed nor deleted."""
    activity: str = ""
    step: int = 0
    max_steps: int = 0
    best_loss: float | None = None
    curve: tuple[float, ...] = ()
    """The loss from its first to its last step, at most CURVE_POINTS means of equal spans."""
    size: int = 0
    """Bytes on disk."""
    started: float = 0.0
    """First start, in seconds since 1970."""
    updated: float = 0.0
    """Last sign of life, in seconds since 1970."""
    error: str = ""
    host: str = ""
    checkpoint: Path | None = None
    """The one to go on from or to talk to: the last, or else the newest; None without any."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its config by dotted key, defaults included; empty where it cannot be read."""

    @property
    def progress(self) -> float | None:
        """Fraction done, 0 to 1; None where the end is not known."""
        return min(self.step / self.max_steps, 1.0) if self.max_steps else None


@dataclass(frozen=True)
class History:
    """What the events say that the status does not."""

    started: float | None = None
    best_loss: float | None = None
    curve: tuple[float, ...] = ()


def summarize(
    run: RunDirectory,
    root: Path,
    *,
    history: History | None = None,
    settings: Mapping[str, Any] | None = None,
    size: int | None = None,
) -> RunSummary:
    """The summary of `run`; what is given was read before and is not read again."""
    status = run.status()
    history = read_history(run) if history is None else history
    settings = read_settings(run) if settings is None else settings
    summary = RunSummary(
        path=run.path,
        name=name_from(root, run.path),
        state="unreadable",
        best_loss=history.best_loss,
        curve=history.curve,
        size=folder_size(run.path) if size is None else size,
        started=history.started or _modified(run.config) or _modified(run.status_file),
        updated=_modified(run.events) or _modified(run.status_file),
        checkpoint=find_checkpoint(run),
        settings=settings,
    )
    return summary if status is None else _with_status(summary, status)


def _with_status(summary: RunSummary, status: Status) -> RunSummary:
    best = status.best_loss
    return replace(
        summary,
        state=status.state,
        alive=status.is_live,
        activity=status.activity if status.is_live else "",
        step=status.step,
        max_steps=status.max_steps,
        best_loss=best if best is not None and math.isfinite(best) else summary.best_loss,
        updated=status.time,
        error=status.failure.message if status.failure else "",
        host=status.host,
    )


def name_from(root: Path, path: Path) -> str:
    """How a run is called in a list of the runs below `root`."""
    if path == root:
        return path.name
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def read_history(run: RunDirectory) -> History:
    """Start, best loss and curve, from a part of the events."""
    events = skim(run.events, tail_bytes=_TAIL_BYTES, samples=_SAMPLES)
    started = next((event.time for event in events if isinstance(event, RunStarted)), None)
    scores = [
        event.val_loss
        for event in events
        if isinstance(event, Validation | CheckpointSaved)
        if event.val_loss is not None and math.isfinite(event.val_loss)
    ]
    return History(started, min(scores, default=None), small_curve(events))


def small_curve(events: Iterable[Event], points: int = CURVE_POINTS) -> tuple[float, ...]:
    """The training loss as at most `points` means over equal spans of steps.

    A span without an event repeats the one before it, so that the curve keeps its proportions.
    """
    pairs = [(e.step, e.loss) for e in events if isinstance(e, TrainStep)]
    spans = _spans(pairs, min(points, len(pairs)))
    curve: list[float] = []
    for span in spans:
        curve.append(sum(loss for _, loss in span) / len(span) if span else curve[-1])
    return tuple(curve)


def span_means(
    pairs: Iterable[tuple[int, float]], points: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Steps and losses as means over at most `points` equal spans of steps; empty ones left out."""
    spans = [span for span in _spans(pairs, points) if span]
    return (
        tuple(sum(step for step, _ in span) / len(span) for span in spans),
        tuple(sum(loss for _, loss in span) / len(span) for span in spans),
    )


def _spans(pairs: Iterable[tuple[int, float]], count: int) -> list[list[tuple[int, float]]]:
    """(step, loss) pairs in `count` equal spans of steps; the first and last are never empty.

    What is no number is left out. Means are made of them, since maxima would draw the noise.
    """
    finite = [(step, loss) for step, loss in pairs if math.isfinite(loss)]
    if not finite or count < 1:
        return []
    first, last = finite[0][0], finite[-1][0]
    spans: list[list[tuple[int, float]]] = [[] for _ in range(min(count, last - first + 1))]
    for step, loss in finite:
        place = (step - first) * len(spans) // (last - first + 1)
        spans[min(max(place, 0), len(spans) - 1)].append((step, loss))
    return spans


def read_settings(run: RunDirectory) -> Mapping[str, Any]:
    """The run's config by dotted key, with the schema's defaults; empty if it cannot be read.

    An invalid one counts too: a run of another version is listed all the same.
    """
    inspection = inspect(run.config)
    return inspection.values if inspection.is_complete else {}


def find_checkpoint(run: RunDirectory) -> Path | None:
    """The checkpoint to go on from or to talk to: the last, or else the newest."""
    if run.last_checkpoint.exists():
        return run.last_checkpoint
    try:
        found = sorted(run.checkpoints.glob("*.ckpt"), key=_modified)
    except OSError:
        return None
    return found[-1] if found else None


@dataclass(frozen=True)
class Difference:
    """One setting that two runs do not share."""

    key: str
    mine: Any
    other: Any
    """None where the other run has no such setting."""


def differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What `mine` has otherwise than `other`, in the schema's order, paths of the runs aside."""
    if not mine or not other:
        return ()
    return tuple(
        Difference(key, *values)
        for key, values in config_differences(mine, other).items()
        if key not in NOT_COMPARED
    )


def differences_of_all(runs: Sequence[RunSummary]) -> list[tuple[Difference, ...]]:
    """For each run what its config has otherwise than the next run's; none for the last."""
    after = [run.settings for run in runs[1:]]
    return [differences(run.settings, other) for run, other in zip(runs, after, strict=False)] + (
        [()] if runs else []
    )


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
