"""What a run is doing, by its status.json."""

import socket
import time
from typing import Any, Literal

import psutil
from pydantic import Field

from simplegpt.run.events import Record

State = Literal["starting", "running", "paused", "stopping", "finished", "stopped", "failed"]
LIVE_STATES: tuple[State, ...] = ("starting", "running", "paused", "stopping")
# A status is written about once a second; on another host one that has stood still longer is lost.
STALE_AFTER_SECONDS = 30.0


class Status(Record):
    """Where a run stands, replaced about once a second."""

    state: State
    activity: str = ""
    """What it is busy with: compiling, training, validating, saving, sampling …"""
    pid: int
    pid_created: float
    """The process's creation time: a pid alone may have been given to another."""
    host: str
    step: int = 0
    max_steps: int = 0
    attempt: int = 1
    time: float = Field(default_factory=time.time)
    progress_time: float | None = None
    """When the last step ended."""
    best_loss: float | None = None
    error: str | None = None

    @classmethod
    def of_this_process(cls, state: State, **fields: Any) -> "Status":
        process = psutil.Process()
        return cls(
            state=state,
            pid=process.pid,
            pid_created=process.create_time(),
            host=socket.gethostname(),
            **fields,
        )

    def is_alive(self) -> bool:
        """Whether the process behind a live state is there.

        On this host: that pid with that creation time, and no zombie (a killed child that its
        parent has not reaped still has its pid). On another: a status that still changes.
        """
        if self.state not in LIVE_STATES:
            return False
        if self.host != socket.gethostname():
            return time.time() - self.time < STALE_AFTER_SECONDS
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.pid_created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
