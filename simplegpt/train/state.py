"""The state of a training besides its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class TrainingState:
    """State that is kept across a resume, saved in every checkpoint as plain data.

    The callbacks read and change it as ``module.state``. Lightning saves the weights, the optimizer
    and the step.
    """

    samples_seen: int = 0
    """Training windows so far, over all devices."""
    tokens: int = 0
    """Tokens trained on so far, over all devices."""
    train_loss: float | None = None
    """Loss on training data in the last validation."""
    val_loss: float | None = None
    """Loss on validation data in the last validation."""
    score: float | None = None
    """The monitored loss of the current weights; None until they are validated."""
    best_loss: float | None = None
    """The best score."""
    best_step: int | None = None
    """The step of the best score."""
    patience_loss: float | None = None
    """The score from which early stopping measures an improvement."""
    validations_without_improvement: int = 0
    lr_factor: float = 1.0
    """Factor on the scheduled learning rate, set by a command."""
    threads: int | None = None
    """CPU threads that rank 0 computes with, on which rounding depends; None on another device."""

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> "TrainingState":
        saved = dict(checkpoint["simplegpt"])
        if "samples_seen" not in saved:  # a checkpoint of the first versions
            saved = dict(checkpoint["callbacks"]["Recorder"])
            saved["lr_factor"] = saved["learning_rate_scale"]
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in saved.items() if name in names})
