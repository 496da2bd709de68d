"""Every dialog returns its result, or None where it is cancelled, and gives the focus back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Static

from tests.tui.conftest import SMALL
from tui.shell.dialogs import Answer, Dialog, Entry, ListDialog, Question, TextDialog
from tui.shell.help import HelpDialog

NOT_YET = object()
FRUIT = [Entry(name, name, (str(len(name)),)) for name in ("apple", "banana", "cherry", "damson")]


class Host(App[None]):
    """A field that has the focus, and a dialog over it."""

    def __init__(self) -> None:
        super().__init__()
        self.result: object = NOT_YET

    def compose(self) -> ComposeResult:
        yield Button("another")
        yield Input(id="focused")

    def take(self, result: object) -> None:
        self.result = result


@asynccontextmanager
async def shown(dialog: Dialog[Any]) -> AsyncIterator[tuple[Pilot[None], Host]]:
    app = Host()
    async with app.run_test(size=SMALL) as pilot:
        app.query_one("#focused").focus()
        await app.push_screen(dialog, app.take)
        await pilot.pause()
        yield pilot, app


def question(variant: str = "default") -> Question:
    return Question(
        "Delete?", "It is gone then.", [Answer("yes", "Delete", variant), Answer("no", "Keep")]
    )  # type: ignore[arg-type]


def dialogs() -> list[Dialog[Any]]:
    return [
        question(),
        TextDialog("Name", "A name:"),
        ListDialog("Fruit", FRUIT),
        HelpDialog("x\n\n" * 99, []),
    ]


@pytest.mark.parametrize("index", range(4))
async def test_escape_cancels_and_the_focus_returns(index: int) -> None:
    async with shown(dialogs()[index]) as (pilot, app):
        box = app.screen.query_one("#dialog").region
        assert app.screen.region.contains_region(box)
        await pilot.press("escape")
        assert app.result is None
        assert app.focused is app.query_one("#focused")


@pytest.mark.parametrize(
    ("variant", "keys", "result"),
    [
        ("default", ["enter"], "yes"),
        ("default", ["right", "enter"], "no"),
        ("default", ["left", "enter"], None),
        ("error", ["enter"], None),  # what loses something is not where the focus is
        ("error", ["right", "enter"], "yes"),
        ("warning", ["enter"], "yes"),
    ],
)
async def test_question_returns_the_answer(
    variant: str, keys: list[str], result: str | None
) -> None:
    async with shown(question(variant)) as (pilot, app):
        await pilot.press(*keys)
        await pilot.pause()
        assert app.result == result


async def test_buttons_can_be_clicked() -> None:
    async with shown(question()) as (pilot, app):
        await pilot.click("#no")
        await pilot.pause()
        assert app.result == "no"


async def test_invalid_text_shows_an_error_while_typing_and_is_not_returned() -> None:
    dialog = TextDialog("N", "n", "1", error_in=lambda text: None if text.isdigit() else "a number")
    async with shown(dialog) as (pilot, app):
        await pilot.press("end", "x")
        await pilot.pause()
        assert str(dialog.query_one("#error", Static).render()) == "a number"
        await pilot.press("enter")
        assert app.result is NOT_YET
        await pilot.press("backspace", "space", "enter")
        assert app.result == "1"


def lines(dialog: ListDialog[str]) -> list[str]:
    options = dialog.query_one(OptionList)
    return [str(options.get_option_at_index(i).prompt) for i in range(options.option_count)]


async def test_list_is_filtered_as_one_types() -> None:
    dialog = ListDialog("Fruit", FRUIT)
    async with shown(dialog) as (pilot, app):
        assert lines(dialog)[:2] == ["apple   5", "banana  6"]  # columns are aligned
        await pilot.press("down", "down", *"AN", "enter")
        assert app.result == "banana"


async def test_arrow_keys_move_the_cursor_while_the_filter_has_the_focus() -> None:
    async with shown(ListDialog("Fruit", FRUIT)) as (pilot, app):
        await pilot.press("down", "down", "up", "pagedown", "up", "enter")
        assert app.result == "cherry"


@pytest.mark.parametrize("theme", ["textual-dark", "ansi-dark", "ansi-light"])
async def test_cursor_of_a_list_is_visible_while_the_filter_has_the_focus(theme: str) -> None:
    dialog = ListDialog("Fruit", FRUIT)
    async with shown(dialog) as (pilot, app):
        app.theme = theme
        await pilot.pause()
        options = dialog.query_one(OptionList)

        def style(line: int) -> object:
            style = next(iter(options.render_line(line))).style
            return style and (style.color, style.bgcolor, style.bold)

        assert style(1) == style(2)
        assert style(0) != style(1)


async def test_headings_are_no_entries() -> None:
    entries = [Entry(n, n, group=g) for n, g in (("a", "First"), ("b", "First"), ("c", "Second"))]
    dialog = ListDialog("Grouped", entries)
    async with shown(dialog) as (pilot, app):
        assert lines(dialog) == ["First", "a", "b", "Second", "c"]
        await pilot.press("down", "down", "enter")
        assert app.result == "c"


async def test_typed_value_wins_over_the_list_and_nothing_is_refused() -> None:
    dialog = ListDialog("Files", FRUIT, parse=lambda text: text if "/" in text else None)
    async with shown(dialog) as (pilot, app):
        await pilot.press(*"zz", "enter")
        assert "zz" in str(dialog.query_one("#error", Static).render())
        assert app.result is NOT_YET
        await pilot.press("slash", "enter")
        assert app.result == "zz/"


async def test_enter_waits_for_the_search_of_what_was_typed() -> None:
    async def search(text: str) -> Sequence[Entry[str]]:
        return [Entry(f"{text}{i}", f"{text}{i}") for i in range(3)]

    async with shown(ListDialog("Search", search=search)) as (pilot, app):
        await pilot.press(*"ab", "enter")
        await pilot.pause()
        assert app.result == "ab0"


async def test_labels_that_are_markup_or_too_long_fit_in_their_row(tmp_path: Path) -> None:
    entries = [Entry("x", "[bold]" + "w" * 200 + "\x1b[31m", ("column",)), Entry("y", "y", ("2",))]
    dialog = ListDialog("Names", entries)
    async with shown(dialog):
        first, second = lines(dialog)
        assert first.startswith("[bold]www")
        assert first.endswith("…  column")
        assert second.split() == ["y", "2"]
