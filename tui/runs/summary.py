"""One run as the list shows it, read from its directory without reading its whole history."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from simplegpt.config import edit
from simplegpt.config.load import inspect
from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import RunState, Status
from tui.shell.runs import KnownRun

T = TypeVar("T")
ListedState: TypeAlias = RunState | Literal["unreadable"]
CURVE_POINTS = 24
# A list shows the shape of a curve: it needs much less of each history than the dashboard.
_TAIL_BYTES, _SAMPLES = 32_000, 120
# Where a run's files are is not a difference between two runs.
_PATHS = frozenset({"output_dir", "include"})


@dataclass(frozen=True)
class Curve:
    """What is kept of a run's history."""

    started: float | None = None
    """Seconds since 1970."""
    best_loss: float | None = None
    losses: tuple[float, ...] = ()
    """Training loss from the first to the last step, as means over equal spans of steps."""


@dataclass(frozen=True)
class RunSummary:
    """One row of the list."""

    path: Path
    name: str
    """Its path from the folder that was searched; the folder's own name for that folder itself."""
    status: Status | None
    """None where it cannot be read."""
    curve: Curve = Curve()
    size: int = 0
    """Bytes on disk."""
    checkpoint: Path | None = None
    """The last, or else the newest; None without any."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its config by dotted key with defaults, and which optional tables are on; empty where it
    cannot be read."""

    @property
    def state(self) -> ListedState:
        return "unreadable" if self.status is None else self.status.state

    @property
    def is_live(self) -> bool:
        return self.status is not None and self.status.is_live

    @property
    def can_resume(self) -> bool:
        """Whether it has ended with a checkpoint to resume from."""
        last = RunDirectory(self.path).last_checkpoint
        return not self.is_live and self.checkpoint == last

    @property
    def progress(self) -> float | None:
        """Fraction done, 0 to 1; None where the end is not known."""
        return KnownRun(self.path, self.status).progress

    @property
    def best_loss(self) -> float | None:
        best = self.status.best_loss if self.status is not None else None
        return best if best is not None and math.isfinite(best) else self.curve.best_loss

    @property
    def started(self) -> float:
        """Seconds since 1970; 0 where it is not known."""
        return self.curve.started or (self.status.time if self.status is not None else 0.0)

    @property
    def error(self) -> str:
        """Why it failed."""
        failure = self.status.failure if self.status is not None else None
        return failure.message if failure is not None else ""


class SummaryReader:
    """Summarizes runs, and reads a file again only when it changed. For one thread at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[tuple[str, Path], tuple[object, Any]] = {}

    def read(self, runs: Sequence[KnownRun]) -> list[RunSummary]:
        """The summaries of `runs`, in their order."""
        paths = {run.path for run in runs}
        self._kept = {key: kept for key, kept in self._kept.items() if key[1] in paths}
        return [self._summary(run) for run in runs]

    def _summary(self, seen: KnownRun) -> RunSummary:
        run = RunDirectory(seen.path)
        files = (run.path, run.checkpoints, run.events, run.log)
        return RunSummary(
            path=run.path,
            name=name_below(self.root, run.path),
            status=seen.status,
            curve=self._unless_kept(read_curve, run, run.events),
            size=self._unless_kept(run_size, run, *files),
            checkpoint=self._unless_kept(best_to_start_from, run, run.checkpoints),
            settings=self._unless_kept(read_settings, run, run.config),
        )

    def _unless_kept(self, read: Callable[[RunDirectory], T], run: RunDirectory, *files: Path) -> T:
        """What `read` returned last, unless one of `files` changed since."""
        key, signature = (read.__name__, run.path), tuple(map(_signature, files))
        if key not in self._kept or self._kept[key][0] != signature:
            self._kept[key] = (signature, read(run))
        value: T = self._kept[key][1]
        return value


def name_below(root: Path, path: Path) -> str:
    """How a run is called in a list of the runs below `root`."""
    if path == root:
        return path.name
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def read_curve(run: RunDirectory) -> Curve:
    """Start, best loss and curve, from a part of the events."""
    from tui.shared.curves import reduce_columns  # numpy: not before the first paint
    from tui.shared.history_reader import first_picture

    history = first_picture(run, _TAIL_BYTES, _SAMPLES)
    train = history.train
    if not len(train):
        return Curve(history.first_time)
    step, loss = train["step"], train["loss"]
    columns = reduce_columns(step, loss, loss, loss, step[0], step[-1], CURVE_POINTS)
    best = history.best.val_loss if history.best is not None else None
    return Curve(history.first_time, best, tuple(columns.mean.tolist()))


def read_settings(run: RunDirectory) -> Mapping[str, Any]:
    """The run's config; empty where it cannot be read. Invalid values are as they are."""
    inspection = inspect(run.config)
    return inspection.values if inspection.is_complete else {}


def best_to_start_from(run: RunDirectory) -> Path | None:
    """The last checkpoint, or else the newest."""
    if run.last_checkpoint.exists():
        return run.last_checkpoint
    checkpoints = list_checkpoints(run)
    return checkpoints[-1].path if checkpoints else None


def run_size(run: RunDirectory) -> int:
    """Bytes on disk."""
    return folder_size(run.path)


def folder_size(path: Path) -> int:
    """Bytes of the files below `path`; what vanishes meanwhile counts as nothing."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - of every file
            except OSError:
                continue
    return total


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which two runs differ, with both values; none where one cannot be read."""
    if not one or not other:
        return {}
    found = edit.differences(one, other)
    return {key: values for key, values in found.items() if key not in _PATHS}


def _signature(path: Path) -> tuple[int, int]:
    """Modification time in nanoseconds and size: changes when the file does."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - of every file of every run
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)
