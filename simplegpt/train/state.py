"""What a training run remembers beside its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class TrainingState:
    """State that survives a resume: one copy, in every checkpoint, as plain data.

    The callbacks read and change it as ``module.state``. The weights, the optimizer and the step
    are Lightning's.
    """

    samples_seen: int = 0
    """Training windows so far, over all devices."""
    tokens: int = 0
    """Tokens trained on so far, over all devices."""
    train_loss: float | None = None
    """Of the last validation, on training data."""
    val_loss: float | None = None
    """Of the last validation."""
    score: float | None = None
    """The monitored loss of the weights as they are; None until they are validated."""
    best_loss: float | None = None
    """The best score."""
    best_step: int | None = None
    """Where it was reached."""
    patience_loss: float | None = None
    """The score from which early stopping measures an improvement."""
    validations_without_improvement: int = 0
    lr_factor: float = 1.0
    """What an observer multiplies the schedule with."""

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> "TrainingState":
        saved = dict(checkpoint["simplegpt"])
        if "samples_seen" not in saved:  # a checkpoint of the first versions
            saved = dict(checkpoint["callbacks"]["Recorder"])
            saved["lr_factor"] = saved["learning_rate_scale"]
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in saved.items() if name in names})
