"""The Runs screen: what it lists, and what becomes of each action, on live runs above all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.content import Content
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import RunState
from tests.tui.conftest import LARGE, SMALL, settle
from tests.tui.made_runs import NOBODY, STARTED, Shape, make_run
from tui.app import Workbench
from tui.runs.compare import CompareScreen, differing_keys
from tui.runs.run_details import RunDetails
from tui.runs.run_summary import RunSummary, read_settings
from tui.runs.run_table import RunTable
from tui.runs.screen import RunsScreen
from tui.shell import messages
from tui.shell.dialogs import Question

DAY = 86_400.0
DONE = Shape(steps=100, max_steps=100, state="finished", best_loss=1.5)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the screen asked of the shell; none of it happens."""
    found: list[Message] = []
    real = RunsScreen.post_message

    def record(self: RunsScreen, message: Message) -> bool:
        if type(message).__module__ == messages.__name__:
            found.append(message)
            return True
        return real(self, message)

    monkeypatch.setattr(RunsScreen, "post_message", record)
    return found


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.runs.screen.now", lambda: STARTED + 3 * DAY)


@asynccontextmanager
async def runs_screen(
    size: tuple[int, int] = SMALL,
) -> AsyncIterator[tuple[Pilot[None], RunsScreen]]:
    app = Workbench()
    async with app.run_test(size=size) as pilot:
        screen = await app.visit("runs")
        assert isinstance(screen, RunsScreen)
        await settle(pilot)
        yield pilot, screen


def names(screen: RunsScreen) -> list[str]:
    return [run.name for run in screen.query_one(RunTable).runs]


def row(screen: RunsScreen, at: int) -> list[str]:
    return [cell.plain.strip() for cell in screen.query_one(RunTable).get_row_at(at)]


def told(pilot: Pilot[None]) -> str:
    """The last notification."""
    notifications = list(pilot.app._notifications)
    assert notifications, "nothing was told"
    return notifications[-1].message


def count(screen: RunsScreen) -> str:
    return str(screen.query_one("#count", Static).render())


async def test_runs_are_listed_live_ones_first_and_a_dead_one_has_crashed(workplace: Path) -> None:
    make_run(workplace / "models/a-done", DONE)
    make_run(workplace / "models/b-live", Shape(steps=1_200))
    make_run(workplace / "models/c-crashed", Shape(steps=640), pid=NOBODY)
    async with runs_screen() as (_, screen):
        assert names(screen) == ["models/b-live", "models/a-done", "models/c-crashed"]
        # Their common folder is said once, beneath, and not in every row.
        assert row(screen, 0)[1:5] == ["● running", "b-live", "60%", "1.6200"]
        assert row(screen, 2)[1:4] == ["? crashed", "c-crashed", "32%"]
        assert row(screen, 0)[-1] == "3 d"
        assert count(screen) == "3 runs · 1 live · newest first"
        assert str(screen.query_one(RunDetails).border_title) == "models/b-live"


async def test_lost_run_says_so_beneath(workplace: Path) -> None:
    make_run(workplace / "c-crashed", Shape(steps=640), pid=NOBODY)
    async with runs_screen() as (_, screen):
        facts = str(screen.query_one("#facts", Static).render())
        assert "Its process ended without a word at step 640" in facts


async def test_row_tells_what_its_config_has_otherwise_than_the_next(workplace: Path) -> None:
    first, second = make_run(workplace / "a", DONE), make_run(workplace / "b", DONE)
    text = first.config.read_text()
    second.config.write_text(text.replace("n_layer = 4", "n_layer = 6"))
    async with runs_screen(LARGE) as (_, screen):
        assert names(screen) == ["a", "b"]
        assert row(screen, 0)[-1] == "n_layer 4"
        assert row(screen, 1)[-1] == ""
        facts = str(screen.query_one("#facts", Static).render())
        assert "against the next: n_layer 4 not 6" in facts


async def test_newcomer_is_led_to_a_corpus(asked: list[Message]) -> None:
    async with runs_screen() as (pilot, screen):
        assert "No runs yet" in str(screen.query_one("#empty-text", Static).render())
        await pilot.press("enter")
        await pilot.pause()
    assert asked == [messages.OpenData()]


async def test_a_run_that_begins_appears_by_itself(workplace: Path) -> None:
    async with runs_screen() as (pilot, screen):
        make_run(workplace / "a", DONE)
        pilot.app.post_message(messages.RunsChanged())
        await settle(pilot)
        assert names(screen) == ["a"]
        assert screen.focused is screen.query_one(RunTable)


async def test_sort_by_key_and_by_heading(workplace: Path) -> None:
    for name, loss in (("a", 1.9), ("b", 1.2), ("c", 1.5)):
        make_run(workplace / name, Shape(steps=100, state="stopped", best_loss=loss))
    async with runs_screen() as (pilot, screen):
        for _ in range(4):  # age → name → state → progress → loss
            await pilot.press("s")
        assert names(screen) == ["b", "c", "a"]
        assert "least loss first" in count(screen)
        await pilot.press("S")
        assert names(screen) == ["a", "c", "b"]
        table = screen.query_one(RunTable)
        x = sum(column.get_render_width(table) for column in table.ordered_columns[:2]) + 2
        await pilot.click(RunTable, offset=(x, 0))
        await pilot.pause()
        assert screen.sort_key == "name"
        assert names(screen) == ["a", "b", "c"]


async def test_cursor_stays_on_its_run_when_the_order_changes(workplace: Path) -> None:
    for name, loss in (("a", 1.9), ("b", 1.2), ("c", 1.5)):
        make_run(workplace / name, Shape(steps=100, state="stopped", best_loss=loss))
    async with runs_screen() as (_, screen):
        screen.query_one(RunTable).move_to(workplace / "c")
        screen.sort_key = "loss"
        screen._show()
        assert names(screen) == ["b", "c", "a"]
        assert screen.current is not None
        assert screen.current.name == "c"


async def test_filter_narrows_as_one_types_and_escape_shows_all_again(workplace: Path) -> None:
    make_run(workplace / "alpha", DONE)
    make_run(workplace / "beta", Shape(steps=50, state="failed", error="out of memory"))
    async with runs_screen() as (pilot, screen):
        await pilot.press("slash", *"memory")
        await pilot.pause()
        assert names(screen) == ["beta"]
        assert count(screen).startswith("1 of 2 runs")
        await pilot.press("x")
        await pilot.pause()
        assert "No run matches “memoryx”" in str(screen.query_one("#empty-text", Static).render())
        await pilot.press("escape")
        await pilot.pause()
        assert names(screen) == ["alpha", "beta"]
        assert screen.focused is screen.query_one(RunTable)
        assert not screen.query_one("#filter", Input).display


async def test_letters_typed_into_the_filter_are_no_commands(workplace: Path) -> None:
    run = make_run(workplace / "dune", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("slash", *"dune")
        await settle(pilot)
        assert run.path.exists()
        assert names(screen) == ["dune"]


async def test_enter_watches_and_c_chats_beside_a_live_run(
    workplace: Path, asked: list[Message]
) -> None:
    live = make_run(workplace / "live", Shape(steps=1_200))
    done = make_run(workplace / "done", DONE)
    async with runs_screen() as (pilot, _):
        await pilot.press("enter")
        await pilot.press("c")
        await pilot.press("down", "c")
        await settle(pilot)
    assert asked == [
        messages.OpenRun(live.path),
        messages.OpenChat(str(live.path), beside_run=live.path),
        messages.OpenChat(str(done.path), beside_run=None),
    ]


async def test_run_without_a_checkpoint_is_refused_where_one_is_needed(
    workplace: Path, asked: list[Message]
) -> None:
    run = make_run(workplace / "new", Shape(steps=10, state="failed"))
    run.last_checkpoint.unlink()
    async with runs_screen() as (pilot, _):
        for key, sentence in (("c", "nothing to talk to"), ("n", "no weights"), ("r", "no last")):
            await pilot.press(key)
            await settle(pilot)
            assert sentence in told(pilot)
    assert asked == []


@pytest.mark.parametrize("state", ["stopped", "finished"])
async def test_run_is_resumed(workplace: Path, asked: list[Message], state: RunState) -> None:
    run = make_run(workplace / "a", Shape(steps=100, state=state))
    async with runs_screen() as (pilot, _):
        await pilot.press("r")
        await settle(pilot)
    assert asked == [messages.ResumeTraining(run.path)]


async def test_new_config_starts_from_the_runs_weights_in_a_folder_of_its_own(
    workplace: Path, asked: list[Message]
) -> None:
    run = make_run(workplace / "models/a", DONE)
    async with runs_screen() as (pilot, _):
        await pilot.press("n")
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
    first, second = workplace / "a-continued.toml", workplace / "a-continued-2.toml"
    assert asked == [messages.OpenConfig(first), messages.OpenConfig(second)]
    made = RunDirectory(workplace)
    text = first.read_text()
    (workplace / "config.toml").write_text(text)
    settings = read_settings(made)
    assert settings["init_from"] == str(run.last_checkpoint)
    assert settings["output_dir"] == str(workplace / "models/a-continued")
    assert settings["model.n_layer"] == 4


@pytest.mark.parametrize(("key", "done_to_it"), [("d", "deleted"), ("e", "renamed")])
async def test_live_run_is_neither_deleted_nor_renamed(
    workplace: Path, key: str, done_to_it: str
) -> None:
    run = make_run(workplace / "a", Shape(steps=10))
    async with runs_screen() as (pilot, screen):
        await pilot.press(key)
        await settle(pilot)
        assert told(pilot) == f"a is running: stop it before it is {done_to_it}."
        assert pilot.app.screen is screen
    assert run.path.exists()


async def test_run_that_came_alive_since_the_last_look_is_not_deleted(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=10), pid=NOBODY)
    async with runs_screen() as (pilot, screen):
        assert screen.current is not None
        assert screen.current.state == "crashed"
        screen.on_screen_suspend()  # no look meanwhile
        make_run(workplace / "a", Shape(steps=10))
        await pilot.press("d")
        await settle(pilot)
        assert "stop it before it is deleted" in told(pilot)
    assert run.path.exists()


async def test_delete_and_undo(workplace: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(workplace / "models" / name, DONE)
    async with runs_screen() as (pilot, screen):
        assert screen.check_action("undo_delete", ()) is False
        await pilot.press("down", "d")
        await settle(pilot)
        assert names(screen) == ["models/a", "models/c"]
        assert "models/b" in told(pilot)
        assert "u brings it back" in told(pilot)
        assert screen.current is not None
        assert screen.current.name == "models/c"  # the cursor stays in its place
        await pilot.press("u")
        await settle(pilot)
        assert names(screen) == ["models/a", "models/b", "models/c"]
        assert screen.current.name == "models/b"


async def test_undo_works_after_a_restart(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    async with runs_screen() as (pilot, _):
        await pilot.press("d")
        await settle(pilot)
    async with runs_screen() as (pilot, screen):
        assert names(screen) == []
        screen.query_one(RunTable).focus()
        await pilot.press("u")
        await settle(pilot)
        assert names(screen) == ["a"]


async def test_trash_is_emptied_after_a_question_whose_first_answer_keeps(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("d")
        await settle(pilot)
        for keys, left in ((["enter"], 1), (["right", "enter"], 0)):
            (entry,) = [c for c in screen.commands() if c.title == "Empty the trash"]
            entry.callback()
            await pilot.pause()
            assert isinstance(pilot.app.screen, Question)
            await pilot.press(*keys)
            await settle(pilot)
            assert len(screen.trash.items()) == left
        assert screen.check_action("undo_delete", ()) is False


async def test_rename_says_what_is_wrong_as_one_types(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("e")
        await pilot.pause()
        question = pilot.app.screen
        field = question.query_one(Input)
        field.value = "b"
        await pilot.pause()
        assert "'b' already exists" in str(question.query_one("#error", Static).render())
        await pilot.press("enter")
        assert pilot.app.screen is question
        field.value = "zed"
        await pilot.press("enter")
        await settle(pilot)
        assert names(screen) == ["b", "zed"]
        assert screen.current is not None
        assert screen.current.name == "zed"
    assert (workplace / "zed/ckpts/last.ckpt").exists()


async def test_compare_takes_the_marked_runs_or_this_and_the_next(workplace: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(workplace / name, DONE)
    changed = workplace / "c/config.toml"
    changed.write_text(changed.read_text().replace("n_layer = 4", "n_layer = 6"))
    async with runs_screen() as (pilot, screen):
        await pilot.press("v")
        await settle(pilot)
        compare = pilot.app.screen
        assert isinstance(compare, CompareScreen)
        assert [run.name for run in compare.runs] == ["a", "b"]
        assert str(compare.query_one("#differ", Static).render()) == "Their configs are the same."
        await pilot.press("escape")
        screen.query_one(RunTable).move_to(workplace / "a")
        await pilot.press("space", "down", "space")
        await pilot.pause()
        assert "2 marked" in count(screen)
        await pilot.press("v")
        await settle(pilot)
        compare = pilot.app.screen
        assert isinstance(compare, CompareScreen)
        assert [run.name for run in compare.runs] == ["a", "c"]
        table: DataTable[Any] = compare.query_one("#settings", DataTable)
        assert [cell.plain for cell in table.get_row_at(0)] == ["model.n_layer", "4", "6"]
        assert table.row_count == 1
        steps, losses = compare.curves[0].train
        assert (steps[0], steps[-1]) == (10, 100)
        assert 1 < losses[-1] < losses[0] < 5
        await pilot.press("t")
        await pilot.pause()
        assert "no validation loss yet" in str(compare.query_one("#window").border_title)


async def test_one_run_alone_is_not_compared(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("v")
        await pilot.pause()
        assert "takes two runs" in told(pilot)
        assert pilot.app.screen is screen


def test_settings_that_differ_among_several_runs() -> None:
    def run(**settings: Any) -> RunSummary:
        return RunSummary(Path("x"), "x", "finished", settings=settings)

    runs = [run(seed=1, odd=1), run(seed=1), run(seed=2), RunSummary(Path("y"), "y", "failed")]
    assert differing_keys(runs) == ["seed", "odd"]
    assert differing_keys(runs[-1:]) == []


async def test_folder_is_opened_or_its_path_copied(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(workplace / "a", DONE)
    opener = workplace / "opener"
    opener.write_text('#!/bin/sh\necho "$1" > opened\n')
    opener.chmod(0o755)
    monkeypatch.setattr("tui.runs.run_actions.open_command", lambda path: [str(opener), str(path)])
    async with runs_screen() as (pilot, _):
        await pilot.press("o")
        await settle(pilot)
        assert (workplace / "opened").read_text().strip() == str(run.path)
        opener.unlink()
        await pilot.press("o")
        await settle(pilot)
        assert told(pilot) == f"There is no file browser here. Copied: {run.path}"
        assert pilot.app.clipboard == str(run.path)


async def test_names_and_errors_are_text_and_never_markup_nor_commands(workplace: Path) -> None:
    name = "[bold]x\x1b[31m"
    make_run(workplace / name, Shape(steps=10, state="failed", error="[/red] \x07 bang"))
    make_run(workplace / "other", DONE)
    async with runs_screen() as (pilot, screen):
        screen.query_one(RunTable).move_to(workplace / name)
        await pilot.pause()
        assert "[bold]x␛[31m" in [row(screen, 0)[2], row(screen, 1)[2]]
        facts = str(screen.query_one("#facts", Static).render())
        assert "[/red] ␇ bang" in facts
        title = screen.query_one(RunDetails).border_title
        assert Content.from_markup(str(title)).plain == "[bold]x␛[31m"
        await pilot.press("d")
        await settle(pilot)
        assert told(pilot).startswith("[bold]x␛[31m (")


async def test_table_fits_every_width(workplace: Path) -> None:
    for i in range(20):
        make_run(workplace / "models" / f"{'long-name-' * 12}{i}", DONE)
    for width in (80, 100, 109, 110, 140, 200):
        async with runs_screen((width, 24)) as (_, screen):
            table = screen.query_one(RunTable)
            assert table.virtual_size.width <= table.size.width, width


async def test_a_second_look_changes_only_what_changed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(workplace / "a", DONE)
    changing = make_run(workplace / "b", Shape(steps=500))
    async with runs_screen() as (pilot, screen):
        table, cleared = screen.query_one(RunTable), []
        monkeypatch.setattr(table, "clear", lambda **_: cleared.append(True))
        status = changing.status()
        assert status is not None
        changing.write_status(status.model_copy(update={"step": 900}))
        screen.refresh_runs()
        await settle(pilot)
        assert row(screen, 0)[3] == "45%"
        assert cleared == []
