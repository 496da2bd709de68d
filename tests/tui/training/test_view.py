"""What the dashboard derives from a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import CommandDone, Failure, TrainStep
from simplegpt.run.state import RunState, Status
from tui.training.commands import SentCommands
from tui.training.view import RUN_ACTIONS, RunView, failure_callout, possible_actions, status_line

RUN = RunDirectory("/runs/r")
LAST = RUN.last_checkpoint


def view(state: RunState, **fields: object) -> RunView:
    status = Status.of_this_process(state, step=40, max_steps=100, activity="training")
    return replace(RunView(RUN.path, status=status), **fields)  # type: ignore[arg-type]


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
    assert status_line(view("finished"), SentCommands()).text.startswith("Finished at step 40.")
    starting = RunView(RUN.path, starting_command="python -m simplegpt.train my.toml")
    assert starting.state == "starting"
    assert "my.toml" in status_line(starting, SentCommands()).text


def test_status_line_shows_the_command_that_was_sent_last() -> None:
    sent = SentCommands().add("a1", "save")
    assert status_line(view("paused"), sent).kind == "pending"
    sent = sent.with_answers([CommandDone(id="a1", command="save", message="saved step 40")])
    line = status_line(view("paused"), sent)
    assert (line.kind, "saved step 40" in line.text) == ("done", True)


def test_eta_follows_from_the_pace_of_the_latest_steps() -> None:
    running = view("running")
    assert running.eta_seconds is None
    event = TrainStep(step=40, tokens=1, loss=1.0, lr=1e-3, step_seconds=0.5)
    running.history.apply(event)
    assert running.eta_seconds == 60 * 0.5
    finished = view("finished", history=running.history)
    assert finished.eta_seconds is None


def test_failure_offers_its_edits_and_a_resume() -> None:
    failure = Failure(kind="out_of_memory", message="no memory", edits={"data.seq_len": 32})
    failed = view("failed", failure=failure, config=RUN.config, checkpoint=LAST)
    callout = failure_callout(failed, ["first", "last"])
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
    assert failure_callout(view("running"), []) is None
