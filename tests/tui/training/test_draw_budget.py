"""How often curves are drawn."""

from tui.training.draw_budget import LONGEST_SECONDS, SHARE, DrawBudget


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_drawing_waits_until_the_cpu_time_is_within_its_share() -> None:
    clock, cpu = Clock(), Clock()
    budget = DrawBudget(clock, cpu)
    clock.now, cpu.now = 1.0, 2 * SHARE
    assert not budget.allows_drawing()
    clock.now = 2.1
    assert budget.allows_drawing()
    budget.start()
    assert not budget.allows_drawing()


def test_curves_are_never_older_than_the_longest_wait() -> None:
    clock, cpu = Clock(), Clock()
    budget = DrawBudget(clock, cpu)
    clock.now, cpu.now = LONGEST_SECONDS + 0.1, 1_000.0
    assert budget.allows_drawing()
