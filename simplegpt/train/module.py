"""The LightningModule and the data module: what is learned, and from which windows."""

from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from simplegpt.config.schema import Config
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.data.windows import ValidationWindows, Windows, random_seed
from simplegpt.model import GPT
from simplegpt.train.optimizer import make_optimizer
from simplegpt.train.schedule import learning_rate_factor

# The run ends at max_steps and has no epochs of Lightning's: the loader never does. A length that
# is known and never reached, and not an endless iterable, keeps Lightning from reading ahead.
ENDLESS = 2**40

IGNORED = -100  # a target that torch's cross-entropy leaves out


class GPTModule(lightning.LightningModule):
    """Trains a `GPT`; the validation, the checkpoints and the events are the recorder's."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.gpt = GPT(config.model, dropout_p=config.optimization.dropout_p)
        self.learning_rate_scale = 1.0
        """What an observer multiplied the schedule with."""
        self.learning_rate = 0.0
        """Of the last step."""
        self.grad_norm: Tensor | None = None
        """Of the last step, before clipping."""
        self._loss_sum = torch.zeros(())
        self._n_losses = 0

    def training_step(self, ids: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.gpt.loss(ids)
        # summed on the device: reading a figure at each step would make the CPU wait for it
        self._loss_sum = self._loss_sum.to(loss.device) + loss.detach()
        self._n_losses += 1
        return loss

    def mean_loss(self) -> Tensor:
        """Mean training loss since `forget_losses`, a scalar on the device."""
        return self._loss_sum / max(self._n_losses, 1)

    def forget_losses(self) -> None:
        self._loss_sum, self._n_losses = torch.zeros_like(self._loss_sum), 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # a gradient scaler leaves the unscaling to a fused step, which is after the clipping
        fused = self.config.trainer.precision != "16-mixed"
        return make_optimizer(self.gpt, self.config.optimization, fused=fused)

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        # Dropout is a function of (seed, batch, rank), so that a resumed run repeats it without
        # any saved generator. The batch index goes on counting where a resumed run left off.
        torch.manual_seed(random_seed(self.config.seed, batch_idx, self.global_rank))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        factor = learning_rate_factor(
            self.global_step, self.config.optimization, self.config.trainer.max_steps
        )
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor * self.learning_rate_scale
        self.learning_rate = self.config.optimization.peak_lr * factor * self.learning_rate_scale

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and keep the norm. Lightning's own refuses a fused AdamW under bf16-mixed."""
        parameters = [p for p in self.gpt.parameters() if p.grad is not None]
        self.grad_norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])  # type: ignore[misc]
        if gradient_clip_val is None:
            return
        if gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, self.grad_norm)

    @torch.inference_mode()
    def validation_loss(self, batches: "DataLoader[ValidationBatch]") -> Tensor:
        """Mean cross-entropy over every target of this rank's `batches`, then over the ranks.

        A mean of batch means would weigh the tokens of a short last batch more.
        """
        self.eval()
        total = torch.zeros(2, dtype=torch.float64)
        try:
            for ids, skipped in batches:
                inputs, targets = ids[:, :-1].to(self.device), ids[:, 1:].to(self.device)
                already_predicted = torch.arange(targets.shape[1]) < skipped[:, None]
                targets = targets.masked_fill(already_predicted.to(self.device), IGNORED)
                with self.trainer.precision_plugin.val_step_context():
                    loss = self.gpt(inputs, targets)
                n = targets.numel() - int(skipped.sum())
                total += torch.tensor([loss.item() * n, n], dtype=torch.float64)
        finally:
            self.train()
        total = self.all_reduce_sum(total)
        return total[0] / total[1]

    def all_reduce_sum(self, x: Tensor) -> Tensor:
        """The sum of `x` over all ranks."""
        if self.trainer.world_size == 1:
            return x
        reduced = self.trainer.strategy.reduce(x.float().to(self.device), reduce_op="sum")
        assert isinstance(reduced, Tensor)
        return reduced.to(x.device, x.dtype)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # plain data only: a checkpoint must load with weights_only=True
        checkpoint["hyper_parameters"] = self.config.model_dump(mode="json")


class TokenData(lightning.LightningDataModule):
    """Training windows by index, and fixed validation windows.

    Sample k of the run, counted over all ranks and batches, is a function of (seed, k) alone:
    a resumed run, or one on another number of devices, only has to know how many were seen.
    """

    def __init__(self, config: Config, samples_seen: int = 0) -> None:
        super().__init__()
        self.config = config
        self.samples_seen = samples_seen
        self.train_tokens: Tokens = open_tokens(config.data.train_fpath)
        self.val_tokens: Tokens = open_tokens(config.data.val_fpath)

    def train_dataloader(self) -> "DataLoader[Tensor]":
        data = self.config.data
        assert self.trainer is not None
        batches = BatchIndices(
            start=self.samples_seen,
            # called after Lightning restored its loops, whose batch count goes on
            first_batch=self.trainer.fit_loop.epoch_loop.batch_progress.total.ready,
            batch_size=data.train_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        windows = Windows(len(self.train_tokens), data.seq_len, self.config.seed)
        return self._loader(TrainingBatches(self.train_tokens, windows), batches)

    def validation_loader(self) -> "DataLoader[ValidationBatch]":
        """This rank's share of the validation windows, the same ones at each validation."""
        assert self.trainer is not None
        data, world_size = self.config.data, self.trainer.world_size
        limit = self.config.trainer.limit_val_batches
        windows = ValidationWindows(
            len(self.val_tokens),
            data.seq_len,
            limit=None if limit is None else limit * data.val_batch_size * world_size,
        )
        mine, size = range(self.trainer.global_rank, len(windows), world_size), data.val_batch_size
        batches = [list(mine[i : i + size]) for i in range(0, len(mine), size)]
        return self._loader(ValidationBatches(self.val_tokens, windows), batches)

    def _loader(self, dataset: Dataset[Any], batches: Any) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            sampler=batches,  # whose items are the indices of a whole batch
            batch_size=None,
            num_workers=self.config.data.num_workers,
            pin_memory=torch.cuda.is_available() and self.config.trainer.accelerator != "cpu",
        )


class TrainingBatches(Dataset[Tensor]):
    """Batches ``[batch, seq + 1]`` of training windows by their sample indices."""

    def __init__(self, tokens: Tokens, windows: Windows) -> None:
        self.tokens = tokens
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> Tensor:
        slices = [self.windows.window(k) for k in indices]
        return torch.from_numpy(np.stack([self.tokens.slice(s.start, s.stop) for s in slices]))


ValidationBatch = tuple[Tensor, Tensor]


class ValidationBatches(Dataset[ValidationBatch]):
    """Batches of validation windows ``[batch, seq + 1]``, and how many targets each one skips."""

    def __init__(self, tokens: Tokens, windows: ValidationWindows) -> None:
        self.tokens = tokens
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> ValidationBatch:
        chosen = [self.windows[i] for i in indices]
        length = self.windows.seq_len + 1
        ids = np.stack([self.tokens.slice(w.start, w.start + length) for w in chosen])
        return torch.from_numpy(ids), torch.tensor([w.skip for w in chosen])


class BatchIndices(Sampler[list[int]]):
    """The sample indices of this rank's batches, from batch `first_batch` on."""

    def __init__(
        self, *, start: int, first_batch: int, batch_size: int, rank: int, world_size: int
    ) -> None:
        self.start = start
        self.first_batch = first_batch
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(len(self) - self.first_batch):
            first = self.start + (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))

    def __len__(self) -> int:
        return ENDLESS
