"""The speeds of earlier runs on this machine, to estimate the time of a new run."""

import math
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import TrainStep, skim
from simplegpt.train.devices import DeviceKind, devices_of
from simplegpt.train.plan import flops_per_token

MAX_RUNS = 20  # newest runs whose events are read


@dataclass(frozen=True)
class MeasuredSpeed:
    """The speed of an earlier run on this machine."""

    run: str
    flops_per_token: int
    flops_per_second: float
    """All devices together."""
    device: DeviceKind


def measured_speeds(root: Path) -> tuple[MeasuredSpeed, ...]:
    """Return the speeds of the newest runs below `root` that ran on this host."""
    newest = sorted(find_runs(root), key=_last_written, reverse=True)[:MAX_RUNS]
    return tuple(speed for run in newest if (speed := _measured_speed(run)))


def nearest_speed(
    speeds: Sequence[MeasuredSpeed], per_token: int, device: DeviceKind
) -> MeasuredSpeed | None:
    """Return the speed of the run nearest in size to `per_token` FLOPs; None without a run.

    Small models utilize a machine less than large ones.
    """
    on_device = [speed for speed in speeds if speed.device == device]
    return min(
        on_device, key=lambda speed: abs(math.log(speed.flops_per_token / per_token)), default=None
    )


def _last_written(run: RunDirectory) -> float:
    status = run.status()
    return status.time if status is not None else 0.0


def _measured_speed(run: RunDirectory) -> MeasuredSpeed | None:
    status = run.status()
    if status is None or status.host != socket.gethostname():
        return None
    steps = [event for event in skim(run.events, 32_000, 0) if isinstance(event, TrainStep)]
    rates = [step.tokens_per_second for step in steps[-20:] if step.tokens_per_second > 0]
    if not rates:
        return None
    try:
        config = config_file.load(run.config)
    except UserError:
        return None
    per_token = flops_per_token(config)
    return MeasuredSpeed(
        run=run.path.name,
        flops_per_token=per_token,
        flops_per_second=per_token * statistics.median(rates),
        device=devices_of(config.trainer, len(hardware.gpus())).kind,
    )
