"""The next steps at which a run validates, samples and saves. Imports no torch."""

from dataclasses import dataclass

from simplegpt.config.schema import Config


@dataclass(frozen=True)
class Upcoming:
    """Optimizer steps; None if the run ends before, or the config has none."""

    validation: int | None
    sample: int | None
    checkpoint: int | None


def upcoming(config: Config, step: int) -> Upcoming:
    """Return the next steps after `step`."""
    samples, end = config.samples, config.trainer.max_steps
    validation = min(next_validation(config, step), end)  # the last step is always validated
    every = config.checkpointing.every_n_steps
    checkpoint = validation if every is None else min(validation, _next_multiple(every, step))
    sample = _next_multiple(samples.every_n_steps, step) if samples is not None else end + 1
    return Upcoming(
        validation if step < end else None,
        sample if sample <= end else None,
        checkpoint if step < end else None,
    )


def next_validation(config: Config, step: int) -> int:
    """Return the next step whose batches reach a multiple of `val_check_interval`."""
    interval, per_step = config.trainer.val_check_interval, config.trainer.accumulate_grad_batches
    batches = _next_multiple(interval, step * per_step)
    return -(-batches // per_step)  # rounded up


def _next_multiple(of: int, after: int) -> int:
    return (after // of + 1) * of
