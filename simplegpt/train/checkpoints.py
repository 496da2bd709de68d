"""The callback that validates, keeps the best and the last checkpoint, and stops early."""

import errno
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from simplegpt.config.schema import Config
from simplegpt.progress import format_loss
from simplegpt.run.checkpoints import CheckpointFiles, CheckpointInfo
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CheckpointSaved
from simplegpt.run.upcoming import next_validation
from simplegpt.train.batches import TensorBatch
from simplegpt.train.checkpoint_io import DirectCheckpointIO
from simplegpt.train.divergence import DivergedError, are_finite
from simplegpt.train.module import GPTModule, TokenData
from simplegpt.train.ranks import AgreedError, broadcast
from simplegpt.train.recorder import Ending, Recorder, ends_step
from simplegpt.train.state import TrainingState


class Checkpoints(Callback):
    """Validates, saves and stops early at the ends of optimizer steps.

    This replaces Lightning's validation loop, which cannot run on demand, in a pause or after the
    last step, and which a stop would have to wait for; its ModelCheckpoint, which saves within a
    step or a validation and stores absolute paths; and its EarlyStopping, which depends on that
    loop.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: Config,
        data: TokenData,
        recorder: Recorder,
        checkpoint_io: DirectCheckpointIO,
    ) -> None:
        self.run = run
        self.config = config
        self.data = data
        self.recorder = recorder
        self.files = CheckpointFiles(run, config.checkpointing)
        self.checkpoint_io = checkpoint_io
        # the last saved step, whether it was validated, and its file names
        self._saved: tuple[int, bool, list[str]] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        assert isinstance(pl_module, GPTModule)
        every = self.config.checkpointing.every_n_steps
        if next_validation(self.config, trainer.global_step - 1) == trainer.global_step:
            self.validate(trainer, pl_module, is_scheduled=True)
        elif every is not None and trainer.global_step % every == 0:
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate and save the last step, whatever the intervals."""
        assert isinstance(pl_module, GPTModule)
        if self.recorder.ending.reason == "finished" and pl_module.state.score is None:
            self.validate(trainer, pl_module)
        is_early = trainer.global_step < self.config.trainer.max_steps
        self.save(trainer, pl_module, as_last=is_early)

    def validate(self, trainer: Trainer, module: GPTModule, *, is_scheduled: bool = False) -> None:
        """Measure the losses, notify all callbacks, and save.

        Early stopping counts only scheduled validations, not those on request.
        """
        state = module.state
        with self.recorder.activity("validating"):
            state.train_loss = self._mean_loss(trainer, module, self.data.train_eval_dataloader())
            state.val_loss = self._mean_loss(trainer, module, self.data.val_dataloader())
        is_val = self.config.checkpointing.monitor == "val_loss"
        state.score = state.val_loss if is_val else state.train_loss
        best = state.best_loss, state.best_step
        # NaN and infinity are never the best
        if state.score < (math.inf if state.best_loss is None else state.best_loss):
            state.best_loss, state.best_step = state.score, trainer.global_step
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_validation_end(trainer, module)
        if self.config.stop_when_diverged and not math.isfinite(state.val_loss):
            raise DivergedError(f"the val loss is {format_loss(state.val_loss)}")
        if is_scheduled:
            self._stop_without_improvement(trainer, state, state.score)
        if self.save(trainer, module):  # not written: the best is still the previous one
            state.best_loss, state.best_step = best

    def _stop_without_improvement(
        self, trainer: Trainer, state: TrainingState, score: float
    ) -> None:
        early = self.config.early_stopping
        if early is None:
            return
        reference = math.inf if state.patience_loss is None else state.patience_loss
        if score < reference - early.min_delta:
            state.patience_loss, state.validations_without_improvement = score, 0
        else:
            state.validations_without_improvement += 1
        if state.validations_without_improvement >= early.patience:
            message = f"no improvement in {early.patience} validations"
            self.recorder.stop(trainer, Ending("finished", message=message))

    @torch.inference_mode()
    def _mean_loss(
        self, trainer: Trainer, module: GPTModule, batches: "DataLoader[TensorBatch]"
    ) -> float:
        """Return the mean cross-entropy over all targets: a short last batch weighs less."""
        module.eval()
        loss_sum, n_targets = 0.0, 0
        for i, batch in enumerate(batches):
            batch = trainer.strategy.batch_to_device(batch)
            output = trainer.strategy.validation_step(batch, i)
            assert isinstance(output, dict)
            n = int(output["n_targets"])
            loss_sum, n_targets = loss_sum + float(output["loss"]) * n, n_targets + n
        module.train()
        sums = torch.tensor([loss_sum, n_targets], device=module.device)
        all_sums = trainer.strategy.reduce(sums, reduce_op="sum")
        assert isinstance(all_sums, torch.Tensor)
        return float(all_sums[0] / all_sums[1])

    def save(self, trainer: Trainer, module: GPTModule, *, as_last: bool = False) -> str | None:
        """Save a checkpoint of this step, unless it is saved already; return the error, if any.

        `as_last`: write last.ckpt even with ``save_last = false``, to resume from it. If writing
        fails (a full disk), or the weights are not finite, the run continues and tries again at
        the next checkpoint; only the final one must succeed.
        """
        step, state = trainer.global_step, module.state
        if step == 0:
            return "there is nothing to save before the first step"
        info = CheckpointInfo(
            step=step, tokens=state.tokens, val_loss=state.val_loss, score=state.score
        )
        names = self.files.names(info, is_best=state.best_step == step, is_last=as_last)
        names, exist = broadcast((names, self.files.exist(names)))
        wanted = (step, state.score is not None, names)
        if not names or (exist and self._saved == wanted):
            return None
        with self.recorder.activity("saving"):
            try:
                if not are_finite(module.gpt):
                    raise DivergedError("the weights are NaN or infinite")
                paths = self._write(trainer, info, names)
            except AgreedError as error:
                if trainer.should_stop or step >= self.config.trainer.max_steps:
                    raise
                self.recorder.warn(f"cannot save a checkpoint at step {step:,}: {error}")
                return str(error)
        self._saved = wanted
        for path in paths:
            relative = str(path.relative_to(self.run.path))
            event = CheckpointSaved(step=step, path=relative, val_loss=state.val_loss)
            self.recorder.record(event)
        return None

    def _write(self, trainer: Trainer, info: CheckpointInfo, names: Sequence[str]) -> list[Path]:
        """Write a checkpoint under `names`, by rank 0; return their paths there.

        Raises SaveError on all ranks if it fails.
        """
        temporary = self.files.temporary()
        trainer.save_checkpoint(temporary)  # on all ranks: Lightning synchronizes them
        paths: list[Path] = []
        error = self.checkpoint_io.error
        if trainer.is_global_zero and error is None:
            try:
                paths = self.files.keep(temporary, info, names)
            except OSError as caught:
                error = caught
        failure = broadcast(None if error is None else SaveError.of(error))
        if failure is not None:
            temporary.unlink(missing_ok=True)
            raise failure
        return paths


class SaveError(AgreedError):
    """A checkpoint that could not be written, by rank 0."""

    def __init__(self, message: str, is_disk_full: bool) -> None:
        super().__init__(message, is_disk_full)
        self.is_disk_full = is_disk_full

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, error: Exception) -> "SaveError":
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return cls("disk full", True)
        message = error.strerror if isinstance(error, OSError) else None
        return cls(message or str(error), False)
