"""Queues of runs: a queued run waits until others have ended, and a sweep queues several.

Each queued run is a separate process, which has checked its config and claimed its directory but
has not imported torch. So the queue needs neither a file nor a server, and continues when the
program that started it has ended.
"""

import contextlib
import fcntl
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simplegpt.cli import UserError, nearest, sigterm_as_exit
from simplegpt.config import load as config_file
from simplegpt.config.load import resolved
from simplegpt.config.schema import Config, settings
from simplegpt.data.tokens import check_config
from simplegpt.files import write_atomically
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import CommandDone
from simplegpt.run.state import RunState, Status
from simplegpt.train.claim import Claim

POLL_SECONDS = 1.0
LOCK = Path(tempfile.gettempdir(), f"simplegpt-queue-{os.getuid()}.lock")
TRAIN_COMMAND = (sys.executable, "-m", "simplegpt.train")


# Waiting


def runs_ahead(after: RunDirectory, nearby: Path) -> list[Path]:
    """Return the runs that a run queued after `after` waits for: `after` and its queue.

    Searches for queued runs below `nearby` and beside `after`. Raises UserError if there is no run
    at `after`.
    """
    status = after.status()
    if status is None:
        raise UserError(f"no run to wait for at {after.path}")
    ahead = {after.path, *map(Path, status.waits_for)}
    for folder in (nearby, after.path.parent):
        for run in find_runs(folder):
            other = run.status()
            if other is None or other.state != "queued":
                continue
            if not ahead.isdisjoint(map(Path, other.waits_for)):
                ahead.add(run.path)
    return sorted(ahead)


def wait(claimed: Claim, config: Config, after: RunDirectory) -> bool:
    """Wait until `after` and its queue have ended; return False if a stop command came meanwhile.

    The state of the claimed run is "queued"; after a stop, a signal or an error, its files are
    removed. Raises UserError if there is no run at `after`.
    """
    run = claimed.run
    try:
        write_atomically(run.config, resolved(config))
        with _queueing():
            ahead = runs_ahead(after, Path.cwd())
            run.write_status(_status("queued", config, ahead))
        with sigterm_as_exit():
            while any(_is_live(path) for path in ahead):
                run.write_status(_status("queued", config, ahead))
                time.sleep(POLL_SECONDS)
                for command in claimed.commands.read_commands():
                    if command.command == "stop":
                        claimed.discard()
                        return False
                    message = "the run is queued"
                    run.append_event(
                        CommandDone(
                            id=command.id, command=command.command, ok=False, message=message
                        )
                    )
        run.write_status(_status("starting", config, ahead))
    except BaseException:
        claimed.discard()
        raise
    return True


@contextlib.contextmanager
def _queueing() -> Iterator[None]:
    """Hold the lock of this user's queues on this machine.

    Of two runs that are queued at once, the second must find the first: otherwise both wait for the
    same runs, and start together. Raise UserError.
    """
    try:
        file = LOCK.open("ab")
    except OSError as error:
        raise UserError(f"cannot lock the queue by {LOCK}: {error.strerror}") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _status(state: RunState, config: Config, ahead: Sequence[Path]) -> Status:
    return Status.of_this_process(
        state,
        activity=state,
        max_steps=config.trainer.max_steps,
        waits_for=tuple(map(str, ahead)),
    )


def _is_live(path: Path) -> bool:
    status = RunDirectory(path).status()
    return status is not None and status.is_live


# Starting


def start(arguments: Sequence[str], run: RunDirectory, env: Mapping[str, str] | None = None) -> int:
    """Start a training that continues when this process ends; return its process ID.

    Wait until it has written its status in `run`. Raises UserError with its error if it ends before
    that.
    """
    with tempfile.TemporaryFile() as output:  # later output goes to train.log
        process = subprocess.Popen(
            [*TRAIN_COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,  # Ctrl-C and closing the terminal do not reach it
        )
        while process.poll() is None:
            status = run.status()
            if status is not None and status.pid == process.pid:
                return process.pid
            time.sleep(0.1)
        output.seek(0)
        text = output.read().decode("utf-8", "replace").strip()
    text = text or f"the training ended with exit code {process.returncode}"
    raise UserError(*text.rpartition("error: ")[2].split("\n"))


# Sweeps


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    output_dir: Path
    overrides: tuple[tuple[str, str], ...]
    """Settings and their values, as given on the command line."""

    def arguments(self, config: Path, after: Path | None) -> list[str]:
        """Return the arguments of the command that trains it."""
        values = {**dict(self.overrides), "output_dir": str(self.output_dir)}
        options = [part for key, value in values.items() for part in (f"--{key}", value)]
        return [str(config), *options, *(["--after", str(after)] if after else [])]


def plan_sweep(
    config: Path,
    swept: Sequence[str],
    overrides: Sequence[tuple[str, str]] = (),
    *,
    scan: bool = True,
) -> list[SweepRun]:
    """Return a run for each combination of the `swept` values, each in its own directory.

    `swept` are texts such as ``peak_lr=1e-3,3e-4``. The directories are in OUTPUT_DIR-sweep, and
    their names have the settings with several values.
    Raises UserError for an invalid setting, and with every problem of the first config that is
    invalid; see `data.tokens.check_config` for `scan`.
    """
    axes = [_axis(text) for text in swept]
    base = config_file.load(config, overrides).output_dir
    folder = base.with_name(f"{base.name}-sweep")
    runs = []
    named = {key for (key, _), *more in axes if more} or {key for (key, _), *_ in axes}
    for values in itertools.product(*axes):
        name = ",".join(f"{key.rpartition('.')[2]}={text}" for key, text in values if key in named)
        runs.append(SweepRun(folder / name.replace("/", "_"), (*overrides, *values)))
    for run in runs:
        config_file.load(config, run.overrides, partial(check_config, scan=scan))
        if RunDirectory(run.output_dir).exists():
            raise UserError(f"output_dir {run.output_dir} already contains a run")
    return runs


def _axis(text: str) -> list[tuple[str, str]]:
    """Parse ``peak_lr=1e-3,3e-4`` to pairs of the setting and one value."""
    name, equals, values = text.partition("=")
    name = name.strip()
    short = {key: key.rpartition(".")[2] for key in settings()}
    keys = [key for key in short if name in (key, short[key])]
    keys = [name] if name in keys else keys
    if not equals:
        raise UserError(f"expected SETTING=VALUE,VALUE, got {text!r}")
    if not keys:
        raise UserError(f"unknown setting {name!r}{nearest(name, [*short, *short.values()])}")
    if len(keys) > 1:
        raise UserError(f"several settings are called {name!r}: {', '.join(keys)}")
    if keys[0] in ("output_dir", "include"):
        raise UserError(f"{name} cannot be swept: each run gets its own")
    found = [value.strip() for value in values.split(",")]
    if "" in found or len(set(found)) < len(found):
        raise UserError(f"{name}: expected different values, separated by commas, got {values!r}")
    return [(keys[0], value) for value in found]


def start_sweep(
    config: Path,
    runs: Sequence[SweepRun],
    after: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> list[int]:
    """Start the runs in the background, each after the one before it; return the process IDs.

    Raises UserError if one does not start; the runs before it continue.
    """
    process_ids = []
    for run in runs:
        directory = RunDirectory(run.output_dir)
        process_ids.append(start(run.arguments(config, after), directory, env))
        after = directory.path
    return process_ids


def describe_sweep(runs: Sequence[SweepRun]) -> str:
    """Return the message that lists the directories of a started sweep."""
    lines = [f"  {os.path.relpath(run.output_dir)}" for run in runs]
    return "\n".join([f"training one after another, in the background ({len(runs)} runs):", *lines])
