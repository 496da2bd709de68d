"""A run's directory is read as it was written, even when half-written, restarted or very long."""

import errno
import itertools
import json
import math
import os
import socket
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from simplegpt.config.schema import CheckpointingConfig
from simplegpt.run.checkpoints import CheckpointFiles, CheckpointInfo, list_checkpoints, read_info
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import (
    CommandDone,
    LineReader,
    RunStarted,
    TrainStep,
    Validation,
    parse_event,
    skim,
)
from simplegpt.run.state import Status
from simplegpt.train.heartbeat import Heartbeat


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    return directory


def step(n: int, loss: float = 1.0) -> TrainStep:
    return TrainStep(step=n, tokens=n * 64, loss=loss, lr=1e-3)


@pytest.mark.parametrize("loss", [1.5, math.inf, -math.inf])
def test_event_comes_back_as_it_was_written(run: RunDirectory, loss: float) -> None:
    event = step(3, loss)
    run.append_event(event)
    assert run.read_events() == [event]


def test_loss_that_is_no_number_comes_back_as_one(run: RunDirectory) -> None:
    run.append_event(step(1, math.nan))
    (event,) = run.read_events()
    assert isinstance(event, TrainStep)
    assert math.isnan(event.loss)
    json.loads(run.events.read_text(), parse_constant=pytest.fail)  # and it is strict JSON


def test_unknown_types_and_fields_are_skipped(run: RunDirectory) -> None:
    lines = [
        b'{"version":2,"time":1,"type":"from_the_future","x":1}',
        b'{"version":2,"time":1,"type":"validation","step":1,"tokens":2,"val_loss":3,"new":4}',
        b"not json",
        b"",
    ]
    run.events.write_bytes(b"\n".join(lines) + b"\n")
    (event,) = run.read_events()
    assert isinstance(event, Validation)
    assert parse_event("[]") is None


def test_half_written_line_waits_for_its_end(run: RunDirectory) -> None:
    reader = LineReader(run.events)
    assert reader.read_events() == []
    line = step(1).model_dump_json().encode()
    run.events.write_bytes(line[:20])
    assert reader.read_events() == []
    run.events.write_bytes(line + b"\n" + line[:5])
    assert [e.step for e in reader.read_events() if isinstance(e, TrainStep)] == [1]
    assert reader.read_events() == []


def test_writer_after_a_killed_one_starts_a_line_of_its_own(run: RunDirectory) -> None:
    run.events.write_bytes(b'{"version":1,"ty')
    run.append_event(step(7))
    assert [e.step for e in run.read_events() if isinstance(e, TrainStep)] == [7]


def test_reader_starts_again_when_the_file_shrank(run: RunDirectory) -> None:
    reader = LineReader(run.events)
    for n in range(5):
        run.append_event(step(n))
    assert len(reader.read_events()) == 5
    assert not reader.restarted
    run.events.unlink()
    run.append_event(step(9))
    assert [e.step for e in reader.read_events() if isinstance(e, TrainStep)] == [9]
    assert reader.restarted


def test_what_was_written_beyond_the_resumed_step_no_longer_counts(run: RunDirectory) -> None:
    run.append_event(RunStarted(attempt=1))
    for n in (10, 20, 30):
        run.append_event(step(n, loss=1.0))
    run.append_event(RunStarted(attempt=2, resumed_from_step=20))
    run.append_event(step(30, loss=2.0))
    steps = [(e.step, e.loss) for e in run.read_events() if isinstance(e, TrainStep)]
    assert steps == [(10, 1.0), (20, 1.0), (30, 2.0)]


def _append_many(path: str, who: int) -> None:
    for n in range(200):
        RunDirectory(path).append_event(CommandDone(id=f"{who}-{n}", command="x" * 500))


def test_lines_of_several_processes_do_not_mix(run: RunDirectory) -> None:
    context = get_context("spawn")
    writers = [context.Process(target=_append_many, args=(str(run.path), who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ids = {event.id for event in run.read_events() if isinstance(event, CommandDone)}
    assert len(ids) == 600


def test_long_history_is_skimmed_from_its_head_samples_and_tail(run: RunDirectory) -> None:
    lines = [step(n).model_dump_json() for n in range(1, 20_001)]
    run.events.write_text("\n".join([RunStarted(attempt=1).model_dump_json(), *lines]) + "\n")
    events = skim(run.events, tail_bytes=20_000, samples=50)
    steps = [event.step for event in events if isinstance(event, TrainStep)]
    assert isinstance(events[0], RunStarted)
    assert steps[-1] == 20_000
    assert steps == sorted(steps)
    assert len(steps) < 1_000
    widest = max(b - a for a, b in itertools.pairwise(steps))
    assert widest < 3 * 20_000 / 50


def test_commands_are_private_and_read_once(run: RunDirectory) -> None:
    assert run.commands.stat().st_mode & 0o777 == 0o600
    old = run.send("stop")
    reader = LineReader.from_end(run.commands)
    new = run.send("set_lr_factor", factor=0.5)
    (command,) = reader.read_commands()
    assert (command.id, command.command, command.factor) == (new, "set_lr_factor", 0.5)
    assert old != new
    assert reader.read_commands() == []


def test_alive_means_that_process_and_no_other(run: RunDirectory) -> None:
    mine = Status.of_this_process("running")
    assert mine.is_alive()
    assert not mine.model_copy(update={"pid_created": mine.pid_created - 100}).is_alive()
    assert not mine.model_copy(update={"state": "finished"}).is_alive()
    run.write_status(mine.model_copy(update={"pid": 2**22 + 1}))
    assert run.is_lost()


def test_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    import psutil

    created = psutil.Process(child.pid).create_time()
    status = Status(state="running", pid=child.pid, pid_created=created, host=socket.gethostname())
    assert status.is_alive()
    child.kill()
    deadline = time.monotonic() + 20
    while status.is_alive():  # until the system has ended it; it is not reaped yet
        assert time.monotonic() < deadline
    os.kill(child.pid, 0)  # which would have said that it is there
    child.communicate()


def test_run_on_another_host_lives_while_its_status_changes(run: RunDirectory) -> None:
    there = Status.of_this_process("running").model_copy(update={"host": "elsewhere"})
    assert there.is_alive()
    assert not there.model_copy(update={"time": time.time() - 120}).is_alive()


def test_runs_are_found_four_levels_down_and_not_in_hidden_folders(tmp_path: Path) -> None:
    status = Status.of_this_process("finished")
    for name in ("a", "b/c/d/e", "b/c/d/e2/f", ".hidden/a", "a/inner"):
        directory = RunDirectory(tmp_path / name)
        directory.create()
        directory.write_status(status)
    found = [str(run.path.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == ["a", "b/c/d/e"]


def test_broken_status_is_no_status(run: RunDirectory) -> None:
    run.status_file.write_text('{"state": "dancing"}')
    assert run.status() is None
    assert not run.is_lost()


def test_heartbeat_outlives_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = RunDirectory(tmp_path)
    heartbeat = Heartbeat(run, attempt=1, max_steps=1)
    monkeypatch.setattr(RunDirectory, "write_status", refuse)
    heartbeat.begin()
    with heartbeat.doing("saving"):
        pass
    monkeypatch.undo()
    heartbeat.end("stopped")
    status = run.status()
    assert status is not None
    assert status.state == "stopped"


def test_discard_leaves_what_is_not_ours(run: RunDirectory) -> None:
    run.write_status(Status.of_this_process("starting"))
    (run.path / "notes.txt").write_text("mine")
    run.discard()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
    (run.path / "notes.txt").unlink()
    run.discard()
    assert not run.path.exists()


# Checkpoint files


def keep(run: RunDirectory, files: CheckpointFiles, n: int, loss: float | None) -> list[str]:
    files.temporary().write_bytes(b"weights" * n)
    paths = files.keep(files.temporary(), CheckpointInfo(step=n, val_loss=loss, score=loss))
    return sorted(path.name for path in paths)


def test_best_and_last_are_one_file_until_they_differ(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig())
    assert keep(run, files, 1, 3.0) == ["best.ckpt", "last.ckpt"]
    best, last = run.checkpoints / "best.ckpt", run.last_checkpoint
    assert best.stat().st_ino == last.stat().st_ino
    assert keep(run, files, 2, 4.0) == ["last.ckpt"]
    assert best.read_bytes() == b"weights"
    info = read_info(last)
    assert info is not None
    assert (info.step, info.size) == (2, last.stat().st_size)
    assert [(path.name, i.step) for path, i in list_checkpoints(run)] == [
        ("best.ckpt", 1),
        ("last.ckpt", 2),
    ]


def test_the_k_best_are_kept(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig(save_top_k=2))
    for n, loss in enumerate((3.0, 1.0, 2.0, 5.0), 1):
        keep(run, files, n, loss)
    steps = sorted(path.name for path in run.checkpoints.glob("step-*.ckpt"))
    assert steps == ["step-000002.ckpt", "step-000003.ckpt"]
    best = read_info(run.checkpoints / "best.ckpt")
    assert best is not None
    assert best.step == 2
    assert not list(run.checkpoints.glob(".*"))


def test_checkpoint_between_validations_is_only_the_last(run: RunDirectory) -> None:
    files = CheckpointFiles(run, CheckpointingConfig(save_top_k=-1))
    assert keep(run, files, 1, 3.0) == ["best.ckpt", "last.ckpt", "step-000001.ckpt"]
    assert keep(run, files, 2, None) == ["last.ckpt"]
