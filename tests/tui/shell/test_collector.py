"""Garbage is collected while the user is idle."""

import gc
from collections.abc import Iterator

import pytest

from tui.shell.collector import IDLE_SECONDS, INTERVAL_SECONDS, Collector


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore the thresholds of the test's process."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def full_collections() -> int:
    return gc.get_stats()[2]["collections"]


def test_full_collection_waits_until_the_user_is_idle() -> None:
    clock = Clock()
    collector = Collector(clock)
    collector.start()
    before = full_collections()
    clock.now += INTERVAL_SECONDS + 1
    collector.note_input()
    collector.collect_if_idle()
    assert full_collections() == before
    clock.now += IDLE_SECONDS + 0.1
    collector.collect_if_idle()
    assert full_collections() == before + 1
    clock.now += IDLE_SECONDS + 0.1
    collector.collect_if_idle()  # not again within the interval
    assert full_collections() == before + 1


def test_python_runs_no_full_collection_by_itself() -> None:
    Collector().start()
    before = full_collections()
    kept = [[i] for i in range(300_000)]  # enough for a dozen collections without it
    assert full_collections() == before
    assert len(kept) == 300_000


def test_nothing_is_collected_before_the_start() -> None:
    clock = Clock()
    collector = Collector(clock)
    before = full_collections()
    clock.now += INTERVAL_SECONDS + 1
    collector.collect_if_idle()
    assert full_collections() == before
