"""Learning rates as pure functions of the step."""

import math

from simplegpt.config.schema import OptimizationConfig


def learning_rate_factor(step: int, config: OptimizationConfig, max_steps: int) -> float:
    """Return the factor of the peak learning rate for update `step`, counted from 0."""
    start = config.start_lr / config.peak_lr
    end = config.end_lr / config.peak_lr
    if step < config.warmup_steps:
        return start + (1 - start) * step / config.warmup_steps
    if config.schedule == "cosine":
        decay_start = config.warmup_steps
    else:
        decay_start = max_steps - config.decay_steps
    if step < decay_start:
        return 1.0
    if step >= decay_start + config.decay_steps:
        return end
    progress = (step - decay_start) / config.decay_steps
    if config.schedule == "cosine":
        return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))
    return 1 + (end - 1) * progress
