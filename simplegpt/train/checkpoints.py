"""The callback that validates, keeps the best and the last checkpoint, and stops early."""

import math
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from simplegpt.config.schema import Config
from simplegpt.run.checkpoints import CheckpointFiles, CheckpointInfo
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CheckpointSaved
from simplegpt.run.upcoming import next_validation
from simplegpt.train.module import GPTModule, TokenData
from simplegpt.train.recorder import Ending, Recorder, ends_step


class Checkpoints(Callback):
    """Acts at the ends of optimizer steps, where nothing is half done.

    In place of Lightning's validation loop, which cannot run on demand, in a pause or after the
    last step, and which a stop would have to wait for; of its ModelCheckpoint, which saves in the
    middle of a step or of a validation and stores absolute paths; and of its EarlyStopping, which
    is tied to that loop.
    """

    def __init__(
        self, run: RunDirectory, config: Config, data: TokenData, recorder: Recorder
    ) -> None:
        self.run = run
        self.config = config
        self.data = data
        self.recorder = recorder
        self.files = CheckpointFiles(run, config.checkpointing)
        self._validated_step = -1
        self._saved: tuple[int, bool] | None = None  # step, and whether it was validated

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        assert isinstance(pl_module, GPTModule)
        every = self.config.checkpointing.every_n_steps
        if next_validation(self.config, trainer.global_step - 1) == trainer.global_step:
            self.validate(trainer, pl_module)
            self.save(trainer, pl_module)
        elif every is not None and trainer.global_step % every == 0:
            self.save(trainer, pl_module)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Validate and save the last step, whatever the intervals."""
        assert isinstance(pl_module, GPTModule)
        is_finished = self.recorder.ending.reason == "finished"
        if is_finished and self._validated_step != trainer.global_step:
            self.validate(trainer, pl_module)
        self.save(trainer, pl_module)

    def validate(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        """Measure the validation loss, compare it with the best, and tell all callbacks."""
        state, step = module.state, trainer.global_step
        with self.recorder.activity("validating"):
            state.val_loss = self._validation_loss(trainer, module)
        loss = state.val_loss
        if self.config.checkpointing.monitor == "train_loss":
            self.recorder.update_train_loss(trainer, module)
            loss = math.nan if state.train_loss is None else state.train_loss
        early = self.config.early_stopping
        min_delta = early.min_delta if early is not None else 0.0
        # NaN and infinity are never the best
        if loss < (math.inf if state.best_loss is None else state.best_loss - min_delta):
            state.best_loss, state.validations_without_improvement = loss, 0
        elif self._validated_step != step:  # a command may validate a step again
            state.validations_without_improvement += 1
        self._validated_step = step
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_validation_end(trainer, module)
        if early is not None and state.validations_without_improvement >= early.patience:
            message = f"no improvement in {early.patience} validations"
            self.recorder.stop(trainer, Ending("finished", message=message))

    @torch.inference_mode()
    def _validation_loss(self, trainer: lightning.Trainer, module: GPTModule) -> float:
        """Mean cross-entropy over every target, once: a short last batch weighs less."""
        module.eval()
        loss_sum, n_targets = 0.0, 0
        for i, batch in enumerate(self.data.val_dataloader()):
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

    def save(self, trainer: lightning.Trainer, module: GPTModule) -> None:
        """Write a checkpoint of this step, unless it is written already.

        Where that fails (a full disk), the run continues and tries again at the next one; only
        the last one must succeed.
        """
        step = trainer.global_step
        is_validated = self._validated_step == step
        if step == 0 or self._saved == (step, is_validated):
            return
        with self.recorder.activity("saving"):
            temporary = self.files.temporary()
            try:
                trainer.save_checkpoint(temporary)  # on all ranks: a strategy may gather
                paths = self._keep(temporary, module, step) if trainer.is_global_zero else []
            except (OSError, RuntimeError) as error:
                temporary.unlink(missing_ok=True)
                if trainer.should_stop or step >= self.config.trainer.max_steps:
                    raise
                self.recorder.warn(f"no checkpoint at step {step:,}: {error}")
                return
        self._saved = (step, is_validated)
        for path in paths:
            relative = str(path.relative_to(self.run.path))
            event = CheckpointSaved(step=step, path=relative, val_loss=module.state.val_loss)
            self.recorder.record(event)

    def _keep(self, written: Path, module: GPTModule, step: int) -> list[Path]:
        """Give the written file its names."""
        state, score = module.state, None
        if self._validated_step == step:
            is_val = self.config.checkpointing.monitor == "val_loss"
            score = state.val_loss if is_val else state.train_loss
        info = CheckpointInfo(step=step, tokens=state.tokens, val_loss=state.val_loss, score=score)
        return self.files.keep(written, info)
