"""How far a long job is, for people and for programs."""

import io
import json

import pytest

from simplegpt import progress as module
from simplegpt.progress import JsonProgress, Progress, Step, duration, quantity


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
        "reading: 30%, 300.0 kB, 10.0 kB/s, 1:10 left, 30 tokens",
        "reading: 60%, 600.0 kB, 10.0 kB/s, 40 s left, 60 tokens",
        "reading: 90%, 900.0 kB, 10.0 kB/s, 10 s left, 90 tokens",
        "reading: done, 1.0 MB, 10.0 kB/s in 100.0 s, 100 tokens",
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
    ("amount", "text"), [(0, "0 B"), (999, "999 B"), (1_115_394, "1.1 MB"), (2.5e12, "2.5 TB")]
)
def test_quantity(amount, text):
    assert quantity(amount, "B") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (187, "3:07"), (7387, "2:03:07")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
