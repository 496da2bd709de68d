"""Lightning's Trainer over a claimed directory: from the config to the process's exit code."""

import errno
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from simplegpt.checkpoint import load_initial_weights, read_checkpoint
from simplegpt.cli import FAILED, INTERRUPTED, TERMINATED, UserError
from simplegpt.config.load import resolved
from simplegpt.config.schema import Config
from simplegpt.files import write_atomically
from simplegpt.progress import format_duration
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure, RunEnded
from simplegpt.run.failure import diverged, out_of_memory
from simplegpt.train.console import Console
from simplegpt.train.cpu_dropout import use_cpu_dropout
from simplegpt.train.heartbeat import Heartbeat
from simplegpt.train.module import GPTModule, TokenData
from simplegpt.train.recorder import Ending, Recorder
from simplegpt.train.samples import SampleWriter

# Compiling takes up to a minute: a run must be long enough to win that back.
STEPS_THAT_PAY_FOR_COMPILING = 500
# Settings of [trainer] that the recorder acts upon, in place of Lightning's Trainer.
RECORDERS_SETTINGS = {"val_check_interval", "limit_val_batches", "log_every_n_steps"}


def fit(run: RunDirectory, config: Config, *, resume: bool, is_first_rank: bool) -> int:
    """Train until the end, a stop or a failure; returns the exit code.

    Raises UserError for what only the libraries can judge (a device that is not there …). What
    ends before the first status is written leaves no run behind.
    """
    quiet_lightning()
    status = run.status() if resume else None
    attempt = 1 if status is None else status.attempt + 1
    console, heartbeat = Console(), Heartbeat(run, attempt, config.trainer.max_steps)
    recorder = None
    started = time.monotonic()
    try:
        if resume:
            read_checkpoint(run.last_checkpoint)  # a damaged one is told in one message
        torch.manual_seed(config.seed)
        data = TokenData(config)
        recorder = Recorder(run, config, data, console, heartbeat, SampleWriter(config))
        trainer = make_trainer(run, config, recorder)
        if is_first_rank:
            write_atomically(run.config, resolved(config))
            console.copy_to(run.log)
            heartbeat.begin()
        recorder.take_signals()
        module = GPTModule(config)
        if config.init_from is not None and not resume:
            load_initial_weights(module.gpt, config.init_from)
        if trainer.strategy.root_device.type == "cpu":
            use_cpu_dropout(module.gpt)
        if should_compile(config, trainer.strategy.root_device):
            module.gpt.compile()
            recorder.compiles = True
        checkpoint = run.last_checkpoint if resume else None
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        ending = recorder.ending
    except SIGTERMException:
        ending = Ending("stopped", TERMINATED, "stopped by SIGTERM before the first step")
    except KeyboardInterrupt:
        ending = Ending("stopped", INTERRUPTED, "interrupted before the first step")
    except UserError:
        if is_first_rank:
            _take_back(run, heartbeat, console, resume)
        raise
    except BaseException as error:
        failure = failure_of(error, config)
        traceback.print_exception(error)
        print(f"error: {failure.message}{_as_options(failure.edits)}", file=sys.stderr)
        if heartbeat.is_writing:
            ended = RunEnded(reason="failed", error=failure.message, failure=failure)
            _end(run, heartbeat, console, ended)
        elif is_first_rank:
            _take_back(run, heartbeat, console, resume)
        return FAILED
    finally:
        if recorder is not None:
            recorder.release_signals()
    if heartbeat.is_writing:
        assert recorder is not None
        _summarise(run, recorder, ending, time.monotonic() - started)
        _end(run, heartbeat, console, RunEnded(reason=ending.reason, error=ending.message))
    elif is_first_rank:
        _take_back(run, heartbeat, console, resume)
    return ending.exit_code


def make_trainer(run: RunDirectory, config: Config, recorder: Recorder) -> lightning.Trainer:
    """Lightning's Trainer with the config's settings; raises UserError where it refuses them."""
    settings = config.trainer.model_dump(
        exclude=RECORDERS_SETTINGS | {"callbacks"}, exclude_none=True
    )
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    try:
        return lightning.Trainer(
            **settings,
            max_epochs=-1,  # max_steps is the end
            limit_val_batches=0,  # the recorder validates, so that a stop need not
            logger=_loggers(run, config) or False,
            callbacks=[recorder],
            default_root_dir=run.path,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"[trainer] {error}") from error


def should_compile(config: Config, device: torch.device) -> bool:
    """Whether to compile; raises UserError if the config insists and there is no compiler."""
    if config.torch_compile == "auto":
        long_enough = config.trainer.max_steps >= STEPS_THAT_PAY_FOR_COMPILING
        return device.type == "cuda" and long_enough and _missing_compiler(device) is None
    if not config.torch_compile:
        return False
    missing = _missing_compiler(device)
    if missing is not None:
        raise UserError(
            f"torch_compile = true needs {missing}\n"
            "  install it, or switch compiling off: --torch_compile false"
        )
    return True


def _missing_compiler(device: torch.device) -> str | None:
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "triton, which comes with the CUDA builds of torch"
    if not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        return "a C++ compiler (g++ or clang++)"
    return None


def _loggers(run: RunDirectory, config: Config) -> list[Logger]:
    loggers: list[Logger] = []
    if config.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(run.path, name="tensorboard", version=""))
    if config.wandb is not None:
        from lightning.pytorch.loggers import WandbLogger

        settings: dict[str, Any] = config.wandb.model_dump(exclude_none=True)
        loggers.append(WandbLogger(save_dir=run.path, **settings))
    return loggers


def _take_back(run: RunDirectory, heartbeat: Heartbeat, console: Console, resume: bool) -> None:
    """What ended before it was a run: leave none behind."""
    heartbeat.end("stopped")
    console.close()
    if not resume:
        run.discard()


def _end(run: RunDirectory, heartbeat: Heartbeat, console: Console, event: RunEnded) -> None:
    """The last words: an event, a status and the log's end."""
    with suppress(OSError):  # a full disk: the exit code still tells
        run.append_event(event)
    heartbeat.end(event.reason, event.failure)
    console.close()


def failure_of(error: BaseException, config: Config) -> Failure:
    """What `error` means for the user, and the edits that would help."""
    text = str(error).strip()
    first_line = text.splitlines()[0] if text else ""
    message = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    is_memory_error = isinstance(error, torch.OutOfMemoryError | MemoryError)
    # torch's allocator on a CPU raises a plain RuntimeError
    if is_memory_error or "can't allocate memory" in text or "out of memory" in text:
        return out_of_memory(config)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failure(kind="disk_full", message=f"disk full: {error.filename or first_line}")
    if "returned nan values" in text:  # torch's anomaly detection
        return diverged(config, message)
    return Failure(kind="error", message=message)


def _as_options(edits: Mapping[str, int | float]) -> str:
    options = " ".join(f"--{key} {value}" for key, value in edits.items())
    return f"\n  try: {options}" if options else ""


def _summarise(run: RunDirectory, recorder: Recorder, ending: Ending, seconds: float) -> None:
    why = f" ({ending.message})" if ending.message else ""
    val = "" if recorder.val_loss is None else f" · validation loss {recorder.val_loss:.4f}"
    best = "" if recorder.best_loss is None else f" · best {recorder.best_loss:.4f}"
    print(
        f"{ending.reason} at step {recorder.step:,}{why} in {format_duration(seconds)}{val}{best}"
    )
    if run.last_checkpoint.exists():
        checkpoint = os.path.relpath(run.last_checkpoint)
        print(
            f'talk to it:  python -m simplegpt.inference "…" --model_name_or_ckpt_path {checkpoint}'
        )
    if ending.reason == "stopped":
        print(f"go on:       python -m simplegpt.train --resume {os.path.relpath(run.path)}")


def quiet_lightning() -> None:
    """Leave out what Lightning says of things that are as they should be here."""
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*your dataloader is not resumable.*",  # it is a function of the index
        ".*You defined a `validation_step`.*",
        ".*`isinstance\\(treespec, LeafSpec\\)`.*",
        ".*srun. command is available.*",
    ):
        warnings.filterwarnings("ignore", message)
