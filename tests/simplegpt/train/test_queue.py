"""Queued runs start when those before them have ended; a sweep is such a queue."""

import fcntl
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simplegpt.cli import UserError
from simplegpt.config.load import load
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CommandDone
from simplegpt.run.notes import Notes, write_notes
from simplegpt.run.state import RunState, Status
from simplegpt.train.__main__ import main
from simplegpt.train.queue import LOCK, plan_sweep, runs_ahead, start
from tests.waiting import DEADLINE_SECONDS, wait_until


def make_run(path: Path, state: RunState, *ahead: Path) -> RunDirectory:
    run = RunDirectory(path)
    run.create()
    run.write_status(Status.of_this_process(state, waits_for=tuple(map(str, ahead))))
    return run


def state_of(run: RunDirectory) -> RunState | None:
    status = run.status()
    return None if status is None else status.state


def test_runs_of_a_sweep_train_one_after_the_other_in_the_background(folder: Path) -> None:
    first = make_run(folder / "first", "running")
    options = ["--after", "first", "--sweep", "seed=1,2", "--trainer.max_steps=4"]
    assert main(["tiny.toml", *options]) == 0
    one, two = (RunDirectory(folder / f"run-sweep/seed={seed}") for seed in (1, 2))
    assert [state_of(run) for run in (one, two)] == ["queued", "queued"]
    first.write_status(Status.of_this_process("finished"))
    wait_until(lambda: state_of(one) != "queued")
    assert state_of(two) == "queued"
    two.send("stop")
    wait_until(lambda: state_of(one) == "finished")
    assert load(one.config).seed == 1
    assert not two.path.exists()


@pytest.mark.parametrize("how", ["command", "signal"])
def test_stopped_in_the_queue_a_run_leaves_nothing(folder: Path, how: str) -> None:
    first, run = make_run(folder / "first", "running"), RunDirectory(folder / "run")
    pid = start(["tiny.toml", "--after", "first"], run)
    status = run.status()
    assert status is not None
    assert (status.state, status.max_steps) == ("queued", 12)
    assert status.waits_for == (str(first.path),)
    assert load(run.config).model.n_embd == 16
    write_notes(run, Notes(text="a note"))
    if how == "command":
        pause = run.send("pause")
        wait_until(lambda: bool(run.read_events()))
        (answer,) = run.read_events()
        assert isinstance(answer, CommandDone)
        assert (answer.id, answer.ok) == (pause, False)
        run.send("stop")
    else:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not run.path.exists())


def test_of_two_runs_queued_at_once_the_second_waits_for_the_first(folder: Path) -> None:
    first, run = make_run(folder / "first", "running"), RunDirectory(folder / "run")
    with LOCK.open("ab") as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = threads.submit(start, ["tiny.toml", "--after", "first"], run)
        wait_until(run.config.exists)
        other = make_run(folder / "other", "queued", first.path)
        fcntl.flock(lock, fcntl.LOCK_UN)
        pid = starting.result(DEADLINE_SECONDS)
    status = run.status()
    assert status is not None
    assert status.waits_for == (str(first.path), str(other.path))

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state_of(run) == "crashed")
    failure = run.failure()
    assert failure is not None
    assert "in the queue" in failure.message


def test_run_that_cannot_start_says_why_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(UserError, match=r"no run to wait for at .*nowhere"):
        start(["tiny.toml", "--after", "nowhere"], RunDirectory(folder / "run"))
    assert not (folder / "run").exists()


def test_run_is_queued_behind_those_that_wait_for_the_same_run(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", "running")
    b = make_run(tmp_path / "b", "queued", a.path)
    make_run(tmp_path / "other", "queued", tmp_path / "elsewhere")
    make_run(tmp_path / "ended", "finished", a.path)
    assert runs_ahead(a, tmp_path) == [a.path, b.path]
    assert runs_ahead(b, tmp_path) == [a.path, b.path]


def test_sweep_of_two_settings_has_a_run_for_each_combination(folder: Path) -> None:
    runs = plan_sweep(Path("tiny.toml"), ["n_layer=1,2", "optimization.peak_lr=1e-3,3e-4"])
    assert [run.output_dir.name for run in runs] == [
        "n_layer=1,peak_lr=1e-3",
        "n_layer=1,peak_lr=3e-4",
        "n_layer=2,peak_lr=1e-3",
        "n_layer=2,peak_lr=3e-4",
    ]
    assert runs[1].overrides == (("model.n_layer", "1"), ("optimization.peak_lr", "3e-4"))
    runs = plan_sweep(Path("tiny.toml"), ["n_layer=1,2", "max_steps=3"])
    assert [run.output_dir.name for run in runs] == ["n_layer=1", "n_layer=2"]


@pytest.mark.parametrize(
    ("swept", "sentence"),
    [
        ("peak_lt=1,2", "unknown setting 'peak_lt'; did you mean"),
        ("peak_lr", "expected SETTING=VALUE,VALUE, got 'peak_lr'"),
        ("seed=1,1", "seed: expected different values"),
        ("n_layer=2,-1", "model.n_layer: expected an integer ≥ 1, got -1"),
        ("output_dir=a,b", "output_dir cannot be swept"),
    ],
)
def test_invalid_sweep_is_an_error_before_anything_starts(
    folder: Path, swept: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        main(["tiny.toml", "--sweep", swept])
    assert not (folder / "run-sweep").exists()
