"""The devices that torch can use on this machine."""

import torch

from simplegpt.cli import UserError
from simplegpt.run.hardware import memory_total


def choose_device(device: str, precision: str = "float32") -> str:
    """Return the device that `device` names on this machine. Raises UserError if it has none."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if precision == "int8":
        if device not in ("auto", "cpu"):
            raise UserError(f"int8 runs on the CPU only: use bfloat16 on {device}")
        return "cpu"
    usable = [name for name, is_available in available.items() if is_available]
    if device == "auto":
        return usable[0]
    if device not in usable:
        raise UserError(f"no {device} device on this machine, expected one of: {', '.join(usable)}")
    return device


def device_memory(device: torch.device) -> int:
    """Return the device's total memory in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_total()
