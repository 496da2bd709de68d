"""Batches of windows as tensors, read in the training's process or in a loader's workers.

A worker imports what its dataset needs, so nothing here imports Lightning: under spawn and
forkserver that would cost seconds for each worker.
"""

import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from simplegpt.cli import UserError
from simplegpt.data.windows import DialogueWindows, TextWindows, Window

# The run ends at max_steps, not with an epoch. Lightning prefetches from a loader without a
# length, so the endless loader has a length that is never reached.
ENDLESS = 2**40
# A signal to all processes of a run reaches its workers too, and the run still needs them.
TERMINATED_SECONDS = 600.0


class TensorBatch(NamedTuple):
    """Windows of text or of dialogues, int64 ``[batch, seq]`` each."""

    inputs: Tensor
    targets: Tensor
    """The next tokens; -100 where they do not count."""
    documents: Tensor | None
    """The number of each token's dialogue in its window, from 1; None for text."""
    weight: Tensor
    """The weight of the batch's mean loss in that of its optimizer step, a scalar."""


# torch replaces the message of an error in a worker process by its traceback. So a worker returns
# the error of an unreadable batch, and the data module raises it.


def read_batch(
    windows: TextWindows | DialogueWindows, chosen: Sequence[Window], weight: float = 1.0
) -> TensorBatch | UserError:
    """Return the `chosen` windows, or the error of a file that was truncated meanwhile."""
    try:
        batch = windows.batch(chosen)
    except UserError as error:
        return error
    documents = None if batch.documents is None else torch.from_numpy(batch.documents)
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    return TensorBatch(inputs, targets, documents, torch.tensor(weight))


class TrainingBatches(Dataset[TensorBatch | UserError]):
    """Batches of training windows by their sample indices."""

    def __init__(
        self, windows: TextWindows | DialogueWindows, *, start: int = 0, n_batches: int = 1
    ) -> None:
        """`start`: the first sample of an optimizer step; `n_batches`: batches in a step."""
        self.windows = windows
        self.start = start
        self.n_batches = n_batches

    def __getitem__(self, indices: list[int]) -> TensorBatch | UserError:
        n_samples = len(indices) * self.n_batches
        first = indices[0] - (indices[0] - self.start) % n_samples
        weight = self.windows.weight(indices, range(first, first + n_samples))
        return read_batch(self.windows, self.windows.training(indices), weight)


class ValidationBatches(Dataset[TensorBatch | UserError]):
    """Batches of fixed windows by their positions in `chosen`."""

    def __init__(self, windows: TextWindows | DialogueWindows, chosen: Sequence[Window]) -> None:
        self.windows = windows
        self.chosen = chosen

    def __getitem__(self, indices: list[int]) -> TensorBatch | UserError:
        return read_batch(self.windows, [self.chosen[i] for i in indices])


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


def make_loader(
    dataset: TrainingBatches | ValidationBatches,
    batches: Sampler[list[int]] | list[list[int]],
    *,
    num_workers: int,
    pin_memory: bool,
) -> "DataLoader[TensorBatch]":
    """Return a loader whose items are the batches of `dataset` at the indices of `batches`."""
    return DataLoader(
        dataset,  # type: ignore[arg-type] # an error in place of a batch is raised on its arrival
        sampler=batches,  # each item has the indices of a whole batch
        batch_size=None,
        num_workers=num_workers,
        worker_init_fn=follow_parent,
        pin_memory=pin_memory,
    )


def follow_parent(worker: int) -> None:
    """Make a loader's worker outlive the signals that stop a run, and exit when its parent ends.

    Under forkserver the parent of the process is the server, not the training.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _exit_later)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _exit_later(number: int, frame: FrameType | None) -> None:
    # not never: the interpreter's end terminates workers, and waits for them
    timer = threading.Timer(TERMINATED_SECONDS, os._exit, [128 + number])
    timer.daemon = True
    timer.start()
