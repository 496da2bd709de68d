"""Which state a run is in, why it failed, and its name."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from simplegpt.cli import UserError
from simplegpt.config.load import load, resolved
from simplegpt.config.schema import Config
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import Failure, System
from simplegpt.run.failure import out_of_memory
from simplegpt.run.state import RunState, Status

NO_PROCESS = 2**22 + 1


def state(run: RunDirectory, status: Status) -> RunState:
    run.write_status(status)
    read = run.status()
    assert read is not None
    assert read.is_live == (read.state in ("starting", "running", "paused", "stopping"))
    return read.state


def test_live_state_needs_its_process(run: RunDirectory) -> None:
    mine = Status.of_this_process("running")
    assert state(run, mine) == "running"
    assert state(run, mine.model_copy(update={"pid_created": mine.pid_created - 100})) == "crashed"
    assert state(run, mine.model_copy(update={"pid": NO_PROCESS})) == "crashed"
    finished = mine.model_copy(update={"pid": NO_PROCESS, "state": "finished"})
    assert state(run, finished) == "finished"


def test_zombie_has_crashed(run: RunDirectory) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = psutil.Process(child.pid).create_time()
    mine = Status.of_this_process("running")
    status = mine.model_copy(update={"pid": child.pid, "pid_created": created})
    assert state(run, status) == "running"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    assert state(run, status) == "crashed"
    child.communicate()


def test_run_on_another_host_lives_while_its_status_changes(run: RunDirectory) -> None:
    elsewhere = Status.of_this_process("running").model_copy(update={"host": "elsewhere"})
    assert state(run, elsewhere) == "running"
    old = elsewhere.model_copy(update={"time": time.time() - 120})
    assert state(run, old) == "crashed"


def test_status_from_a_clock_that_is_ahead_is_live_only_while_it_changes(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Status.of_this_process("running").model_copy(
        update={"host": "ahead", "time": time.time() + 3600}
    )
    assert state(run, ahead) == "running"
    started = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: started + 60)
    assert state(run, ahead) == "crashed"
    assert state(run, ahead.model_copy(update={"time": ahead.time + 1})) == "running"


def test_status_from_a_clock_that_is_behind_is_live_once_it_changes(run: RunDirectory) -> None:
    behind = Status.of_this_process("running").model_copy(
        update={"host": "behind", "time": time.time() - 3600}
    )
    assert state(run, behind) == "crashed"
    assert state(run, behind.model_copy(update={"time": behind.time + 1})) == "running"


def test_broken_status_is_no_status(run: RunDirectory) -> None:
    run.status_file.write_text('{"state": "dancing"}')
    assert run.status() is None
    assert run.failure() is None


@pytest.mark.parametrize("pid", [-1, 0, 2**31 - 1, 2**70])
def test_impossible_pid_is_no_live_run(run: RunDirectory, pid: int) -> None:
    status = Status.of_this_process("running").model_dump() | {"pid": pid}
    run.status_file.write_text(json.dumps(status))
    read = run.status()
    assert read is None or read.state == "crashed"
    assert run.failure() is None or pid > 0


@pytest.mark.parametrize("name", ["config.toml", "events.jsonl", "train.log", "ckpts/best.ckpt"])
def test_any_file_of_an_earlier_run_counts(run: RunDirectory, name: str) -> None:
    assert not run.exists()
    (run.path / name).touch()
    assert run.exists()


@pytest.mark.parametrize("name", ["config.toml", "commands.jsonl", "status.json", "train.log"])
def test_directory_with_a_pipe_in_the_place_of_a_file_is_refused(
    run: RunDirectory, name: str
) -> None:
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    assert run.status() is None
    with pytest.raises(OSError, match=rf"Not a regular file.*{name}"):
        run.create()


def test_failure_is_the_trainers(run: RunDirectory) -> None:
    failure = Failure(kind="error", message="ValueError: x", edits={"data.seq_len": 8})
    run.write_status(Status.of_this_process("failed", failure=failure))
    assert run.failure() == failure


@pytest.mark.parametrize(
    ("exit_code", "memory_used", "kind", "message"),
    [
        (None, 50, "killed", "killed, or its machine went down"),
        (None, 99, "out_of_memory", "probably out of memory"),
        (-signal.SIGKILL, 50, "out_of_memory", "SIGKILL, probably out of memory"),
        (-signal.SIGSEGV, 50, "killed", "SIGSEGV"),
        (3, 50, "killed", "code 3"),
    ],
)
def test_crash_is_explained(
    run: RunDirectory, exit_code: int | None, memory_used: int, kind: str, message: str
) -> None:
    config = Config(output_dir=run.path)
    run.config.write_text(resolved(config))
    run.write_status(
        Status.of_this_process("running", step=7).model_copy(update={"pid": NO_PROCESS})
    )
    run.append_event(System(cpu_percent=1, memory_used=memory_used, memory_total=100))
    failure = run.failure(exit_code)
    assert failure is not None
    assert failure.kind == kind
    assert "step 7" in failure.message
    assert message in failure.message
    edits = out_of_memory(config).edits if kind == "out_of_memory" else {}
    assert failure.edits == edits


def test_smaller_batches_keep_the_tokens_of_a_step() -> None:
    config = Config()
    edits = out_of_memory(config).edits
    assert edits["data.train_batch_size"] == config.data.train_batch_size // 2
    assert edits["trainer.accumulate_grad_batches"] == 2
    data = config.data.model_copy(update={"train_batch_size": 1, "val_batch_size": 1})
    assert out_of_memory(config.model_copy(update={"data": data})).edits == {
        "data.seq_len": data.seq_len // 2
    }


def named(path: Path, state: RunState = "finished") -> RunDirectory:
    run = RunDirectory(path)
    run.create()
    run.config.write_text(f'output_dir = "{path}"  # here\n')
    run.write_status(Status.of_this_process(state))
    return run


def test_rename_keeps_what_is_inside_and_sets_output_dir(tmp_path: Path) -> None:
    run = named(tmp_path / "a")
    run.last_checkpoint.write_bytes(b"weights")
    renamed = run.rename("  b ")
    assert renamed.path == tmp_path / "b"
    assert not run.path.exists()
    assert renamed.last_checkpoint.exists()
    assert load(renamed.config).output_dir == tmp_path / "b"
    assert "# here" in renamed.config.read_text()


def test_live_run_is_not_renamed(tmp_path: Path) -> None:
    run = named(tmp_path / "a", "running")
    with pytest.raises(UserError, match="a is running"):
        run.rename("b")
    assert run.path.exists()


def test_run_with_a_broken_config_can_be_renamed(tmp_path: Path) -> None:
    run = named(tmp_path / "a", "failed")
    run.config.write_text("= nonsense")
    assert run.rename("b").config.read_text() == "= nonsense"


@pytest.mark.parametrize("name", ["", "x/y", "..", ".x", "a\x1b[2J", "ü" * 200, "a", "taken"])
def test_invalid_names_are_refused(tmp_path: Path, name: str) -> None:
    run = named(tmp_path / "a")
    (tmp_path / "taken").mkdir()
    problem = run.rename_problem(name)
    assert problem
    with pytest.raises(UserError) as error:
        run.rename(name)
    assert str(error.value) == problem
    assert {path.name for path in tmp_path.iterdir()} == {"a", "taken"}


def test_runs_are_found_four_levels_down_and_not_in_hidden_folders(tmp_path: Path) -> None:
    status = Status.of_this_process("finished")
    for name in ("a", "b/c/d/e", "b/c/d/e2/f", ".hidden/a", "a/inner"):
        directory = RunDirectory(tmp_path / name)
        directory.create()
        directory.write_status(status)
    found = [str(run.path.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == ["a", "b/c/d/e"]


def test_what_a_killed_write_left_is_cleaned(run: RunDirectory) -> None:
    run.last_checkpoint.touch()
    (run.path / ".gitignore").touch()
    for name in (".0f.partial", "ckpts/.0f.partial", "ckpts/.writing.ckpt"):
        (run.path / name).touch()
    run.clean()
    assert {p.name for p in run.path.iterdir()} == {"ckpts", "commands.jsonl", ".gitignore"}
    assert list(run.checkpoints.iterdir()) == [run.last_checkpoint]


def test_discard_leaves_what_is_not_ours(run: RunDirectory) -> None:
    run.write_status(Status.of_this_process("starting"))
    (run.path / "notes.txt").write_text("mine")
    run.discard(before=())
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
    (run.path / "notes.txt").unlink()
    run.discard(before=())
    assert not run.path.exists()
