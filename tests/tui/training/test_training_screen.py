"""The dashboard, with real processes that write real run directories."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual import on
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Button, DataTable, Input, RichLog

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep, Validation
from simplegpt.run.state import RunState
from tests.tui import fake_trainer
from tests.tui.conftest import LARGE, SMALL, quit_by, settle, until
from tests.tui.made_runs import NOBODY, SAMPLE, Shape, make_run
from tui.app import Start, Workbench
from tui.shared.plot import CurvePlot
from tui.shell import messages
from tui.shell.dialogs import Question, TextDialog
from tui.training.callout_panel import CalloutPanel
from tui.training.checkpoints_panel import CheckpointsPanel
from tui.training.log_panel import LogPanel
from tui.training.overlay_dialog import OverlayDialog, RunOptions
from tui.training.plot_panel import PlotPanel
from tui.training.run_controls import RunControls
from tui.training.run_head import RunHead
from tui.training.samples_panel import SamplesPanel
from tui.training.screen import TrainingScreen
from tui.training.view import NO_RUN, RunView

REPOSITORY = Path(__file__).parents[3]
OUT_OF_MEMORY = "CUDA out of memory: tried to allocate 2.00 GiB"


@pytest.fixture
def config(workplace: Path) -> Iterator[Path]:
    """The config of a long run; a process that trains it is killed after the test."""
    path = workplace / "tiny.toml"
    path.write_text('output_dir = "models/tiny"\n[trainer]\nmax_steps = 1_000_000\n')
    yield path
    status = RunDirectory(workplace / "models" / "tiny").status()
    if status is not None:
        with suppress(psutil.Error):
            psutil.Process(status.pid).kill()


class FakeTraining(Workbench):
    """Its trainings take steps of 10 ms; what other screens would open is kept."""

    CSS_PATH = REPOSITORY / "tui" / "app.tcss"

    def __init__(
        self, start: Start = None, train_command: tuple[str, ...] = fake_trainer.COMMAND
    ) -> None:
        self.MODES = {**Workbench.MODES, "train": lambda: TrainingScreen(train_command)}
        super().__init__(start)
        self.opened: list[Any] = []

    @on(messages.OpenConfig)
    @on(messages.OpenChat)
    def _keep(self, event: Message) -> None:
        event.prevent_default()
        self.opened.append(event)


def front(app: Workbench) -> TrainingScreen:
    screen = app.visited["train"]
    assert isinstance(screen, TrainingScreen)
    return screen


def view_of(screen: TrainingScreen) -> RunView:
    assert screen.view is not None
    return screen.view


def state_of(app: Workbench) -> str | None:
    """The state of the run on the Train screen; None before there is one."""
    screen = app.visited.get("train")
    view = screen.view if isinstance(screen, TrainingScreen) else None
    return view.state if view is not None else None


def text_of(screen: TrainingScreen, kind: type[Any], selector: str = "") -> str:
    """What a widget and those in it show."""
    widget = screen.query_one(kind)
    parts = [widget, *widget.query("Static")] if not selector else [widget.query_one(selector)]
    return "\n".join(str(part.render()) for part in parts)


def attempt_of(screen: TrainingScreen) -> int:
    """1 for the first start of the run, one more for each resume; 0 before it started."""
    started = view_of(screen).history.started
    return started.attempt if started is not None else 0


def curve_length(screen: TrainingScreen) -> int:
    """Points of the smoothed curve on the plot."""
    curves = screen.query_one("#main", CurvePlot).curves
    return next(len(curve.x) for curve in curves if curve.name == "smoothed")


async def start(pilot: Pilot[Any], config: Path) -> TrainingScreen:
    """Start a training of `config`; returns its dashboard when it runs."""
    app = pilot.app
    assert isinstance(app, Workbench)
    app.post_message(messages.StartTraining(config))
    await until(pilot, lambda: state_of(app) == "running")
    return front(app)


async def reach(pilot: Pilot[Any], state: RunState) -> None:
    """Wait until the run is in that state."""
    app = pilot.app
    assert isinstance(app, Workbench)
    await until(pilot, lambda: state_of(app) == state)


async def test_attached_run_shows_its_progress(workplace: Path) -> None:
    run = make_run(workplace / "models" / "shakespeare", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        head = text_of(screen, RunHead)
        assert "running" in head
        assert "step 1,200 of 2,000" in head
        assert "ETA 25s" in head  # 800 steps of 31 ms
        assert "CPU 9" in head
        assert SAMPLE.splitlines()[1] in text_of(screen, SamplesPanel)
        assert screen.query_one(CheckpointsPanel).query_one(DataTable).row_count == 2


async def test_newest_sample_comes_first(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=500, samples=2))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        text = text_of(front(app), SamplesPanel)
        assert text.index("step 500") < text.index("step 250")


async def test_live_run_below_the_folder_is_attached_automatically(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=300))
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: state_of(app) == "running")
        assert view_of(front(app)).path == run.path


async def test_without_a_run_other_screens_are_offered(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await settle(pilot)
        assert front(app).callout == NO_RUN
        assert not front(app).query_one("#panels").display
        await pilot.click("CalloutPanel Button")
        await until(pilot, lambda: app.current_mode == "config")
        await settle(pilot)  # it is whole before the app ends


async def test_training_executes_commands_and_answers(config: Path) -> None:
    app = FakeTraining()
    async with app.run_test(size=LARGE) as pilot:
        screen = await start(pilot, config)
        await until(pilot, lambda: screen.check_action("send", ("save",)) is True)

        await pilot.press("s")
        await until(pilot, lambda: screen.status.kind == "done")
        assert "saved step" in text_of(screen, RunControls, "#status")
        await until(pilot, lambda: view_of(screen).checkpoint is not None)

        await pilot.press("f7")
        await reach(pilot, "paused")
        assert "memory stays allocated" in text_of(screen, RunHead)
        assert screen.query_one("#resume").display
        step = view_of(screen).step
        await pilot.press("f7")
        await until(pilot, lambda: state_of(app) == "running" and view_of(screen).step > step)

        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.click("#stop")
        await reach(pilot, "stopped")
        assert not screen.sent.is_pending()


async def test_lr_factor_is_entered_checked_and_answered(config: Path) -> None:
    app = FakeTraining()
    async with app.run_test(size=LARGE) as pilot:
        screen = await start(pilot, config)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, TextDialog))
        field = app.screen.query_one(Input)
        field.value = "-1"
        await pilot.press("enter")
        assert isinstance(app.screen, TextDialog)  # invalid: it stays open
        field.value = "0.25"
        await pilot.press("enter")
        await until(pilot, lambda: "factor 0.25" in screen.status.text)


async def test_error_before_the_run_began_is_shown(config: Path) -> None:
    config.write_text(config.read_text() + '[data]\ntrain_fpath = "none.bin"\n')
    app = Workbench()  # with the real trainer, which ends before it trains
    async with app.run_test(size=SMALL) as pilot:
        app.post_message(messages.StartTraining(config))
        await until(pilot, lambda: "train" in app.visited)
        screen = front(app)
        await until(pilot, lambda: "none.bin" in text_of(screen, CalloutPanel))
        assert "exit code 2" in text_of(screen, CalloutPanel)
        buttons = screen.query("CalloutPanel Button")
        assert all(button.region.bottom <= SMALL[1] for button in buttons)  # without scrolling
        assert screen.check_action("edit", ()) is True
        assert not RunDirectory(config.parent / "models" / "tiny").exists()


async def test_invalid_config_starts_no_process(config: Path) -> None:
    config.write_text('output_dirr = "x"\n')
    app = FakeTraining()
    async with app.run_test(size=SMALL) as pilot:
        children = psutil.Process().children()
        app.post_message(messages.StartTraining(config))
        await until(pilot, lambda: "train" in app.visited)
        screen = front(app)
        await until(pilot, lambda: "output_dirr" in text_of(screen, CalloutPanel))
        assert set(psutil.Process().children()) <= set(children)
        await pilot.press("e")
        await until(pilot, lambda: bool(app.opened))
    assert app.opened == [messages.OpenConfig(config)]


async def test_killed_trainer_has_crashed_and_can_be_resumed(config: Path) -> None:
    app = FakeTraining()
    async with app.run_test(size=LARGE) as pilot:
        screen = await start(pilot, config)
        await pilot.press("s")
        await until(pilot, lambda: view_of(screen).checkpoint is not None)
        status = view_of(screen).status
        assert status is not None
        psutil.Process(status.pid).kill()
        await reach(pilot, "crashed")
        assert screen.callout is not None
        assert "SIGKILL" in screen.callout.title  # its parent knows the exit code
        step = view_of(screen).step
        await pilot.press("f7")
        await until(pilot, lambda: attempt_of(screen) == 2 and view_of(screen).step > step)
        assert screen.callout is None


async def test_finished_run_can_be_resumed(config: Path) -> None:
    run = make_run(config.parent / "r", Shape(steps=100, max_steps=100, state="finished"))
    app = FakeTraining(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await reach(pilot, "finished")
        await settle(pilot)
        assert not front(app).query_one("#pause").display
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, TextDialog))  # up to which step?
        await pilot.press("8", "0", "0", "_", "enter")
        assert isinstance(app.screen, TextDialog)  # not a number yet
        await pilot.press("0", "enter")
        await until(pilot, lambda: attempt_of(front(app)) == 2)


async def test_refused_resume_keeps_the_run_on_screen_and_says_why(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=600, state="stopped"))
    app = Workbench(messages.OpenRun(run.path))  # with the real trainer, which refuses
    async with app.run_test(size=LARGE) as pilot:
        await reach(pilot, "stopped")
        screen = front(app)
        await pilot.press("f7")
        await until(pilot, lambda: "r was not resumed" in text_of(screen, CalloutPanel))
        assert state_of(app) == "stopped"
        text = text_of(screen, CalloutPanel)
        assert "exit code 2" in text
        assert "data.train_fpath" in text  # what the trainer said
        assert curve_length(screen) == 60
        await pilot.press("escape")
        await until(pilot, lambda: screen.callout is None)
        assert view_of(screen).path == run.path


async def test_failed_start_is_reported_over_the_live_run_that_was_shown(config: Path) -> None:
    """Also after the live run was read again, and the other runs were looked at."""
    live = make_run(config.parent / "models" / "live", Shape(steps=600))
    config.write_text(config.read_text() + '[data]\ntrain_fpath = "none.bin"\n')
    app = Workbench(messages.OpenRun(live.path))  # with the real trainer, which ends at once
    async with app.run_test(size=LARGE) as pilot:
        await reach(pilot, "running")
        screen = front(app)
        app.post_message(messages.StartTraining(config))
        failure = "tiny did not start (exit code 2)"
        await until(pilot, lambda: failure in text_of(screen, CalloutPanel))
        await reach(pilot, "running")
        assert view_of(screen).path == live.path
        live.append_event(TrainStep(step=601, tokens=1, loss=1.0, lr=1e-3))
        await until(pilot, lambda: view_of(screen).step == 601)
        app.runs = (*(app.runs or ()),)
        await settle(pilot)
        assert "none.bin" in text_of(screen, CalloutPanel)


async def test_start_that_fails_behind_another_run_is_reported_too(config: Path) -> None:
    other = make_run(config.parent / "other", Shape(steps=600, state="stopped"))
    program = """
import pathlib, time
while not pathlib.Path("fail").exists():
    time.sleep(0.01)
raise SystemExit("no luck")
"""
    app = FakeTraining(train_command=(sys.executable, "-c", program))
    async with app.run_test(size=LARGE) as pilot:
        others = psutil.Process().children()
        app.post_message(messages.StartTraining(config))
        await reach(pilot, "starting")
        (child,) = set(psutil.Process().children()) - set(others)
        app.post_message(messages.OpenRun(other.path))
        await reach(pilot, "stopped")
        Path("fail").touch()
        screen = front(app)
        await until(pilot, lambda: "no luck" in text_of(screen, CalloutPanel))
        assert view_of(screen).path == other.path
        assert not child.is_running()  # nor is it a zombie


async def test_starting_run_can_be_cancelled(config: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    app = FakeTraining(train_command=command)
    async with app.run_test(size=SMALL) as pilot:
        app.post_message(messages.StartTraining(config))
        await reach(pilot, "starting")
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")
        await until(pilot, lambda: front(app).callout == NO_RUN)  # cancelling is no error
        assert not front(app).starting_runs()


async def test_run_whose_files_cannot_be_read_says_so(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=600))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await reach(pilot, "running")
        screen = front(app)
        away = run.events.rename(run.path / "away")
        run.events.symlink_to(run.events)  # which not even root can open
        await until(pilot, lambda: "events.jsonl: Too many levels" in text_of(screen, CalloutPanel))
        assert curve_length(screen) == 60
        away.rename(run.events)
        await until(pilot, lambda: screen.callout is None)


async def test_run_outlives_the_workbench_and_is_attached_by_the_next(config: Path) -> None:
    app = FakeTraining()
    async with app.run_test(size=SMALL) as pilot:
        screen = await start(pilot, config)
        view = view_of(screen)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await quit_by(app, lambda: app.simulate_key("enter"))  # leave it running
    status = RunDirectory(view.path).status()
    assert status is not None
    assert status.is_live
    again = Workbench()
    async with again.run_test(size=SMALL) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: state_of(again) == "running")
        await until(pilot, lambda: view_of(front(again)).step > view.step)


async def test_quitting_can_stop_the_run(config: Path) -> None:
    app = FakeTraining()
    async with app.run_test(size=SMALL) as pilot:
        run = RunDirectory(view_of(await start(pilot, config)).path)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await quit_by(app, app.screen.query_one("#stop", Button).press)
    status = run.status()
    assert status is not None
    with suppress(psutil.NoSuchProcess):
        psutil.Process(status.pid).wait(60)
    status = run.status()
    assert status is not None
    assert status.state == "stopped"


async def test_out_of_memory_offers_edits_that_would_help(workplace: Path) -> None:
    shape = Shape(steps=40, state="failed", error=OUT_OF_MEMORY)
    run = make_run(workplace / "models" / "r", shape)
    app = FakeTraining(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        text = text_of(front(app), CalloutPanel)
        assert OUT_OF_MEMORY in text
        assert "data.train_batch_size = 6" in text
        await pilot.click("CalloutPanel Button")
        await until(pilot, lambda: bool(app.opened))
    assert app.opened[0].path == run.config
    assert app.opened[0].values == {
        "data.train_batch_size": 6,
        "trainer.accumulate_grad_batches": 2,
        "output_dir": "models/r-2",  # the failed run keeps its directory
    }


async def test_run_without_its_process_has_crashed(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100), pid=NOBODY)
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert state_of(app) == "crashed"
        assert "step 100" in text_of(front(app), CalloutPanel)


async def test_appended_events_and_log_lines_are_shown(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        run.append_event(Validation(step=110, tokens=1, val_loss=0.1234, train_loss=0.1))
        with run.log.open("a") as log:
            log.write("hello from the training\n")
        await until(pilot, lambda: "val 0.1234 (train 0.1000)" in text_of(screen, RunHead))
        lines = screen.query_one(LogPanel).lines
        await until(pilot, lambda: "hello from the training" in lines)


async def test_frozen_display_stays_while_the_run_continues(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        await pilot.press("F")
        assert "display frozen" in text_of(screen, RunHead)
        drawn = curve_length(screen)
        run.append_event(TrainStep(step=110, tokens=1, loss=1.0, lr=1e-3))
        await until(pilot, lambda: view_of(screen).step == 110)
        assert curve_length(screen) == drawn
        assert screen.displayed is not screen.view
        await pilot.press("F")
        assert curve_length(screen) == drawn + 1
        assert screen.displayed is screen.view


async def test_new_run_in_the_same_directory_replaces_the_old_one(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=400))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        make_run(run.path, Shape(steps=50))
        await until(pilot, lambda: view_of(front(app)).step == 50)


async def test_log_filter_keeps_lines_with_its_words(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        panel = front(app).query_one(LogPanel)
        log = panel.query_one(RichLog)
        whole = len(log.lines)
        await pilot.press("slash", *"STEP 500")
        await until(pilot, lambda: len(log.lines) == 1)
        assert "step 500" in log.lines[0].text
        await pilot.press("escape")
        await until(pilot, lambda: len(log.lines) == whole)
        assert front(app).focused is log
        panel.write(["warning: " + 60 * "long "])
        await until(pilot, lambda: len(log.lines) > whole + 1)  # wrapped
        assert next(iter(log.lines[-1])).style.color is not None  # the level's
        await pilot.press("space")
        await until(pilot, lambda: len(log.lines) == whole + 1)


async def test_focus_stays_when_the_run_finishes_and_its_card_offers_the_chat(config: Path) -> None:
    config.write_text(config.read_text().replace("1_000_000", "200"))
    app = FakeTraining()
    async with app.run_test(size=LARGE) as pilot:
        screen = await start(pilot, config)
        await pilot.press("4")
        await reach(pilot, "finished")
        await settle(pilot)
        assert screen.focused is screen.query_one(RichLog)
        assert "Finished: 200 steps" in text_of(screen, CalloutPanel)
        assert "CPU" not in text_of(screen, RunHead)  # nothing is measured any more
        assert not screen.query_one(RunControls).display  # the card has the buttons
        await pilot.click("CalloutPanel Button")
        await until(pilot, lambda: bool(app.opened))
    last = RunDirectory(config.parent / "models" / "tiny").last_checkpoint
    assert app.opened == [messages.OpenChat(str(last), beside_run=None)]


async def test_chat_opens_the_newest_checkpoint_beside_a_live_run(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    app = FakeTraining(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: bool(app.opened))
    assert app.opened == [messages.OpenChat(str(run.last_checkpoint), beside_run=run.path)]


async def test_enter_on_a_checkpoint_chats_with_it_while_it_exists(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600, state="finished"))
    app = FakeTraining(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        await pilot.press("3", "enter")  # last.ckpt
        await until(pilot, lambda: bool(app.opened))
        assert app.opened == [messages.OpenChat(str(run.last_checkpoint), beside_run=None)]
        await pilot.press("down", "enter")  # best.ckpt was never written
        await settle(pilot)
        assert len(app.opened) == 1


async def test_plot_zooms_pans_reads_and_changes_its_axes(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=1_200))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        panel = front(app).query_one(PlotPanel)
        plot = panel.query_one("#main", CurvePlot)
        plot.focus()
        low, high = plot.visible_range()
        await pilot.press("+", "+")
        await settle(pilot)
        zoomed = plot.visible_range()
        assert low < zoomed[0] < zoomed[1] < high
        await pilot.press("left")
        await settle(pilot)
        assert plot.visible_range()[0] < zoomed[0]
        await pilot.press("0")
        await settle(pilot)
        assert plot.visible_range() == (low, high)

        await pilot.press("c")
        await settle(pilot)
        assert "step 605" in str(panel.query_one("#legend").render())
        await pilot.press("right", "right")
        await settle(pilot)
        assert plot.cursor is not None
        assert plot.cursor > 605

        await pilot.press("l", "h", "h", "g")
        await settle(pilot)
        assert panel.is_logarithmic
        assert panel.axis == "time"
        assert "learning rate" in str(panel.query_one("#lower-legend").render())


async def test_other_runs_are_overlaid(workplace: Path) -> None:
    """Also two of the same folder name; what is marked shows without colour."""
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    other = make_run(workplace / "models" / "other", Shape(steps=900, state="finished"))
    make_run(workplace / "old" / "other", Shape(steps=300, state="finished"))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        panel = front(app).query_one(PlotPanel)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, OverlayDialog))
        options = app.screen.query_one(RunOptions)
        await pilot.press("j", "space")
        assert [str(option.prompt) for option in options.options] == [
            "[ ] models/other",
            "[x] old/other",
        ]
        await pilot.click("#cancel")
        await until(pilot, lambda: app.screen is front(app))
        assert not panel.overlays
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, OverlayDialog))
        await pilot.press("space", "down", "space", "enter")
        await until(pilot, lambda: len(panel.overlays) == 2)
        await settle(pilot)
        assert other.path in panel.overlays
        legend = str(panel.query_one("#legend").render()).splitlines()
        assert [line.split()[0] for line in legend] == ["step", "models/other", "old/other"]
        assert all("val" in line for line in legend[1:])  # not only the training loss


async def test_plot_keys_act_wherever_the_focus_is(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=600))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await settle(pilot)
        screen = front(app)
        plot = screen.query_one("#main", CurvePlot)
        await pilot.press("4", "+")
        assert plot.zoomed is not None
        assert screen.focused is screen.query_one(RichLog)
        await pilot.press("0")
        assert plot.zoomed is None
        await pilot.press("c")
        assert plot.cursor is not None
        assert screen.focused is plot  # the arrow keys move it


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_any_panel_fills_the_screen_and_returns(
    workplace: Path, size: tuple[int, int]
) -> None:
    run = make_run(workplace / "r", Shape(steps=600))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        screen = front(app)
        for key, name in (("5", "hardware"), ("1", "plot")):
            await pilot.press(key, "z")
            await settle(pilot)
            panel = screen.query_one(f"#panel-{name}")
            assert panel.region.size == (size[0], size[1] - 1)  # all but the keys
            await pilot.press("z" if name == "plot" else "escape")
            await settle(pilot)
            assert screen.query_one(RunHead).region.area > 0


async def test_lr_factor_is_shown_beside_the_rate(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=600))
    status = run.status()
    assert status is not None
    run.write_status(status.model_copy(update={"lr_factor": 0.5}))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "lr 7.94e-4 (×0.5)" in text_of(front(app), RunHead)


async def test_small_terminal_shows_one_panel_at_a_time(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        screen = front(app)
        assert [panel.id for panel in screen.query("#panels .-selected")][-1] == "panel-plot"
        await pilot.press("2")
        await settle(pilot)
        assert screen.query_one(SamplesPanel).region.area > 0
        assert screen.query_one(PlotPanel).region.area == 0
        await pilot.click("#checkpoints")  # its tab
        await settle(pilot)
        assert screen.query_one(CheckpointsPanel).region.area > 0
        assert screen.focused is screen.query_one(CheckpointsPanel).query_one(DataTable)


async def test_buttons_fit_into_a_small_terminal(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        shown = [button for button in front(app).query("RunControls Button") if button.display]
        assert len(shown) == 8
        assert all(button.region.right <= SMALL[0] for button in shown)
        assert not any(button.disabled for button in shown if isinstance(button, Button))


async def test_stopped_run_has_no_buttons_that_need_a_live_one(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=600, state="stopped"))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=LARGE) as pilot:
        await reach(pilot, "stopped")
        await settle(pilot)
        shown = [one.id for one in front(app).query("RunControls Button") if one.display]
        assert shown == ["resume", "chat", "edit"]


async def test_run_that_ends_behind_another_screen_is_announced(workplace: Path) -> None:
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
