"""The state of a run, and the status.json that holds it."""

import os
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import Field

from simplegpt.run.events import Failure, Record

RunState: TypeAlias = Literal[
    "queued",
    "starting",
    "running",
    "paused",
    "stopping",
    "finished",
    "stopped",
    "failed",
    "crashed",
]
LAUNCHER = "SIMPLEGPT_LAUNCHER"
"""Environment variable of the processes that a training starts, one per device: its own pid."""
LIVE_STATES: tuple[RunState, ...] = ("queued", "starting", "running", "paused", "stopping")
# A status is written about once a second; from another host, it is outdated after this time.
STALE_AFTER_SECONDS = 30.0


def launcher() -> int | None:
    """Return the pid of the training that started this process as one of several; or None."""
    parent = os.getppid()
    return parent if os.environ.get(LAUNCHER) == str(parent) else None


class Status(Record):
    """The status of a run, written about once a second.

    `RunDirectory.status` reads it, and sets the state "crashed" if the last written state is a live
    one but the process no longer exists.
    """

    state: RunState
    activity: str = ""
    """Current activity: compiling, training, validating, saving, sampling …"""
    pid: int = Field(gt=0)
    pid_created: float
    """The process's creation time: the same pid can be given to another process."""
    host: str
    step: int = 0
    max_steps: int = 0
    attempt: int = 1
    time: float = Field(default_factory=time.time)
    progress_time: float | None = None
    """When the last step ended."""
    best_loss: float | None = None
    eta_seconds: float | None = None
    """Seconds to the last step, at the mean speed of the last minute; None if not training."""
    lr_factor: float = 1.0
    """Factor on the scheduled learning rate, set by a command."""
    failure: Failure | None = None
    """The failure of a failed run."""
    waits_for: tuple[str, ...] = ()
    """Directories of the runs that a queued one waits for."""

    @classmethod
    def of_this_process(cls, state: RunState, **fields: Any) -> "Status":
        import psutil

        # several processes of one run end with the one that started them
        process = psutil.Process(launcher())
        return cls(
            state=state,
            pid=process.pid,
            pid_created=process.create_time(),
            host=socket.gethostname(),
            **fields,
        )

    @property
    def is_live(self) -> bool:
        """Whether a process is training, or waits for its turn."""
        return self.state in LIVE_STATES

    @property
    def place(self) -> str:
        """Where the training is, for messages: "in the queue" or "at step 1,200"."""
        return "in the queue" if self.activity == "queued" else f"at step {self.step:,}"

    def process_exists(self) -> bool:
        """Whether the process that wrote this status still exists.

        On this host: a process with this pid and creation time that is not a zombie (a killed child
        that its parent has not reaped). On another host: a status that is still updated.
        """
        if self.host != socket.gethostname():
            return self._is_updated()
        import psutil  # not before the workbench's first paint: it takes 20 ms

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.pid_created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def _is_updated(self) -> bool:
        """Whether the status was written lately, or has changed lately while this process looked.

        The clocks of two hosts may differ: by its time alone, a status from the future would be
        live for ever.
        """
        now, writer = time.monotonic(), (self.host, self.pid, self.pid_created)
        before = _observed.get(writer)
        if before is not None and self.time > before.time:
            _observed[writer] = _Observation(self.time, now, has_changed=True)
            return True
        if before is None or self.time < before.time:
            _observed[writer] = _Observation(self.time, now, has_changed=False)
        seen = _observed[writer]
        is_recent = seen.has_changed or time.time() - self.time < STALE_AFTER_SECONDS
        return is_recent and now - seen.since < STALE_AFTER_SECONDS


@dataclass(frozen=True)
class _Observation:
    """The last new status that this process read of a run on another host."""

    time: float
    """By the clock of that host."""
    since: float
    """By this process's monotonic clock."""
    has_changed: bool
    """Whether there was another one before it."""


_observed: dict[tuple[str, int, float], _Observation] = {}
