"""A training that diverges ends, says what would help, and keeps its finite checkpoints."""

import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from simplegpt.config.load import load
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import RunEnded, TrainStep, Warned
from simplegpt.train import train
from simplegpt.train.divergence import DivergedError, LossWatch

WATCHED = [
    ("trainer.log_every_n_steps", "1"),
    ("checkpointing.every_n_steps", "2"),
    ("samples.prompts", '["a"]'),
    ("samples.every_n_steps", "5"),
    ("samples.n_tokens_to_generate", "2"),
]


class Poison(Callback):
    """Makes the weights NaN after step 4."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        if trainer.global_step == 4:
            with torch.no_grad():
                next(pl_module.parameters()).fill_(math.nan)


def run_poisoned(*settings: tuple[str, str]) -> tuple[int, list[Any], RunDirectory]:
    """Train 12 steps, whose weights are NaN after the fourth: exit code, events, directory."""
    config = load(Path("tiny.toml"), [*WATCHED, *settings])
    code = train(config, callbacks=[Poison()])
    run = RunDirectory("run")
    saved = torch.load(run.last_checkpoint, weights_only=True)
    assert saved["global_step"] == 4
    assert all(weight.isfinite().all() for weight in saved["state_dict"].values())
    return code, run.read_events(), run


@pytest.mark.parametrize(
    ("settings", "message", "last_step"),
    [
        ([("trainer.val_check_interval", "100")], "NaN or infinite since step 5", 7),
        ([("trainer.val_check_interval", "6")], "the val loss is NaN", 6),
    ],
)
def test_run_whose_loss_stays_nan_ends_as_diverged(
    folder: Path, settings: list[tuple[str, str]], message: str, last_step: int
) -> None:
    code, events, run = run_poisoned(*settings)
    assert code == 1
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert ended.reason == "failed"
    assert ended.failure is not None
    assert ended.failure.kind == "diverged"
    assert message in ended.failure.message
    assert ended.failure.edits["optimization.peak_lr"] < load(run.config).optimization.peak_lr
    status = run.status()
    assert status is not None
    assert status.step == last_step
    assert next(e.step for e in events if isinstance(e, TrainStep) and e.diverging) == 5
    warned = [event for event in events if isinstance(event, Warned)]
    assert "step 5" in warned[0].message
    assert any("no sample at step 5" in event.message for event in warned)


def test_run_that_may_diverge_goes_on_and_still_saves_no_nan(folder: Path) -> None:
    code, events, run = run_poisoned(("stop_when_diverged", "false"))
    assert code == 1  # its end could not be saved
    status = run.status()
    assert status is not None
    assert status.step == 12
    assert any("cannot save" in event.message for event in events if isinstance(event, Warned))
    assert "the weights are NaN or infinite" in (events[-1].error or "")


def diverging(watch: LossWatch, *losses: float) -> list[str]:
    """The warnings of a run that logs `losses`."""
    return [text for loss in losses if (text := watch.judge(10, loss)) is not None]


def test_climbing_loss_is_reported_once_for_each_climb() -> None:
    watch = LossWatch(n_vocab=65)
    assert not diverging(watch, 4.2, 3.5, 3.0, 2.5, 2.4, 2.3, 2.4, 2.2, 2.3, 2.2)
    assert not diverging(watch, 6.0)  # a single spike
    assert not watch.is_diverging
    warned = diverging(watch, 5.0, 6.0, 7.0, 9.0, 950.0)
    assert len(warned) == 1
    assert "far above 2.28" in warned[0]
    assert watch.is_diverging
    assert not diverging(watch, *[2.2] * 5)
    assert not watch.is_diverging
    assert len(diverging(watch, *[9.0] * 5)) == 1


def test_loss_above_that_of_guessing_is_reported_though_it_falls() -> None:
    watch = LossWatch(n_vocab=65)
    assert f"{math.log(65):.4f}" in diverging(watch, 963.0)[0]
    assert not diverging(watch, 950.0)
    assert watch.is_diverging


def test_single_nan_is_no_divergence() -> None:
    watch = LossWatch(n_vocab=65)
    assert len(diverging(watch, math.nan)) == 1
    assert not diverging(watch, 2.0)
    assert len(diverging(watch, math.inf, math.nan)) == 1
    watch.check()
    watch.judge(50, math.nan)
    with pytest.raises(DivergedError, match="since step 10"):
        watch.check()
