"""The order of the list and its filter."""

import os
import socket
from pathlib import Path
from typing import Any

import psutil

from simplegpt.run.events import Failure
from simplegpt.run.state import RunState, Status
from tui.runs.listing import arrange
from tui.runs.summary import Curve, RunSummary


def summary(
    name: str, state: RunState, started: float, loss: float | None, size: int, **fields: Any
) -> RunSummary:
    status = Status(
        state=state,
        pid=os.getpid(),
        pid_created=psutil.Process().create_time(),
        host=socket.gethostname(),
        best_loss=loss,
        failure=fields.pop("failure", None),
    )
    return RunSummary(Path(name), name, status, Curve(started), size, **fields)


RUNS = [
    summary("old", "finished", 1.0, 1.5, 10),
    summary("live", "running", 2.0, 2.0, 20),
    summary("new", "failed", 3.0, None, 30, failure=Failure(kind="error", message="Out of memory")),
    summary("mid", "stopped", 2.5, 1.2, 5, settings={"model.n_layer": 6}),
]


def names(*arguments: Any, **options: Any) -> list[str]:
    return [run.name for run in arrange(RUNS, *arguments, **options)]


def test_live_runs_are_first_in_every_order() -> None:
    assert names() == ["live", "new", "mid", "old"]
    assert names("age", inverted=True) == ["live", "old", "mid", "new"]
    assert names("size") == ["live", "new", "old", "mid"]
    assert names("name") == ["live", "mid", "new", "old"]


def test_a_run_without_the_value_is_last_also_if_inverted() -> None:
    assert names("loss") == ["live", "mid", "old", "new"]
    assert names("loss", inverted=True) == ["live", "old", "mid", "new"]


def test_filter_takes_words_of_name_state_error_and_settings() -> None:
    assert names(filter_text="MEMORY failed") == ["new"]
    assert names(filter_text="n_layer=6") == ["mid"]
    assert names(filter_text="run") == ["live"]
    assert names(filter_text="nothing") == []
