"""Talking to the newest checkpoint of a run that goes on, without slowing it down."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from simplegpt.run import hardware
from simplegpt.run.checkpoints import list_checkpoints, read_info
from simplegpt.run.directory import RunDirectory

GIB = 2**30
LOW_PRIORITY = 15
# The weights, their cache and what torch takes for itself, with room left for the training.
MEMORY_FACTOR, MEMORY_RESERVE = 3, 2 * GIB
MEASURE_SECONDS = 0.3


@dataclass(frozen=True)
class Share:
    """What the engine may take of the machine."""

    device: str
    threads: int | None
    niceness: int
    words: str
    """The same, for the person."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run, mostly its newest."""

    path: Path
    step: int
    time: float


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """The run's newest checkpoint, or None where there is none yet. Reads files."""
    found = list_checkpoints(RunDirectory(run))
    if not found:
        return None
    newest = found[-1]
    return Checkpoint(newest.path, newest.info.step, newest.info.time)


def checkpoint_at(path: Path) -> Checkpoint | None:
    """The checkpoint in a file, or None where it has no sidecar. Reads files."""
    info = read_info(path)
    return Checkpoint(path, info.step, info.time) if info is not None else None


def measure_share(checkpoint: Path) -> Share:
    """What is free on this machine now; takes a moment to measure."""
    busy = psutil.cpu_percent(interval=MEASURE_SECONDS) / 100 * hardware.cpu_count()
    try:
        size = checkpoint.stat().st_size
    except OSError:
        size = 0
    gpus = [(gpu.utilization, gpu.memory_used, gpu.memory_total) for gpu in hardware.gpus()]
    return choose_share(
        size, hardware.memory_available(), hardware.cpu_count() - busy, gpus[0] if gpus else None
    )


def choose_share(
    checkpoint_bytes: int,
    memory_free: int,
    cores_free: float,
    first_gpu: tuple[float | None, int | None, int | None] | None = None,
) -> Share:
    """What may be taken: what was shown to be free, else the least.

    `first_gpu` is its utilization (percent) and its used and total memory (bytes): the engine
    takes the first GPU, so the others are of no use to it. The least is one thread of the CPU
    at a low priority.
    """
    needed = MEMORY_FACTOR * checkpoint_bytes + MEMORY_RESERVE
    if first_gpu is not None:
        utilization, used, total = first_gpu
        known = utilization is not None and used is not None and total is not None
        if known and utilization < 10 and total - used > needed:  # type: ignore[operator]
            return Share("auto", None, 0, "the GPU, which is free")
    threads = max(1, int(cores_free) - 1)
    if memory_free > needed and threads > 1:
        return Share("cpu", threads, 5, f"CPU, {threads} threads that are free")
    words = "CPU, 1 thread, low priority"
    if memory_free <= needed:
        words += f"; memory is short ({memory_free / GIB:.1f} GiB free)"
    return Share("cpu", 1, LOW_PRIORITY, words)
