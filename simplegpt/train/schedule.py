"""Learning rates as pure functions of the step."""

import math

from simplegpt.config.schema import OptimizationConfig, number_of_steps


def learning_rate_factor(step: int, config: OptimizationConfig, max_steps: int) -> float:
    """Return the factor of the peak learning rate for update `step`, counted from 0."""
    start = config.start_lr / config.peak_lr
    end = config.end_lr / config.peak_lr
    warmup = number_of_steps(config.warmup_steps, max_steps)
    decay = number_of_steps(config.decay_steps, max_steps)
    if step < warmup:
        return start + (1 - start) * step / warmup
    decay_start = warmup if config.schedule == "cosine" else max_steps - decay
    if step < decay_start:
        return 1.0
    if step >= decay_start + decay:
        return end
    progress = (step - decay_start) / decay
    if config.schedule == "cosine":
        return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))
    return 1 + (end - 1) * progress
