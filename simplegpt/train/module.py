"""The LightningModule and the data module."""

from dataclasses import asdict
from functools import cache
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from simplegpt.cli import UserError
from simplegpt.config.schema import Config
from simplegpt.data.chat import ChatTemplate
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.data.windows import (
    IGNORED,
    DialogueWindows,
    TextWindows,
    open_windows,
    random_seed,
)
from simplegpt.model import GPT
from simplegpt.train.batches import (
    BatchIndices,
    TensorBatch,
    TrainingBatches,
    ValidationBatches,
    make_loader,
)
from simplegpt.train.devices import windows_per_step
from simplegpt.train.optimizer import make_optimizer
from simplegpt.train.plan import MAX_TRAIN_EVAL_BATCHES
from simplegpt.train.schedule import learning_rate_factor
from simplegpt.train.state import TrainingState

FORMAT = 2
"""Of a checkpoint. 1: the order of the windows in an epoch was another one."""


class GPTModule(lightning.LightningModule):
    """Trains a `GPT` on batches of windows of text, or of dialogues with a `chat_template`."""

    def __init__(self, config: Config, chat_template: ChatTemplate | None = None) -> None:
        super().__init__()
        self.config = config
        self.chat_template = chat_template
        self.gpt = GPT(config.model, dropout_p=config.optimization.dropout_p)
        freeze(self.gpt, config.optimization.freeze_layers)
        self.state = TrainingState()
        self.is_compiled = False
        self.grad_norm: Tensor | None = None
        """Gradient norm of the last step, before clipping."""

    def training_step(self, batch: TensorBatch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over the targets that count, with the batch's weight."""
        loss: Tensor = self.gpt(batch.inputs, batch.targets, documents=batch.documents)
        n_windows = len(batch.inputs) * self.trainer.world_size
        self.state.samples_seen += n_windows
        self.state.tokens += n_windows * self.config.data.seq_len
        self.state.score = None
        return loss * batch.weight

    def validation_step(self, batch: TensorBatch, batch_idx: int) -> dict[str, Tensor]:
        """Return the mean cross-entropy over the targets that count, and their number."""
        loss: Tensor = self.gpt(batch.inputs, batch.targets, documents=batch.documents)
        return {"loss": loss, "n_targets": (batch.targets != IGNORED).sum()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # fused AdamW does not unscale gradients before they are clipped
        fused = self.config.trainer.precision != "16-mixed"
        return make_optimizer(self.gpt, self.config.optimization, fused=fused)

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        # Dropout is a function of (seed, batch, rank): a resumed run, whose batch index continues,
        # repeats it without saved random state, which Lightning's checkpoints do not hold.
        torch.manual_seed(random_seed(self.config.seed, batch_idx, self.global_rank))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # A function of the step, where a LambdaLR would add state to the checkpoint and apply a
        # new lr_factor one step late.
        factor = learning_rate_factor(
            self.global_step, self.config.optimization, self.config.trainer.max_steps
        )
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor * self.state.lr_factor

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and keep the norm. Lightning's own refuses fused AdamW under bf16-mixed."""
        parameters = [p for p in self.gpt.parameters() if p.grad is not None]
        self.grad_norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])  # type: ignore[misc]
        if gradient_clip_val is None:
            return
        if gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, self.grad_norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # plain data only: a checkpoint must load with weights_only=True
        checkpoint["hyper_parameters"] = self.config.model_dump(mode="json")
        checkpoint["simplegpt"] = {
            "format": FORMAT,
            "step": self.global_step,
            "data": self.trainer.datamodule.digests(),  # type: ignore[attr-defined]
            "windows_per_step": windows_per_step(self.config, self.trainer.world_size),
            "chat_template": self.chat_template,
            **asdict(self.state),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.state = TrainingState.from_checkpoint(checkpoint)


def freeze(gpt: GPT, n_layers: int) -> None:
    """Freeze the first `n_layers` layers and the embeddings; 0 freezes nothing."""
    for part in [gpt.wte, gpt.wpe, *gpt.h[:n_layers]] if n_layers else []:
        part.requires_grad_(False)


class TokenData(lightning.LightningDataModule):
    """Training windows by index, and fixed validation windows.

    Sample k of the run, counted over all ranks and batches, is a function of (seed, k) only: a
    resumed run, even on a different number of devices, continues at ``module.state.samples_seen``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        data = config.data
        self.train_tokens: Tokens = open_tokens(data.train_fpath)
        self.val_tokens: Tokens = open_tokens(data.val_fpath)
        self.train_windows = open_windows(self.train_tokens, data.seq_len, config.seed)
        self.val_windows = open_windows(self.val_tokens, data.seq_len, config.seed)

    @cache  # noqa: B019 - there is one in a process
    def digests(self) -> dict[str, str]:
        """Return digests of the training and validation data."""
        return {"train": self.train_tokens.digest(), "val": self.val_tokens.digest()}

    def train_dataloader(self) -> "DataLoader[TensorBatch]":
        # called after Lightning restored the module
        assert self.trainer is not None
        assert isinstance(self.trainer.lightning_module, GPTModule)
        start = self.trainer.lightning_module.state.samples_seen
        batches = BatchIndices(
            start=start,
            batch_size=self.config.data.train_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        n_batches = self.trainer.accumulate_grad_batches * self.trainer.world_size
        return self._loader(
            TrainingBatches(self.train_windows, start=start, n_batches=n_batches), batches
        )

    def val_dataloader(self) -> "DataLoader[TensorBatch]":
        """Return this rank's share of the validation windows, the same at each validation."""
        limit = self.config.trainer.limit_val_batches
        return self._evaluation_loader(self.val_windows, limit)

    def train_eval_dataloader(self) -> "DataLoader[TensorBatch]":
        """Return this rank's share of fixed, evenly spaced windows of the training data."""
        limit = self.config.trainer.limit_val_batches or MAX_TRAIN_EVAL_BATCHES
        return self._evaluation_loader(self.train_windows, min(limit, MAX_TRAIN_EVAL_BATCHES))

    def _evaluation_loader(
        self, windows: TextWindows | DialogueWindows, limit: int | None
    ) -> "DataLoader[TensorBatch]":
        assert self.trainer is not None
        size = self.config.data.val_batch_size
        # batches of the run: the same windows on any number of ranks
        chosen = windows.validation(None if limit is None else limit * size)
        mine = range(self.trainer.global_rank, len(chosen), self.trainer.world_size)
        batches = [list(mine[i : i + size]) for i in range(0, len(mine), size)]
        return self._loader(ValidationBatches(windows, chosen), batches)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raise the error of a batch that could not be read."""
        if isinstance(batch, UserError):
            raise batch
        return batch

    def _loader(
        self,
        dataset: TrainingBatches | ValidationBatches,
        batches: BatchIndices | list[list[int]],
    ) -> "DataLoader[TensorBatch]":
        return make_loader(
            dataset,
            batches,
            num_workers=self.config.data.num_workers,
            pin_memory=torch.cuda.is_available() and self.config.trainer.accelerator != "cpu",
        )
