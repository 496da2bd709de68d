"""The status and the step times that a run reports."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import lightning
import pytest
from lightning.pytorch.callbacks import Callback

from simplegpt.config.load import load
from simplegpt.config.schema import Config
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunEnded, System, Warned
from simplegpt.run.hardware import Hardware
from simplegpt.train import train
from simplegpt.train.recorder import Recorder, Throughput


def started(tmp_path: Path) -> Recorder:
    run = RunDirectory(tmp_path / "run")
    run.create()
    run.config.write_text("")
    recorder = Recorder(run, Config(output_dir=run.path))
    recorder.start(Hardware([]))
    return recorder


def test_directory_that_is_renamed_under_a_run_is_created_again(tmp_path: Path) -> None:
    recorder = started(tmp_path)
    run = recorder.run
    run.path.rename(tmp_path / "away")
    assert recorder.record(Warned(message="first"))
    os.write(1, b"printed after it\n")
    assert recorder.end(RunEnded(reason="finished"), "the summary")
    status = run.status()
    assert status is not None
    assert status.state == "finished"
    messages = [event.message for event in run.read_events() if isinstance(event, Warned)]
    assert "removed or renamed under the run" in messages[0]
    assert "first" in messages
    assert isinstance(run.read_events()[-1], RunEnded)
    assert load(run.config).output_dir == run.path
    assert run.log.read_text() == "printed after it\n"


def test_run_whose_end_cannot_be_written_has_not_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = started(tmp_path)
    run = recorder.run
    run.path.rename(tmp_path / "away")
    run.path.write_text("a file in its place")
    for _ in range(3):
        assert not recorder.record(Warned(message="lost"))
    assert not recorder.end(RunEnded(reason="finished"), "the summary")
    said = capfd.readouterr().out
    assert said.count(f"{run.events}: cannot be written: Not a directory") == 1
    assert "the summary" not in said


def test_activity_ends_with_an_error(tmp_path: Path) -> None:
    recorder = started(tmp_path)
    with pytest.raises(KeyboardInterrupt), recorder.activity("validating"):
        raise KeyboardInterrupt
    status = recorder.run.status()
    recorder.end(RunEnded(reason="failed"))
    assert status is not None
    assert status.activity == ""


class RemoveCheckpoints(Callback):
    """Removes what was saved of the last step, before the run ends."""

    def __init__(self, *, for_good: bool) -> None:
        self.for_good = for_good

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if trainer.global_step == trainer.max_steps:
            shutil.rmtree("run/ckpts")
            if self.for_good:
                Path("run/ckpts").touch()


def test_run_finishes_only_with_its_checkpoint_on_disk(folder: Path) -> None:
    config = load("tiny.toml")
    assert train(config, callbacks=[RemoveCheckpoints(for_good=False)]) == 0
    run = RunDirectory("run")
    assert run.last_checkpoint.exists()
    shutil.rmtree("run")
    assert train(config, callbacks=[RemoveCheckpoints(for_good=True)]) == 1
    assert (run.status() or pytest.fail("no status")).state == "failed"


class BrokenHardware(Hardware):
    def __init__(self) -> None:
        super().__init__([])
        self.reads = threading.Semaphore(0)

    def read(self) -> System:
        self.reads.release()
        raise RuntimeError("GPU is lost")


def test_hardware_that_cannot_be_read_is_one_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    recorder = Recorder(run, Config(output_dir=run.path))
    broken = BrokenHardware()
    recorder.start(broken, seconds=0)
    for _ in range(2):  # again after it has failed: the thread lives on
        assert broken.reads.acquire(timeout=60)
    assert recorder.end(RunEnded(reason="finished"))
    assert capfd.readouterr().out.count("GPU is lost") == 1


def test_closed_terminal_does_not_end_a_run(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from simplegpt.train.console import Console\n"
        "console = Console()\n"
        "console.copy_to(Path('train.log'))\n"
        "console.line.show('step 1')\n"
        "input()\n"  # until the terminal is closed
        "console.line.show('step 2')\n"
        "print('finished')\n"
        "console.close()\n"
        "Path('ended').touch()\n"
    )
    terminal, its_end = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=its_end,
        stderr=its_end,
    )
    os.close(its_end)
    assert b"step 1" in os.read(terminal, 100)
    os.close(terminal)
    child.communicate(b"\n", timeout=60)
    assert (tmp_path / "ended").exists()
    assert "finished" in (tmp_path / "train.log").read_text()


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
