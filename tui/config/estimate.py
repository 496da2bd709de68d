"""What a config costs on this machine: parameters, tokens, epochs, memory and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplegpt.config.load import Inspection, Problem
from simplegpt.config.schema import Config
from simplegpt.progress import format_bytes
from simplegpt.run import hardware
from simplegpt.train.devices import devices_of
from simplegpt.train.plan import Plan, advise_on_memory, plan
from simplegpt.train.speed import MeasuredSpeed, expected_speed, libraries_of, measured_speeds


@dataclass(frozen=True)
class Machine:
    """The hardware to train on."""

    memory: int
    """Bytes of one GPU, or of the machine where there is none."""
    cpu_memory: int
    n_gpus: int
    gpu_name: str = ""
    speeds: Sequence[MeasuredSpeed] = ()


@dataclass(frozen=True)
class TokenFiles:
    """Results of checking the token files of a config."""

    errors: Sequence[Problem] = ()
    """Errors that the config alone does not show."""
    n_train_tokens: int | None = None
    n_val_tokens: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What a config would cost on this machine."""

    plan: Plan
    device_name: str
    available_memory: int
    gpu: str
    """Model of another GPU, whose time is estimated too; empty for none."""
    gpu_plan: Plan | None
    """The plan for that GPU."""
    advice: str
    """What to change where the memory does not suffice; empty where it does."""

    @property
    def memory_share(self) -> float:
        return self.plan.memory.total / max(self.available_memory, 1)

    @property
    def memory_warning(self) -> str:
        """What is wrong where the config does not fit into memory, and what to change."""
        if not self.advice:
            return ""
        needed, available = format_bytes(self.plan.memory.total), self.available_memory
        has = f"{self.device_name} has {format_bytes(available)}"
        return f"Does not fit: needs {needed} of memory, {has}. {self.advice}"


def inspect_machine(root: Path) -> Machine:
    """Find the devices, and the speeds of the newest runs below `root`. Call it in a thread."""
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


def inspect_token_files(inspection: Inspection) -> TokenFiles:
    """Check a config against the token files that it names. Call it in a thread."""
    from simplegpt.data.tokens import check_config  # numpy: not before the first paint

    return TokenFiles(
        check_config(inspection, scan=False),
        _count_tokens(inspection, "data.train_fpath"),
        _count_tokens(inspection, "data.val_fpath"),
    )


def _count_tokens(inspection: Inspection, key: str) -> int | None:
    from simplegpt.data.windows import tokens_per_epoch

    seq_len = inspection.values["data.seq_len"]
    is_valid = inspection.invalid_keys.isdisjoint({key, "data.seq_len"})
    return tokens_per_epoch(inspection.values[key], seq_len) if is_valid else None


def estimate(config: Config, token_files: TokenFiles, machine: Machine, gpu: str = "") -> Estimate:
    """Estimate what `config` costs on `machine`, and how long it takes on the model `gpu`."""
    n_tokens = token_files.n_train_tokens, token_files.n_val_tokens
    precision = config.trainer.precision
    devices = devices_of(config.trainer, machine.n_gpus)
    on_gpu = devices.kind == "gpu" and machine.n_gpus > 0
    peak = hardware.peak_flops(machine.gpu_name, precision) if on_gpu else None
    available = machine.memory if on_gpu else machine.cpu_memory
    gpu_plan = None
    if gpu:
        gpus = devices_of(config.trainer.model_copy(update={"accelerator": "gpu"}), n_gpus=1)
        speed = expected_speed(config, gpus, (), hardware.peak_flops(gpu, precision))
        gpu_plan = plan(config, gpus, *n_tokens, speed)
    speed = expected_speed(config, devices, machine.speeds, peak)
    libraries = libraries_of(machine.speeds, devices)
    return Estimate(
        plan=plan(config, devices, *n_tokens, speed, libraries),
        gpu=gpu,
        gpu_plan=gpu_plan,
        device_name=machine.gpu_name if on_gpu else "CPU",
        available_memory=available,
        advice=advise_on_memory(config, devices, available, libraries),
    )
