"""The speed to expect of a run: that of an earlier one on this machine, or a share of a peak."""

import math
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.config.schema import Config
from simplegpt.run import hardware
from simplegpt.run.directory import RunDirectory, find_runs
from simplegpt.run.events import System, TrainStep, skim
from simplegpt.train.devices import DeviceKind, Devices, devices_of
from simplegpt.train.plan import Speed, flops_per_token, plan

MAX_RUNS = 20  # newest runs whose events are read
# Fraction of a GPU's peak that a training is assumed to reach, if nothing was measured. For GPT-2
# 124M on 8 A100s, nanoGPT's published time (300 B tokens in 4 days) is 30%, llm.c's (10 B tokens in
# 90 minutes) is 63%.
ASSUMED_MFU = 0.4


@dataclass(frozen=True)
class MeasuredSpeed:
    """The speed of an earlier run on this machine."""

    run: str
    flops_per_token: int
    flops_per_second: float
    """All devices together."""
    device: DeviceKind
    libraries: int | None = None
    """Memory on a CPU beyond what the plan counts; None if it was not measured."""


def measured_speeds(root: Path) -> tuple[MeasuredSpeed, ...]:
    """Return the speeds of the newest runs below `root` that ran on this host."""
    newest = sorted(find_runs(root), key=_last_written, reverse=True)[:MAX_RUNS]
    return tuple(speed for run in newest if (speed := _measured_speed(run)))


def expected_speed(
    config: Config,
    devices: Devices,
    measured: Sequence[MeasuredSpeed],
    peak_flops: float | None,
    mfu: float = ASSUMED_MFU,
) -> Speed | None:
    """Return the measured speed of the run nearest in size: small models utilize a machine less.

    Without one, return the fraction `mfu` of `peak_flops`, that of one device; None if unknown.
    """
    per_token = flops_per_token(config)
    nearest = min(
        (speed for speed in measured if speed.device == devices.kind),
        key=lambda speed: abs(math.log(speed.flops_per_token / per_token)),
        default=None,
    )
    if nearest is not None:
        return Speed(nearest.flops_per_second, f"at the speed of {nearest.run}")
    if peak_flops is None:
        return None
    basis = f"assuming {mfu:.0%} of {devices.count} × {peak_flops / 1e12:,.0f} TFLOP/s"
    return Speed(mfu * peak_flops * devices.count, basis)


def libraries_of(measured: Sequence[MeasuredSpeed], devices: Devices) -> int | None:
    """Return the memory of a process's libraries in earlier runs on a CPU; None if unknown."""
    found = [one.libraries for one in measured if one.libraries and one.device == devices.kind]
    return round(statistics.median(found)) if found else None


def _last_written(run: RunDirectory) -> float:
    status = run.status()
    return status.time if status is not None else 0.0


def _measured_speed(run: RunDirectory) -> MeasuredSpeed | None:
    status = run.status()
    if status is None or status.host != socket.gethostname():
        return None
    events = skim(run.events, 32_000, 0)
    steps = [event for event in events if isinstance(event, TrainStep)]
    rates = [step.tokens_per_second for step in steps[-20:] if step.tokens_per_second > 0]
    if not rates:
        return None
    try:
        config = config_file.load(run.config)
    except UserError:
        return None
    per_token = flops_per_token(config)
    devices = devices_of(config.trainer, len(hardware.gpus()))
    memory = max((one.process_memory or 0 for one in events if isinstance(one, System)), default=0)
    planned = plan(config, devices).memory
    libraries = memory - (planned.total - planned.libraries)
    # a run that was too short for a reading at its peak says nothing
    is_known = devices.kind == "cpu" and libraries > planned.libraries
    return MeasuredSpeed(
        run=run.path.name,
        flops_per_token=per_token,
        flops_per_second=per_token * statistics.median(rates),
        device=devices.kind,
        libraries=libraries if is_known else None,
    )
