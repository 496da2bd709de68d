"""The dashboard's behaviour, with real processes that write real run directories."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual import on
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input, RichLog

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep, Validation
from tests.tui.conftest import LARGE, SMALL, settle, until
from tests.tui.made_runs import NOBODY, SAMPLE, Shape, make_run
from tui.app import Start, Workbench
from tui.shared.follower import SMALL_BYTES
from tui.shared.plot import CurvePlot
from tui.shell import messages
from tui.shell.dialogs import Question
from tui.training.plot_panel import PlotPanel
from tui.training.run_controls import RunControls
from tui.training.run_head import RunHead
from tui.training.run_panels import CheckpointsPanel, LogPanel, SamplesPanel
from tui.training.run_trouble import RunTrouble
from tui.training.screen import TrainingScreen

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def config(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A config whose run is written by `tests.tui.fake_trainer`, ended with the test."""
    monkeypatch.setattr("tui.training.trainer_process.MODULE", "tests.tui.fake_trainer")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    path = workplace / "tiny.toml"
    path.write_text('output_dir = "models/tiny"\n')
    yield path
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "tests.tui.fake_trainer" in process.cmdline():
                process.kill()


class Stay(Workbench):
    """Keeps what screens ask for, and stays where it is."""

    CSS_PATH = REPOSITORY / "tui" / "app.tcss"

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.wanted: list[Any] = []

    @on(messages.OpenConfig)
    @on(messages.OpenChat)
    @on(messages.ResumeTraining)
    def _keep(self, event: Message) -> None:
        event.prevent_default()
        self.wanted.append(event)


def front(app: Workbench) -> TrainingScreen:
    screen = app.visited["train"]
    assert isinstance(screen, TrainingScreen)
    return screen


def text_of(screen: TrainingScreen, kind: type[Any], selector: str = "") -> str:
    """What a widget and those in it say."""
    widget = screen.query_one(kind)
    parts = [widget, *widget.query("Static")] if not selector else [widget.query_one(selector)]
    return "\n".join(str(part.render()) for part in parts)


async def started(pilot: Pilot[Any], config: Path) -> TrainingScreen:
    """The dashboard of a run that was started from `config` and is under way."""
    app = pilot.app
    assert isinstance(app, Workbench)
    app.post_message(messages.StartTraining(config))
    await until(pilot, lambda: "train" in app.visited)
    screen = front(app)
    await until(pilot, lambda: screen.view is not None and screen.view.state == "running")
    return screen


async def test_joined_run_shows_where_it_stands(workplace: Path) -> None:
    run = make_run(workplace / "models" / "shakespeare", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        head = text_of(screen, RunHead)
        assert "running" in head
        assert "step 1,200 of 2,000" in head
        assert "25s left" in head  # 800 steps of 31 ms
        assert "no GPU" in head
        assert "What light is this" in text_of(screen, SamplesPanel)
        table = screen.query_one(CheckpointsPanel).query_one("DataTable")
        assert table.row_count == 2  # type: ignore[attr-defined]


async def test_newest_sample_stands_first(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=500, samples=2))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        said = text_of(front(app), SamplesPanel)
        assert said.index("step 500") < said.index("step 250")
        assert SAMPLE.splitlines()[1] in said


async def test_live_run_below_the_folder_is_joined_by_itself(workplace: Path) -> None:
    make_run(workplace / "models" / "r", Shape(steps=300))
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: "train" in app.visited and front(app).view is not None)
        view = front(app).view
        assert view is not None
        assert view.path.name == "r"


async def test_without_a_run_the_ways_to_one_are_offered(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await settle(pilot)
        assert "No run is open" in text_of(front(app), RunTrouble)
        await pilot.click("RunTrouble Button")
        await until(pilot, lambda: app.current_mode == "config")


async def test_started_training_is_steered_and_answers(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=LARGE) as pilot:
        screen = await started(pilot, config)
        view = screen.view
        assert view is not None
        await until(pilot, lambda: view.history.last is not None)

        await pilot.press("s")
        assert screen.asked.last is not None
        assert screen.asked.last.command == "save"
        await until(pilot, lambda: not screen.asked.pending("save"))
        assert "saved step" in text_of(screen, RunControls, "#answer")

        await pilot.press("f7")
        await until(pilot, lambda: view.state == "paused")
        assert "memory stays allocated" in text_of(screen, RunHead)
        step = view.step
        await pilot.press("f7")
        await until(pilot, lambda: view.state == "running" and view.step > step)

        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")
        await until(pilot, lambda: view.state == "stopped")
        assert not screen.asked.pending("stop")


async def test_learning_rate_factor_is_asked_for_and_answered(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=LARGE) as pilot:
        screen = await started(pilot, config)
        await pilot.press("l")
        await until(pilot, lambda: app.screen is not screen)
        await pilot.press("enter")  # 0.5 stands there
        await until(pilot, lambda: screen.asked.last is not None)
        await until(pilot, lambda: not screen.asked.pending("set_lr_factor"))
        assert "0.5 times its schedule" in text_of(screen, RunControls, "#answer")


async def test_mistake_before_the_run_began_is_told_in_its_words(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "mistake")
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        app.post_message(messages.StartTraining(config))
        await until(pilot, lambda: "train" in app.visited)
        screen = front(app)
        await until(pilot, lambda: screen.query_one(RunTrouble).display)
        said = text_of(screen, RunTrouble)
        assert "no such file: 'data/train.bin'" in said
        assert "exit code 2" in said
        assert screen.config_file() == config


async def test_mistake_in_the_config_starts_nothing(config: Path) -> None:
    config.write_text('output_dirr = "x"\n')
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        app.post_message(messages.StartTraining(config))
        await until(pilot, lambda: "train" in app.visited)
        screen = front(app)
        await until(pilot, lambda: screen.query_one(RunTrouble).display)
        assert "output_dir" in text_of(screen, RunTrouble)
        assert not screen.trainers


async def test_killed_trainer_is_called_lost_and_can_go_on(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=LARGE) as pilot:
        screen = await started(pilot, config)
        view = screen.view
        assert view is not None
        await pilot.press("s")
        await until(pilot, lambda: not screen.asked.pending("save"))
        screen.trainers[view.path].process.kill()
        await until(pilot, lambda: view.state == "crashed")
        await until(pilot, lambda: screen.query_one(RunTrouble).display)
        assert "SIGKILL" in text_of(screen, RunTrouble)
        step = view.step
        await pilot.press("f7")
        await until(
            pilot,
            lambda: (
                screen.view is not None
                and screen.view.state == "running"
                and screen.view.step > step
            ),
        )
        assert screen.view is not None
        assert screen.view.history.started is not None
        assert screen.view.history.started.attempt == 2


async def test_finished_run_can_be_resumed(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=100, max_steps=100, state="finished"))
    app = Stay(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "train" in app.visited and front(app).can_resume())
        await settle(pilot)
        assert not front(app).query_one("#pause").display
        await pilot.press("f7")
        await until(pilot, lambda: bool(app.wanted))
    assert app.wanted == [messages.ResumeTraining(run.path)]


async def test_run_goes_on_without_the_workbench_and_is_joined_again(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        screen = await started(pilot, config)
        assert screen.view is not None
        step, path = screen.view.step, screen.view.path
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")  # leave it running
        await until(pilot, lambda: not app.is_running)
    status = RunDirectory(path).status()
    assert status is not None
    assert status.is_live
    again = Workbench()
    async with again.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: "train" in again.visited and front(again).view is not None)
        await until(pilot, lambda: front(again).view.step > step)  # type: ignore[union-attr]


async def test_quitting_can_stop_the_run(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        screen = await started(pilot, config)
        assert screen.view is not None
        trainer = screen.trainers[screen.view.path]
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("right", "enter")
        await until(pilot, lambda: not app.is_running)
    assert trainer.process.wait(timeout=15) == 0
    status = trainer.run.status()
    assert status is not None
    assert status.state == "stopped"


async def test_trainer_is_detached_and_polite(config: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        screen = await started(pilot, config)
        assert screen.view is not None
        pid = screen.trainers[screen.view.path].process.pid
        assert os.getsid(pid) == pid
        assert psutil.Process(pid).nice() > psutil.Process().nice()


async def test_out_of_memory_offers_edits_that_would_fit(workplace: Path) -> None:
    error = "CUDA out of memory: tried to allocate 2.00 GiB"
    run = make_run(workplace / "models" / "r", Shape(steps=40, state="failed", error=error))
    app = Stay(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        said = text_of(screen, RunTrouble)
        assert error in said
        assert "data.train_batch_size = 6" in said
        assert "trainer.accumulate_grad_batches = 2" in said
        screen.action_mend()
        await until(pilot, lambda: bool(app.wanted))
    values = dict(app.wanted[0].values)
    assert values["data.train_batch_size"] == 6
    assert values["output_dir"] == "models/r-2"  # the failed run keeps its directory


async def test_run_without_its_process_has_crashed(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100), pid=NOBODY)
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "crashed" in text_of(front(app), RunHead)
        assert "without a word at step 100" in text_of(front(app), RunTrouble)


async def test_what_is_appended_appears(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        run.append_event(Validation(step=110, tokens=1, val_loss=0.123))
        with run.log.open("a") as log:
            log.write("hello from the training\n")
        await until(pilot, lambda: "0.123" in text_of(screen, RunHead))
        lines = screen.query_one(LogPanel).lines
        await until(pilot, lambda: "hello from the training" in lines)


async def test_display_is_held_while_the_run_goes_on(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        assert screen.view is not None
        view = screen.view
        await pilot.press("d")
        assert "display paused" in text_of(screen, RunHead)
        drawn = len(screen.query_one("#main", CurvePlot).curves[1].x)
        run.append_event(TrainStep(step=110, tokens=1, loss=1.0, lr=1e-3))
        await until(pilot, lambda: view.step == 110)
        assert len(screen.query_one("#main", CurvePlot).curves[1].x) == drawn
        await pilot.press("d")
        assert len(screen.query_one("#main", CurvePlot).curves[1].x) == drawn + 1


async def test_new_run_in_the_same_directory_replaces_the_old_one(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=400))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        make_run(run.path, Shape(steps=50))
        screen = front(app)
        await until(pilot, lambda: screen.view is not None and screen.view.step == 50)


async def test_log_filter_keeps_lines_with_its_words(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        log = front(app).query_one(LogPanel).query_one(RichLog)
        whole = len(log.lines)
        await pilot.press("slash", *"STEP 500")
        await until(pilot, lambda: len(log.lines) == 1)
        assert "step 500" in log.lines[0].text
        log_input = front(app).query_one(LogPanel).query_one(Input)
        log_input.value = ""
        await until(pilot, lambda: len(log.lines) == whole)


async def test_finished_run_leads_on_to_the_chat_by_enter(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "short")
    app = Stay(None)
    async with app.run_test(size=SMALL) as pilot:
        screen = await started(pilot, config)
        view = screen.view
        assert view is not None
        await until(pilot, lambda: view.state == "finished")
        await until(pilot, lambda: screen.focused is not None and screen.focused.id == "chat")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.wanted))
    assert app.wanted[0].model == str(RunDirectory(view.path).last_checkpoint)
    assert app.wanted[0].beside_run is None


async def test_chat_opens_with_the_newest_checkpoint_beside_the_run(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    app = Stay(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: bool(app.wanted))
    assert app.wanted[0].model == str(run.last_checkpoint)
    assert app.wanted[0].beside_run == run.path


async def test_plot_zooms_reads_and_changes_its_axes(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        panel = front(app).query_one(PlotPanel)
        plot = panel.query_one("#main", CurvePlot)
        plot.focus()
        low, high = plot.in_sight()
        await pilot.press("+", "+")
        await settle(pilot)
        zoomed = plot.in_sight()
        assert low < zoomed[0] < zoomed[1] < high
        await pilot.press("left")
        await settle(pilot)
        assert plot.in_sight()[0] < zoomed[0]
        await pilot.press("0")
        await settle(pilot)
        assert plot.in_sight() == (low, high)

        await pilot.press("c")
        await settle(pilot)
        assert "step 605" in str(panel.query_one("#legend").render())
        await pilot.press("right", "right")
        await settle(pilot)
        assert plot.cursor is not None
        assert plot.cursor > 605

        await pilot.press("y", "x", "x", "b")
        await settle(pilot)
        assert panel.logarithmic
        assert panel.axis == "time"
        assert "learning rate" in str(panel.query_one("#below-legend").render())


async def test_other_runs_are_laid_over(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    make_run(workplace / "models" / "other", Shape(steps=900, state="finished"))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        await pilot.press("o")
        await until(pilot, lambda: app.screen is not front(app))
        await pilot.press("space", "enter")
        panel = front(app).query_one(PlotPanel)
        await until(pilot, lambda: list(panel.overlays) == ["other"])
        await settle(pilot)
        assert "other" in str(panel.query_one("#legend").render())


async def test_run_that_ends_while_one_looks_elsewhere_is_told(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    rung: list[bool] = []
    async with app.run_test(size=SMALL) as pilot:
        app.bell = lambda: rung.append(True)  # type: ignore[method-assign]
        await settle(pilot)
        await pilot.press("f2")
        await settle(pilot)
        status = run.status()
        assert status is not None
        run.write_status(status.model_copy(update={"state": "finished"}))
        await until(pilot, lambda: bool(rung))
        assert any("finished" in n.message for n in app._notifications)


async def test_long_history_is_pictured_before_it_is_read_whole(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=6_000, every=1, samples=0))
    assert run.events.stat().st_size > SMALL_BYTES
    whole: list[bool] = []
    take = TrainingScreen._take
    monkeypatch.setattr(
        TrainingScreen, "_take", lambda self, event: whole.append(event.whole) or take(self, event)
    )
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole == [False, True])
        view = front(app).view
        assert view is not None
        assert len(view.history.train) == 6_000
        assert view.step == 6_000
