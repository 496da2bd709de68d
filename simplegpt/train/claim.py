"""Claim a run's directory for this process, after all checks that do not need torch."""

import fcntl
import glob
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, TypeAlias

from simplegpt.cli import UserError, show
from simplegpt.config import load as config_file
from simplegpt.config.edit import differences
from simplegpt.config.load import flatten
from simplegpt.config.schema import Config
from simplegpt.files import first_free_path
from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import LineReader
from simplegpt.run.state import launcher

DATA_PATHS = ("data.train_fpath", "data.val_fpath")
# Settings that a resumed run may change: its end, its devices and its reporting. The sizes of its
# batches may change if a step keeps its windows (`_check_same_step`).
MAY_DIFFER_ON_RESUME = (
    "include",
    "output_dir",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.log_every_n_steps",
    "trainer.profiler",
    "trainer.callbacks",
    *DATA_PATHS,  # compared by their contents, once the checkpoint is read
    "trainer.accumulate_grad_batches",
    "trainer.timeout_seconds",
    "data.train_batch_size",
    "data.global_batch_size",
    "data.num_workers",
    "samples",
    "tensorboard",
    "wandb",
)


Resume: TypeAlias = bool | Literal["auto"]
"""Whether to resume a run; "auto": if there is one."""


@dataclass(frozen=True)
class Claim:
    """Rank 0's claim on a run's directory."""

    lock: IO[bytes]
    """Held until it is closed."""
    commands: LineReader
    """Reads commands from now on: a stop of an earlier attempt must not stop this one."""
    run: RunDirectory
    before: frozenset[Path]
    """The files of a run that were in the directory already."""
    resumes: bool
    """Whether there is a run to resume, or one starts."""
    is_finished: bool = False
    """Whether the run to resume, with ``--resume auto``, has nothing left to do."""

    def discard(self) -> None:
        """Remove what a start has made that failed."""
        if not self.resumes:
            self.run.discard(self.before)


def claim(run: RunDirectory, config: Config, *, resume: Resume) -> Claim:
    """Create the directory, or its missing parts, and lock it; or raise UserError.

    This does not create a run yet: a process that dies before training does not block the next.
    """
    _check_extras(config)
    status = run.status()
    has_waited = status is not None and status.pid == launcher()  # in a queue, for this process
    if status is not None and status.is_live and not has_waited:
        raise UserError(f"the run at {run.path} is {status.state} (process {status.pid})")
    resumes = (run.exists() and not has_waited) if resume == "auto" else resume
    is_finished = False
    if resumes:
        finished_step = _finished_step(run, config)
        is_finished = finished_step is not None
        if resume == "auto" and status is not None and status.state == "finished":
            is_finished = status.max_steps == config.trainer.max_steps  # also if it stopped early
        if finished_step is not None and resume != "auto":
            raise UserError(
                f"the run at {run.path} is already at step {finished_step:,} of "
                f"{config.trainer.max_steps:,}",
                f"train for longer:   --trainer.max_steps {2 * finished_step}",
            )
    elif run.exists() and not has_waited:
        raise UserError(
            f"output_dir {run.path} already contains a run",
            "resume it:         --resume",
            f"start a new run:   --output_dir {first_free_path(run.path)}",
        )
    before = frozenset(run.own_files())
    try:
        run.create()
        lock = run.commands.open("rb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another process is training in {run.path}") from None
    except OSError as error:
        raise UserError(f"output_dir {run.path}: {error.strerror}") from None
    # a loader's worker briefly outlives a killed trainer and must not keep its lock
    os.register_at_fork(after_in_child=lock.close)
    commands = LineReader.from_end(run.commands)
    return Claim(lock, commands, run, before, resumes, is_finished)


def runs_nearby() -> str:
    """Return the end of an error that lists nearby runs; empty if there are none."""
    runs = [os.path.relpath(run.path) for run in find_runs(Path.cwd())][:5]
    return f"; there are: {', '.join(runs)}" if runs else ""


def _check_extras(config: Config) -> None:
    """Raise UserError if tensorboard is missing; only warn if wandb is.

    All configs of the original simpleGPT have [wandb], and train without the package.
    """
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError(
            "the config uses tensorboard, which is not installed",
            "install it:      pip install 'simplegpt[tensorboard]'",
            "or disable it:   --tensorboard false",
        )
    if config.wandb is not None and find_spec("wandb") is None:
        show(
            "warning: [wandb] is ignored: wandb is not installed\n"
            "  install it:      pip install 'simplegpt[wandb]'\n"
            "  or disable it:   --wandb false",
            sys.stderr,
        )


def _finished_step(run: RunDirectory, config: Config) -> int | None:
    """Return the step of a run that has reached its end; None if it can be resumed.

    Raises UserError if there is no run, or if it cannot be resumed with `config`.
    """
    if not run.config.exists():
        raise UserError(f"no run to resume at {run.path}{runs_nearby()}")
    stored = config_file.load(run.config)
    check_same(stored, config, run.config)
    status, max_steps = run.status(), config.trainer.max_steps
    finished = status.step if status is not None and status.state == "finished" else 0
    saved = max((checkpoint.info.step for checkpoint in list_checkpoints(run)), default=0)
    # a run at max_steps that has not finished is resumed to complete its last validation and files
    if finished >= max_steps or saved > max_steps:
        return max(finished, saved)
    return None


def check_same(stored: Config, given: Config, source: Path) -> None:
    """Raise UserError if a resumed run would train with a config that differs from `source`'s."""
    if different := _differences(stored, given):
        raise UserError(
            f"cannot resume: the config differs from that in {source}:",
            *different,
            "to change these settings, start a new run with init_from and a new output_dir",
        )


def _differences(stored: Config, given: Config) -> list[str]:
    """Return one line for each key that differs and must not."""
    old, new = flatten(stored), flatten(given)
    return [
        f"{key}: was {before!r}, is {now!r}"
        for key, (before, now) in differences(old, new).items()
        if not (key == "tokenizer_name" and _is_same_tokenizer(before, now, given))
        and not any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER_ON_RESUME)
    ]


def _is_same_tokenizer(stored: str, given: str, config: Config) -> bool:
    """Whether they encode alike. The stored file may be gone; the run has a copy."""
    from simplegpt.data.tokenizer import is_same_vocabulary  # numpy and tiktoken

    copy = str(RunDirectory(config.output_dir).tokenizer)
    return any(is_same_vocabulary(one, given) for one in (stored, copy))


def moved_paths(run: RunDirectory) -> list[tuple[str, str]]:
    """Return the data's paths of a run whose project was moved, as overrides of its config.

    They are where they were as seen from the run's directory.
    """
    values = config_file.inspect(run.config).values
    before, moved = Path(str(values["output_dir"])), []
    for key in (*DATA_PATHS, "tokenizer_name"):
        path = str(values[key])
        if not Path(path).is_absolute() or glob.glob(path):  # noqa: PTH207
            continue
        candidates = [os.path.normpath(run.path / os.path.relpath(path, before))]
        if key == "tokenizer_name":
            candidates.append(str(run.tokenizer))
        found = [one for one in candidates if glob.glob(one)]  # noqa: PTH207
        moved += [(key, one) for one in found[:1]]
    return moved
