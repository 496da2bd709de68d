"""The speed that a run reports, and the one that its time left is reckoned with."""

from types import SimpleNamespace

import pytest

from simplegpt.config.schema import Config
from simplegpt.train.throughput import Throughput


class Clocked:
    """A Throughput on a clock that goes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        clock = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setattr("simplegpt.train.throughput.time", clock)
        self.throughput = Throughput(Config())

    def take(self, steps: int, seconds: float) -> float:
        """Take steps in that time; the seconds a step that were measured."""
        self.now += seconds
        self.throughput.steps += steps
        return self.throughput.measure().step_seconds


def test_slow_first_steps_are_soon_outweighed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Clocked(monkeypatch)
    assert run.throughput.average_step_seconds() == 0
    assert run.take(10, 5.0) == pytest.approx(0.5)  # warming up
    assert run.throughput.average_step_seconds() == pytest.approx(0.5)
    for _ in range(10):
        assert run.take(100, 1.0) == pytest.approx(0.01)
    # 15 s for 1,010 steps so far, of which the older ones count a little less
    assert run.throughput.average_step_seconds() == pytest.approx(15 / 1010, rel=0.1)


def test_change_of_speed_is_followed_within_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Clocked(monkeypatch)
    for _ in range(300):
        run.take(10, 1.0)
    assert run.throughput.average_step_seconds() == pytest.approx(0.1)
    for _ in range(300):
        run.take(5, 1.0)  # another program shares the machine now
    assert run.throughput.average_step_seconds() == pytest.approx(0.2, rel=0.02)


def test_time_spent_on_something_else_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Clocked(monkeypatch)
    run.throughput.leave_out(30.0)
    assert run.take(10, 31.0) == pytest.approx(0.1)
