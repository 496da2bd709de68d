"""One run as the list shows it, read from its directory without reading its whole history."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from simplegpt.config import edit
from simplegpt.config.load import inspect
from simplegpt.run.checkpoints import newest_checkpoint
from simplegpt.run.directory import RunDirectory
from simplegpt.run.evaluations import EvaluationRecord, read_evaluations
from simplegpt.run.notes import BASELINE, Notes, read_notes
from simplegpt.run.state import RunState, Status
from simplegpt.train.plan import n_parameters
from tui.shared.paths import short_path
from tui.shell.runs import KnownRun

T = TypeVar("T")
ListedState: TypeAlias = RunState | Literal["unreadable"]
CURVE_POINTS = 24
# A list shows the shape of a curve: it needs much less of each history than the dashboard.
_TAIL_BYTES, _SAMPLES = 32_000, 120
PARAMETERS = "parameters"
"""Of the model: kept beside the settings, of which it follows."""
EVALUATED_LOSS, ACCURACY = "evaluated loss", "accuracy"
"""Of the newest evaluations: kept beside the settings, so that they can have a column."""
# Where the files are, and what follows from other settings, is no difference between two runs.
_NO_DIFFERENCE = frozenset({"output_dir", "include", PARAMETERS, EVALUATED_LOSS, ACCURACY})


@dataclass(frozen=True)
class Curve:
    """What is kept of a run's history."""

    started: float | None = None
    """Seconds since 1970."""
    best_loss: float | None = None
    losses: tuple[float, ...] = ()
    """Training loss to the last step, as means over equal spans of steps."""


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
    """Its config by dotted key with defaults, which optional tables are on, its number of
    parameters and its evaluations' figures; empty where the config cannot be read."""
    evaluations: Sequence[EvaluationRecord] = ()
    """The newest last."""
    notes: Notes = field(default_factory=Notes)

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
    def is_baseline(self) -> bool:
        return BASELINE in self.notes.tags

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
            checkpoint=self._unless_kept(newest_checkpoint, run, run.checkpoints),
            settings=self._unless_kept(read_settings, run, run.config, run.evaluations),
            evaluations=self._unless_kept(read_evaluations, run, run.evaluations),
            notes=self._unless_kept(read_notes, run, run.notes),
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
    return path.name if path == root else str(short_path(path, root))


def read_curve(run: RunDirectory) -> Curve:
    """Return start, best loss and curve, from a part of the events.

    The curve of a longer run leaves out its first drop, beside which the rest would be flat.
    """
    from tui.shared.curves import FIRST_DROP, reduce_columns  # numpy: not before the first paint
    from tui.shared.history_reader import first_picture

    history = first_picture(run, _TAIL_BYTES, _SAMPLES)
    train = history.train
    if not len(train):
        return Curve(history.first_time)
    step, loss = train["step"], train["loss"]
    start = step[0] + FIRST_DROP * (step[-1] - step[0]) if len(step) > CURVE_POINTS else step[0]
    shown = step >= start
    step, loss = step[shown], loss[shown]
    columns = reduce_columns(step, loss, loss, loss, step[0], step[-1], CURVE_POINTS)
    best = history.best.val_loss if history.best is not None else None
    return Curve(history.first_time, best, tuple(columns.mean.tolist()))


def read_settings(run: RunDirectory) -> Mapping[str, Any]:
    """Return the config, the number of parameters and what was measured.

    Empty where the config cannot be read.

    Invalid values are as they are; without a valid config there is no number of parameters.
    """
    inspection = inspect(run.config)
    if not inspection.is_complete:
        return {}
    model = inspection.config.model if inspection.config is not None else None
    parameters = {PARAMETERS: model and n_parameters(model)}
    return {**inspection.values, **parameters, **newest_figures(read_evaluations(run))}


def newest_figures(evaluations: Sequence[EvaluationRecord]) -> Mapping[str, float | None]:
    """Return the newest loss and the newest accuracy, on whatever they were measured."""
    losses = [one.loss for one in evaluations if one.loss is not None]
    accuracies = [e.accuracy_normalized for e in evaluations if e.accuracy_normalized is not None]
    newest = {EVALUATED_LOSS: losses[-1:], ACCURACY: accuracies[-1:]}
    return {name: values[0] if values else None for name, values in newest.items()}


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
    """Return the settings in which two runs differ, with both values.

    Empty where one of them cannot be read.
    """
    if not one or not other:
        return {}
    found = edit.differences(one, other)
    return {key: values for key, values in found.items() if key not in _NO_DIFFERENCE}


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings in which not all configs agree, in the schema's order."""
    values = {key: tuple(c.get(key) for c in configs) for config in configs for key in config}
    same = {key: (first,) * len(configs) for key, (first, *_) in values.items()}
    return list(differences(same, values))


def _signature(path: Path) -> tuple[int, int]:
    """Modification time in nanoseconds and size: changes when the file does."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - of every file of every run
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)
