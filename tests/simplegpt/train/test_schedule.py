"""The learning rate at each step."""

from typing import Any

import pytest

from simplegpt.config.schema import OptimizationConfig
from simplegpt.train.schedule import learning_rate_factor


def schedule(**settings: Any) -> OptimizationConfig:
    defaults = {
        "peak_lr": 1.0,
        "start_lr": 0.1,
        "end_lr": 0.2,
        "warmup_steps": 10,
        "decay_steps": 20,
    }
    return OptimizationConfig(**{**defaults, **settings})


def test_cosine_rises_falls_and_stays() -> None:
    factors = [learning_rate_factor(step, schedule(), 100) for step in (0, 5, 10, 20, 30, 99)]
    assert factors == pytest.approx([0.1, 0.55, 1.0, 0.6, 0.2, 0.2])


def test_warmup_stable_decay_cools_down_at_the_end() -> None:
    config = schedule(schedule="warmup_stable_decay")
    factors = [learning_rate_factor(step, config, 100) for step in (0, 10, 79, 80, 90, 100)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.6, 0.2])


@pytest.mark.parametrize("name", ["cosine", "warmup_stable_decay"])
def test_fractions_of_max_steps_are_steps(name: str) -> None:
    fractions = schedule(schedule=name, warmup_steps=0.29, decay_steps=0.5)
    for max_steps in (100, 700, 3):
        warmup, decay = max_steps * 29 // 100, max_steps // 2
        steps = schedule(schedule=name, warmup_steps=warmup, decay_steps=decay)
        for step in range(max_steps):
            wanted = learning_rate_factor(step, steps, max_steps)
            assert learning_rate_factor(step, fractions, max_steps) == wanted


def test_no_warmup_and_no_decay_is_a_constant() -> None:
    config = schedule(warmup_steps=0, decay_steps=0, end_lr=1.0)
    assert [learning_rate_factor(step, config, 10) for step in (0, 3, 20)] == [1.0, 1.0, 1.0]
