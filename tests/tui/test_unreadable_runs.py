"""A run whose files cannot be read costs its own part of a list, and no screen."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from simplegpt.run.directory import RunDirectory
from tests.tui.conftest import LARGE, settle, until
from tests.tui.made_runs import Shape, make_run
from tests.tui.permissions import binding_permissions
from tui.app import Workbench
from tui.chat.model_list import ModelList, find_models, newest_best, parse_model, reopen
from tui.runs.screen import RunsScreen
from tui.runs.summary import SummaryReader
from tui.runs.table import RunTable
from tui.shell import messages
from tui.shell.palette import find_places
from tui.shell.runs import refresh_runs, scan_runs
from tui.training.screen import TrainingScreen


def make(path: Path) -> RunDirectory:
    """A finished run with a checkpoint."""
    run = make_run(path, Shape(steps=100, state="finished"))
    run.last_checkpoint.write_bytes(b"weights")
    info = CheckpointInfo(step=100, val_loss=1.5).model_dump_json()
    sidecar(run.last_checkpoint).write_text(info)
    return run


@pytest.fixture
def permissions() -> Iterator[None]:
    with binding_permissions():
        yield


FILES = (".", "status.json", "config.toml", "events.jsonl", "ckpts", "ckpts/last.ckpt.json")


@pytest.mark.usefixtures("permissions")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["forbidden", "removed"])
def test_lists_survive_a_run_that_cannot_be_read(workplace: Path, name: str, how: str) -> None:
    good, bad = make(workplace / "good"), make(workplace / "bad")
    known = scan_runs(workplace)
    file = bad.path / name
    if how == "forbidden":
        file.chmod(0)
    elif file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    try:
        for runs in (known, refresh_runs([run.path for run in known]), scan_runs(workplace)):
            summaries = {run.path: run for run in SummaryReader(workplace).read(runs)}
            assert summaries[good.path].checkpoint == good.last_checkpoint
            assert "good" in [entry.label for entry in find_models(runs)]
            assert "good/ckpts/last.ckpt" in [e.label for e in find_places(runs, workplace)]
            assert newest_best(runs) is not None
        for choice in (reopen(str(bad.last_checkpoint)), parse_model(str(bad.last_checkpoint))):
            assert (choice is None) == (name in (".", "ckpts"))
    finally:
        if how == "forbidden":
            file.chmod(0o700)


@pytest.mark.usefixtures("permissions")
async def test_screens_say_what_cannot_be_read(workplace: Path) -> None:
    make(workplace / "good")
    bad, worse = make(workplace / "bad"), make(workplace / "worse")
    for file in (bad.config, bad.events):
        file.chmod(0)
    worse.status_file.chmod(0)
    app = Workbench()
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        runs = await app.visit("runs")
        assert isinstance(runs, RunsScreen)
        await until(pilot, lambda: len(runs.summaries or ()) == 3)
        states = {run.name: run.state for run in runs.summaries or ()}
        assert states == {"good": "finished", "bad": "finished", "worse": "unreadable"}
        runs.query_one(RunTable).move_to(bad.path)
        facts = runs.query_one("#facts", Static)
        await until(pilot, lambda: "config cannot be read" in str(facts.render()))

        app.post_message(messages.OpenRun(bad.path))
        await until(pilot, lambda: isinstance(app.screen, TrainingScreen))
        training = app.screen
        assert isinstance(training, TrainingScreen)
        await until(pilot, lambda: "events.jsonl: Permission denied" in str(training.callout))

        bad.checkpoints.chmod(0)
        chat = await app.visit("chat")
        await settle(pilot)
        await chat.run_action("model")
        await until(pilot, lambda: isinstance(app.screen, ModelList))
        models = app.screen
        assert isinstance(models, ModelList)
        await until(pilot, lambda: "good" in [entry.label for entry in models.shown])
        assert "bad" not in [entry.label for entry in models.shown]
        models.query_one(Input).value = str(bad.last_checkpoint)
        await pilot.press("enter")
        error = models.query_one("#error", Static)
        await until(pilot, lambda: "last.ckpt" in str(error.render()))
        bad.checkpoints.chmod(0o700)
