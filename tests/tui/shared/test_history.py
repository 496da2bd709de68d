"""What a run's events add up to."""

from simplegpt.run.events import CheckpointSaved, RunStarted, TrainStep, Validation, surviving
from tests.tui.made_runs import Shape, make_events
from tui.shared.history import History


def step(number: int, loss: float = 1.0) -> TrainStep:
    return TrainStep(step=number, tokens=number * 8, loss=loss, lr=1e-3)


def test_memory_stays_bounded_and_no_spike_is_lost() -> None:
    history = History(capacity=64)
    for number in range(1, 10_001):
        history.apply(step(number, 9.0 if number == 4_321 else 1.0))
    train = history.train
    assert len(train) < 64
    assert train["greatest"].max() == 9.0
    assert train["step"][-1] > 10_000 - 2 * train.stride
    assert (train["step"][1:] > train["step"][:-1]).all()
    assert abs(train["loss"].mean() - 1.0008) < 1e-3


def test_a_loss_that_is_no_number_is_not_averaged_away() -> None:
    history = History(capacity=8)
    for number in range(1, 101):
        history.apply(step(number, float("nan") if number == 50 else 1.0))
    assert history.first_bad_step == 50
    assert not all(history.train["loss"] == 1.0)


def test_resumed_run_forgets_what_lay_beyond_its_start() -> None:
    history = History()
    history.extend(make_events(Shape(steps=1_000)))
    history.apply(RunStarted(attempt=2, resumed_from_step=500, max_steps=2_000))
    assert history.train["step"].max() == 500
    assert history.validation["step"].max() == 500
    assert history.last_validation is not None
    assert history.last_validation.step == 500
    assert history.best is not None
    assert history.best.step <= 500
    assert all(sample.step <= 500 for sample in history.samples)
    assert history.last_step == 500
    history.apply(step(510))
    assert history.last_step == 510


def test_resume_equals_reading_only_the_events_that_survive() -> None:
    events = [
        *make_events(Shape(steps=800)),
        RunStarted(attempt=2, resumed_from_step=300, max_steps=2_000),
        step(310),
    ]
    read, cleaned = History(), History()
    read.extend(events)
    cleaned.extend(surviving(events))
    assert read.train["loss"].tolist() == cleaned.train["loss"].tolist()
    assert read.validation["loss"].tolist() == cleaned.validation["loss"].tolist()


def test_checkpoint_written_again_counts_once_and_is_newest() -> None:
    history = History()
    for number, path in ((10, "ckpts/last.ckpt"), (10, "ckpts/best.ckpt"), (20, "ckpts/last.ckpt")):
        history.apply(CheckpointSaved(step=number, path=path, val_loss=2.0))
    assert len(history.checkpoints) == 2
    newest = list(history.checkpoints.values())[-1]
    assert (newest.path, newest.step) == ("ckpts/last.ckpt", 20)


def test_nan_is_never_the_best_validation() -> None:
    history = History()
    nan = float("nan")
    for number, loss in ((10, nan), (20, 3.0), (30, nan), (40, 2.0)):
        history.apply(Validation(step=number, tokens=1, val_loss=loss))
    assert history.best is not None
    assert history.best.step == 40
    history.apply(RunStarted(attempt=2, resumed_from_step=30))
    assert history.best.step == 20
    history.apply(RunStarted(attempt=3, resumed_from_step=10))
    assert history.best is None


def test_elapsed_time_leaves_out_the_time_between_attempts() -> None:
    history = History()
    history.apply(RunStarted(time=1_000, attempt=1))
    history.apply(step(10).model_copy(update={"time": 1_060.0}))
    history.apply(RunStarted(time=90_000, attempt=2, resumed_from_step=10))
    history.apply(step(20).model_copy(update={"time": 90_030.0}))
    assert history.elapsed_seconds == 90
    assert history.train["time"].tolist() == [60, 90]
