"""Command: train the GPT that a config describes, or go on with a run that was stopped.

    python -m simplegpt.train configs/shakespeare_char.toml --optimization.peak_lr 3e-4
    python -m simplegpt.train --resume models/tiny_shakespeare_char

All mistakes are told before torch is imported and before anything is written.
"""

import fcntl
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from simplegpt.cli import CommandParser, UserError, run_command
from simplegpt.config import load as config_file
from simplegpt.config.edit import differences
from simplegpt.config.load import add_config_options, flatten
from simplegpt.config.schema import Config
from simplegpt.data.tokens import check_config, open_tokens
from simplegpt.files import first_free_path
from simplegpt.run.checkpoints import read_info
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.train.plan import describe, plan

# What a resumed run may change: its end, its machines, and what is told of it.
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
    "data.num_workers",
    "samples",
    "tensorboard",
    "wandb",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        usage="%(prog)s CONFIG [--section.key VALUE …] [--plan | --resume]\n"
        "       %(prog)s --resume RUN_DIR",
        description="Train the GPT that a config describes, or go on with a run that was stopped.",
    )
    parser.add_argument("config", nargs="?", type=Path, help="the run's TOML file")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN_DIR",
        help="go on from the last checkpoint, of the config's output_dir or of this directory",
    )
    parser.add_argument("--plan", action="store_true", help="print what the run costs, and stop")
    add_config_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.config is None and not arguments.resume:
        parser.error("give a config file, such as configs/shakespeare_char.toml")

    source = arguments.config or RunDirectory(arguments.resume).config
    if arguments.config is None and not source.exists():
        raise UserError(f"no run to resume at {arguments.resume}{_runs_nearby()}")
    check = None if arguments.plan else partial(check_config, scan=True)
    config = config_file.load(source, arguments.overrides, check)
    if arguments.plan:
        print(describe(plan(config, n_train_tokens=_n_train_tokens(config))))
        return 0
    _require_extras(config)

    resume = arguments.resume is not None
    run = RunDirectory(arguments.resume or config.output_dir)
    # a resumed run may have been moved or renamed: it is where it is now
    config = config.model_copy(update={"output_dir": run.path})
    lock = _claim(run, config, resume) if _is_first_rank() else None

    from simplegpt.train.trainer import fit  # imports torch and lightning: seconds

    try:
        return fit(run, config, resume=resume, is_first_rank=lock is not None)
    finally:
        if lock is not None:
            lock.close()


def _n_train_tokens(config: Config) -> int | None:
    """None before the token file is made: a plan can do without it."""
    try:
        return len(open_tokens(config.data.train_fpath))
    except UserError:
        return None


def _claim(run: RunDirectory, config: Config, resume: bool) -> IO[bytes]:
    """Make the directory this process's own; raises UserError where it cannot be.

    It holds no run yet: a process that dies before it could train leaves nothing in the way.
    """
    status = run.status()
    if status is not None and status.is_live:
        raise UserError(f"the run at {run.path} is still going (process {status.pid})")
    if resume:
        _check_resumable(run, config)
    elif run.exists():
        can_resume = run.last_checkpoint.exists()
        go_on = "go on with it:   --resume" if can_resume else "it has no checkpoint to resume from"
        raise UserError(f"output_dir {run.path} already holds a run\n  {go_on}\n{_another(run)}")
    try:
        run.create()
        lock = run.commands.open("rb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another process is training in {run.path}") from None
    except OSError as error:
        raise UserError(f"output_dir {run.path}: {error.strerror}") from None
    return lock


def _another(run: RunDirectory) -> str:
    return f"  start another:   --output_dir {first_free_path(run.path)}"


def _check_resumable(run: RunDirectory, config: Config) -> None:
    if not run.config.exists():
        raise UserError(f"no run to resume at {run.path}{_runs_nearby()}")
    if not run.last_checkpoint.exists():
        raise UserError(f"the run at {run.path} has no checkpoint to resume from\n{_another(run)}")
    stored = config_file.load(run.config)
    different = _differences(stored, config)
    if different:
        told = "\n  ".join(different)
        raise UserError(
            f"a resumed run must be the same run, but the config differs from {run.config}:\n"
            f"  {told}\n"
            "  to change these, start another run with init_from, and another output_dir"
        )
    last = read_info(run.last_checkpoint)
    if last is not None and last.step >= config.trainer.max_steps:
        raise UserError(
            f"the run at {run.path} is at step {last.step} already, and max_steps is "
            f"{config.trainer.max_steps}\n  go further:   --trainer.max_steps {2 * last.step}"
        )


def _differences(stored: Config, given: Config) -> list[str]:
    """What may not differ and does, one line a key."""
    old, new = flatten(stored), flatten(given)
    for values in (old, new):
        for key in ("data.train_fpath", "data.val_fpath"):
            values[key] = str(Path(values[key]).absolute())
    return [
        f"{key}: was {before!r}, is {now!r}"
        for key, (before, now) in differences(old, new).items()
        if not any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER_ON_RESUME)
    ]


def _runs_nearby() -> str:
    runs = [os.path.relpath(run.path) for run in find_runs(Path.cwd())][:5]
    return f"; there are: {', '.join(runs)}" if runs else ""


def _require_extras(config: Config) -> None:
    from importlib.util import find_spec

    wanted = [("tensorboard", config.tensorboard), ("wandb", config.wandb is not None)]
    for name, is_on in wanted:
        if is_on and find_spec(name) is None:
            raise UserError(
                f"the config asks for {name}, which is not installed\n"
                f"  install it:      pip install 'simplegpt[{name}]'\n"
                f"  or switch it off: --{name} false"
            )


def _is_first_rank() -> bool:
    """Whether this is rank 0 of all that torchrun, a scheduler or Lightning started."""
    ranks = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return all(os.environ.get(name, "0") == "0" for name in ranks)


if __name__ == "__main__":
    run_command(main)
