"""Collects Python's garbage while the user is idle.

A full collection takes 0.1 s in a Textual program; Python would run it in the middle of a
keystroke.
"""

import gc
import time
from collections.abc import Callable

INTERVAL_SECONDS = 60.0
"""Between two full collections, at least."""
IDLE_SECONDS = 2.0
"""Without input before a collection starts."""
_NEVER = 1_000_000_000


class Collector:
    """Run full collections while the user is idle; Python still runs the small ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_collection = self._last_input = clock()
        self.is_started = False

    def start(self) -> None:
        """Take over from Python. Existing objects, mostly modules, are never collected."""
        self.is_started = True
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _NEVER)

    def note_input(self) -> None:
        """Wait with the next collection: the user pressed a key or moved the mouse."""
        self._last_input = self._clock()

    def collect_if_idle(self) -> None:
        """Run a full collection if one is due and the user is idle."""
        now = self._clock()
        is_due = now - self._last_collection > INTERVAL_SECONDS
        if self.is_started and is_due and now - self._last_input > IDLE_SECONDS:
            gc.collect()
            self._last_collection = self._clock()
