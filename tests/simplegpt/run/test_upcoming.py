"""When a run validates, samples and saves next."""

import pytest

from simplegpt.config.schema import Config
from simplegpt.run.upcoming import next_validation, upcoming


@pytest.mark.parametrize(
    ("interval", "accumulate", "steps"),
    [(250, 1, [250, 500, 750]), (250, 4, [63, 125, 188]), (3, 8, [1, 2, 3])],
)
def test_validation_follows_a_multiple_of_its_interval_in_batches(
    interval: int, accumulate: int, steps: list[int]
) -> None:
    trainer = {"val_check_interval": interval, "accumulate_grad_batches": accumulate}
    config = Config.model_validate({"trainer": trainer})
    found = [0]
    while len(found) <= len(steps):
        found.append(next_validation(config, found[-1]))
    assert found[1:] == steps


def test_last_step_is_validated_and_saved_and_nothing_follows_it() -> None:
    config = Config.model_validate(
        {"trainer": {"max_steps": 100}, "samples": {"every_n_steps": 90}}
    )
    near_the_end = upcoming(config, 95)
    assert (near_the_end.validation, near_the_end.checkpoint, near_the_end.sample) == (
        100,
        100,
        None,
    )
    at_the_end = upcoming(config, 100)
    assert (at_the_end.validation, at_the_end.checkpoint, at_the_end.sample) == (None, None, None)
