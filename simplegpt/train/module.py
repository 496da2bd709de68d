"""The LightningModule and the data module."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from simplegpt.cli import UserError
from simplegpt.config.schema import Config
from simplegpt.data.chat import ChatTemplate
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.data.windows import (
    IGNORED,
    Batch,
    DialogueWindows,
    ValidationWindows,
    Windows,
    random_seed,
)
from simplegpt.model import GPT
from simplegpt.train.optimizer import make_optimizer
from simplegpt.train.plan import MAX_TRAIN_EVAL_BATCHES
from simplegpt.train.schedule import learning_rate_factor
from simplegpt.train.state import TrainingState

# The run ends at max_steps, not with an epoch. Lightning prefetches from a loader without a
# length, so the endless loader has a length that is never reached.
ENDLESS = 2**40

DialogueTensors = tuple[Tensor, Tensor, Tensor]
"""Inputs, targets and documents of windows of dialogues; see `Batch`."""
TrainingBatch = Tensor | tuple[DialogueTensors, Tensor]
"""Windows ``[batch, seq + 1]``, or windows of dialogues with the weight of their mean loss."""
ValidationBatch = tuple[Tensor, Tensor] | DialogueTensors
"""Windows and the number of targets that each skips, or windows of dialogues."""


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

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over the batch, weighted for dialogues."""
        loss: Tensor
        if isinstance(batch, Tensor):
            n_windows, loss = len(batch), self.gpt.loss(batch)
        else:
            (inputs, targets, documents), weight = batch
            n_windows, loss = len(inputs), self.gpt(inputs, targets, documents=documents) * weight
        n_windows *= self.trainer.world_size
        self.state.samples_seen += n_windows
        self.state.tokens += n_windows * self.config.data.seq_len
        self.state.score = None
        return loss

    def validation_step(self, batch: ValidationBatch, batch_idx: int) -> dict[str, Tensor]:
        """Return the mean cross-entropy over the targets that count, and their number."""
        documents: Tensor | None = None
        if len(batch) == 2:
            ids, n_skipped = batch
            inputs, targets = ids[:, :-1], ids[:, 1:]
            is_skipped = torch.arange(targets.shape[1], device=ids.device) < n_skipped[:, None]
            targets = targets.masked_fill(is_skipped, IGNORED)
        else:
            inputs, targets, documents = batch
        loss: Tensor = self.gpt(inputs, targets, documents=documents)
        return {"loss": loss, "n_targets": (targets != IGNORED).sum()}

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
            "format": 1,
            "step": self.global_step,
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
        self.train_tokens: Tokens = open_tokens(config.data.train_fpath)
        self.val_tokens: Tokens = open_tokens(config.data.val_fpath)
        self.train_dialogues = self._dialogues(self.train_tokens)
        self.val_dialogues = self._dialogues(self.val_tokens)

    def _dialogues(self, tokens: Tokens) -> DialogueWindows | None:
        """Return the windows of dialogues; None for text."""
        if tokens.chat_template is None:
            return None
        return DialogueWindows(tokens, self.config.data.seq_len, self.config.seed)

    def train_dataloader(self) -> "DataLoader[TrainingBatch]":
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
        if self.train_dialogues is not None:
            n_batches = self.trainer.accumulate_grad_batches * self.trainer.world_size
            return self._loader(TrainingDialogues(self.train_dialogues, start, n_batches), batches)
        windows = Windows(len(self.train_tokens), self.config.data.seq_len, self.config.seed)
        return self._loader(TrainingBatches(self.train_tokens, windows), batches)

    def val_dataloader(self) -> "DataLoader[ValidationBatch]":
        """Return this rank's share of the validation windows, the same at each validation."""
        limit = self.config.trainer.limit_val_batches
        return self._evaluation_loader(self.val_tokens, self.val_dialogues, limit)

    def train_eval_dataloader(self) -> "DataLoader[ValidationBatch]":
        """Return this rank's share of fixed, evenly spaced windows of the training data."""
        limit = self.config.trainer.limit_val_batches or MAX_TRAIN_EVAL_BATCHES
        limit = min(limit, MAX_TRAIN_EVAL_BATCHES)
        return self._evaluation_loader(self.train_tokens, self.train_dialogues, limit)

    def _evaluation_loader(
        self, tokens: Tokens, dialogues: DialogueWindows | None, limit: int | None
    ) -> "DataLoader[ValidationBatch]":
        assert self.trainer is not None
        data, world_size = self.config.data, self.trainer.world_size
        n_windows = None if limit is None else limit * data.val_batch_size * world_size
        dataset: ValidationBatches | ValidationDialogues
        if dialogues is None:
            windows = ValidationWindows(len(tokens), data.seq_len, limit=n_windows)
            dataset, indices = ValidationBatches(tokens, windows), list(range(len(windows)))
        else:
            dataset, indices = ValidationDialogues(dialogues), dialogues.spaced(n_windows)
        mine, size = indices[self.trainer.global_rank :: world_size], data.val_batch_size
        batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        return self._loader(dataset, batches)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raise the error of a batch that could not be read."""
        if isinstance(batch, UserError):
            raise batch
        return batch

    def _loader(self, dataset: Dataset[Any], batches: Any) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            sampler=batches,  # each item has the indices of a whole batch
            batch_size=None,
            num_workers=self.config.data.num_workers,
            worker_init_fn=partial(follow_parent, os.getpid()),
            pin_memory=torch.cuda.is_available() and self.config.trainer.accelerator != "cpu",
        )


PARENT_POLL_SECONDS = 1.0


def follow_parent(parent: int, worker: int) -> None:
    """Make a loader's worker process ignore Ctrl-C and exit when its `parent` ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# torch replaces the message of an error in a worker process by its traceback. So a worker returns
# the error of an unreadable batch, and `on_after_batch_transfer` raises it.


class TrainingBatches(Dataset[Tensor | UserError]):
    """Batches ``[batch, seq + 1]`` of training windows by their sample indices."""

    def __init__(self, tokens: Tokens, windows: Windows) -> None:
        self.tokens = tokens
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> Tensor | UserError:
        slices = [self.windows.window(k) for k in indices]
        try:
            return torch.from_numpy(np.stack([self.tokens.slice(s.start, s.stop) for s in slices]))
        except UserError as error:
            return error


class ValidationBatches(Dataset[ValidationBatch | UserError]):
    """Batches of validation windows ``[batch, seq + 1]``, and the targets that each skips."""

    def __init__(self, tokens: Tokens, windows: ValidationWindows) -> None:
        self.tokens = tokens
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> ValidationBatch | UserError:
        chosen = [self.windows[i] for i in indices]
        length = self.windows.seq_len + 1
        try:
            ids = np.stack([self.tokens.slice(w.start, w.start + length) for w in chosen])
        except UserError as error:
            return error
        return torch.from_numpy(ids), torch.tensor([w.skip for w in chosen])


class TrainingDialogues(Dataset[TrainingBatch | UserError]):
    """Batches of windows of dialogues by their sample indices.

    A window has any number of answers' tokens, but each of an optimizer step's has the same weight
    in its loss, their mean over all devices and accumulated batches. That is the mean of the
    batches' losses, which Lightning and DDP compute, if each loss has as `weight` its number of
    answers' tokens, divided by the mean over the step's batches. The step's windows are known
    without communication: they are consecutive samples.
    """

    def __init__(self, windows: DialogueWindows, start: int, n_batches: int) -> None:
        """`start`: the first sample of an optimizer step; `n_batches`: batches in a step."""
        self.windows = windows
        self.start = start
        self.n_batches = n_batches

    def __getitem__(self, indices: list[int]) -> TrainingBatch | UserError:
        n_samples = len(indices) * self.n_batches
        first = indices[0] - (indices[0] - self.start) % n_samples
        step = [self.windows.sample(k) for k in range(first, first + n_samples)]
        chosen = [self.windows.sample(k) for k in indices]
        weight = self.windows.n_answers(chosen) * self.n_batches / self.windows.n_answers(step)
        try:
            return to_tensors(self.windows.batch(chosen)), torch.tensor(weight)
        except UserError as error:
            return error


class ValidationDialogues(Dataset[ValidationBatch | UserError]):
    """Batches of windows of dialogues."""

    def __init__(self, windows: DialogueWindows) -> None:
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> ValidationBatch | UserError:
        try:
            return to_tensors(self.windows.batch(indices))
        except UserError as error:
            return error


def to_tensors(batch: Batch) -> DialogueTensors:
    """Return the arrays of `batch` as tensors."""
    inputs, targets, documents = (torch.from_numpy(np.ascontiguousarray(a)) for a in batch)
    return inputs, targets, documents


class BatchIndices(Sampler[list[int]]):
    """The sample indices of this rank's batches, from sample `start` of the run."""

    def __init__(self, *, start: int, batch_size: int, rank: int, world_size: int) -> None:
        self.start = start
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[int]]:
        first = self.start + self.rank * self.batch_size
        for start in itertools.count(first, self.world_size * self.batch_size):
            yield list(range(start, start + self.batch_size))

    def __len__(self) -> int:
        return ENDLESS
