"""What a watcher is told of the curves."""

import numpy as np

from simplegpt.run.events import TrainStep
from tests.tui.made_runs import Shape, make_events
from tui.shared.history import History
from tui.training.notices import find_notices, last_spike, plateau_since, rising_since


def steps(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=float) * 10


def test_usual_run_has_no_notices() -> None:
    history = History()
    history.extend(make_events(Shape(steps=1_200)))
    assert find_notices(history) == []


def test_nan_is_the_first_notice() -> None:
    history = History()
    history.extend(make_events(Shape(steps=600)))
    history.apply(TrainStep(step=610, tokens=1, loss=float("nan"), lr=1e-3))
    found = find_notices(history)
    assert found[0].kind == "nan"
    assert found[0].step == 610
    assert found[0].is_error


def test_trainer_tells_that_a_run_diverges() -> None:
    history = History()
    history.apply(TrainStep(step=10, tokens=1, loss=950.0, lr=1e-3, diverging=True))
    assert [notice.kind for notice in find_notices(history) if notice.is_error] == ["diverging"]
    history.apply(TrainStep(step=20, tokens=2, loss=4.0, lr=1e-3))
    assert find_notices(history) == []


def test_jump_is_a_spike_and_noise_is_not() -> None:
    losses = 2 + 0.05 * np.random.default_rng(0).standard_normal(150)
    assert last_spike(steps(150), losses) is None
    losses[120] = 3.5
    spike = last_spike(steps(150), losses)
    assert spike is not None
    assert spike[0] == 1_210
    assert abs(spike[1] - 1.5) < 0.2


def test_val_loss_that_no_longer_improves_is_a_plateau() -> None:
    falling = 3 * 0.95 ** np.arange(20)
    assert plateau_since(steps(20), falling) is None
    flat = np.concatenate([falling[:10], np.full(8, falling[9])])
    assert plateau_since(steps(18), flat) == 130


def test_val_loss_that_rises_again_may_be_overfitting() -> None:
    rising = np.concatenate([3 * 0.9 ** np.arange(10), 1.2 + 0.05 * np.arange(6)])
    assert rising_since(steps(16), rising) == 100
    assert rising_since(steps(10), rising[:10]) is None
