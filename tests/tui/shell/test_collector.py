"""Garbage is collected while nobody types."""

import gc
from collections.abc import Iterator

import pytest

from tui.shell import collector
from tui.shell.collector import EVERY_SECONDS, QUIET_SECONDS, Collector


class Clock:
    """Stands still until a test sets it on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(collector, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The test's process is as it was before."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def full_collections() -> int:
    return gc.get_stats()[2]["collections"]


def test_a_full_collection_waits_until_nobody_types(clock: Clock) -> None:
    ours = Collector()
    ours.begin()
    before = full_collections()
    clock.now += EVERY_SECONDS + 1
    ours.felt()
    ours.look()
    assert full_collections() == before
    clock.now += QUIET_SECONDS + 0.1
    ours.look()
    assert full_collections() == before + 1
    clock.now += QUIET_SECONDS + 0.1
    ours.look()  # not again at once
    assert full_collections() == before + 1


def test_python_makes_no_full_collection_by_itself(clock: Clock) -> None:
    Collector().begin()
    before = full_collections()
    kept = [[i] for i in range(300_000)]  # as many as made a dozen before
    assert full_collections() == before
    assert len(kept) == 300_000


def test_nothing_is_collected_before_it_has_begun(clock: Clock) -> None:
    ours = Collector()
    before = full_collections()
    clock.now += EVERY_SECONDS + 1
    ours.look()
    assert full_collections() == before
