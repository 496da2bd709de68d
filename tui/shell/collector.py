"""Collects Python's garbage while nobody types.

A full collection of what a Textual program holds takes 0.1 s, and comes in the middle of a key
stroke if Python chooses the time.
"""

import gc
import time

EVERY_SECONDS = 60.0
QUIET_SECONDS = 2.0
"""Since the last key, before a pause is not felt."""
_NEVER = 1_000_000_000


class Collector:
    """Run full collections at quiet times; Python still runs the small ones."""

    def __init__(self) -> None:
        self._collected = self._felt = time.monotonic()
        self.begun = False

    def begin(self) -> None:
        """From now on. What is there already, mostly modules, is never looked at again."""
        self.begun = True
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _NEVER)

    def felt(self) -> None:
        """A person pressed a key, or moved the mouse."""
        self._felt = time.monotonic()

    def look(self) -> None:
        """Collect, if it is time and nobody would feel it."""
        now = time.monotonic()
        due = now - self._collected > EVERY_SECONDS and now - self._felt > QUIET_SECONDS
        if self.begun and due:
            gc.collect()
            self._collected = time.monotonic()
