"""How far a long job is, for people and for programs."""

import io
import json
import math

import pytest

from simplegpt import progress as module
from simplegpt.progress import (
    JsonProgress,
    Progress,
    Step,
    format_bytes,
    format_count,
    format_duration,
    format_loss,
    format_rate,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until told."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_file_gets_rare_plain_lines_and_a_closing_one(clock):
    stream = io.StringIO()
    with Progress("reading", 1_000_000, stream=stream) as progress:
        for second in range(1, 101):
            clock.now = float(second)
            progress.update(second * 10_000, tokens=second)
    assert stream.getvalue().splitlines() == [
        "reading: 30%, 293 KiB, 9.77 KiB/s, 1m 10s left, 30 tokens",
        "reading: 60%, 586 KiB, 9.77 KiB/s, 40s left, 60 tokens",
        "reading: 90%, 879 KiB, 9.77 KiB/s, 10s left, 90 tokens",
        "reading: done, 977 KiB, 9.77 KiB/s in 100.0 s, 100 tokens",
    ]


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with Progress("reading", 100, stream=stream) as progress:
        progress.update(100, tokens=7)
    assert "reading" in stream.getvalue()
    assert "100%" in stream.getvalue()
    assert "7 tokens" in stream.getvalue()


def test_a_failed_job_does_not_say_done():
    stream = io.StringIO()

    def fail():
        with Progress("reading", 100, stream=stream) as progress:
            progress.update(50)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert stream.getvalue() == ""


def test_json_tells_steps_and_the_end(clock):
    stream = io.StringIO()
    with JsonProgress("reading", 1000, stream=stream) as progress:
        for millisecond in range(0, 1000, 10):
            clock.now = millisecond / 1000
            progress.update(millisecond, tokens=1)
        progress.update(1000, tokens=2)
    steps = [Step.model_validate(json.loads(line)) for line in stream.getvalue().splitlines()]
    assert 8 <= len(steps) <= 12
    assert steps[0].rate == pytest.approx(1000)
    assert steps[0].seconds_left == pytest.approx(0.9)
    assert (steps[-1].done, steps[-1].counts) == (1000, {"tokens": 2})


def test_nothing_done_yet_has_no_time_left(clock):
    stream = io.StringIO()
    with JsonProgress("reading", 10, stream=stream):
        pass
    assert json.loads(stream.getvalue())["seconds_left"] is None


@pytest.mark.parametrize(
    ("formatter", "expected"),
    [
        (format_count, {12: "12", 305_970: "305,970", 1_016_242: "1.02 M", 80.5e9: "80.50 B"}),
        (format_bytes, {0: "0 B", 999: "999 B", 12_596: "12.3 KiB", 665 << 20: "665 MiB"}),
        (format_bytes, {1_481_763_717: "1.38 GiB", 2.5 * 2**50: "2560 TiB"}),
        (format_duration, {0: "0s", 59.4: "59s", 62: "1m 02s", 7_620: "2h 07m", 442_800: "5d 03h"}),
        (format_rate, {950: "950 tok/s", 18_800: "18.8 k tok/s", 1.2e6: "1.20 M tok/s"}),
        (format_loss, {1.23456: "1.2346", None: "–", math.nan: "NaN", math.inf: "inf"}),
    ],
)
def test_formats(formatter, expected):
    assert {value: formatter(value) for value in expected} == expected
