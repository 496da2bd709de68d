"""A training process is watched and steered through its directory, and ends as it was asked to."""

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from lightning.pytorch.callbacks import Callback

import simplegpt.train
from simplegpt.config.load import load
from simplegpt.run.checkpoints import read_info
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    CommandDone,
    CommandName,
    Event,
    LineReader,
    RunEnded,
    Sample,
    System,
    TrainStep,
    Validation,
    Warned,
)
from simplegpt.run.state import Status
from simplegpt.train import recorder
from simplegpt.train.__main__ import main as train
from tests.simplegpt.tiny import TINY
from tests.stress.child import Command
from tests.waiting import DEADLINE_SECONDS, wait_until

E = TypeVar("E")


class Trainer:
    """A training process that does not end by itself, and the events that it writes."""

    def __init__(self, *arguments: str) -> None:
        self.run = RunDirectory("run")
        self.command = Command(train, ["tiny.toml", *arguments], Path.cwd())

    def wait_for(self, kind: type[E], holds: Callable[[E], bool] = lambda event: True) -> E:
        reader = LineReader(self.run.events)

        def find() -> E | None:
            events = [event for event in reader.read_events() if isinstance(event, kind)]
            found = next(filter(holds, events), None)
            assert found or not self.command.wait(0), self.command.output()
            return found

        event = wait_until(find)
        assert event is not None
        return event

    def ask(self, command: CommandName, factor: float | None = None) -> CommandDone:
        sent = self.run.send(command, factor=factor)
        return self.wait_for(CommandDone, lambda done: done.id == sent)

    def events(self) -> list[Event]:
        return self.run.read_events()

    def step(self) -> int:
        status = self.run.status()
        assert status is not None
        return status.step


@pytest.fixture
def trainer(folder: Path) -> Iterator[Trainer]:
    samples = ["--samples.prompts", '["ab"]', "--samples.every_n_steps", "1_000_000"]
    workers = ["--data.num_workers", "1"]
    trainer = Trainer("--trainer.max_steps", "1_000_000", *samples, *workers)
    try:
        trainer.wait_for(TrainStep)
        yield trainer
    finally:
        if trainer.command.code is None:
            trainer.command.kill()


def test_commands_are_answered_by_what_they_did(trainer: Trainer) -> None:
    assert "saved step" in trainer.ask("save").message
    assert trainer.run.last_checkpoint.exists()
    assert "val loss" in trainer.ask("validate").message
    trainer.ask("sample")
    assert trainer.ask("set_lr_factor", factor=0.5).ok
    trainer.wait_for(TrainStep, lambda e: e.step > 22 and e.lr == pytest.approx(0.5e-4))
    events = trainer.events()
    assert [event.prompt for event in events if isinstance(event, Sample)] == ["ab"]
    assert all(event.text for event in events if isinstance(event, Sample))
    assert any(isinstance(event, System) and event.memory_total > 0 for event in events)


def test_paused_run_waits_for_resume(trainer: Trainer) -> None:
    trainer.ask("set_lr_factor", factor=0.5)
    assert "memory" in trainer.ask("pause").message
    status = trainer.run.status()
    assert status is not None
    assert (status.state, status.lr_factor) == ("paused", 0.5)
    assert status.eta_seconds is not None  # as the log has it
    at = max(event.step for event in trainer.events() if isinstance(event, TrainStep))
    trainer.ask("save")  # still answered, and by then steps would have been made
    trainer.ask("validate")
    assert max(e.step for e in trainer.events() if isinstance(e, TrainStep)) == at
    trainer.ask("resume")
    trainer.wait_for(TrainStep, lambda event: event.step > at + 10)


def test_stop_leaves_a_checkpoint_of_the_last_step(trainer: Trainer) -> None:
    trainer.run.send("stop")
    assert trainer.command.wait(DEADLINE_SECONDS)
    assert trainer.command.code == 0
    ended = trainer.events()[-1]
    assert isinstance(ended, RunEnded)
    assert ended.reason == "stopped"
    assert_resumable_from(trainer.step())


def assert_resumable_from(step: int) -> None:
    ended = run_command(["--resume", "run", "--trainer.max_steps", str(step + 2)])
    assert ended.code == 0, ended.output()
    assert f"resumed from step {step:,}" in ended.output()


def run_command(
    arguments: Sequence[str],
    main: Callable[[Sequence[str]], int] = train,
    prepare: Callable[[], None] = lambda: None,
) -> Command:
    """Return the command once it has ended."""
    command = Command(main, arguments, Path.cwd(), prepare)
    if not command.wait(DEADLINE_SECONDS):
        command.kill()
        pytest.fail(f"it has not ended: {command.output()}")
    return command


def test_old_stop_does_not_stop_a_resumed_run(trainer: Trainer) -> None:
    trainer.run.send("stop")
    trainer.run.send("stop")
    assert trainer.command.wait(DEADLINE_SECONDS)
    step = trainer.step()
    assert_resumable_from(step)
    assert trainer.step() == step + 2


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["ctrl-c", "sigterm", "lost connection"],
)
def test_signal_stops_at_the_next_step_with_a_checkpoint(
    trainer: Trainer, number: int, code: int
) -> None:
    os.kill(trainer.command.pid, number)
    assert trainer.command.wait(DEADLINE_SECONDS)
    assert trainer.command.code == code
    status = trainer.run.status()
    assert status is not None
    assert status.state == "stopped"
    assert_resumable_from(status.step)


class Interrupted(Callback):
    """Gets Ctrl-C `n` times in a step that never ends."""

    def __init__(self, n: int, before: Callable[[], object] = lambda: None) -> None:
        self.n = n
        self.before = before

    def on_train_batch_start(self, *arguments: object) -> None:
        self.before()
        for _ in range(self.n):
            os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait()


def test_second_ctrl_c_exits_at_once(folder: Path) -> None:
    def main(arguments: Sequence[str]) -> int:
        return simplegpt.train.train(load("tiny.toml"), callbacks=[Interrupted(2)])

    command = run_command([], main)
    assert command.code == 130
    assert command.output().count("after this step, with a checkpoint") == 1
    assert "stopping now, without a checkpoint" in command.output()
    run = RunDirectory("run")
    assert (run.status() or pytest.fail("no status")).state == "stopped"
    ended = run.read_events()[-1]
    assert isinstance(ended, RunEnded)
    assert "interrupted twice" in (ended.error or "")


def test_third_ctrl_c_waits_for_no_disk(folder: Path) -> None:
    """The thread that writes the status is stuck in a write, with its lock."""

    def main(arguments: Sequence[str]) -> int:
        hangs, is_stuck = threading.Event(), threading.Event()
        write = RunDirectory.write_status

        def write_status(run: RunDirectory, status: Status) -> None:
            if hangs.is_set():
                is_stuck.set()
                threading.Event().wait()
            write(run, status)

        def break_disk() -> None:
            hangs.set()
            is_stuck.wait()

        RunDirectory.write_status = write_status  # type: ignore[method-assign]
        recorder.STATUS_SECONDS = 0.01
        return simplegpt.train.train(load("tiny.toml"), callbacks=[Interrupted(3, break_disk)])

    assert run_command([], main).code == 130


def is_live(run: RunDirectory) -> bool:
    status = run.status()
    return status is not None and status.is_live


def test_killed_run_has_crashed_and_can_be_resumed(trainer: Trainer) -> None:
    """At once, although a loader's worker outlives it for a moment."""
    trainer.ask("save")
    workers = psutil.Process(trainer.command.pid).children()
    assert workers
    os.kill(trainer.command.pid, signal.SIGKILL)
    # not yet reaped: a zombie answers kill(pid, 0), and still is no live run
    wait_until(lambda: not is_live(trainer.run))
    assert trainer.command.wait()
    with trainer.run.events.open("ab") as file:
        file.write(b'{"version":1,"type":"train_st')  # the line it was writing
    saved = read_info(trainer.run.last_checkpoint)
    assert saved is not None
    assert_resumable_from(saved.step)
    assert not psutil.wait_procs(workers, DEADLINE_SECONDS)[1]


@pytest.mark.parametrize("n_workers", ["0", "1"])
def test_token_file_changed_during_a_run_ends_it_with_one_message(
    folder: Path, n_workers: str
) -> None:
    trainer = Trainer("--trainer.max_steps", "1_000_000", "--data.num_workers", n_workers)
    trainer.wait_for(TrainStep)
    os.truncate("train.bin", 400)
    assert trainer.command.wait(DEADLINE_SECONDS)
    assert trainer.command.code == 2
    assert "Traceback" not in trainer.command.output()
    assert "train.bin was truncated" in (trainer.run.failure() or pytest.fail("none")).message


def test_live_run_cannot_be_taken_over(trainer: Trainer) -> None:
    for arguments in (["--resume", "run"], ["tiny.toml"]):
        ended = run_command(arguments)
        assert ended.code == 2
        assert f"is running (process {trainer.command.pid})" in ended.output()


def test_checkpoint_that_cannot_be_written_does_not_end_the_run(folder: Path) -> None:
    """No file may grow beyond 60 kB: events and log fit, checkpoints do not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    assert run_command(["tiny.toml"], prepare=limit).code == 1
    run = RunDirectory("run")
    events = run.read_events()
    assert [e.step for e in events if isinstance(e, Validation)] == [4, 8, 12]
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert "checkpoint at step 4" in warnings[0]
    assert "File too large" in (run.failure() or pytest.fail("no failure")).message
    assert not list(run.checkpoints.iterdir())


def test_validations_come_at_their_interval_while_gradients_accumulate(folder: Path) -> None:
    settings = ["--trainer.accumulate_grad_batches", "3", "--trainer.max_steps", "5"]
    assert train(["tiny.toml", *settings]) == 0
    events = RunDirectory("run").read_events()
    # after batches 4, 8 and 12, at the ends of the steps in which they are: batches 6, 9, 12
    assert [e.step for e in events if isinstance(e, Validation)] == [2, 3, 4, 5]


def test_failure_is_one_sentence(folder: Path) -> None:
    Path("tiny.toml").write_text(TINY + 'strategy = "ddp"\n')
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "none"}
    assert run_command(["tiny.toml"], prepare=lambda: os.environ.update(address)).code == 1
    status = RunDirectory("run").status()
    assert status is not None
    assert status.state == "failed"
    ended = RunDirectory("run").read_events()[-1]
    assert isinstance(ended, RunEnded)
    assert ended.failure == status.failure
    assert "\n" not in (ended.error or "\n")
    assert "Traceback" in RunDirectory("run").log.read_text()
