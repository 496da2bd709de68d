"""A run's history from its events, in bounded memory: curves, checkpoints, samples, how it ended.

A `History` takes events one at a time and knows nothing of files or screens.
"""

import math
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
    """Rows of figures by step. When full, neighbouring rows are merged, and so are later events."""

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
        """Drop rows beyond `step`: a later attempt resumed from there."""
        self._n = int(np.searchsorted(self["step"], step, side="right"))
        self._waiting.clear()

    def _halve(self) -> None:
        pairs = self._rows[: self._n // 2 * 2].reshape(-1, 2, len(COLUMNS))
        self._n //= 2
        self._rows[: self._n] = merge(pairs)
        self.stride *= 2


def merge(groups: Array) -> Array:
    """Rows ``[group, column]`` out of ``[group, row, column]``: means, extremes, the last x.

    A NaN makes the mean NaN, so that it stays visible.
    """
    merged: Array = groups.mean(axis=1)
    for name in ("step", "tokens", "time"):
        merged[:, COLUMNS.index(name)] = groups[:, -1, COLUMNS.index(name)]
    least, greatest = COLUMNS.index("least"), COLUMNS.index("greatest")
    merged[:, least] = np.fmin.reduce(groups[:, :, least], axis=1)
    merged[:, greatest] = np.fmax.reduce(groups[:, :, greatest], axis=1)
    return merged


class History:
    """The events of a run that have been read."""

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
        self.elapsed_seconds = 0.0
        """Of all attempts together, without the time between them."""
        self.last_step = 0
        self.checkpoints: dict[str, CheckpointSaved] = {}
        """By path, relative to the run's directory; oldest first."""
        self.samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self.warnings: deque[Warned] = deque(maxlen=KEPT_WARNINGS)
        self.systems: deque[System] = deque(maxlen=KEPT_SYSTEMS)
        self.answers: deque[CommandDone] = deque(maxlen=50)
        self.first_bad_step: int | None = None
        """The first step whose loss was NaN or infinite."""
        self.n_samples = 0
        """Samples ever written; `samples` holds the newest."""
        self._last_time: float | None = None
        self._seconds_per_token = 0.0
        """Summed over `_n_rates` events."""
        self._n_rates = 0

    def extend(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Add the next event."""
        if self.first_time is None:
            self.first_time = event.time
        if self._last_time is not None and not isinstance(event, RunStarted):
            self.elapsed_seconds += max(event.time - self._last_time, 0.0)
        self._last_time = event.time
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
        place = (event.step, event.tokens, self.elapsed_seconds)
        self.train.append(*place, event.loss, event.lr, norm)
        self.last = event
        if event.tokens_per_second > 0:
            self._seconds_per_token += 1 / event.tokens_per_second
            self._n_rates += 1
        if self.first_bad_step is None and not np.isfinite(event.loss):
            self.first_bad_step = event.step

    def _validation(self, event: Validation) -> None:
        nan = float("nan")
        place = (event.step, event.tokens, self.elapsed_seconds)
        self.validation.append(*place, event.val_loss, nan, nan)
        self.last_validation = event
        best = math.inf if self.best is None else self.best.val_loss
        if event.val_loss < best:  # NaN and infinity are never the best
            self.best = event

    def _run_started(self, event: RunStarted) -> None:
        self.started, self.ended, self.paused = event, None, False
        if event.attempt > 1:
            self._forget_after(event.resumed_from_step)

    def _forget_after(self, step: int) -> None:
        """Drop what an earlier attempt did beyond the step that this one resumed from."""
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
            is_finite = np.isfinite(losses)
            row = int(np.argmin(np.where(is_finite, losses, np.inf))) if is_finite.any() else None
            self.best = None if row is None else self._validation_at(row)
        if self.last_validation is not None and self.last_validation.step > step:
            self.last_validation = self._validation_at(-1) if len(losses) else None

    def _validation_at(self, row: int) -> Validation:
        series = self.validation
        return Validation(
            time=(self.first_time or 0.0) + float(series["time"][row]),
            step=int(series["step"][row]),
            tokens=int(series["tokens"][row]),
            val_loss=float(series["loss"][row]),
        )

    @property
    def max_steps(self) -> int:
        return self.started.max_steps if self.started is not None else 0

    @property
    def mean_tokens_per_second(self) -> float | None:
        """Over all steps, without the time of validations and pauses; None before the first."""
        return self._n_rates / self._seconds_per_token if self._n_rates else None

    def validation_loss_at(self, step: int) -> float | None:
        """The val loss that was measured at exactly this step."""
        rows = np.flatnonzero(self.validation["step"] == step)
        return float(self.validation["loss"][rows[-1]]) if len(rows) else None
