"""The status and the step times that a run reports."""

from pathlib import Path

import pytest

from simplegpt.config.schema import Config
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunEnded
from simplegpt.train.recorder import Recorder, Throughput


def test_directory_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    recorder = Recorder(run, Config())
    recorder.start()
    run.path.rename(tmp_path / "away")
    with recorder.activity("saving"):
        recorder.record(RunEnded(reason="stopped"))
    (tmp_path / "away").rename(run.path)
    recorder.end(RunEnded(reason="stopped"))
    status = run.status()
    assert status is not None
    assert status.state == "stopped"
    assert isinstance(run.read_events()[-1], RunEnded)


class Clocked:
    """A Throughput on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.throughput = Throughput(clock=lambda: self.now)

    def take(self, steps: int, seconds: float) -> float:
        """Take steps in that time; return the measured seconds per step."""
        self.now += seconds
        return self.throughput.measure(steps)


def test_slow_first_steps_are_soon_outweighed() -> None:
    run = Clocked()
    assert run.throughput.average_step_seconds() == 0
    assert run.take(10, 5.0) == pytest.approx(0.5)  # warming up
    assert run.throughput.average_step_seconds() == pytest.approx(0.5)
    for _ in range(10):
        assert run.take(100, 1.0) == pytest.approx(0.01)
    # 15 s for 1,010 steps so far, of which the older ones count a little less
    assert run.throughput.average_step_seconds() == pytest.approx(15 / 1010, rel=0.1)


def test_change_of_speed_is_followed_within_minutes() -> None:
    run = Clocked()
    for _ in range(300):
        run.take(10, 1.0)
    assert run.throughput.average_step_seconds() == pytest.approx(0.1)
    for _ in range(300):
        run.take(5, 1.0)  # another program shares the machine now
    assert run.throughput.average_step_seconds() == pytest.approx(0.2, rel=0.02)


def test_time_spent_on_something_else_is_left_out() -> None:
    run = Clocked()
    run.throughput.leave_out(30.0)
    assert run.take(10, 31.0) == pytest.approx(0.1)
