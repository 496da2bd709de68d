"""A one-line progress display for long jobs, and the formatters for all numbers. Torch-free."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TextIO

from pydantic import BaseModel, ConfigDict
from rich.cells import cell_len, set_cell_size

from simplegpt.cli import one_line, show

# Seconds between two updates: smooth on a terminal, and few enough lines for a day's log.
LIVE_SECONDS = 0.1
PLAIN_SECONDS = 30.0
BAR_WIDTH = 10

# Set to "json" by a program that starts a command and shows its progress.
PROGRESS_VARIABLE = "SIMPLEGPT_PROGRESS"

# Called with the completed fraction of a job (0 to 1) and its current activity.
OnProgress = Callable[[float, str], None]


def no_progress(share: float, activity: str) -> None:
    """Report nothing."""


class ProgressReport(BaseModel):
    """The progress of a job."""

    model_config = ConfigDict(frozen=True)

    type: Literal["progress"] = "progress"
    label: str
    unit: str
    """``B`` for bytes, ``tokens``, ``steps`` …; empty for a plain percentage."""
    done: int
    total: int
    """0 if unknown."""
    rate: float
    """In `unit` per second."""
    eta: float | None
    """Seconds to the end; None until known."""
    detail: str = ""
    counts: dict[str, int] = {}
    """Additional counts, such as ``{"tokens": 305970}``."""


class LiveLine:
    """The line of a terminal that each `show` replaces; `erase` it before other output.

    Errors of writing are ignored, because a terminal may be closed during a long job.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_shown = False

    def show(self, text: str) -> None:
        """Replace the line by `text`, cut to the width of the terminal."""
        width = 0  # also of a terminal that does not know its size
        with suppress(OSError):
            width = os.get_terminal_size(self._stream.fileno()).columns
        width = (width or 80) - 1  # a full line would wrap
        line = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
        self._write(f"\r\x1b[2K{line}")
        self._is_shown = True

    def erase(self) -> None:
        if self._is_shown:
            self._write("\r\x1b[2K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError):
            print(text, end="", file=self._stream, flush=True)


def takes_live_line(stream: TextIO) -> bool:
    """Whether `stream` is a terminal on which a line can be replaced."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class ProgressLine:
    """Shows the progress of one job; use as a context manager and call `update`.

    A terminal shows a bar that is erased at the end; a file gets a plain line every 30 seconds.
    With `json`, or if `PROGRESS_VARIABLE` is set, a `ProgressReport` is printed per line, at most
    ten per second. A last line has the totals, unless the job fails; without JSON, only if
    `summary` is true.
    """

    def __init__(
        self,
        label: str,
        total: int = 0,
        unit: str = "B",
        *,
        start: int = 0,
        json: bool = False,
        summary: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        json = json or os.environ.get(PROGRESS_VARIABLE) == "json"
        self.label, self.total, self.unit = one_line(label), total, unit
        self._start = self._done = start
        self._detail, self._counts = "", dict[str, int]()
        self._summary = summary or json
        self._stream = stream or (sys.stdout if json else sys.stderr)
        self._json = json
        has_live = takes_live_line(self._stream) and not json
        self._live = LiveLine(self._stream) if has_live else None
        self._clock = clock
        self._began = self._written = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.erase()
        if kind is None and self._summary:
            if self._json:
                self._write()
            else:
                report = self._report().model_copy(update={"total": 0, "eta": None})
                duration = format_duration(self._clock() - self._began)
                line = f"{self.label}: done in {duration} · {format_progress(report)}"
                print(line.removesuffix(" · "), file=self._stream, flush=True)

    def update(self, done: int, detail: str = "", **counts: int) -> None:
        """Set the progress to `done` of the total; `detail` and `counts` are shown beside it."""
        self._done, self._detail, self._counts = done, one_line(detail), counts
        interval = LIVE_SECONDS if self._json or self._live is not None else PLAIN_SECONDS
        if self._clock() - self._written >= interval:
            self._write()

    def _write(self) -> None:
        self._written = self._clock()
        report = self._report()
        if self._json:
            show(report.model_dump_json(), self._stream)
        elif self._live is None:
            print(f"{self.label}: {format_progress(report)}", file=self._stream, flush=True)
        else:
            filled = round(BAR_WIDTH * min(report.done / report.total, 1)) if report.total else 0
            bar = "━" * filled + "─" * (BAR_WIDTH - filled)
            self._live.show(f"{self.label} {bar} {format_progress(report)}")

    def _report(self) -> ProgressReport:
        rate = (self._done - self._start) / max(self._clock() - self._began, 1e-9)
        left = max(0, self.total - self._done)
        return ProgressReport(
            label=self.label,
            unit=self.unit,
            done=self._done,
            total=self.total,
            rate=rate,
            eta=left / rate if self.total and rate > 0 else None,
            detail=self._detail,
            counts=self._counts,
        )


def format_progress(report: ProgressReport) -> str:
    """``30% · ETA 1m 10s · 293 KiB of 977 KiB · 9.77 KiB/s · 30 tokens``."""
    parts = [f"{min(report.done / report.total, 1):.0%}"] if report.total else []
    if report.eta is not None:
        parts.append(f"ETA {format_duration(report.eta)}")
    if report.unit == "B":
        total = f" of {format_bytes(report.total)}" if report.total else ""
        parts += [f"{format_bytes(report.done)}{total}", f"{format_bytes(report.rate)}/s"]
    elif report.unit:
        total = f" of {format_count(report.total)}" if report.total else ""
        is_tokens = report.unit == "tokens"
        rate = format_rate(report.rate) if is_tokens else f"{report.rate:,.1f} {report.unit}/s"
        parts += [f"{format_count(report.done)}{total} {report.unit}", rate]
    parts += [f"{format_count(count)} {name}" for name, count in report.counts.items()]
    return " · ".join([*parts, report.detail] if report.detail else parts)


def format_count(count: float) -> str:
    """``305,970`` below a million, ``1.08 M``, ``80.50 B`` and ``1.20 T`` from there."""
    if count < 1e6:
        return f"{count:,.0f}"
    for size, letter in ((1e12, "T"), (1e9, "B")):
        if count >= size:
            return f"{count / size:.2f} {letter}"
    return f"{count / 1e6:.2f} M"


def plural(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"


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


def format_scientific(value: float) -> str:
    """``2.5e-3``: three digits at most, as a config has a learning rate."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{float(digits):g}e{int(exponent)}" if value else "0"


def format_money(amount: float) -> str:
    """``1,513.20``: in the currency of the price that was given."""
    return f"{amount:,.2f}"


def format_loss(loss: float | None) -> str:
    """Four decimals, ``NaN``, ``inf``, or a dash for None."""
    if loss is None:
        return "–"
    return "NaN" if loss != loss else f"{loss:.4f}"
