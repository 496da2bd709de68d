"""The devices of a run, from torchrun, the config and the machine. Imports no torch."""

import os
from dataclasses import dataclass
from typing import Literal

from simplegpt.cli import UserError
from simplegpt.config.schema import Config, TrainerConfig

DeviceKind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Devices:
    """The devices of a run, each with its own process and the whole model."""

    kind: DeviceKind
    per_node: int = 1
    n_nodes: int = 1

    @property
    def count(self) -> int:
        return self.per_node * self.n_nodes


def devices_of(trainer: TrainerConfig, n_gpus: int) -> Devices:
    """Return the devices that `trainer` uses on machines with `n_gpus` GPUs, as Lightning does.

    Raises UserError if torchrun started a different number of processes.
    """
    is_cpu = trainer.accelerator == "cpu" or (trainer.accelerator == "auto" and n_gpus == 0)
    if is_cpu and isinstance(trainer.devices, list):
        raise UserError(
            f"trainer.devices ({trainer.devices}) must be a number on a CPU: of processes, not "
            "indices of GPUs"
        )
    available = 1 if is_cpu else max(n_gpus, 1)
    trainer = as_launched(trainer)
    return Devices(
        "cpu" if is_cpu else "gpu", _stated_number(trainer) or available, trainer.num_nodes
    )


def as_launched(trainer: TrainerConfig) -> TrainerConfig:
    """Return `trainer` with the number of processes that torchrun started, if it is in use.

    Raises UserError if the config has a different number.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return trainer
    per_node = int(os.environ["LOCAL_WORLD_SIZE"])
    n_nodes = int(os.environ["WORLD_SIZE"]) // per_node
    stated = _stated_number(trainer)
    if stated is None:
        trainer = trainer.model_copy(update={"devices": per_node})
    elif stated != per_node:
        raise UserError(
            f"trainer.devices ({stated}) must be {per_node}, the number of processes that torchrun "
            "started on this machine",
            f"remove it, or start torchrun with --nproc_per_node {stated}",
        )
    if trainer.num_nodes not in (1, n_nodes):
        raise UserError(
            f"trainer.num_nodes ({trainer.num_nodes}) must be {n_nodes}, the number of machines "
            "that torchrun uses",
            f"remove it, or start torchrun with --nnodes {trainer.num_nodes}",
        )
    return trainer.model_copy(update={"num_nodes": n_nodes})


def windows_per_step(config: Config, n_devices: int) -> int:
    """Return the number of windows of an optimizer step."""
    batch, accumulate = config.data.train_batch_size, config.trainer.accumulate_grad_batches
    return config.data.global_batch_size or batch * accumulate * n_devices


def with_accumulation(config: Config, n_devices: int) -> Config:
    """Return `config` with the accumulation that gives a step its `global_batch_size`, if set.

    Raises UserError if no number of batches does.
    """
    wanted, batch = config.data.global_batch_size, config.data.train_batch_size
    if wanted is None:
        return config
    n_batches, rest = divmod(wanted, batch * n_devices)
    if rest:
        raise UserError(
            f"data.global_batch_size ({wanted}) must be divisible by data.train_batch_size × "
            f"devices ({batch} × {n_devices})"
        )
    trainer = config.trainer.model_copy(update={"accumulate_grad_batches": n_batches})
    return config.model_copy(update={"trainer": trainer})


def is_first_rank() -> bool:
    """Whether this is rank 0 of the processes that torchrun, a scheduler or Lightning started."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    ranks = ("SLURM_PROCID", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def _stated_number(trainer: TrainerConfig) -> int | None:
    """Return the number of devices per machine in the config; None for all."""
    if isinstance(trainer.devices, list):
        return len(trainer.devices)
    return None if trainer.devices in ("auto", -1) else int(trainer.devices)
