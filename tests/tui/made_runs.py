"""Runs for the workbench's tests, written with the core's real classes at fixed times."""

import math
import os
import random
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    GPU,
    CheckpointSaved,
    Event,
    Failure,
    Paused,
    RunEnded,
    RunStarted,
    Sample,
    System,
    TrainStep,
    Validation,
)
from simplegpt.run.state import RunState, Status

STARTED = 1_790_000_000.0
"""When every made run began: a fixed second, so that pictures come out the same twice."""
GIB = 2**30

SAMPLE = """\
ROMEO:
What light is this that breaks the night's dull ear?
I would not have thee speak; the day is near.

JULIET:
Then stay, sweet lord, and let the morning pass."""

CONFIG = """\
seed = 1337
output_dir = "{path}"
tokenizer_name = "char"

[model]
n_vocab = 256
n_ctx = 64
n_embd = 128
n_head = 4
n_layer = 4

[data]
train_fpath = "data/train-char.bin"
val_fpath = "data/val-char.bin"
seq_len = 64
train_batch_size = 12
val_batch_size = 12

[trainer]
max_steps = {max_steps}
"""


@dataclass(frozen=True)
class Shape:
    """What a made run looks like."""

    steps: int = 1_200
    """Steps done."""
    max_steps: int = 2_000
    every: int = 10
    """Steps between train_step events."""
    state: RunState = "running"
    error: str | None = None
    gpus: int = 0
    best_loss: float | None = 1.62
    samples: int = 3
    seconds_a_step: float = 0.031
    tokens_a_step: int = 768


def loss_at(step: int, noise: random.Random, spread: float = 0.03) -> float:
    """A plausible character model's loss."""
    return (
        1.45 + 2.7 * math.exp(-step / 260) + 0.35 * math.exp(-step / 2_000) + noise.gauss(0, spread)
    )


def make_events(shape: Shape) -> Iterator[Event]:
    """The events that a run of this shape has written."""
    noise = random.Random(7)
    yield RunStarted(
        time=STARTED, attempt=1, max_steps=shape.max_steps, device="CPU, 2 cores, fp32"
    )
    for step in range(shape.every, shape.steps + 1, shape.every):
        now = STARTED + step * shape.seconds_a_step
        yield TrainStep(
            time=now,
            step=step,
            tokens=step * shape.tokens_a_step,
            loss=loss_at(step, noise),
            lr=1e-3 * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / shape.max_steps)),
            grad_norm=0.6 + 2 * math.exp(-step / 100) + abs(noise.gauss(0, 0.05)),
            tokens_per_second=shape.tokens_a_step / shape.seconds_a_step,
            step_seconds=shape.seconds_a_step,
            mfu=0.31,
        )
        if step % 50 == 0:
            yield _system(shape, now, noise)
        if step % 250 == 0:
            val_loss = loss_at(step, noise, spread=0.002) + 0.06
            yield Validation(
                time=now, step=step, tokens=step * shape.tokens_a_step, val_loss=val_loss
            )
            for name in ("best.ckpt", "last.ckpt"):
                yield CheckpointSaved(time=now, step=step, path=f"ckpts/{name}", val_loss=val_loss)
        if shape.samples and step % max(250, shape.steps // shape.samples // 250 * 250) == 0:
            yield Sample(time=now, step=step, prompt="ROMEO:\n", text=SAMPLE[7:])
    end = STARTED + shape.steps * shape.seconds_a_step
    if shape.state in ("finished", "stopped", "failed"):
        yield RunEnded(time=end, reason=shape.state, error=shape.error, failure=failure_of(shape))  # type: ignore[arg-type]
    elif shape.state == "paused":
        yield Paused(time=end, step=shape.steps)


def failure_of(shape: Shape) -> Failure | None:
    """What the trainer would have written of its failure."""
    if shape.error is None:
        return None
    if "out of memory" in shape.error:
        return Failure(
            kind="out_of_memory",
            message=shape.error,
            edits={"data.train_batch_size": 6, "trainer.accumulate_grad_batches": 2},
        )
    return Failure(kind="error", message=shape.error)


def _system(shape: Shape, now: float, noise: random.Random) -> System:
    gpus = [
        GPU(
            name="NVIDIA H100 80GB",
            utilization=97 - i,
            memory_used=int((61 + i) * GIB),
            memory_total=80 * GIB,
            temperature=64 + i,
            power=610 + 3 * i,
        )
        for i in range(shape.gpus)
    ]
    return System(
        time=now,
        gpus=gpus,
        cpu_percent=96 + noise.random(),
        memory_used=int(6.2 * GIB),
        memory_total=24 * GIB,
        process_memory=int(1.1 * GIB),
    )


def make_run(path: Path, shape: Shape | None = None, *, pid: int | None = None) -> RunDirectory:
    """Write a run's directory. A live state belongs to this process, unless `pid` says else
    (a `pid` that no process has makes it a crashed run)."""
    shape = shape or Shape()
    run = RunDirectory(path)
    run.create()
    run.config.write_text(CONFIG.format(path=path, max_steps=shape.max_steps))
    noise = random.Random(11)
    lines = [event.model_dump_json() + "\n" for event in make_events(shape)]
    run.events.write_text("".join(lines))
    run.log.write_text(
        "device: CPU, 2 cores\nparameters: 0.80 M\n"
        + "".join(
            f"step {s:,}: validation loss {loss_at(s, noise, 0.002):.4f}\n"
            for s in range(250, shape.steps, 250)
        )
        + (f"{shape.error}\n" if shape.error else "")
    )
    (run.checkpoints / "last.ckpt").write_bytes(b"not a real checkpoint")
    run.write_status(
        Status(
            state=shape.state,
            activity="training" if shape.state == "running" else "",
            pid=os.getpid() if pid is None else pid,
            pid_created=psutil.Process().create_time(),
            host=socket.gethostname(),
            step=shape.steps,
            max_steps=shape.max_steps,
            time=STARTED + shape.steps * shape.seconds_a_step,
            best_loss=shape.best_loss,
            eta_seconds=(shape.max_steps - shape.steps) * shape.seconds_a_step,
            failure=failure_of(shape),
        )
    )
    for file in (run.config, run.events, run.log, run.status_file):
        os.utime(file, (STARTED, STARTED))
    return run


NOBODY = 2**22 + 1 if sys.platform == "linux" else 99_999_999
"""A pid beyond the largest that a process can have."""
