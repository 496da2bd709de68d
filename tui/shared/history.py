"""What a run's events add up to, in bounded memory: curves, checkpoints, samples, its last words.

A `History` takes events one at a time and knows nothing of files or screens.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simplegpt.run.events import (
    CheckpointSaved,
    CommandDone,
    Event,
    Paused,
    Resumed,
    RunEnded,
    RunStarted,
    Sample,
    System,
    TrainStep,
    Validation,
    Warned,
)

Array: TypeAlias = NDArray[np.float64]
Axis = Literal["step", "tokens", "time"]
Column = Literal["step", "tokens", "time", "loss", "least", "greatest", "lr", "grad_norm"]
COLUMNS: tuple[Column, ...] = (
    "step",
    "tokens",
    "time",
    "loss",
    "least",
    "greatest",
    "lr",
    "grad_norm",
)
CAPACITY = 32_768
"""Rows of a series: far more than any screen has columns, and 2 MB."""
KEPT_SAMPLES, KEPT_WARNINGS, KEPT_SYSTEMS = 200, 100, 240


class Series:
    """Rows of figures by step. When full, neighbours are merged and what comes later too."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._rows = np.empty((capacity, len(COLUMNS)))
        self._n = 0
        self._waiting: list[tuple[float, ...]] = []
        self.stride = 1
        """How many events one row stands for."""

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, column: Column) -> Array:
        """A column, oldest first. A view: do not write to it."""
        return self._rows[: self._n, COLUMNS.index(column)]

    def append(
        self, step: int, tokens: int, time: float, loss: float, lr: float, grad_norm: float
    ) -> None:
        self._waiting.append((step, tokens, time, loss, loss, loss, lr, grad_norm))
        if len(self._waiting) >= self.stride:
            self._rows[self._n] = merge(np.array(self._waiting)[None])[0]
            self._waiting.clear()
            self._n += 1
            if self._n == len(self._rows):
                self._halve()

    def drop_after(self, step: int) -> None:
        """Forget rows beyond `step`: a later attempt resumed from there."""
        self._n = int(np.searchsorted(self["step"], step, side="right"))
        self._waiting.clear()

    def _halve(self) -> None:
        pairs = self._rows[: self._n // 2 * 2].reshape(-1, 2, len(COLUMNS))
        self._n //= 2
        self._rows[: self._n] = merge(pairs)
        self.stride *= 2


def merge(groups: Array) -> Array:
    """Rows ``[group, column]`` out of ``[group, row, column]``: means, extremes, the last place.

    A loss that is no number makes the mean none either, so that it is not forgotten.
    """
    merged: Array = groups.mean(axis=1)
    for name in ("step", "tokens", "time"):
        merged[:, COLUMNS.index(name)] = groups[:, -1, COLUMNS.index(name)]
    least, greatest = COLUMNS.index("least"), COLUMNS.index("greatest")
    merged[:, least] = np.fmin.reduce(groups[:, :, least], axis=1)
    merged[:, greatest] = np.fmax.reduce(groups[:, :, greatest], axis=1)
    return merged


class History:
    """A run, as far as its events were read."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.train = Series(capacity)
        self.validation = Series(capacity)
        self.last: TrainStep | None = None
        self.last_validation: Validation | None = None
        self.best: Validation | None = None
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.paused = False
        self.first_time: float | None = None
        self.last_step = 0
        self.checkpoints: dict[str, CheckpointSaved] = {}
        """By path, relative to the run's directory; oldest first."""
        self.samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self.warnings: deque[Warned] = deque(maxlen=KEPT_WARNINGS)
        self.systems: deque[System] = deque(maxlen=KEPT_SYSTEMS)
        self.answers: deque[CommandDone] = deque(maxlen=50)
        self.seconds_a_step: deque[float] = deque(maxlen=20)
        self.first_bad_step: int | None = None
        """The first step whose loss was no number."""
        self.n_samples = 0
        """Samples ever written; `samples` holds the newest."""

    def extend(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        if self.first_time is None:
            self.first_time = event.time
        self.last_step = max(self.last_step, getattr(event, "step", 0))
        match event:
            case TrainStep():
                self._train_step(event)
            case Validation():
                self._validation(event)
            case System():
                self.systems.append(event)
            case CheckpointSaved():
                self.checkpoints.pop(event.path, None)  # written again: now the newest
                self.checkpoints[event.path] = event
            case Sample():
                self.samples.append(event)
                self.n_samples += 1
            case RunStarted():
                self._run_started(event)
            case RunEnded():
                self.ended = event
            case Paused() | Resumed():
                self.paused = isinstance(event, Paused)
            case CommandDone():
                self.answers.append(event)
            case Warned():
                self.warnings.append(event)

    def _train_step(self, event: TrainStep) -> None:
        norm = float("nan") if event.grad_norm is None else event.grad_norm
        self.train.append(event.step, event.tokens, event.time, event.loss, event.lr, norm)
        self.last = event
        if event.step_seconds > 0:
            self.seconds_a_step.append(event.step_seconds)
        if self.first_bad_step is None and not np.isfinite(event.loss):
            self.first_bad_step = event.step

    def _validation(self, event: Validation) -> None:
        nan = float("nan")
        self.validation.append(event.step, event.tokens, event.time, event.val_loss, nan, nan)
        self.last_validation = event
        if self.best is None or event.val_loss < self.best.val_loss:
            self.best = event

    def _run_started(self, event: RunStarted) -> None:
        self.started, self.ended, self.paused = event, None, False
        self.seconds_a_step.clear()
        if event.attempt > 1:
            self._forget_after(event.resumed_from_step)

    def _forget_after(self, step: int) -> None:
        """What an earlier attempt did beyond the step that this one went on from."""
        self.train.drop_after(step)
        self.validation.drop_after(step)
        self.last_step = step
        if self.first_bad_step is not None and self.first_bad_step > step:
            self.first_bad_step = None
        self.checkpoints = {p: c for p, c in self.checkpoints.items() if c.step <= step}
        kept = [sample for sample in self.samples if sample.step <= step]
        self.n_samples -= len(self.samples) - len(kept)
        self.samples = deque(kept, maxlen=KEPT_SAMPLES)
        if self.last is not None and self.last.step > step:
            self.last = None
        losses = self.validation["loss"]
        if self.best is not None and self.best.step > step:
            self.best = self._validation_at(int(np.nanargmin(losses))) if len(losses) else None
        if self.last_validation is not None and self.last_validation.step > step:
            self.last_validation = self._validation_at(-1) if len(losses) else None

    def _validation_at(self, row: int) -> Validation:
        series = self.validation
        return Validation(
            time=float(series["time"][row]),
            step=int(series["step"][row]),
            tokens=int(series["tokens"][row]),
            val_loss=float(series["loss"][row]),
        )

    @property
    def max_steps(self) -> int:
        return self.started.max_steps if self.started is not None else 0

    @property
    def mean_step_seconds(self) -> float | None:
        """Of the last events; None before the first."""
        if not self.seconds_a_step:
            return None
        return sum(self.seconds_a_step) / len(self.seconds_a_step)

    def axis(self, series: Series, axis: Axis) -> Array:
        """Places on an x axis: steps, tokens, or seconds since the run's first event."""
        values = series[axis]
        return values - (self.first_time or 0.0) if axis == "time" else values
