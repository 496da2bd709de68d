"""The Runs screen: what it lists, and what becomes of each action, on live runs above all."""

import csv
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from textual import on
from textual.content import Content
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from simplegpt.config.load import inspect
from simplegpt.config.schema import ModelConfig
from simplegpt.progress import format_loss
from simplegpt.run.checkpoints import CheckpointInfo, write_info
from simplegpt.run.directory import RunDirectory
from simplegpt.run.evaluations import EvaluationRecord, read_evaluations, record_evaluation
from simplegpt.run.notes import Notes, read_notes
from simplegpt.run.state import RunState
from tests.simplegpt.models import random_gpt, save_checkpoint
from tests.tui.configs import make_project
from tests.tui.conftest import LARGE, SMALL, settle, toasts, until
from tests.tui.made_runs import NOBODY, STARTED, Shape, make_run
from tui.app import Workbench
from tui.runs.compare import CompareScreen
from tui.runs.details import RunDetails
from tui.runs.screen import RunsScreen, kept_result
from tui.runs.summary import EVALUATED_LOSS, differing_keys
from tui.runs.table import RunTable
from tui.runs.trash_dialog import TrashDialog
from tui.shared.plot import CurvePlot
from tui.shell import messages
from tui.shell.dialogs import ListDialog, Question, TextDialog

DAY = 86_400.0
REAL_SECONDS = 120.0
"""Within which a real process must have done its work."""
DONE = Shape(steps=100, max_steps=100, state="finished", best_loss=1.5)


class Runs(Workbench):
    """At a fixed time; what the list requests of the shell is noted and does not happen."""

    MODES: ClassVar = {
        **Workbench.MODES,
        "runs": lambda: RunsScreen(clock=lambda: STARTED + 3 * DAY, opener=("./opener",)),
    }

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Message] = []

    @on(messages.OpenConfig)
    @on(messages.OpenRun)
    @on(messages.OpenChat)
    @on(messages.OpenData)
    @on(messages.ResumeTraining)
    def note(self, event: Message) -> None:
        event.prevent_default()
        self.requests.append(event)


@asynccontextmanager
async def runs_screen(
    size: tuple[int, int] = SMALL,
) -> AsyncIterator[tuple[Pilot[None], RunsScreen]]:
    app = Runs()
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await app.visit("runs")
        assert isinstance(screen, RunsScreen)
        await settle(pilot)
        yield pilot, screen


def requests(screen: RunsScreen) -> list[Message]:
    assert isinstance(screen.app, Runs)
    return screen.app.requests


def names(screen: RunsScreen) -> list[str]:
    return [run.name for run in screen.query_one(RunTable).runs]


def row(screen: RunsScreen, at: int) -> list[str]:
    return [cell.plain.strip() for cell in screen.query_one(RunTable).get_row_at(at)]


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
        assert count(screen) == "3 runs · 1 live · Newest first"
        assert str(screen.query_one(RunDetails).border_title) == "models/b-live"


async def test_details_say_that_a_run_has_crashed(workplace: Path) -> None:
    make_run(workplace / "c-crashed", Shape(steps=640), pid=NOBODY)
    async with runs_screen() as (_, screen):
        facts = str(screen.query_one("#facts", Static).render())
        assert "exited unexpectedly at step 640" in facts


async def test_baseline_is_what_other_runs_differ_from(workplace: Path) -> None:
    first, second = make_run(workplace / "a", DONE), make_run(workplace / "b", DONE)
    text = first.config.read_text()
    second.config.write_text(text.replace("n_layer = 4", "n_layer = 6"))
    async with runs_screen(LARGE) as (pilot, screen):
        assert "Differs" not in str(screen.query_one(RunTable).ordered_columns[-1].label)
        await pilot.press("B", "down")
        await settle(pilot)
        assert [row(screen, at)[-1] for at in (0, 1)] == ["the baseline", "n_layer 6"]
        facts = str(screen.query_one("#facts", Static).render())
        assert "n_layer 6 (not 4)" in facts
        await pilot.press("x")  # compares with the baseline, not with a neighbour
        await settle(pilot)
        compare = pilot.app.screen
        assert isinstance(compare, CompareScreen)
        assert [run.name for run in compare.compared] == ["b", "a"]
        await pilot.press("escape", "B")
        await settle(pilot)
        assert screen.baseline is not None
        assert screen.baseline.name == "b"
        assert read_notes(first).tags == ()
        await pilot.press("B")
        await settle(pilot)
        assert screen.baseline is None


async def test_lowest_loss_of_each_tokenizer_is_marked(workplace: Path) -> None:
    for name, loss, tokenizer in (("a", 1.9, "char"), ("b", 1.2, "char"), ("c", 3.0, "gpt2")):
        run = make_run(workplace / name, Shape(steps=100, state="stopped", best_loss=loss))
        text = run.config.read_text().replace('"char"', f'"{tokenizer}"')
        run.config.write_text(text)
    async with runs_screen() as (_, screen):
        assert [row(screen, at)[4] for at in range(3)] == ["1.9000", "★1.2000", "3.0000"]


async def test_chosen_settings_have_a_column_and_are_sorted_by(workplace: Path) -> None:
    for name, n_layer in (("a", 4), ("b", 12), ("c", 6)):
        config = make_run(workplace / name, DONE).config
        config.write_text(config.read_text().replace("n_layer = 4", f"n_layer = {n_layer}"))
    async with runs_screen(LARGE) as (pilot, screen):
        await pilot.press("C")
        await pilot.pause()
        await pilot.press(*"model.n_layer", "enter", "escape")
        await settle(pilot)
        labels = [str(column.label) for column in screen.query_one(RunTable).ordered_columns]
        assert labels[6:10] == ["parameters", "peak_lr", "dropout_p", "n_layer"]
        assert [row(screen, at)[6] for at in (0, 1)] == ["834,304", "2.42 M"]
        await pilot.press("less_than_sign", "less_than_sign")  # n_layer ← size ← age
        await pilot.pause()
        assert names(screen) == ["a", "c", "b"]
    async with runs_screen(LARGE) as (_, screen):
        assert screen.columns[-1] == "model.n_layer"


async def test_notes_and_tags_are_kept_with_the_run_and_found_by_the_filter(
    workplace: Path,
) -> None:
    run = make_run(workplace / "a", DONE)
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("N")
        await pilot.pause()
        await pilot.press(*"twice as wide #wide", "enter")
        await settle(pilot)
        assert read_notes(run) == Notes(text="twice as wide", tags=("wide",))
        assert "twice as wide #wide" in str(screen.query_one("#facts", Static).render())
        for text in ("#wide", "twice"):
            screen.query_one("#filter", Input).value = text
            await pilot.pause()
            assert names(screen) == ["a"]
        await pilot.press("escape", "N")
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = ""
        await pilot.press("enter")
        await settle(pilot)
        assert not run.notes.exists()


async def test_wide_characters_keep_the_columns_aligned(workplace: Path) -> None:
    make_run(workplace / "models" / ("学習" * 20), DONE)
    make_run(workplace / "models" / "narrow", DONE)
    async with runs_screen(LARGE) as (_, screen):
        table = screen.query_one(RunTable)
        widths = [[cell.cell_len for cell in table.get_row_at(at)] for at in (0, 1)]
        limits = [column.width for column in table.ordered_columns]
        assert all(w <= limit for row in widths for w, limit in zip(row, limits, strict=True))


async def test_newcomer_is_led_to_a_corpus(workplace: Path) -> None:
    async with runs_screen() as (pilot, screen):
        assert "No runs yet" in str(screen.query_one("#empty-text", Static).render())
        await pilot.press("enter")
        await pilot.pause()
        assert requests(screen) == [messages.OpenData()]


async def test_a_run_that_begins_appears_by_itself(workplace: Path) -> None:
    async with runs_screen() as (pilot, screen):
        make_run(workplace / "a", DONE)
        pilot.app.post_message(messages.RunsChanged())  # as the app does now and then by itself
        await settle(pilot)
        assert names(screen) == ["a"]
        assert screen.focused is screen.query_one(RunTable)


async def test_sort_by_key_and_by_heading(workplace: Path) -> None:
    for name, loss in (("a", 1.9), ("b", 1.2), ("c", 1.5)):
        make_run(workplace / name, Shape(steps=100, state="stopped", best_loss=loss))
    async with runs_screen() as (pilot, screen):
        await pilot.press("less_than_sign", "less_than_sign")  # loss ← size ← age
        assert names(screen) == ["b", "c", "a"]
        assert "Lowest loss first" in count(screen)
        await pilot.press("I")
        assert names(screen) == ["a", "c", "b"]
        table = screen.query_one(RunTable)
        x = sum(column.get_render_width(table) for column in table.ordered_columns[:2]) + 2
        await pilot.click(RunTable, offset=(x, 0))
        await pilot.pause()
        assert screen.sort_column == "name"
        assert names(screen) == ["a", "b", "c"]


async def test_cursor_stays_on_its_run_when_the_order_changes(workplace: Path) -> None:
    for name, loss in (("a", 1.9), ("b", 1.2), ("c", 1.5)):
        make_run(workplace / name, Shape(steps=100, state="stopped", best_loss=loss))
    async with runs_screen() as (_, screen):
        screen.query_one(RunTable).move_to(workplace / "c")
        screen.sort_column = "loss"
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


async def test_enter_watches_and_f9_chats_beside_a_live_run(workplace: Path) -> None:
    live = make_run(workplace / "live", Shape(steps=1_200))
    done = make_run(workplace / "done", DONE)
    async with runs_screen() as (pilot, screen):
        assert screen.check_action("resume", ()) is False  # so it is not in the footer
        await pilot.press("r")
        await settle(pilot)
        assert "live is running: press Enter" in toasts(pilot.app)
        await pilot.press("enter")
        await pilot.press("f9")
        await pilot.press("down", "f9")
        await settle(pilot)
        assert requests(screen) == [
            messages.OpenRun(live.path),
            messages.OpenChat(str(live.path), beside_run=live.path),
            messages.OpenChat(str(done.path), beside_run=None),
        ]


async def test_run_without_a_checkpoint_is_refused_where_one_is_needed(workplace: Path) -> None:
    run = make_run(workplace / "new", Shape(steps=10, state="failed"))
    run.last_checkpoint.unlink()
    async with runs_screen() as (pilot, screen):
        for key, sentence in (("f9", "chat with"), ("n", "start from"), ("r", "no last.ckpt")):
            await pilot.press(key)
            await settle(pilot)
            assert sentence in toasts(pilot.app)
        assert requests(screen) == []


@pytest.mark.parametrize("state", ["stopped", "finished"])
async def test_run_is_resumed(workplace: Path, state: RunState) -> None:
    run = make_run(workplace / "a", Shape(steps=100, state=state))
    async with runs_screen() as (pilot, screen):
        await pilot.press("r")
        await settle(pilot)
        assert requests(screen) == [messages.ResumeTraining(run.path)]


async def test_new_config_starts_from_the_runs_weights_in_a_folder_of_its_own(
    workplace: Path,
) -> None:
    run = make_run(workplace / "models/a", DONE)
    async with runs_screen() as (pilot, screen):
        for _ in range(2):
            await pilot.press("n")
            await settle(pilot)
        first, second = workplace / "a-continued.toml", workplace / "a-continued-2.toml"
        assert requests(screen) == [messages.OpenConfig(first), messages.OpenConfig(second)]
    settings = inspect(first).values
    assert settings["init_from"] == str(run.last_checkpoint)
    assert settings["output_dir"] == str(workplace / "models/a-continued")
    assert settings["model.n_layer"] == 4


@pytest.mark.parametrize(("key", "action"), [("d", "deleting"), ("R", "renaming")])
async def test_live_run_is_neither_deleted_nor_renamed(
    workplace: Path, key: str, action: str
) -> None:
    run = make_run(workplace / "a", Shape(steps=10))
    async with runs_screen() as (pilot, screen):
        await pilot.press(key)
        await settle(pilot)
        assert f"a is running: stop it before {action} it" in toasts(pilot.app)
        assert pilot.app.screen is screen
    assert run.path.exists()


async def test_run_that_came_alive_since_the_last_look_is_not_deleted(workplace: Path) -> None:
    run = make_run(workplace / "a", Shape(steps=10), pid=NOBODY)
    async with runs_screen() as (pilot, screen):
        assert screen.current is not None
        assert screen.current.state == "crashed"
        make_run(workplace / "a", Shape(steps=10))
        await pilot.press("d")
        await settle(pilot)
        assert "stop it before it is deleted" in toasts(pilot.app)
    assert run.path.exists()


async def test_delete_and_undo(workplace: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(workplace / "models" / name, DONE)
    async with runs_screen() as (pilot, screen):
        assert screen.check_action("undo", ()) is False
        await pilot.press("down", "d")
        await settle(pilot)
        assert names(screen) == ["models/a", "models/c"]
        assert "models/b" in toasts(pilot.app)
        assert "Ctrl+Z to undo" in toasts(pilot.app)
        assert screen.current is not None
        assert screen.current.name == "models/c"  # the cursor stays in its place
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert names(screen) == ["models/a", "models/b", "models/c"]
        assert screen.current.name == "models/b"
        await pilot.press("ctrl+y")
        await settle(pilot)
        assert names(screen) == ["models/a", "models/c"]


async def test_marked_runs_are_deleted_together_and_restored_together(workplace: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(workplace / name, DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("space", "space", "d")
        await settle(pilot)
        assert names(screen) == ["c"]
        assert "2 runs" in toasts(pilot.app)
        assert screen.marked == frozenset()
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert names(screen) == ["a", "b", "c"]


async def test_nothing_is_deleted_while_a_marked_run_is_live(workplace: Path) -> None:
    make_run(workplace / "a", Shape(steps=10))
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("space", "space", "d")
        await settle(pilot)
        assert "a is running" in toasts(pilot.app)
        assert names(screen) == ["a", "b"]


async def test_deleted_runs_are_listed_and_restored_after_a_restart(workplace: Path) -> None:
    for name in ("a", "b"):
        make_run(workplace / name, DONE)
    async with runs_screen() as (pilot, _):
        await pilot.press("d", "d")
        await settle(pilot)
    async with runs_screen() as (pilot, screen):
        assert names(screen) == []
        screen.query_one(RunTable).focus()
        await pilot.press("T")
        await pilot.pause()
        dialog = pilot.app.screen
        assert isinstance(dialog, TrashDialog)
        assert str(dialog.title).startswith("Trash: 2 runs, ")
        assert {entry.label for entry in dialog.shown} == {"a", "b"}
        dialog.query_one(Input).value = "b"
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)
        assert names(screen) == ["b"]
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert names(screen) == ["a", "b"]


async def test_trash_is_emptied_after_a_question_whose_first_answer_keeps(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("d")
        await settle(pilot)
        for keys, left in ((["enter"], 1), (["right", "enter"], 0)):
            (entry,) = [c for c in screen.commands() if c.title == "Empty the trash"]
            entry.callback()
            await until(pilot, lambda: isinstance(pilot.app.screen, Question))
            await pilot.press(*keys)
            await settle(pilot)
            assert len(screen.trash.items()) == left
        assert screen.check_action("undo", ()) is False


async def test_rename_refuses_a_name_that_is_taken(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    make_run(workplace / "b", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("R")
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
        await pilot.press("x")
        await settle(pilot)
        compare = pilot.app.screen
        assert isinstance(compare, CompareScreen)
        assert [run.name for run in compare.compared] == ["a", "b"]
        assert str(compare.query_one("#differ", Static).render()) == "The configs are the same."
        await pilot.press("escape")
        screen.query_one(RunTable).move_to(workplace / "a")
        await pilot.press("space", "down", "space")
        await pilot.pause()
        assert "2 marked" in count(screen)
        await pilot.press("x")
        await settle(pilot)
        compare = pilot.app.screen
        assert isinstance(compare, CompareScreen)
        assert [run.name for run in compare.compared] == ["a", "c"]
        table: DataTable[Any] = compare.query_one("#settings", DataTable)
        assert [cell.plain for cell in table.get_row_at(0)] == ["model.n_layer", "4", "6"]
        assert table.row_count == 1
        plot = compare.query_one(CurvePlot)
        assert [(curve.x[0], curve.x[-1]) for curve in plot.curves] == [(10, 100), (10, 100)]
        await pilot.press("c")
        await pilot.pause()
        assert "step 55" in str(compare.query_one("#values", Static).render())
        await pilot.press("h", "h")
        await pilot.pause()
        assert "loss over time" in str(compare.query_one("#curves").border_title)
        await pilot.press("tab", "plus")  # also from the table of settings
        await pilot.pause()
        assert plot.zoomed is not None
        await pilot.press("0", "l", "t")
        await pilot.pause()
        assert (plot.zoomed, plot.is_logarithmic) == (None, True)
        assert "no validation loss" in str(compare.query_one("#curves").border_title)
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.screen is screen


async def test_one_run_alone_is_not_compared(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    async with runs_screen() as (pilot, screen):
        await pilot.press("x")
        await pilot.pause()
        assert "takes two runs" in toasts(pilot.app)
        assert pilot.app.screen is screen


def test_settings_that_differ_among_several_runs() -> None:
    assert differing_keys([{"seed": 1, "odd": 1}, {"seed": 1}, {"seed": 2}]) == ["seed", "odd"]
    assert differing_keys([{"seed": 1}]) == []
    assert differing_keys([]) == []


async def test_folder_is_opened_or_its_path_copied(workplace: Path) -> None:
    run = make_run(workplace / "a", DONE)
    opener = workplace / "opener"
    opener.write_text('#!/bin/sh\necho "$1" > opened\n')
    opener.chmod(0o755)
    async with runs_screen() as (pilot, _):
        await pilot.press("o")
        await settle(pilot)
        assert (workplace / "opened").read_text().strip() == str(run.path)
        opener.unlink()
        await pilot.press("o")
        await settle(pilot)
        assert "Path copied" in toasts(pilot.app)
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
        assert "[bold]x␛[31m (" in toasts(pilot.app)


async def test_table_fits_every_width(workplace: Path) -> None:
    for i in range(20):
        make_run(workplace / "models" / f"{'long-name-' * 12}{i}", DONE)
    async with runs_screen() as (pilot, screen):
        table = screen.query_one(RunTable)
        for width in (80, 100, 109, 110, 140, 200):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            assert table.outer_size.width == width
            assert table.virtual_size.width <= table.size.width, width


async def test_a_second_look_changes_only_what_changed(workplace: Path) -> None:
    make_run(workplace / "a", DONE)
    changing = make_run(workplace / "b", Shape(steps=500))
    async with runs_screen() as (pilot, screen):
        rows = list(screen.query_one(RunTable).rows.values())
        status = changing.status()
        assert status is not None
        changing.write_status(status.model_copy(update={"step": 900}))
        pilot.app.post_message(messages.RunsChanged())
        await settle(pilot)
        assert row(screen, 0)[3] == "45%"
        now = screen.query_one(RunTable).rows.values()
        assert all(one is other for one, other in zip(rows, now, strict=True))  # it was not cleared


async def test_config_is_queued_after_a_run_and_swept(workplace: Path) -> None:
    make_project(workplace)
    make_run(workplace / "models/live", Shape(steps=10))

    async def accept(pilot: Pilot[None], text: str) -> None:
        pilot.app.screen.query_one(Input).value = text
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)

    async with runs_screen() as (pilot, screen):
        try:
            await pilot.press("Q")
            await pilot.pause()
            await accept(pilot, "char_cpu")
            await pilot.press("home", "W")
            await pilot.pause()
            await accept(pilot, "n_head=4,5")  # 5 heads do not divide the width
            assert isinstance(pilot.app.screen, TextDialog)
            assert "model.n_head (5)" in str(pilot.app.screen.query_one("#error", Static).render())
            await accept(pilot, "seed=1,2")
            queued = ["models/letters", "models/live-sweep/seed=1", "models/live-sweep/seed=2"]
            assert sorted(names(screen)) == sorted(["models/live", *queued])
            screen.query_one(RunTable).move_to(workplace / queued[2])
            await pilot.pause()
            facts = str(screen.query_one("#facts", Static).render())
            assert "queued · after letters, live, seed=1" in facts
        finally:  # or they would train when this process has ended
            screen.marked = frozenset(run.path for run in screen.summaries or ())
            screen.marked -= {workplace / "models/live"}
            await pilot.press("d")
            left = ("models/live-sweep/*", "models/letters")
            await until(pilot, lambda: not any(list(workplace.glob(each)) for each in left))


async def test_curves_are_exported_to_new_files(workplace: Path) -> None:
    for name in ("a", "b"):
        make_run(workplace / name, Shape(steps=500, state="finished"))
    (workplace / "runs-curves.csv").write_text("mine")
    async with runs_screen() as (pilot, _):
        await pilot.press("space", "space", "E")
        await settle(pilot)
        assert "runs-curves-2.csv, runs-curves-2.png" in toasts(pilot.app)
    assert (workplace / "runs-curves.csv").read_text() == "mine"
    with (workplace / "runs-curves-2.csv").open() as file:
        rows = list(csv.DictReader(file))
    kinds = Counter((row["run"], row["kind"]) for row in rows)
    assert kinds["a", "train"] == kinds["b", "train"] == 50
    assert kinds["a", "validation"] == 2
    assert (rows[0]["step"], rows[0]["tokens"], rows[0]["seconds"]) == ("10", "7680", "0.31")
    with Image.open(workplace / "runs-curves-2.png") as picture:
        assert len(picture.getcolors(1 << 24) or ()) > 5  # two curves, axes, grid, background


def make_real_run(workplace: Path) -> RunDirectory:
    """A finished run with a real checkpoint, and its validation data."""
    run = make_run(workplace / "real", DONE)
    (workplace / "data").mkdir(exist_ok=True)
    (np.arange(500) % 256).astype("<u2").tofile(workplace / "data/val-char.bin")
    shape = ModelConfig(n_vocab=256, n_ctx=16, n_embd=16, n_head=2, n_layer=1)
    path = save_checkpoint(random_gpt(shape), run.checkpoints)
    write_info(path, CheckpointInfo(step=12, val_loss=1.5, score=1.5))
    return run


def job_line(screen: RunsScreen) -> str:
    return str(screen.query_one("#job", Static).render())


async def test_checkpoint_is_evaluated_and_exported(workplace: Path) -> None:
    run = make_real_run(workplace)
    async with runs_screen(LARGE) as (pilot, screen):
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, ListDialog))
        await pilot.press("enter")
        await until(pilot, lambda: screen.has_class("-working"))
        await pilot.press("L", "enter")
        assert "Another export or evaluation" in toasts(pilot.app)
        await until(pilot, lambda: not screen.has_class("-working"), REAL_SECONDS)
        (record,) = read_evaluations(run)
        assert (record.checkpoint, record.data) == ("last.ckpt", "val-char.bin")
        await until(pilot, lambda: bool(screen.query_one(RunTable).runs[0].evaluations))
        facts = str(screen.query_one("#facts", Static).render())
        assert f"evaluated: loss {format_loss(record.loss)}" in facts
        screen.columns = (EVALUATED_LOSS,)
        assert format_loss(record.loss) in row(screen, 0)

        await pilot.press("E")
        await until(pilot, lambda: isinstance(pilot.app.screen, ListDialog))
        await pilot.press(*"hugging", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "Exported: real-hf" in toasts(pilot.app), REAL_SECONDS)
    assert (workplace / "real-hf/config.json").exists()


async def test_checkpoint_without_its_sidecar_is_offered_too(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=100, state="finished"))
    best = run.checkpoints / "best.ckpt"
    best.write_bytes(b"weights")
    write_info(best, CheckpointInfo(step=50))
    run.last_checkpoint.write_bytes(b"weights")
    async with runs_screen() as (pilot, _):
        for key in "EL":
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, ListDialog))
            dialog = pilot.app.screen
            assert isinstance(dialog, ListDialog)
            names = dict.fromkeys(entry.label for entry in dialog.shown)
            assert [name for name in names if name != "Curves"] == ["best.ckpt", "last.ckpt"]
            await pilot.press("escape")


def test_an_evaluation_that_was_not_kept_is_not_the_one_before(workplace: Path) -> None:
    run = make_run(workplace / "r", Shape(steps=20, state="finished"))
    record_evaluation(run, EvaluationRecord(checkpoint="last.ckpt", tokens="a.bin", loss=1.25))
    assert "loss 1.2500" in kept_result(run, before=0)
    assert "1.2500" not in kept_result(run, before=1)


async def test_cancelled_evaluation_leaves_no_result(workplace: Path) -> None:
    run = make_real_run(workplace)
    async with runs_screen() as (pilot, screen):
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, ListDialog))
        await pilot.press("enter")
        await until(pilot, lambda: screen.has_class("-working"))
        assert screen.unsaved() is not None
        await pilot.press("escape")
        await until(pilot, lambda: not screen.has_class("-working"), REAL_SECONDS)
        assert "Cancelled: Evaluating last.ckpt" in toasts(pilot.app)
    assert not read_evaluations(run)


async def test_failed_evaluation_says_why(workplace: Path) -> None:
    make_real_run(workplace)
    (workplace / "odd.jsonl").write_text("no question\n")
    async with runs_screen() as (pilot, screen):
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, ListDialog))
        await pilot.press(*"odd.jsonl", "enter")
        await until(pilot, lambda: "odd.jsonl" in toasts(pilot.app), REAL_SECONDS)
        await until(pilot, lambda: not screen.has_class("-working"), REAL_SECONDS)
