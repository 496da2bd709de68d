"""The causes of failures and crashes, and edits of the config that would help."""

import signal

from simplegpt.config.schema import Config
from simplegpt.run.events import Failure, System

# Fraction of memory in use shortly before a crash above which memory is its likely cause.
FULL_MEMORY = 0.95
SHORTEST_SEQ_LEN = 16


def out_of_memory(config: Config) -> Failure:
    """Return the failure of an allocation; the edits halve activations, not tokens per step."""
    data, edits = config.data, dict[str, int | float]()
    if data.train_batch_size > 1:
        edits["data.train_batch_size"] = data.train_batch_size // 2
        edits["trainer.accumulate_grad_batches"] = 2 * config.trainer.accumulate_grad_batches
    elif data.seq_len > SHORTEST_SEQ_LEN:
        edits["data.seq_len"] = data.seq_len // 2
    if data.val_batch_size > 1:
        edits["data.val_batch_size"] = data.val_batch_size // 2
    return Failure(kind="out_of_memory", message="out of memory", edits=edits)


def diverged(config: Config, message: str) -> Failure:
    """Return the failure of a NaN loss or gradient; the edits lower the learning rates and clip."""
    edits: dict[str, int | float] = {}
    names = ["peak_lr", "muon_lr"] if config.optimization.optimizer == "muon" else ["peak_lr"]
    for name in names:
        edits[f"optimization.{name}"] = float(f"{getattr(config.optimization, name) / 3:.2g}")
    if config.trainer.gradient_clip_val is None:
        edits["trainer.gradient_clip_val"] = 1.0
    return Failure(kind="diverged", message=message, edits=edits)


def crashed(
    config: Config | None, last_system: System | None, place: str, exit_code: int | None
) -> Failure:
    """Return the failure of a process that ended without a final status.

    `config` is the run's, None if unreadable; `last_system` its last hardware measurement;
    `place` where it was (`Status.place`); `exit_code` that of the process, known only to its
    parent (negative: the number of a signal).
    """
    memory_was_full = (
        last_system is not None and last_system.memory_used > FULL_MEMORY * last_system.memory_total
    )
    cause = "the process was killed, or its machine went down"
    if exit_code is not None and exit_code < 0:
        cause = f"killed by {signal.Signals(-exit_code).name}"
    elif exit_code is not None:
        cause = f"the process exited with code {exit_code}"
    message = f"crashed {place}: {cause}"
    if memory_was_full or exit_code == -signal.SIGKILL:
        message += ", probably out of memory"
        edits = {} if config is None else out_of_memory(config).edits
        return Failure(kind="out_of_memory", message=message, edits=edits)
    return Failure(kind="killed", message=message)
