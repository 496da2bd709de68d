"""Directories that are removed or renamed under a run, disks that fill, tokens that change."""

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from simplegpt.checkpoint import read_checkpoint
from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import LineReader, TrainStep
from simplegpt.train.__main__ import main as train
from tests.stress.child import Command
from tests.stress.kills import make_folder
from tests.stress.outcome import HANG, OK, WRONG, Tally

LONG = ("--trainer.max_steps", "1000000", "--checkpointing.every_n_steps", "20")


def started(folder: Path, *more: str) -> tuple[RunDirectory, Command]:
    """A run that has taken its first steps."""
    command = Command(train, ["tiny.toml", *LONG, *more], folder)
    run = RunDirectory(folder / "run")
    reader = LineReader(run.events)
    while not any(isinstance(event, TrainStep) for event in reader.read_events()):
        if command.wait(0.01):
            raise RuntimeError(command.output())
    return run, command


def rename(run: RunDirectory) -> None:
    run.path.rename(run.path.with_name("renamed"))


def remove(run: RunDirectory) -> None:
    rename(run)  # which is one operation: the run writes meanwhile
    shutil.rmtree(run.path.with_name("renamed"))


def put_a_file_there(run: RunDirectory) -> None:
    rename(run)
    run.path.touch()


def remove_checkpoints(run: RunDirectory) -> None:
    run.checkpoints.rename(run.path / "renamed")


def put_a_file_at_checkpoints(run: RunDirectory) -> None:
    run.checkpoints.rename(run.path / "renamed")
    run.checkpoints.touch()


def put_a_pipe_at_commands(run: RunDirectory) -> None:
    run.commands.unlink()
    os.mkfifo(run.commands)


def remove_log(run: RunDirectory) -> None:
    run.log.unlink()


CHANGES: tuple[Callable[[RunDirectory], None], ...] = (
    *(remove, rename, put_a_file_there, remove_checkpoints, put_a_file_at_checkpoints),
    *(put_a_pipe_at_commands, remove_log),
)


def check_end(run: RunDirectory, command: Command) -> tuple[str, str]:
    """An exit code of 0 needs a whole checkpoint and a final status on disk."""
    if not command.wait():
        command.kill()
        return HANG, command.output()
    outcome = command.outcome()
    if command.code != 0:
        # a failed save shows where it failed, and in a sentence why
        return (OK, "") if "error: " in command.output() else (outcome, command.output())
    status = run.status()
    try:
        read_checkpoint(run.last_checkpoint, whole=True)
    except UserError as error:
        return WRONG, f"exit code 0: {error}\n{command.output()}"
    if status is None or status.is_live or not run.config.exists():
        return WRONG, f"exit code 0 without a final status or config\n{command.output()}"
    return OK, ""


def changes_under_a_run(folder: Path) -> Iterator[Tally]:
    tally = Tally("directory removed, renamed or replaced under a run, which is then stopped")
    for change in CHANGES:
        place = folder / change.__name__
        make_folder(place)
        run, command = started(place)
        change(run)
        os.kill(command.pid, signal.SIGINT)
        outcome, detail = check_end(run, command)
        tally.add(outcome, f"{change.__name__}: {detail}")
    yield tally
    yield full_disks(folder)
    yield changed_tokens(folder)


def full_disks(folder: Path) -> Tally:
    """Runs that cannot write beyond a size, of a file of theirs."""
    tally = Tally("no file may grow beyond a limit (as on a full disk)")
    for limit in (0, 1_000, 5_000, 20_000, 60_000, 150_000):

        def lower_limit(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        place = folder / f"limit-{limit}"
        make_folder(place)
        # its output goes to a pipe: a limited file would lose it
        command = Command(train, ["tiny.toml"], place, lower_limit)
        if not command.wait():
            tally.add(HANG, f"limit of {limit}: {command.output()}")
            command.kill()
        elif command.code == 0:
            tally.add(*check_end(RunDirectory(place / "run"), command))
        else:
            tally.add(OK)
    return tally


def changed_tokens(folder: Path) -> Tally:
    """Token files that are truncated, or get other IDs, under a run."""
    tally = Tally("token file truncated or overwritten under a run")
    changes: Sequence[Callable[[Path], None]] = (
        lambda path: os.truncate(path, 0),
        lambda path: os.truncate(path, 401),
        lambda path: path.write_bytes(b"\xff\xff" * 3000),
        lambda path: path.write_bytes(b""),
    )
    for workers in ("0", "2"):
        for i, change in enumerate(changes):
            for name in ("train.bin", "val.bin"):
                place = folder / f"tokens-{workers}-{i}-{name}"
                make_folder(place)
                sidecar = (
                    '{"dtype":"uint16","count":%d,"tokenizer":"byte","source":"","max_id":255}'
                )
                for file, n in (("train.bin", 3000), ("val.bin", 300)):
                    (place / f"{file}.json").write_text(sidecar % n)
                _, command = started(place, "--data.num_workers", workers)
                change(place / name)
                ended = command.wait()
                outcome = command.outcome() if ended else HANG
                if ended and command.code != 2:
                    outcome = WRONG
                tally.add(outcome, f"{name}, change {i}, {workers} workers: {command.output()}")
    return tally
