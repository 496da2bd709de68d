"""The shell: screens, help, palette, theme, quitting, and what the command takes."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from textual.app import ComposeResult, SystemCommand
from textual.widgets import Input, Static
from textual.worker import WorkerFailed

from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory
from tests.tui import fake_trainer
from tests.tui.conftest import SMALL, quit_by, settle, toasts, until
from tests.tui.made_runs import Shape, make_run
from tui.__main__ import kind_of, main, start_for
from tui.app import MAX_ERRORS, Workbench, has_runs_or_data
from tui.config.screen import ConfigScreen
from tui.shell import messages, settings
from tui.shell.dialogs import Question, TextDialog
from tui.shell.header import HeaderTab, LiveRun, live_run_content
from tui.shell.modes import TABS
from tui.shell.runs import newest_live, read_run, refresh_runs
from tui.shell.screen import WorkbenchScreen
from tui.shell.themes import DEFAULT_THEME, THEMES
from tui.training.screen import TrainingScreen

REPOSITORY = Path(__file__).parents[3]


async def test_opens_data_for_a_newcomer(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert app.current_mode == "data"


async def test_opens_runs_where_there_are_some(workplace: Path) -> None:
    make_run(workplace / "models" / "r", Shape(steps=100, state="finished"))
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert app.current_mode == "runs"


@pytest.mark.parametrize("made", ["data/x.bin", "models/a/b/status.json", "other/status.json"])
def test_prepared_data_or_a_run_is_found(workplace: Path, made: str) -> None:
    assert not has_runs_or_data(workplace)
    path = workplace / made
    path.parent.mkdir(parents=True)
    path.touch()
    assert has_runs_or_data(workplace)


async def test_every_screen_has_a_key_a_tab_and_a_palette_entry(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        for mode, title, key in TABS:
            await pilot.press(key)
            await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]
            titles = [command.title for command in app.get_system_commands(app.screen)]
            assert f"Go to {title}" in titles
        for index, (mode, _, _) in enumerate(TABS):
            await settle(pilot)
            await pilot.click(app.screen.query(HeaderTab)[index])
            await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]


async def test_tab_is_highlighted_before_its_screen_is_made(workplace: Path) -> None:
    def active() -> list[str]:
        return [tab.mode for tab in app.screen.query(HeaderTab) if tab.has_class("-active")]

    def make_screen() -> TrainingScreen:
        shown.append(active())
        return TrainingScreen()

    class Opening(Workbench):
        CSS_PATH = REPOSITORY / "tui" / "app.tcss"
        MODES: ClassVar = {**Workbench.MODES, "train": make_screen}

    shown: list[list[str]] = []
    app = Opening()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await app.visit("train")
        assert shown == [["train"]]
        await app.visit("data")
        await until(pilot, lambda: active() == ["data"])


async def test_screen_gets_the_runs_when_its_widgets_are_mounted(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    has_widgets: list[bool] = []

    class Mounting(WorkbenchScreen):
        MODE = "train"

        def compose_body(self) -> ComposeResult:
            self.app.set_reactive(Workbench.runs, ())
            self.app.runs = refresh_runs([run.path])  # type: ignore[attr-defined]
            yield Static(id="inside")

        def watch_runs(self) -> None:
            if self.runs is not None:
                has_widgets.append(bool(self.query("#inside")))

    class Visiting(Workbench):
        CSS_PATH = REPOSITORY / "tui" / "app.tcss"
        MODES: ClassVar = {**Workbench.MODES, "train": Mounting}

    app = Visiting()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await app.visit("train")
        await until(pilot, lambda: bool(has_widgets))
        assert all(has_widgets)


async def test_every_possible_action_with_a_key_is_in_the_palette(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100, state="finished"))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, WorkbenchScreen)
        entries: list[SystemCommand] = list(app.screen.commands())
        assert {"Log scale", "Overlay runs", "Show the samples"} <= {one.title for one in entries}
        assert "Save checkpoint" not in {one.title for one in entries}  # nothing runs


async def test_chosen_theme_is_kept(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        assert app.theme == DEFAULT_THEME
        app.theme = "paper"
        await until(pilot, lambda: settings.Settings.load().theme == "paper")
    assert Workbench().theme == "paper"


def test_theme_that_is_gone_and_broken_settings_fall_back(workplace: Path) -> None:
    settings.change(theme="no-such-theme")
    assert Workbench().theme == DEFAULT_THEME
    (settings.settings_folder() / "settings.json").write_text("{ broken")
    assert Workbench().theme == DEFAULT_THEME


def test_there_are_dark_and_light_themes() -> None:
    assert {theme.dark for theme in THEMES} == {True, False}


async def test_live_run_is_in_every_header_and_a_click_opens_it(workplace: Path) -> None:
    make_run(workplace / "models" / "shakespeare", Shape(steps=600))
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: newest_live(app.runs or ()) is not None)
        await pilot.press("f3")
        await until(pilot, lambda: app.current_mode == "data")
        live = app.screen.query_one(LiveRun)
        await until(pilot, lambda: "30% shakespeare" in str(live.render()))
        await pilot.click(LiveRun)
        await until(pilot, lambda: app.current_mode == "train")


async def test_run_that_was_started_elsewhere_is_found(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert app.runs == ()
        make_run(workplace / "models" / "new", Shape(steps=100))
        app.scan_for_runs()
        await until(pilot, lambda: len(app.runs or ()) == 1)
        live = app.screen.query_one(LiveRun)
        await until(pilot, lambda: "new" in str(live.render()))


async def test_end_of_a_run_is_notified_on_other_screens(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenData())
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: newest_live(app.runs or ()) is not None)
        status = run.status()
        assert status is not None
        run.write_status(status.model_copy(update={"state": "finished"}))
        app.refresh_runs()
        await until(pilot, lambda: "r finished" in toasts(app))
        assert newest_live(app.runs or ()) is None


async def test_quits_at_once_without_a_live_run(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await quit_by(app, lambda: app.simulate_key("f10"))


async def test_quitting_with_a_live_run_can_be_cancelled(workplace: Path) -> None:
    run = make_run(workplace / "models" / "r", Shape(steps=100))
    app = Workbench(messages.OpenRun(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("f10")
        await settle(pilot)
        assert [isinstance(screen, Question) for screen in app.screen_stack] == [False, True]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert app.is_running
        assert not run.commands.read_text()


class FakeTraining(Workbench):
    """Its trainings take steps of 10 ms."""

    CSS_PATH = REPOSITORY / "tui" / "app.tcss"
    MODES: ClassVar = {**Workbench.MODES, "train": lambda: TrainingScreen(fake_trainer.COMMAND)}


async def test_finished_run_is_resumed_up_to_a_later_step(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=100, max_steps=100, state="finished"))
    app = FakeTraining(messages.ResumeTraining(run.path))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TextDialog))
        dialog = app.screen
        field = dialog.query_one(Input)
        assert field.value == "200"
        for wrong in ("100", "many", ""):
            field.value = wrong
            await pilot.press("enter")
            assert "above 100" in str(dialog.query_one("#error", Static).render())
        field.value = "1_500"
        await pilot.press("enter")
        await until(pilot, lambda: (now := run.status()) is not None and now.attempt == 2)
        status = run.status()
        assert status is not None
        assert status.max_steps == 1_500
        psutil.Process(status.pid).kill()


def test_workbench_ends_with_its_terminal_also_without_a_signal(workplace: Path) -> None:
    terminal, own_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui"],
        stdin=own_end,
        stdout=own_end,
        stderr=own_end,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color"},
        start_new_session=True,  # the terminal is not its controlling one: no SIGHUP comes
    )
    os.close(own_end)
    try:
        shown = b""
        while b"Runs" not in shown:
            shown += os.read(terminal, 65_536)
        os.close(terminal)
        assert process.wait(30) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()


async def test_unsaved_work_is_asked_about(workplace: Path) -> None:
    app = Workbench()
    async with app.run_test(size=SMALL) as pilot:
        config = await app.visit("config")
        assert isinstance(config, ConfigScreen)
        await settle(pilot)
        await config.go_to("model.n_layer")
        await pilot.press("7")
        await until(pilot, lambda: config.unsaved() is not None)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert isinstance(app.screen, Question)
        assert config.document.name in app.screen.text
        await pilot.press("enter")  # Cancel has the focus
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert app.is_running


def test_each_path_opens_on_its_screen(workplace: Path) -> None:
    run = make_run(workplace / "run", Shape(steps=10))
    (workplace / "a.toml").touch()
    assert kind_of(None) == "nothing"
    assert kind_of("a.toml") == "config"
    assert kind_of("run") == "run"
    assert kind_of("run/ckpts/last.ckpt") == "model"
    assert kind_of("gpt2") == "model"
    opened = start_for("run", "run")
    assert isinstance(opened, messages.OpenRun)
    assert opened.path == RunDirectory(run.path).path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gtp2", "did you mean 'gpt2'"),
        ("shakespear.toml", "did you mean 'shakespeare.toml'"),
        ("notes.txt", "neither a config"),
        ("empty", "not a run's directory"),
        ("", "PATH is empty"),
        ("no/such/place", "no such file"),
    ],
)
def test_wrong_path_is_an_error_with_a_suggestion(workplace: Path, path: str, message: str) -> None:
    (workplace / "shakespeare.toml").touch()
    (workplace / "notes.txt").touch()
    (workplace / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        main([path])


def test_wrong_path_exits_with_2_and_one_message(workplace: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    completed = subprocess.run(
        [sys.executable, "-m", "tui", "nothing-here"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 2
    assert completed.stderr.startswith("error: nothing-here: no such file")
    assert "Traceback" not in completed.stderr


def test_without_a_terminal_it_says_so(workplace: Path) -> None:
    with pytest.raises(UserError, match="needs a terminal"):
        main([])


def test_version_and_help_come_without_the_interface(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
    assert "simplegpt" in capsys.readouterr().out


def test_header_shows_progress_before_the_name(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=500))
    known = read_run(run.path)
    assert known is not None
    assert live_run_content(known).plain == "● 25% r"


def test_ended_run_is_read_again_only_when_it_changed(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=100, state="stopped"))
    first = read_run(run.path)
    assert first is not None
    assert read_run(run.path, first) is first
    status = run.status()
    assert status is not None
    run.write_status(status.model_copy(update={"step": 101}))
    second = read_run(run.path, first)
    assert second is not None
    assert second.status is not None
    assert second.status.step == 101
    shutil.rmtree(run.path)
    assert read_run(run.path, second) is None


async def fail() -> None:
    raise KeyError("nobody expects it")


async def test_unexpected_error_is_reported_and_the_screen_stays(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(workplace))
    app = Workbench()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await settle(pilot)
        app.stays_after_errors = True
        app.run_worker(fail())
        await until(pilot, lambda: "nobody expects it" in toasts(app))
        [report] = workplace.glob("simplegpt-error-*.txt")
        assert "in fail" in report.read_text()
        await pilot.press("f4")
        await until(pilot, lambda: app.current_mode == "config")


async def test_errors_without_end_do_end_the_workbench(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(workplace))
    app = Workbench()

    async def use() -> None:
        async with app.run_test(size=SMALL) as pilot:
            await settle(pilot)
            app.stays_after_errors = True
            for _ in range(2 * MAX_ERRORS):
                app.run_worker(fail())
            await until(pilot, lambda: not app.is_running)

    with pytest.raises(WorkerFailed):
        await use()
