"""Training processes that are killed, at any moment and between any two operations of a save."""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Validation
from simplegpt.train.__main__ import main as train
from tests.simplegpt import tiny
from tests.stress.child import Command
from tests.stress.outcome import HANG, OK, TRACEBACK, WRONG, Tally

TINY = tiny.TINY.replace("max_steps = 12", "max_steps = 60")
TINY = TINY.replace("val_check_interval = 4", "val_check_interval = 8")
TINY += "[checkpointing]\nevery_n_steps = 3\n"
KILLS_OF_A_DIRECTORY = 5
WORKERS_END_SECONDS = 5.0


def make_folder(folder: Path) -> None:
    """A folder with token files and tiny.toml."""
    folder.mkdir()
    tiny.write_token_files(folder, n_val=300)
    (folder / "tiny.toml").write_text(TINY)


@dataclass(frozen=True)
class Ended:
    """What a run ended with, to be compared bit for bit."""

    weights: dict[str, torch.Tensor]
    validations: dict[int, float]

    @classmethod
    def of(cls, run: RunDirectory) -> "Ended":
        checkpoint: dict[str, Any] = torch.load(run.last_checkpoint, weights_only=True)
        validations = [event for event in run.read_events() if isinstance(event, Validation)]
        return cls(checkpoint["state_dict"], {e.step: e.val_loss for e in validations})

    def difference(self, other: "Ended") -> str:
        """Empty where both are equal."""
        names = [n for n in self.weights if not torch.equal(self.weights[n], other.weights[n])]
        if names:
            return f"other weights: {', '.join(names)}"
        if self.validations != other.validations:
            return f"other validations: {self.validations}, {other.validations}"
        return ""


class Runs:
    """Runs of one setting, each compared with one that nobody interrupted."""

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        make_folder(folder)
        self.folder = folder
        self.settings = settings
        started = time.monotonic()
        command = self.start("whole")
        if not command.wait() or command.code != 0:
            raise RuntimeError(command.output())
        self.seconds = time.monotonic() - started
        self.whole = Ended.of(self.run("whole"))

    def run(self, name: str) -> RunDirectory:
        return RunDirectory(self.folder / name)

    def start(self, name: str, prepare: Callable[[], None] = lambda: None) -> Command:
        """Start the run `name`, or resume it where it has a checkpoint."""
        arguments = ["tiny.toml", "--output_dir", name, *self.settings]
        if any(self.run(name).checkpoints.glob("[!.]*.ckpt")):
            arguments = ["--resume", name, *self.settings]
        else:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return Command(train, arguments, self.folder, prepare)

    def finish(self, name: str) -> tuple[str, str]:
        """Resume until the end; return the outcome and its detail."""
        command = self.start(name)
        if not command.wait():
            command.kill()
            return HANG, command.output()
        is_complete = command.code == 2 and "already at step" in command.output()
        if command.code != 0 and not is_complete:
            return TRACEBACK, command.output()
        run = self.run(name)
        difference = self.whole.difference(Ended.of(run))
        status = run.status()
        if not difference and (status is None or status.state != "finished"):
            difference = f"it is {status.state if status else 'without a status'}"
        left = [path.name for path in run.checkpoints.glob(".*")]
        left += [path.name for path in run.path.glob(".*")]
        left += [path.name for path in self.folder.glob("tmp*")]
        if not difference and left:
            difference = f"left behind: {', '.join(left)}"
        return (WRONG, difference) if difference else (OK, "")


def random_kills(
    folder: Path, n_kills: int, seed: int, optimizers: Sequence[str], workers_: Sequence[int]
) -> Iterator[Tally]:
    """Kill runs at random moments, and resume them until they finish."""
    for optimizer in optimizers:
        for workers in workers_:
            settings = ["--optimization.optimizer", optimizer, "--data.num_workers", str(workers)]
            runs = Runs(folder / f"{optimizer}-{workers}", settings)
            tally = Tally(f"runs killed at random moments ({optimizer}, {workers} workers)")
            draws = random.Random(f"{seed} {optimizer} {workers}")
            kills, directories, orphans = 0, 0, list[psutil.Process]()
            while kills < n_kills:
                name, directories = f"run-{directories}", directories + 1
                for _ in range(min(KILLS_OF_A_DIRECTORY, n_kills - kills)):
                    command = runs.start(name)
                    if command.wait(draws.uniform(0.02, 1.0) * runs.seconds):
                        break
                    orphans += psutil.Process(command.pid).children(recursive=True)
                    command.kill()
                    kills += 1
                tally.add(*runs.finish(name))
                if not tally.defects:
                    shutil.rmtree(folder / f"{optimizer}-{workers}" / name)
            alive = psutil.wait_procs(orphans, WORKERS_END_SECONDS)[1]
            if alive:
                tally.add(WRONG, f"{len(alive)} of {len(orphans)} loader workers stayed behind")
            tally.notes.append(f"{kills} kills of {directories} directories")
            yield tally


FILE_OPERATIONS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod", "os.rmdir"}
"""Python's audit events, which come before the operation."""


def kills_in_a_save(folder: Path, stride: int) -> Iterator[Tally]:
    """Kill a run before its n-th operation on a checkpoint's files, for every `stride`-th n."""
    tally = Tally("runs killed between two file operations of a save")
    runs = Runs(folder / "saves", ["--trainer.max_steps", "9"])
    n = 1
    while True:
        name = f"run-{n}"
        command = runs.start(name, kill_before_operation(n))
        if not command.wait():
            tally.add(HANG, command.output())
            command.kill()
        if command.code == 0:
            break
        tally.add(*runs.finish(name))
        n += stride
    tally.notes.append(f"{n - 1} operations in the saves of a run")
    yield tally


def kill_before_operation(n: int) -> Callable[[], None]:
    """Return what makes its process kill itself before its `n`-th operation on a checkpoint."""

    def prepare() -> None:
        main, seen = os.getpid(), 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if event not in FILE_OPERATIONS or os.getpid() != main:
                return
            if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
            path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else ""
            if "/ckpts/" in path or Path(path).name.startswith("tmp"):
                seen += 1
                if seen == n:
                    os.kill(main, signal.SIGKILL)

        sys.addaudithook(hook)

    return prepare
