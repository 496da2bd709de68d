"""What the dashboard derives from a run."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from simplegpt.config.schema import Config
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CommandDone, Failure, RunStarted, TrainStep
from simplegpt.run.state import RunState, Status
from tests.tui.made_runs import Shape, make_events
from tui.training.commands import SentCommands
from tui.training.view import (
    RUN_ACTIONS,
    RunView,
    callout_of,
    format_perplexity,
    next_line,
    possible_actions,
    status_line,
)

RUN = RunDirectory("/runs/r")
LAST = RUN.last_checkpoint


def status(state: RunState, **fields: object) -> Status:
    given = {"step": 40, "max_steps": 100, "activity": "training", **fields}
    return Status.of_this_process(state, **given)


def view(state: RunState, **fields: object) -> RunView:
    return replace(RunView(RUN.path, status=status(state)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "checkpoint", "possible"),
    [
        ("starting", None, {"stop"}),
        ("running", None, {"pause", "stop", "send", "lr_factor"}),
        ("running", LAST, {"pause", "stop", "send", "lr_factor", "chat"}),
        ("paused", None, {"resume", "stop", "send", "lr_factor"}),
        ("stopping", None, set()),
        ("finished", LAST, {"resume", "chat"}),
        ("stopped", LAST, {"resume", "chat"}),
        ("failed", None, set()),
        ("failed", LAST, {"resume", "chat"}),
        ("crashed", LAST, {"resume", "chat"}),
        ("finished", LAST.with_name("best.ckpt"), {"chat"}),
    ],
)
def test_actions_depend_on_the_state(
    state: RunState, checkpoint: Path | None, possible: set[str]
) -> None:
    found = possible_actions(view(state, checkpoint=checkpoint), SentCommands())
    assert found == possible | RUN_ACTIONS


def test_pending_pause_can_be_taken_back_and_a_stop_is_sent_once() -> None:
    sent = SentCommands().add("a1", "pause").add("a2", "stop")
    possible = possible_actions(view("running"), sent)
    assert "resume" in possible
    assert not {"pause", "stop"} & possible


def test_nothing_is_possible_without_a_run() -> None:
    assert possible_actions(None, SentCommands()) == frozenset()


def test_status_line_begins_with_the_state() -> None:
    assert status_line(view("paused"), SentCommands()).text.startswith("Paused at step 40.")
    assert status_line(view("stopped"), SentCommands()).text.startswith("Stopped at step 40.")
    starting = RunView(RUN.path, starting_command="simplegpt train my.toml")
    assert starting.state == "starting"
    assert "my.toml" in status_line(starting, SentCommands()).text


def test_status_line_shows_the_command_that_was_sent_last() -> None:
    sent = SentCommands().add("a1", "save")
    assert status_line(view("paused"), sent).kind == "pending"
    done = CommandDone(id="a1", command="save", message="saved step 40")
    sent = sent.settle([done], 0.0, has_ended=False)
    line = status_line(view("paused"), sent)
    assert (line.kind, "saved step 40" in line.text) == ("done", True)


def test_starting_run_can_be_stopped() -> None:
    starting = RunView(RUN.path, starting_command="simplegpt train my.toml")
    assert "stop" in possible_actions(starting, SentCommands())


def test_queued_run_names_what_it_waits_for() -> None:
    queued = view("queued", status=status("queued", waits_for=("/runs/a", "/runs/b")))
    assert "starts after a, b" in status_line(queued, SentCommands()).text
    assert "stop" in possible_actions(queued, SentCommands())


def test_run_that_was_deleted_is_said_to_be_gone() -> None:
    assert callout_of(RunView(RUN.path), []) is None  # not read yet
    gone = callout_of(RunView(RUN.path, is_whole=True), [])
    assert gone is not None
    assert str(RUN.path) in gone.text


def test_eta_is_that_of_the_training_while_it_trains() -> None:
    assert view("running", status=status("running", eta_seconds=30.0)).eta_seconds == 30.0
    assert view("finished", status=status("finished", eta_seconds=30.0)).eta_seconds is None


@pytest.mark.parametrize(
    ("device", "recorded", "shown"),
    [
        ("NVIDIA H100 80GB HBM3", 0.31, 0.31),
        ("8 x NVIDIA H100 80GB HBM3", 0.31, 0.31),
        ("NVIDIA H100 80GB HBM3", 1.33, None),
        ("2 CPU cores", 0.31, None),  # earlier versions measured a peak
        ("NVIDIA Unheard-of 9000", 0.31, None),
    ],
)
def test_mfu_is_shown_where_the_peak_is_published(
    device: str, recorded: float, shown: float | None
) -> None:
    running = view("running")
    running.history.apply(RunStarted(attempt=1, device=device))
    running.history.apply(TrainStep(step=40, tokens=1, loss=1.0, lr=1e-3, mfu=recorded))
    assert running.mfu == shown


def test_next_line_counts_the_steps_to_each_event() -> None:
    settings = Config.model_validate(
        {
            "trainer": {"max_steps": 100, "val_check_interval": 250, "accumulate_grad_batches": 4},
            "checkpointing": {"every_n_steps": 45},
            "samples": {"every_n_steps": 50},
        }
    )
    running = view("running", settings=settings)
    # 250 batches are 62.5 steps
    assert next_line(running) == "Next: validation in 23 · checkpoint in 5 · sample in 10 steps"
    assert "validation in 23" in status_line(running, SentCommands()).text
    running.history.apply(TrainStep(step=99, tokens=1, loss=1.0, lr=1e-3))
    assert next_line(running).endswith("sample in 1 step")


def test_finished_run_shows_what_it_came_to_and_what_to_do_next() -> None:
    finished = view("finished", checkpoint=LAST, config=RUN.config)
    finished.history.extend(make_events(Shape(steps=1_000, max_steps=1_000, state="finished")))
    callout = callout_of(finished, [])
    assert callout is not None
    assert not callout.is_error
    assert callout.title == "Finished: 1,000 steps in 31s"
    for part in ("768,000 tokens", "mean 24.8 k tok/s", "at step 1,000", "perplexity"):
        assert part in callout.text
    assert [action for _, action in callout.choices] == [
        "screen.chat",
        "screen.resume",
        "screen.overlay",
        "screen.edit",
    ]


def test_perplexity_of_a_character_is_in_bits() -> None:
    assert format_perplexity(math.log(4), "char") == "2.00 bits per character"
    assert format_perplexity(math.log(4), "gpt2") == "perplexity 4.0"


def test_failure_offers_its_edits_and_a_resume() -> None:
    failure = Failure(kind="out_of_memory", message="no memory", edits={"data.seq_len": 32})
    failed = view("failed", failure=failure, config=RUN.config, checkpoint=LAST)
    callout = callout_of(failed, ["first", "last"])
    assert callout is not None
    assert "no memory" in callout.title
    assert "data.seq_len = 32" in callout.text
    assert callout.log[-1] == "last"
    assert [action for _, action in callout.choices] == [
        "screen.apply_edits",
        "screen.edit",
        "screen.resume",
    ]


def test_run_without_a_failure_has_no_callout() -> None:
    assert callout_of(view("running"), []) is None
