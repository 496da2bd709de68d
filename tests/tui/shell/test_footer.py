"""The footer's keys can be clicked, have tooltips, and are shown whole or not at all."""

from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from tui.shell.footer import KeyFooter

GROUP = Binding.Group("Plot", compact=True)


class Pressed(App[None]):
    """Remembers what was done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7", "do('save')", "Save", tooltip="Write it"),
        Binding("f8", "do('undo')", "Undo"),
        Binding("x", "do('axis')", "Axis", tooltip="The axis", group=GROUP),
        Binding("y", "do('scale')", "Scale", tooltip="The scale", group=GROUP),
        Binding("f9", "do('a very long description')", "a very long description"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.undoable = False

    def compose(self) -> ComposeResult:
        yield KeyFooter()

    def action_do(self, what: str) -> None:
        self.done.append(what)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if parameters == ("undo",) and not self.undoable else True


def shown(app: App[None]) -> str:
    return str(app.query_one(KeyFooter).render())


async def test_keys_stand_with_what_they_do_and_groups_with_their_name() -> None:
    async with Pressed().run_test(size=(80, 5)) as pilot:
        assert shown(pilot.app).startswith("f7 Save  x y Plot f9 a very long description ")
        assert shown(pilot.app).endswith("│^p palette")


async def test_a_key_that_does_not_fit_is_left_out_whole() -> None:
    async with Pressed().run_test(size=(40, 5)) as pilot:
        assert shown(pilot.app).rstrip() == "f7 Save  x y Plot           │^p palette"


@pytest.mark.parametrize(
    ("word", "done"), [("Save", "save"), ("y", "scale"), ("f9", "a very long")]
)
async def test_a_click_presses_the_key(word: str, done: str) -> None:
    app = Pressed()
    async with app.run_test(size=(80, 5)) as pilot:
        await pilot.click(KeyFooter, offset=(shown(app).index(word), 0))
        assert [one[: len(done)] for one in app.done] == [done]


async def test_key_is_shown_only_while_its_action_can_be_run() -> None:
    app = Pressed()
    async with app.run_test(size=(80, 5)) as pilot:
        assert "Undo" not in shown(app)
        app.undoable = True
        app.screen.refresh_bindings()
        await pilot.pause()
        await pilot.click(KeyFooter, offset=(shown(app).index("Undo"), 0))
        assert app.done == ["undo"]


async def test_the_tooltip_is_of_the_key_under_the_mouse() -> None:
    app = Pressed()
    async with app.run_test(size=(80, 5)) as pilot:
        footer = app.query_one(KeyFooter)
        for word, tooltip in (("Save", "Write it"), ("y Plot", "The scale"), ("palette", "Open")):
            await pilot.hover(KeyFooter, offset=(shown(app).index(word), 0))
            assert str(footer.tooltip).startswith(tooltip)
        await pilot.hover(offset=(3, 0))
        assert footer.tooltip is None
