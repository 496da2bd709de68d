"""How often a live run's curves are drawn. Without Textual."""

import time
from collections.abc import Callable

SHARE = 0.012
"""Of one core's time. Drawing is most of what an open dashboard costs, and on a CPU that is time
taken from the training that it shows."""
LONGEST_SECONDS = 5.0
"""The curves are never older than this, however busy the workbench is."""


class DrawBudget:
    """Allows drawing once the workbench has used less than its share of CPU time since it last
    drew: a slow machine draws less often, a fast one after every read."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self.start()

    def start(self) -> None:
        """Start measuring: something is being drawn."""
        self._drawn_at, self._used_before = self._clock(), self._cpu_clock()

    def allows_drawing(self) -> bool:
        elapsed = self._clock() - self._drawn_at
        used = self._cpu_clock() - self._used_before
        return elapsed > LONGEST_SECONDS or used < SHARE * elapsed
