"""What the config editor has to look up outside the config: token files, machine, earlier speeds.

All of it touches files or devices: call it in a worker.
"""

from dataclasses import dataclass
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config.load import Inspection, Problem, inspect
from simplegpt.config.schema import Config
from simplegpt.run import hardware
from simplegpt.train.plan import Device, Plan, flops_per_token, plan
from simplegpt.train.speed import MeasuredSpeed, measured_speeds, nearest_speed


@dataclass(frozen=True)
class Machine:
    """What there is to train on."""

    memory: int
    """Bytes of one GPU, or of the machine where there is none."""
    cpu_memory: int
    n_gpus: int
    gpu_name: str = ""
    speeds: tuple[MeasuredSpeed, ...] = ()

    def device(self, config: Config) -> Device:
        """Where `config` would train."""
        return "gpu" if self.n_gpus and config.trainer.accelerator != "cpu" else "cpu"


@dataclass(frozen=True)
class DataFacts:
    """What the token files of one text say."""

    text: str
    path: Path
    inspection: Inspection
    problems: tuple[Problem, ...]
    """What shows only in the token files."""
    n_train_tokens: int | None
    n_val_tokens: int | None

    def says(self) -> tuple[object, ...]:
        """What it tells beyond the text."""
        return self.problems, self.n_train_tokens, self.n_val_tokens


@dataclass(frozen=True)
class Consequences:
    """What a config would cost on this machine."""

    plan: Plan
    device: Device
    device_name: str
    memory_there_is: int
    speed: MeasuredSpeed | None

    @property
    def memory_share(self) -> float:
        return self.plan.memory.total / max(self.memory_there_is, 1)


def look_at_data(text: str, path: Path) -> DataFacts:
    """Judge `text` with the token files that it names."""
    from simplegpt.data.tokens import check_config  # numpy

    inspection = inspect(text, path=path)
    problems = tuple(check_config(inspection, scan=False))
    counts = [_count(inspection.values[key]) for key in ("data.train_fpath", "data.val_fpath")]
    return DataFacts(text, path, inspection, problems, *counts)


def _count(spec: object) -> int | None:
    from simplegpt.data.tokens import open_tokens  # numpy

    try:
        return len(open_tokens(str(spec)))
    except UserError:
        return None  # told among the problems


def look_at_machine(root: Path) -> Machine:
    """The devices, and the speeds of the newest runs below `root` that ran on this host."""
    gpus = hardware.gpus()
    memory = hardware.memory_total()
    gpu_memory = min((gpu.memory_total for gpu in gpus if gpu.memory_total), default=memory)
    return Machine(
        memory=gpu_memory,
        cpu_memory=memory,
        n_gpus=len(gpus),
        gpu_name=gpus[0].name if gpus else "",
        speeds=measured_speeds(root),
    )


def consequences(config: Config, data: DataFacts | None, machine: Machine) -> Consequences:
    """What `config` costs here; the speed is that of the earlier run nearest in size."""
    device = machine.device(config)
    speed = nearest_speed(
        machine.speeds, flops_per_token(config.model, config.data.seq_len), device
    )
    on_gpu = device == "gpu"
    return Consequences(
        plan=plan(
            config,
            data.n_train_tokens if data else None,
            data.n_val_tokens if data else None,
            devices=machine.n_gpus if on_gpu else 1,
            device=device,
            flops_per_second=speed.flops_per_second if speed else None,
        ),
        device=device,
        device_name=machine.gpu_name if on_gpu else "CPU",
        memory_there_is=machine.memory if on_gpu else machine.cpu_memory,
        speed=speed,
    )
