"""Run Lightning's Trainer in a claimed directory: from the config to the exit code."""

import errno
import importlib
import logging
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy, Strategy

from simplegpt.checkpoint import load_initial_weights, newest_whole_checkpoint
from simplegpt.cli import (
    DONE,
    FAILED,
    INVALID_INPUT,
    UserError,
    first_line,
    one_line,
    show,
    sigterm_as_exit,
)
from simplegpt.config.load import resolved
from simplegpt.config.schema import Config, TrainerConfig
from simplegpt.data.windows import DialogueWindows
from simplegpt.device import device_memory
from simplegpt.files import write_atomically
from simplegpt.gpt2.weights import read_torch_file
from simplegpt.progress import format_bytes, format_duration, format_loss, plural
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure, RunEnded
from simplegpt.run.failure import diverged, out_of_memory
from simplegpt.run.hardware import Hardware
from simplegpt.train.checkpoint_io import DirectCheckpointIO
from simplegpt.train.checkpoints import Checkpoints, SaveError
from simplegpt.train.claim import Claim, check_same
from simplegpt.train.commands import Commands
from simplegpt.train.cpu_dropout import use_cpu_dropout
from simplegpt.train.devices import (
    Devices,
    as_launched,
    devices_of,
    is_first_rank,
    windows_per_step,
)
from simplegpt.train.divergence import DivergedError
from simplegpt.train.launch import follow_parent, is_launched
from simplegpt.train.module import FORMAT, GPTModule, TokenData
from simplegpt.train.plan import plan, validation_memory
from simplegpt.train.ranks import (
    AgreedError,
    agreement,
    broadcast,
    connection_problem,
    decided,
    first_error,
    join,
    leave,
    limit_waits,
    watch_for_errors,
)
from simplegpt.train.recorder import Ending, Recorder
from simplegpt.train.samples import Samples

# Compiling takes up to a minute, which a shorter run does not save.
MIN_STEPS_TO_COMPILE = 500
DEFAULT_TIMEOUT_SECONDS = {"cpu": 120, "gpu": 600}
# Settings of [trainer] that our callbacks use, not Lightning's Trainer.
CALLBACK_SETTINGS = {
    "callbacks",
    "limit_val_batches",
    "log_every_n_steps",
    "max_steps",
    "max_time",
    "strategy",
    "timeout_seconds",
    "val_check_interval",
}


@dataclass(frozen=True)
class Training:
    """The parts of a run, before its first step."""

    trainer: lightning.Trainer
    module: GPTModule
    data: TokenData
    recorder: Recorder
    commands: Commands
    checkpoint: Path | None
    """The checkpoint to resume from."""


def fit(
    run: RunDirectory,
    config: Config,
    claimed: Claim | None,
    *,
    callbacks: Sequence[Callback] = (),
) -> int:
    """Train until the end, a stop or a failure; return the exit code.

    `claimed` is None on ranks other than 0, which write nothing. Raises UserError for errors that
    only the libraries detect (a missing device …). A failure before the run starts leaves no run
    behind.
    """
    started = time.monotonic()
    if launched := is_launched():
        follow_parent(signal.SIGTERM)
    try:
        with sigterm_as_exit() if launched else nullcontext():
            checkpoint_io = DirectCheckpointIO()
            trainer = make_trainer(run, config, checkpoint_io)
            if claimed is None:
                _check_is_not_alone(trainer)
            join(trainer)
            resume, is_finished = broadcast(
                (claimed.resumes, claimed.is_finished) if claimed else (False, False)
            )
            if is_finished:
                leave(has_failed=False)
                return DONE
            with agreement():
                training = prepare(trainer, run, config, claimed, resume, callbacks, checkpoint_io)
            limit_waits(timeout_of(config.trainer))
        if claimed is not None:
            write_atomically(run.config, resolved(config))
    except BaseException:
        if claimed is not None:
            claimed.discard()
        raise
    recorder = training.recorder
    if claimed is not None:
        recorder.start(Hardware(_gpu_indices(trainer)))
        _warn_of_data(training)
    watch_for_errors(lambda error: _fail(recorder, Failure(kind="error", message=error)))
    has_failed = True
    try:
        code = _fit(run, config, training, started)
        has_failed = code in (FAILED, INVALID_INPUT)
        return code
    finally:
        leave(has_failed=has_failed)


def _fit(run: RunDirectory, config: Config, training: Training, started: float) -> int:
    """Train with Lightning, and record the end; return the exit code."""
    trainer, recorder = training.trainer, training.recorder
    try:
        with training.commands.handle_signals():
            trainer.fit(
                training.module,
                datamodule=training.data,
                ckpt_path=training.checkpoint,
                weights_only=True,
            )
        ending = recorder.ending
    except UserError as error:  # of a token file that was changed meanwhile
        show(f"error: {error}", sys.stderr)
        first_error(error)
        _fail(recorder, Failure(kind="error", message=one_line(str(error))))
        return INVALID_INPUT
    except Exception as error:
        failure = failure_of(error, config)
        if other := first_error(error):
            failure = Failure(kind=failure.kind, message=other)
        says_it_all = isinstance(error, AgreedError) or (
            isinstance(error, OSError) and error.filename
        )
        if not (says_it_all or connection_problem(error)):
            show("".join(traceback.format_exception(error)), sys.stderr)
        if is_first_rank() or not isinstance(error, AgreedError):
            show(f"error: {one_line(failure.message)}{_as_options(failure.edits)}", sys.stderr)
        _fail(recorder, failure)
        return FAILED
    summary = _summary(run, training, ending, time.monotonic() - started)
    if not recorder.end(RunEnded(reason=ending.reason, error=ending.message), summary):
        show(f"error: cannot write the end of the run to {one_line(str(run.path))}", sys.stderr)
        return FAILED
    return ending.exit_code


def _fail(recorder: Recorder, failure: Failure) -> None:
    recorder.end(RunEnded(reason="failed", error=failure.message, failure=failure))


def prepare(
    trainer: lightning.Trainer,
    run: RunDirectory,
    config: Config,
    claimed: Claim | None,
    resume: bool,
    callbacks: Sequence[Callback],
    checkpoint_io: DirectCheckpointIO,
) -> Training:
    """Make the model, the data and the callbacks. Raises UserError if one cannot be made."""
    torch.manual_seed(config.seed)
    data = TokenData(config)
    checkpoint, step = None, 0
    if resume:
        checkpoint, step = decided(
            lambda: _checkpoint_to_resume(run, config, data, trainer.world_size)
        )
    recorder = Recorder(run, config, previous=run.status() if resume else None)
    checkpoints = Checkpoints(run, config, data, recorder, checkpoint_io)
    samples = None
    if config.samples is not None:
        samples = Samples(config.samples, config, data.train_tokens.chat_template, recorder)
    reader = claimed.commands if claimed is not None else None
    commands = Commands(config, reader, recorder, checkpoints, samples)
    # order at the end of a step: record, validate and save, sample, the user's own, commands
    own = [*callbacks, *(load_callback(path) for path in config.trainer.callbacks)]
    ours = [recorder, checkpoints, *([samples] if samples else [])]
    trainer.callbacks.extend([*ours, *own, commands])  # type: ignore[attr-defined]
    if step >= config.trainer.max_steps:
        # Lightning would call no hooks: a run that was killed at its last step has no limit, and
        # `Commands` ends it
        trainer.fit_loop.epoch_loop.max_steps = -1
    device = trainer.strategy.root_device
    _check_memory(config, device, len(data.val_tokens))
    module = GPTModule(config, data.train_tokens.chat_template)
    # DDP sends rank 0's weights to the others
    if config.init_from is not None and checkpoint is None and claimed is not None:
        tokenizer_name = None if config.init_from_other_tokenizer else config.tokenizer_name
        load_initial_weights(module.gpt, config.init_from, tokenizer_name)
    if device.type == "cpu":
        use_cpu_dropout(module.gpt)
    if should_compile(config, device):
        module.gpt.compile()
        module.is_compiled = True
    return Training(trainer, module, data, recorder, commands, checkpoint)


def _warn_of_data(training: Training) -> None:
    tokens, windows = training.data.train_tokens, training.data.train_windows
    if not tokens.is_complete:
        training.recorder.warn(
            f"{tokens.files[0].path.parent}: not all shards are written; training on "
            f"{plural(len(tokens.files), 'shard')}"
        )
    if isinstance(windows, DialogueWindows) and windows.n_cut:
        training.recorder.warn(
            f"{windows.n_cut:,} of {windows.n_dialogues:,} dialogues are longer than "
            f"data.seq_len ({windows.seq_len:,}): only their beginning is trained on"
        )


def _check_is_not_alone(trainer: lightning.Trainer) -> None:
    """Raise UserError for a rank other than 0 that is alone: no rank 0 has claimed its run."""
    if trainer.num_devices * trainer.num_nodes == 1:
        raise UserError(
            "this process is not rank 0, by RANK, LOCAL_RANK, NODE_RANK or SLURM_PROCID in its "
            "environment, but the only one of its run",
            "start all processes with torchrun, or unset these variables",
        )


def _checkpoint_to_resume(
    run: RunDirectory, config: Config, data: TokenData, n_devices: int
) -> tuple[Path | None, int]:
    """Return the newest intact checkpoint and its step; None and 0 if nothing was saved."""
    if not any(run.checkpoints.glob("[!.]*.ckpt")):
        return None, 0
    checkpoint, errors = newest_whole_checkpoint(run.checkpoints)
    for error in errors:
        show(f"warning: {one_line(error)}", sys.stderr)
    if errors:
        show(f"resuming from {one_line(str(checkpoint))} instead", sys.stderr)
    # unlike the run's config.toml, the checkpoint's config cannot have been edited
    contents = read_torch_file(checkpoint, keys=("hyper_parameters",))
    check_same(Config.model_validate(contents["hyper_parameters"]), config, checkpoint)
    if contents.get("simplegpt", {}).get("format", 1) < FORMAT:
        show(
            "warning: this checkpoint is of an earlier version, which read the data in another "
            "order: the rest of this epoch has some windows twice and others not at all",
            sys.stderr,
        )
    _check_same_data(contents, config, data, checkpoint)
    _check_same_step(contents, config, n_devices, checkpoint)
    return checkpoint, contents["global_step"]


def _check_same_data(
    contents: Mapping[str, Any], config: Config, data: TokenData, checkpoint: Path
) -> None:
    """Raise UserError if the run would train on other data than the `checkpoint` was."""
    stored = Config.model_validate(contents["hyper_parameters"])
    digests = contents.get("simplegpt", {}).get("data")
    before, now = ((c.data.train_fpath, c.data.val_fpath) for c in (stored, config))
    is_same = before == now if digests is None else digests == data.digests()
    if not is_same:
        raise UserError(
            f"cannot resume: data.train_fpath or data.val_fpath is not the data of {checkpoint}",
            f"it was trained on {before[0]} and {before[1]}",
        )


def _check_same_step(
    contents: Mapping[str, Any], config: Config, n_devices: int, checkpoint: Path
) -> None:
    """Raise UserError if a step has another number of windows than in the `checkpoint`.

    If only the number of devices differs, as after a change of the machine, it is a warning.
    """
    stored, own = Config.model_validate(contents["hyper_parameters"]), contents.get("simplegpt", {})
    before, now = own.get("windows_per_step"), windows_per_step(config, n_devices)
    sizes = [(c.data.train_batch_size, c.trainer.accumulate_grad_batches) for c in (stored, config)]
    if before is None:  # of an earlier version
        before = now if sizes[0] == sizes[1] else windows_per_step(stored, 1)
    if before == now:
        return
    problem = f"a step has {now} windows, in {checkpoint} it had {before}"
    if sizes[0] != sizes[1] or config.data.global_batch_size:
        raise UserError(
            f"cannot resume: {problem}",
            "they are train_batch_size × accumulate_grad_batches × devices; "
            f"--data.global_batch_size {before} keeps them",
        )
    show(
        f"warning: {problem}; --data.global_batch_size {before} would keep them",
        sys.stderr,
    )


def _check_memory(config: Config, device: torch.device, n_val_tokens: int) -> None:
    """Raise UserError if a step or a validation needs over twice the device's memory.

    The factor allows for the error of the estimate.
    """
    devices = Devices("cpu" if device.type == "cpu" else "gpu")
    present = device_memory(device)
    needs = {
        "step": (plan(config, devices).memory.total, "data.train_batch_size"),
        "validation": (validation_memory(config, n_val_tokens), "data.val_batch_size"),
    }
    for what, (needed, key) in needs.items():
        if needed > 2 * present:
            raise UserError(
                f"a {what} needs about {format_bytes(needed)} of memory, the device has "
                f"{format_bytes(present)}",
                f"lower {key}, data.seq_len or [model]; --plan shows the estimate of a step",
            )


def make_trainer(
    run: RunDirectory, config: Config, checkpoint_io: DirectCheckpointIO
) -> lightning.Trainer:
    """Return Lightning's Trainer for the config. Raises UserError if it rejects a setting."""
    quiet_lightning()
    trainer = as_launched(config.trainer)
    settings = trainer.model_dump(exclude=CALLBACK_SETTINGS, exclude_none=True)
    settings["strategy"] = strategy_of(trainer)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    try:
        made = lightning.Trainer(
            **settings,
            max_epochs=-1,  # max_steps is the end
            max_steps=config.trainer.max_steps,
            limit_val_batches=0,  # `Checkpoints` validates
            logger=_loggers(run, config) or False,
            plugins=[checkpoint_io],
            default_root_dir=run.path,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"[trainer] {error}") from error
    made.fit_loop.epoch_loop = EpochLoop(made, max_steps=trainer.max_steps)
    return made


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over batches, whose ranks do not wait for one another at each of them."""

    def _broadcast_sigterm_tensor(self) -> None:
        """Do nothing: `Commands` tells all ranks of a signal, about once a second."""

    def reset(self) -> None:
        """Count the batches again where a resumed run accumulates another number of them.

        Otherwise the first step would end early, at a multiple of that number.
        """
        super().reset()
        n_batches = self.global_step * self.trainer.accumulate_grad_batches
        for name in ("ready", "started", "processed", "completed"):
            setattr(self.batch_progress.current, name, n_batches)


def strategy_of(trainer: TrainerConfig) -> Strategy | str:
    """Return Lightning's strategy for `trainer`, with our timeout for several processes."""
    devices = devices_of(trainer, torch.cuda.device_count())
    if devices.count == 1 and trainer.strategy == "auto":
        return "auto"
    return DDPStrategy(timeout=timeout_of(trainer), gradient_as_bucket_view=True)


def timeout_of(trainer: TrainerConfig) -> timedelta:
    """Return how long a rank waits for the others."""
    kind = devices_of(trainer, torch.cuda.device_count()).kind
    return timedelta(seconds=trainer.timeout_seconds or DEFAULT_TIMEOUT_SECONDS[kind])


def _gpu_indices(trainer: lightning.Trainer) -> list[int]:
    """Return the CUDA indices of this machine's GPUs that the run uses."""
    strategy = trainer.strategy
    devices = strategy.parallel_devices if isinstance(strategy, ParallelStrategy) else None
    return [one.index for one in devices or [strategy.root_device] if one.type == "cuda"]


def load_callback(path: str) -> Callback:
    """Make a callback from its import path, ``module.Class`` or ``module:Class``."""
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - as `python -m` does
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        kind = getattr(importlib.import_module(module_name), name)
        callback = kind()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"trainer.callbacks: {path}: {error}") from error
    if not isinstance(callback, Callback):
        raise UserError(f"trainer.callbacks: {path} is not a lightning.pytorch.Callback")
    return callback


def should_compile(config: Config, device: torch.device) -> bool:
    """Whether to compile. Raises UserError if the config requires it and there is no compiler."""
    if config.torch_compile == "auto":
        long_enough = config.trainer.max_steps >= MIN_STEPS_TO_COMPILE
        return device.type == "cuda" and long_enough and _missing_compiler(device) is None
    if not config.torch_compile:
        return False
    missing = _missing_compiler(device)
    if missing is not None:
        raise UserError(
            f"torch_compile = true needs {missing}",
            "install it, or disable compiling: --torch_compile false",
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
    if config.wandb is not None and find_spec("wandb") is not None:
        from lightning.pytorch.loggers import WandbLogger

        settings: dict[str, Any] = config.wandb.model_dump(exclude_none=True)
        loggers.append(WandbLogger(save_dir=run.path, **settings))
    return loggers


def failure_of(error: BaseException, config: Config) -> Failure:
    """Return what to report for `error`, and the edits that would help."""
    text = str(error).strip()
    name, line = type(error).__name__, first_line(error)
    message = line if line == name else f"{name}: {line}"
    is_memory_error = isinstance(error, torch.OutOfMemoryError | MemoryError)
    # torch's allocator on a CPU raises a plain RuntimeError
    if is_memory_error or "can't allocate memory" in text or "out of memory" in text:
        return out_of_memory(config)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failure(kind="disk_full", message=f"disk full: {error.filename or first_line}")
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename2 or error.filename}: {error.strerror}"
    if isinstance(error, DivergedError):
        return diverged(config, text)
    if isinstance(error, SaveError):
        message = f"cannot save the last checkpoint: {text}"
        return Failure(kind="disk_full" if error.is_disk_full else "error", message=message)
    if problem := connection_problem(error):
        return Failure(kind="error", message=problem)
    if "returned nan values" in text:  # torch's anomaly detection
        return diverged(config, message)
    return Failure(kind="error", message=message)


def _as_options(edits: Mapping[str, int | float]) -> str:
    options = " ".join(f"--{key} {value}" for key, value in edits.items())
    return f"\n  try: {options}" if options else ""


def _summary(run: RunDirectory, training: Training, ending: Ending, seconds: float) -> str:
    state, step = training.module.state, training.recorder.step
    why = f" ({ending.message})" if ending.message else ""
    val = "" if state.val_loss is None else f" · val loss {format_loss(state.val_loss)}"
    best = "" if state.best_loss is None else f" · best {format_loss(state.best_loss)}"
    lines = [f"{ending.reason} at step {step:,}{why} in {format_duration(seconds)}{val}{best}"]
    if run.last_checkpoint.exists():
        path = os.path.relpath(run.last_checkpoint)
        lines.append(
            f"Chat:      simplegpt chat {path}"
            if training.module.chat_template
            else f'Generate:  simplegpt inference "…" --model_name_or_ckpt_path {path}'
        )
    if step < training.recorder.config.trainer.max_steps:
        path = os.path.relpath(run.path)
        lines.append(f"Resume:    simplegpt train --resume {path}")
    return "\n".join(lines)


def quiet_lightning() -> None:
    """Suppress Lightning's warnings about intended behaviour."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*your dataloader is not resumable.*",  # it resumes by index
        ".*You defined a `validation_step`.*",
        ".*`isinstance\\(treespec, LeafSpec\\)`.*",
        ".*srun. command is available.*",
    ):
        warnings.filterwarnings("ignore", message)
