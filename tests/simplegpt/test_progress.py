"""The progress of a long job, for people and for programs, and the formatters of numbers."""

import io
import json
import math
import os
import termios
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from simplegpt.progress import (
    LiveLine,
    ProgressLine,
    ProgressReport,
    format_bytes,
    format_count,
    format_duration,
    format_loss,
    format_progress,
    format_rate,
    format_scientific,
)


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_gets_rare_plain_lines_and_a_closing_one() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressLine("reading", 1_000_000, stream=stream, clock=clock) as progress:
        for second in range(1, 101):
            clock.now = float(second)
            progress.update(second * 10_000, tokens=second)
    assert stream.getvalue().splitlines() == [
        "reading: 30% · ETA 1m 10s · 293 KiB of 977 KiB · 9.77 KiB/s · 30 tokens",
        "reading: 60% · ETA 40s · 586 KiB of 977 KiB · 9.77 KiB/s · 60 tokens",
        "reading: 90% · ETA 10s · 879 KiB of 977 KiB · 9.77 KiB/s · 90 tokens",
        "reading: done in 1m 40s · 977 KiB · 9.77 KiB/s · 100 tokens",
    ]


def test_a_terminal_gets_a_bar_that_is_erased_at_the_end() -> None:
    stream, clock = Terminal(), Clock()
    with ProgressLine("reading [x]", 100, stream=stream, clock=clock) as progress:
        clock.now = 1.0
        progress.update(50, tokens=7)
    drawn, _, last = stream.getvalue().rpartition("\x1b[2K")
    assert "reading [x]" in drawn
    assert "50% · ETA 1s · " in drawn
    assert "7 tokens" in drawn
    assert last == "reading [x]: done in 1s · 50 B · 50 B/s · 7 tokens\n"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream, clock = Terminal(), Clock()
    with ProgressLine("reading", 100, stream=stream, clock=clock) as progress:
        clock.now = 40.0
        progress.update(50)
    half, done = stream.getvalue().splitlines()
    assert half.startswith("reading: 50%")
    assert done.startswith("reading: done")


def test_a_line_is_cut_to_the_width_of_its_terminal_in_cells() -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 20))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        LiveLine(stream).show("文" * 30)
        shown = os.read(ours, 1000).decode().removeprefix("\r\x1b[2K")
    os.close(ours)
    assert shown.endswith("…")
    assert cell_len(shown) == 19


def test_a_job_without_summary_leaves_nothing_behind() -> None:
    stream = io.StringIO()
    with ProgressLine("loading", 100, "", summary=False, stream=stream) as progress:
        progress.update(100)
    assert stream.getvalue() == ""


def test_a_failed_job_does_not_say_done() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with ProgressLine("reading", 100, stream=stream) as progress:
            progress.update(50)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stream.getvalue() == ""


def test_a_parent_process_gets_reports_and_the_last_one() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressLine("reading", 1000, json=True, stream=stream, clock=clock) as progress:
        for millisecond in range(0, 1000, 10):
            clock.now = millisecond / 1000
            progress.update(millisecond, tokens=1)
        progress.update(1000, tokens=2)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    reports = [ProgressReport.model_validate(line) for line in lines]
    assert 8 <= len(reports) <= 12
    assert reports[0].rate == pytest.approx(1000)
    assert reports[0].eta == pytest.approx(0.9)
    assert (reports[-1].done, reports[-1].counts) == (1000, {"tokens": 2})


def test_eta_is_unknown_until_something_is_done() -> None:
    stream = io.StringIO()
    with ProgressLine("reading", 10, json=True, stream=stream):
        pass
    assert json.loads(stream.getvalue())["eta"] is None


def test_rate_of_a_resumed_job_counts_from_its_start() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressLine("train", 200, "steps", start=100, stream=stream, clock=clock) as progress:
        clock.now = 50.0
        progress.update(150, "loss 1.2345")
    assert stream.getvalue().splitlines()[0] == (
        "train: 75% · ETA 50s · 150 of 200 steps · 1.0 steps/s · loss 1.2345"
    )


@pytest.mark.parametrize(
    ("unit", "total", "text"),
    [
        ("", 100, "50% · ETA 1s"),
        ("", 0, ""),
        ("tokens", 100, "50% · ETA 1s · 50 of 100 tokens · 50 tok/s"),
        ("windows", 0, "50 windows · 50.0 windows/s"),
        ("B", 0, "50 B · 50 B/s"),
    ],
)
def test_progress_in_one_line(unit: str, total: int, text: str) -> None:
    eta = 1.0 if total else None
    report = ProgressReport(label="x", unit=unit, done=50, total=total, rate=50, eta=eta)
    assert format_progress(report) == text


@pytest.mark.parametrize(
    ("formatter", "expected"),
    [
        (format_count, {12: "12", 305_970: "305,970", 1_016_242: "1.02 M", 80.5e9: "80.50 B"}),
        (format_bytes, {0: "0 B", 999: "999 B", 12_596: "12.3 KiB", 665 << 20: "665 MiB"}),
        (format_bytes, {1_481_763_717: "1.38 GiB", 2.5 * 2**50: "2560 TiB"}),
        (format_duration, {0: "0s", 59.4: "59s", 62: "1m 02s", 7_620: "2h 07m", 442_800: "5d 03h"}),
        (format_rate, {950: "950 tok/s", 18_800: "18.8 k tok/s", 1.2e6: "1.20 M tok/s"}),
        (format_scientific, {0.0025: "2.5e-3", 3.456e-4: "3.46e-4", 1.0: "1e0", 0.0: "0"}),
        (format_loss, {1.23456: "1.2346", None: "–", math.nan: "NaN", math.inf: "inf"}),
    ],
)
def test_formats(
    formatter: Callable[[float | None], str], expected: dict[float | None, str]
) -> None:
    assert {value: formatter(value) for value in expected} == expected


def test_control_characters_of_a_name_in_a_progress_line_are_replaced() -> None:
    stream = io.StringIO()
    with ProgressLine("tokenizing a\n\x1b[2Jb", 1, stream=stream) as progress:
        progress.update(1, "from c\x9bd")
    assert stream.getvalue().startswith("tokenizing a↵␛[2Jb: done")
    assert stream.getvalue().endswith("from c\ufffdd\n")
