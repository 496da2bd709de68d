"""Chatting with a checkpoint of a run that is still training, without slowing it down."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from simplegpt.cli import one_line
from simplegpt.inference.protocol import Device
from simplegpt.progress import format_bytes
from simplegpt.run import hardware
from simplegpt.run.checkpoints import Checkpoint, list_checkpoints
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import GPU

LOW_PRIORITY = 15
# The weights, the key/value cache and torch itself, with memory left for the training.
MEMORY_FACTOR, MEMORY_RESERVE = 3, 2 * 2**30
IDLE_GPU_PERCENT = 10
MEASURE_SECONDS = 0.3


@dataclass(frozen=True)
class Resources:
    """The part of the machine that an engine may use."""

    device: Device
    threads: int | None
    niceness: int
    description: str


@dataclass(frozen=True)
class LiveRun:
    """A run, its checkpoint that is loaded, and the resources that it is loaded with."""

    path: Path
    newest: Checkpoint | None = None
    loaded: Checkpoint | None = None
    resources: Resources | None = None

    @property
    def has_newer(self) -> bool:
        """Whether the run has saved a newer checkpoint than the one that is loaded."""
        if self.newest is None or self.loaded is None:
            return False
        return self.newest.info.step > self.loaded.info.step

    @property
    def note(self) -> str:
        """The run, its resources and its newest checkpoint, in a line."""
        name = f"Live run “{one_line(self.path.name)}”"
        if self.resources is None:
            return f"{name} · measuring free resources …"
        if self.loaded is None or self.newest is None:
            return f"{name} · no checkpoint yet; the first one will be loaded"
        step = f"step {self.newest.info.step:,}"
        newest = f"new checkpoint: {step}, /refresh to load it" if self.has_newer else step
        return f"{name} · {self.resources.description} · {newest}"


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """The run's newest checkpoint. Blocks on the disk."""
    return next(reversed(list_checkpoints(RunDirectory(run))), None)


def examine(run: Path, wanted: Path | None = None) -> LiveRun:
    """The run with the checkpoint to load: `wanted`, or else the newest. Blocks for a moment."""
    checkpoints = list_checkpoints(RunDirectory(run))
    newest = checkpoints[-1] if checkpoints else None
    chosen = next((each for each in checkpoints if each.path == wanted), newest)
    busy_cores = psutil.cpu_percent(interval=MEASURE_SECONDS) / 100 * hardware.cpu_count()
    resources = choose_resources(
        chosen.info.size if chosen is not None else 0,
        hardware.memory_available(),
        hardware.cpu_count() - busy_cores,
        next(iter(hardware.gpus()), None),
    )
    return LiveRun(run, newest, chosen, resources)


def choose_resources(
    checkpoint_bytes: int, free_memory: int, free_cores: float, first_gpu: GPU | None = None
) -> Resources:
    """The resources that are known to be idle, or else one CPU thread at a low priority.

    The engine uses the first GPU, so other GPUs do not matter.
    """
    needed = MEMORY_FACTOR * checkpoint_bytes + MEMORY_RESERVE
    if first_gpu is not None and _is_free(first_gpu, needed):
        return Resources("auto", None, 0, "on the idle GPU")
    threads = max(1, int(free_cores) - 1)
    if free_memory > needed and threads > 1:
        return Resources("cpu", threads, 5, f"on {threads} idle CPU threads")
    description = "on 1 CPU thread, low priority"
    if free_memory <= needed:
        description += f" (low memory: {format_bytes(free_memory)} free)"
    return Resources("cpu", 1, LOW_PRIORITY, description)


def _is_free(gpu: GPU, needed: int) -> bool:
    utilization, used, total = gpu.utilization, gpu.memory_used, gpu.memory_total
    if utilization is None or used is None or total is None:
        return False
    return utilization < IDLE_GPU_PERCENT and total - used > needed
