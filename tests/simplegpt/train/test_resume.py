"""A run that stopped, failed or was killed anywhere resumes and completes what it lacks."""

import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from simplegpt.cli import TERMINATED, UserError
from simplegpt.config import load as config_file
from simplegpt.config.schema import Config
from simplegpt.run.checkpoints import read_info, sidecar
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CommandDone, CommandName, RunEnded, Validation, Warned
from simplegpt.train import train
from simplegpt.train.recorder import ends_step


class Acts(Callback):
    """Sends commands to a run, or breaks it, at the ends of its steps; keeps its last weights."""

    def __init__(self, run: RunDirectory, actions: Mapping[int, CommandName | Exception]) -> None:
        self.run = run
        self.actions = actions
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        action = self.actions.get(trainer.global_step)
        if isinstance(action, Exception):
            raise action
        if action is not None and ends_step(trainer, batch_idx):
            self.run.send(action)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.weights = {name: value.clone() for name, value in pl_module.state_dict().items()}


def config_of(directory: str, **settings: str) -> Config:
    overrides = [(key.replace("__", "."), value) for key, value in settings.items()]
    return config_file.load("tiny.toml", [*overrides, ("output_dir", directory)])


def attempt(
    config: Config, actions: Mapping[int, CommandName | Exception] | None = None
) -> dict[str, torch.Tensor]:
    """Start or resume a run; return its weights at the end, none if it broke."""
    run = RunDirectory(config.output_dir)
    acts = Acts(run, actions or {})
    train(config, resume=run.exists(), callbacks=[acts])
    return acts.weights


FAILURE = RuntimeError("as if killed")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_any_chain_of_attempts_repeats_the_uninterrupted_run(folder: Path, optimizer: str) -> None:
    """Killed before the first checkpoint, between two, after a stop and at the end."""
    settings = {
        "optimization__optimizer": optimizer,
        "trainer__accumulate_grad_batches": "2",
        "trainer__val_check_interval": "5",
        "checkpointing__every_n_steps": "3",
    }
    whole = attempt(config_of("whole", **settings))
    config, run = config_of("parts", **settings), RunDirectory("parts")
    chain: list[dict[int, CommandName | Exception]] = [
        {2: FAILURE},
        {4: "validate", 5: FAILURE},
        {6: "stop"},
        {7: "stop"},
        {9: FAILURE},
        {11: FAILURE},
        {12: FAILURE},
    ]
    for actions in chain:
        attempt(config, actions)
    parts = attempt(config)
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    ended = run.read_events()[-1]
    assert isinstance(ended, RunEnded)
    assert ended.reason == "finished"
    losses = [
        {e.step: (e.val_loss, e.train_loss) for e in events if isinstance(e, Validation)}
        for events in (RunDirectory("whole").read_events(), run.read_events())
    ]
    assert losses[0].items() <= losses[1].items()  # the observer's is one more


def test_run_killed_at_its_last_step_is_completed(folder: Path) -> None:
    """Its last step was saved without a validation, and then it was killed."""
    settings = {"trainer__max_steps": "6", "checkpointing__every_n_steps": "6"}
    config, run = config_of("run", **settings), RunDirectory("run")
    attempt(config, {6: FAILURE})
    saved = read_info(run.last_checkpoint)
    assert saved is not None
    assert (saved.step, saved.score) == (6, None)
    attempt(config)
    status = run.status()
    assert status is not None
    assert (status.state, status.step) == ("finished", 6)
    assert [e.step for e in run.read_events() if isinstance(e, Validation)] == [4, 6]
    assert_best_agrees(run)
    with pytest.raises(UserError, match="already at step 6 of 6"):
        attempt(config)


def assert_best_agrees(run: RunDirectory) -> None:
    """The status, best.ckpt, its sidecar and the events name the same best validation."""
    losses = {e.val_loss: e.step for e in run.read_events() if isinstance(e, Validation)}
    info = read_info(run.checkpoints / "best.ckpt")
    status = run.status()
    assert info is not None
    assert status is not None
    assert (info.step, info.score, status.best_loss) == (
        losses[min(losses)],
        min(losses),
        min(losses),
    )
    content = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    assert (content["global_step"], content["simplegpt"]["val_loss"]) == (info.step, info.score)


def test_resume_without_a_checkpoint_starts_over(folder: Path) -> None:
    whole = attempt(config_of("whole"))
    attempt(config_of("run"), {2: FAILURE})
    assert not list(RunDirectory("run").checkpoints.glob("*.ckpt"))
    with pytest.raises(UserError, match=r"(?s)already contains a run.*--resume"):
        train(config_of("run"))
    again = attempt(config_of("run"))
    assert [name for name in whole if not torch.equal(whole[name], again[name])] == []


def test_resume_with_another_number_of_threads_is_said(folder: Path) -> None:
    """Rounding depends on it: layer norm's backward adds its gradients up thread by thread."""
    config, run = config_of("run"), RunDirectory("run")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        attempt(config, {6: "stop"})
        attempt(config, {8: "stop"})
        assert not [event for event in run.read_events() if isinstance(event, Warned)]
        torch.set_num_threads(2)
        attempt(config)
    finally:
        torch.set_num_threads(threads)
    (warning,) = (event for event in run.read_events() if isinstance(event, Warned))
    assert "2 CPU threads instead of 1" in warning.message


def test_resume_needs_no_last_checkpoint(folder: Path) -> None:
    config, run = config_of("run"), RunDirectory("run")
    attempt(config, {6: FAILURE})
    run.last_checkpoint.unlink()
    sidecar(run.last_checkpoint).unlink()
    attempt(config)
    assert_best_agrees(run)


def test_sidecar_that_was_not_written_yet_is_restored(folder: Path) -> None:
    """A kill between a checkpoint and its sidecar must not make a worse one the best."""
    rising = {"optimization__peak_lr": "1e-2", "optimization__end_lr": "1e-2"}
    config, run = config_of("run", **rising), RunDirectory("run")
    attempt(config, {9: FAILURE})
    before = read_info(run.checkpoints / "best.ckpt")
    assert before is not None
    for path in run.checkpoints.glob("*.json"):
        path.unlink()
    attempt(config, {9: FAILURE})
    after = read_info(run.checkpoints / "best.ckpt")
    assert after is not None
    assert (after.step, after.score, after.tokens) == (before.step, before.score, before.tokens)


@pytest.mark.parametrize("end", ["stop", "max_time"])
def test_stop_leaves_a_last_checkpoint_whatever_is_kept(folder: Path, end: str) -> None:
    keeps = {"checkpointing__save_last": "false", "checkpointing__save_top_k": "0"}
    run = RunDirectory("run")
    if end == "stop":
        attempt(config_of("run", **keeps), {3: "stop"})
    else:
        config = config_of("run", trainer__max_steps="1_000_000", **keeps)
        config = config.model_copy(
            update={"trainer": config.trainer.model_copy(update={"max_time": "00:00:00:00"})}
        )
        attempt(config)
    info, status = read_info(run.last_checkpoint), run.status()
    assert info is not None
    assert status is not None
    assert info.step == status.step > 0
    attempt(config_of("run", trainer__max_steps="5", **keeps))
    info = read_info(run.last_checkpoint)  # once it is there, it is kept up to date
    assert info is not None
    assert info.step == 5


def test_finished_run_keeps_no_checkpoint_if_the_config_asks_for_none(folder: Path) -> None:
    keeps = {"checkpointing__save_last": "false", "checkpointing__save_top_k": "0"}
    attempt(config_of("run", checkpointing__every_n_steps="2", **keeps))
    assert not list(RunDirectory("run").checkpoints.iterdir())


def test_min_delta_affects_only_patience(folder: Path) -> None:
    early = {"early_stopping__patience": "3", "early_stopping__min_delta": "10"}
    fast = {"optimization__peak_lr": "1e-2", "trainer__max_steps": "40"}
    attempt(config_of("run", **early, **fast))
    run = RunDirectory("run")
    validations = [event.val_loss for event in run.read_events() if isinstance(event, Validation)]
    assert len(validations) == 4  # the first sets the reference
    assert validations[-1] < validations[0]
    assert_best_agrees(run)


def test_validation_on_request_does_not_count_for_patience(folder: Path) -> None:
    early = {"early_stopping__patience": "2", "early_stopping__min_delta": "10"}
    asks: dict[int, CommandName | Exception] = {5: "validate", 6: "validate", 7: "validate"}
    attempt(config_of("run", **early), asks)
    run = RunDirectory("run")
    validations = [event.step for event in run.read_events() if isinstance(event, Validation)]
    assert validations == [4, 5, 6, 7, 8, 12]


def test_validation_of_a_saved_step_reaches_its_files(folder: Path) -> None:
    run = RunDirectory("run")

    class SavesThenValidates(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: object) -> None:
            if trainer.global_step == 2:
                run.send("save")
                run.send("validate")
            if trainer.global_step == 3:
                raise FAILURE

    train(config_of("run"), callbacks=[SavesThenValidates()])
    assert_best_agrees(run)
    last = read_info(run.last_checkpoint)
    assert last is not None
    assert last.step == 2
    assert last.val_loss == last.score is not None


def test_train_loss_of_a_validation_is_that_of_the_same_weights_without_dropout(
    folder: Path,
) -> None:
    """On the same text both losses are the same, whatever the dropout."""
    same = {"data__val_fpath": "train.bin", "optimization__dropout_p": "0.5"}
    same["data__val_batch_size"] = "64"  # so that neither is a part of the text
    attempt(config_of("run", **same))
    events = [e for e in RunDirectory("run").read_events() if isinstance(e, Validation)]
    for event in events:
        assert event.train_loss == pytest.approx(event.val_loss, abs=1e-6)


def test_commands_are_answered_from_the_claim_to_the_end(folder: Path) -> None:
    run = RunDirectory("run")
    sent: list[str] = []

    class Observer(Callback):
        def setup(self, *arguments: object, **named: object) -> None:
            sent.append(run.send("set_lr_factor", factor=0.5))
            sent.append(run.send("save"))

        def on_train_end(self, *arguments: object) -> None:
            sent.append(run.send("pause"))

    train(config_of("run"), callbacks=[Observer()])
    answers = {e.id: e for e in run.read_events() if isinstance(e, CommandDone)}
    assert list(answers) == sent
    assert [answer.ok for answer in answers.values()] == [True, False, False]


def test_invalid_command_is_answered_with_the_nearest_name(folder: Path) -> None:
    run = RunDirectory("run")
    lines = [
        '{"id": "a", "command": "vaildate"}',
        '{"id": "b", "command": "set_lr_factor", "factor": -1}',
        '{"id": "c", "command": "set_lr_factor"}',
        "save",
    ]

    class Observer(Callback):
        def on_train_start(self, *arguments: object) -> None:
            with run.commands.open("a") as file:
                file.write("\n".join(lines) + "\n")

    train(config_of("run"), callbacks=[Observer()])
    answers = [event for event in run.read_events() if isinstance(event, CommandDone)]
    assert [(answer.id, answer.ok) for answer in answers] == [
        ("a", False),
        ("b", False),
        ("c", False),
        ("", False),
    ]
    assert "did you mean 'validate'" in answers[0].message
    assert "factor" in answers[1].message
    assert "factor" in answers[2].message
    assert "JSON" in answers[3].message


def test_save_that_fails_says_so(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = RunDirectory("run")

    class Observer(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: object) -> None:
            if trainer.global_step == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
                run.send("save")
            if trainer.global_step == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    train(config_of("run"), callbacks=[Observer()])
    (answer,) = [event for event in run.read_events() if isinstance(event, CommandDone)]
    assert not answer.ok
    assert "File too large" in answer.message
    assert_best_agrees(run)


def test_sigterm_before_the_first_step_stops_before_it(folder: Path) -> None:
    class Impatient(Callback):
        def on_train_start(self, *arguments: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)  # while Lightning has the handler

    assert train(config_of("run"), callbacks=[Impatient()]) == TERMINATED
    status = RunDirectory("run").status()
    assert status is not None
    assert (status.state, status.step) == ("stopped", 0)


def test_hangup_that_is_ignored_as_under_nohup_does_not_stop_a_run(folder: Path) -> None:
    class Connection(Callback):
        def on_train_batch_end(self, *arguments: object) -> None:
            os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert train(config_of("run"), callbacks=[Connection()]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    status = RunDirectory("run").status()
    assert status is not None
    assert status.state == "finished"
