"""Wait for what another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 120.0
"""Far longer than anything takes: a test that reaches it has failed."""


def wait_until(value: Callable[[], T]) -> T:
    """Call `value` until it is true, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := value()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return found
