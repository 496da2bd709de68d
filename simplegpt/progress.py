"""A line that says how far a long job is: torch-free, for people and for programs.

`Progress` draws a bar with rate and time left on a terminal; where the output is a file it writes
a plain line now and then instead. `JsonProgress` writes the same as one JSON object a line, for a
program that runs the command as a child.
"""

import sys
import time
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TextIO

from pydantic import BaseModel, ConfigDict

_PLAIN_SECONDS = 30.0  # between two lines in a file: a day's log stays readable
_JSON_SECONDS = 0.1  # as often as an eye can follow


class Step(BaseModel):
    """How far a job is. `rate` is in `unit` a second; `seconds_left` is None until it is known."""

    model_config = ConfigDict(frozen=True)

    type: Literal["progress"] = "progress"
    label: str
    unit: str
    done: int
    total: int
    rate: float
    seconds_left: float | None
    counts: dict[str, int] = {}
    """What else was counted, such as ``{"tokens": 305970}``."""


class Reporter(Protocol):
    """What a long job calls."""

    def update(self, done: int, **counts: int) -> None:
        """`done` of the total so far; `counts` are told beside it."""


class _Timed:
    """The arithmetic that both forms share."""

    def __init__(self, label: str, total: int, unit: str = "B") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.counts: dict[str, int] = {}
        self._began = self._told = time.monotonic()

    def _step(self) -> Step:
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = self.done / seconds
        left = max(0, self.total - self.done) / rate if rate else None
        return Step(
            label=self.label,
            unit=self.unit,
            done=self.done,
            total=self.total,
            rate=rate,
            seconds_left=left,
            counts=self.counts,
        )

    def _is_due(self, seconds: float) -> bool:
        if time.monotonic() - self._told < seconds:
            return False
        self._told = time.monotonic()
        return True


class Progress(_Timed):
    """A bar on a terminal, rare plain lines elsewhere; use as a context manager."""

    def __init__(
        self, label: str, total: int, unit: str = "B", stream: TextIO | None = None
    ) -> None:
        super().__init__(label, total, unit)
        self._stream = stream or sys.stderr
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._bar = _rich_bar(self._stream)
            self._task = self._bar.add_task(self.label, total=self.total or None, counts="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None:
            self._write_plain(closing=True)

    def update(self, done: int, **counts: int) -> None:
        """`done` of the total so far."""
        self.done, self.counts = done, counts
        if self._bar:
            self._bar.update(self._task, completed=done, counts=_told(counts))
        elif self._is_due(_PLAIN_SECONDS):
            self._write_plain()

    def _amount(self, amount: float) -> str:
        return format_bytes(amount) if self.unit == "B" else f"{format_count(amount)} {self.unit}"

    def _write_plain(self, closing: bool = False) -> None:
        step = self._step()
        amount = f"{self._amount(step.done)}, {self._amount(step.rate)}/s"
        if closing:
            seconds = time.monotonic() - self._began
            line = f"{self.label}: done, {amount} in {seconds:.1f} s"
        else:
            percent = 100 * step.done / max(1, step.total)
            left_s = step.seconds_left
            left = "" if left_s is None else f", {format_duration(left_s)} left"
            line = f"{self.label}: {percent:.0f}%, {amount}{left}"
        if self.counts:
            line += f", {_told(self.counts)}"
        print(line, file=self._stream, flush=True)


class JsonProgress(_Timed):
    """A `Step` as JSON on a line of its own, at most ten a second, and one at the end."""

    def __init__(
        self, label: str, total: int, unit: str = "B", stream: TextIO | None = None
    ) -> None:
        super().__init__(label, total, unit)
        self._stream = stream or sys.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write()

    def update(self, done: int, **counts: int) -> None:
        """`done` of the total so far."""
        self.done, self.counts = done, counts
        if self._is_due(_JSON_SECONDS):
            self._write()

    def _write(self) -> None:
        print(self._step().model_dump_json(), file=self._stream, flush=True)


def format_count(count: float) -> str:
    """``305,970`` below a million, ``1.08 M``, ``80.50 B`` and ``1.20 T`` from there."""
    if count < 1e6:
        return f"{count:,.0f}"
    for size, letter in ((1e12, "T"), (1e9, "B")):
        if count >= size:
            return f"{count / size:.2f} {letter}"
    return f"{count / 1e6:.2f} M"


def format_bytes(n_bytes: float) -> str:
    """``512 B``, ``12.3 KiB``, ``665 MiB``, ``1.38 GiB``: three digits."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    unit, units = "", iter(("KiB", "MiB", "GiB", "TiB"))
    while n_bytes >= 1000 and unit != "TiB":
        n_bytes, unit = n_bytes / 1024, next(units)
    places = 2 if n_bytes < 10 else 1 if n_bytes < 100 else 0
    return f"{n_bytes:.{places}f} {unit}"


def format_duration(seconds: float) -> str:
    """Two units: ``42s``, ``1m 02s``, ``2h 07m``, ``5d 03h``."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m {s % 60:02d}s"
    if s < 86_400:
        return f"{s // 3600}h {s % 3600 // 60:02d}m"
    return f"{s // 86_400}d {s % 86_400 // 3600:02d}h"


def format_rate(tokens_per_second: float) -> str:
    """``950 tok/s``, ``18.8 k tok/s``, ``1.20 M tok/s``."""
    if tokens_per_second < 1000:
        return f"{tokens_per_second:.0f} tok/s"
    if tokens_per_second < 1e6:
        return f"{tokens_per_second / 1e3:.1f} k tok/s"
    return f"{tokens_per_second / 1e6:.2f} M tok/s"


def format_loss(loss: float | None) -> str:
    """Four decimals; a dash where there is none, and ``NaN`` and ``inf`` by name."""
    if loss is None:
        return "–"
    return "NaN" if loss != loss else f"{loss:.4f}"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _rich_bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
        console=Console(file=stream),
        refresh_per_second=8,
    )
