"""The thread that keeps a run's status fresh, and notes what the machine is doing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Failure
from simplegpt.run.hardware import Hardware
from simplegpt.run.state import RunState, Status

STATUS_SECONDS = 1.0
SYSTEM_SECONDS = 2.0


class Heartbeat:
    """Writes status.json about once a second, and a `system` event every other one.

    In a thread, so that a long compilation or validation does not look like a death. Before
    `begin`, and on any rank but the first, it writes nothing.
    """

    def __init__(self, run: RunDirectory, attempt: int, max_steps: int) -> None:
        self.run = run
        self.best_loss: float | None = None
        self.activity = "starting"
        self.attempt = attempt
        self._status = Status.of_this_process("starting", attempt=attempt, max_steps=max_steps)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_writing = False

    def begin(self) -> None:
        """Write the first status, and go on until `end`."""
        self.is_writing = True
        self._write()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def set(self, state: RunState, activity: str = "", failure: Failure | None = None) -> None:
        """A change of state, written at once."""
        self.activity = activity
        self.note(state, failure)
        self._write()

    def note(self, state: RunState, failure: Failure | None = None) -> None:
        """A change of state that the next beat writes: safe in a signal handler."""
        self._status = self._status.model_copy(update={"state": state, "failure": failure})

    @property
    def state(self) -> RunState:
        return self._status.state

    @contextmanager
    def doing(self, activity: str) -> Iterator[None]:
        """Tell what the run is busy with, and what it was before once that is over."""
        before, self.activity = self.activity, activity
        self._write()
        try:
            yield
        finally:
            self.activity = before
            self._write()

    def progress(self, step: int) -> None:
        """A step ended. Only noted here: the next beat writes it."""
        self._status = self._status.model_copy(update={"step": step, "progress_time": time.time()})

    def end(self, state: RunState, failure: Failure | None = None) -> None:
        """Stop beating, and leave `state` as the last word."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.set(state, failure=failure)

    def _beat(self) -> None:
        hardware = Hardware()
        next_system = 0.0
        while True:
            try:
                self._write()
                if time.monotonic() >= next_system:
                    next_system = time.monotonic() + SYSTEM_SECONDS
                    self.run.append_event(hardware.read())
            except OSError:  # as in _write
                pass
            if self._stop.wait(STATUS_SECONDS):
                return

    def _write(self) -> None:
        if not self.is_writing:
            return
        with self._lock:
            self._status = self._status.model_copy(
                update={
                    "activity": self.activity,
                    "best_loss": self.best_loss,
                    "time": time.time(),
                }
            )
            # a full disk must not end the run; the next beat tries again
            with suppress(OSError):
                self.run.write_status(self._status)
