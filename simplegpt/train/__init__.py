"""Training: `train` runs a config as the command does. Importing this imports no torch."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt.cli import DONE, show
from simplegpt.config.load import absolute, resolved
from simplegpt.config.schema import Config, is_tokenizer_file
from simplegpt.run.directory import RunDirectory
from simplegpt.run.hardware import gpus
from simplegpt.run.state import launcher
from simplegpt.train.claim import Resume, claim
from simplegpt.train.devices import as_launched, devices_of, is_first_rank, with_accumulation
from simplegpt.train.launch import is_launched, launch

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback


def train(
    config: Config,
    *,
    resume: Resume = False,
    after: Path | None = None,
    callbacks: "Sequence[Callback]" = (),
) -> int:
    """Train `config` in its output_dir, with your own Lightning callbacks; return the exit code.

    `resume` resumes the run in output_dir from its last checkpoint, or from the start if nothing
    was saved; "auto" does so if there is a run, starts one if there is none, and does nothing if it
    has finished. `after` is the directory of a run that must end first. Raises UserError if the run
    cannot start.
    """
    run = RunDirectory(config.output_dir)
    # output_dir may be relative, or outdated in a run that was moved
    config = absolute(config.model_copy(update={"output_dir": run.path}))
    as_launched(config.trainer)  # before torch is imported: it raises UserError
    devices = devices_of(config.trainer, len(gpus()))
    config = with_accumulation(config, devices.count)
    n_processes = 1 if is_launched() else devices.per_node
    if n_processes > 1 and after is None:
        return launch(n_processes)
    claimed = claim(run, config, resume=resume) if is_first_rank() else None
    try:
        if claimed is not None and after is not None and launcher() is None:
            from simplegpt.train.queue import wait  # numpy and tiktoken

            if not wait(claimed, config, RunDirectory(after)):
                return DONE
            if n_processes > 1:
                claimed.lock.close()  # the first process takes it
                return launch(n_processes)
        if claimed is not None and is_tokenizer_file(config.tokenizer_name):
            _keep_tokenizer(Path(config.tokenizer_name), run)
        if claimed is not None and claimed.is_finished:
            show(f"the run at {run.path} has finished")
            if not is_launched():
                return DONE
        if claimed is not None and claimed.resumes and is_launched():
            from simplegpt.train.ranks import publish

            publish(resolved(config))
        from simplegpt.train.trainer import fit  # imports torch and lightning: seconds

        return fit(run, config, claimed, callbacks=callbacks)
    finally:
        if claimed is not None:
            claimed.lock.close()


def _keep_tokenizer(path: Path, run: RunDirectory) -> None:
    """Copy a tokenizer's file into the run's directory, in case the directory is moved."""
    if path.exists() and not (run.tokenizer.exists() and run.tokenizer.samefile(path)):
        shutil.copyfile(path, run.tokenizer)
