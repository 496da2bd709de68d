"""Terminals with 16 colours or none: what is told apart in them, and how the focus is seen."""

import json
import sys
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment
from textual.widget import Widget

from tests.tui.conftest import settle
from tests.tui.made_runs import Shape, make_run
from tests.tui.terminal import NEEDS_TMUX, Terminal
from tui.app import Workbench
from tui.config.form_section import SectionTitle
from tui.config.toml_editor import TomlEditor
from tui.shell import messages
from tui.shell.themes import GRAPHITE
from tui.training.overlay_dialog import OverlayDialog, RunOptions

BROKEN = '[model]\nn_heads = 2\nn_layer = "two"\n'
"""Two errors."""


def marks(widget: Widget) -> list[list[tuple[str, ...]]]:
    """The attributes of each piece of a widget's lines that need no colour."""
    return [
        [attributes(piece) for piece in widget.render_line(y)] for y in range(widget.size.height)
    ]


def attributes(piece: Segment) -> tuple[str, ...]:
    style = piece.style
    names = ("bold", "reverse", "underline")
    return tuple(name for name in names if style is not None and getattr(style, name))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without colours."""
    monkeypatch.setenv("NO_COLOR", "1")


async def test_errors_and_focus_of_a_config_are_seen_without_colours(
    workplace: Path, plain: None
) -> None:
    path = workplace / "broken.toml"
    path.write_text(BROKEN)
    app = Workbench(messages.OpenConfig(path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        title, other = list(app.screen.query(SectionTitle))[:2]
        title.focus()
        await settle(pilot)
        assert all("reverse" in piece for line in marks(title) for piece in line)
        assert not any("reverse" in piece for line in marks(other) for piece in line)
        await pilot.press("f8")
        await settle(pilot)
        editor = app.screen.query_one(TomlEditor)
        assert set(editor.errors) == {2, 3}
        underlined = [any("underline" in piece for piece in line) for line in marks(editor)]
        assert underlined[:3] == [False, True, True]


async def test_cursor_of_the_overlay_dialog_is_seen_without_colours(
    workplace: Path, plain: None
) -> None:
    app = Workbench()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.push_screen(OverlayDialog([workplace / "a", workplace / "b"], workplace, []))
        await settle(pilot)
        first, second = marks(app.screen.query_one(RunOptions))
        assert first != second


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_error_in_the_text_of_a_config_is_not_red_on_red(workplace: Path, theme: str) -> None:
    path = workplace / "broken.toml"
    path.write_text(BROKEN)
    app = Workbench(messages.OpenConfig(path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = theme
        await settle(pilot)
        await pilot.press("f8")
        await settle(pilot)
        [*pieces] = app.screen.query_one(TomlEditor).render_line(1)
        styles = [piece.style for piece in pieces if piece.style and piece.style.underline]
        assert styles
        assert all(style.color != style.bgcolor for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)


@pytest.mark.parametrize(
    ("colours", "kept", "shown"),
    [
        ("screen", "graphite", "ansi-dark"),
        ("screen", "paper", "ansi-light"),
        ("screen", "ansi-light", "ansi-light"),
        ("screen-256color", "graphite", "graphite"),
    ],
)
def test_terminal_with_16_colours_gets_a_theme_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colours: str, kept: str, shown: str
) -> None:
    home = tmp_path / "settings"
    home.mkdir()
    (home / "settings.json").write_text(json.dumps({"theme": kept}))
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("TERM", colours)
    assert Workbench().theme == shown


class TestTerminal:
    pytestmark = NEEDS_TMUX

    def test_no_color_sends_no_colours(self, workplace: Path) -> None:
        """With an ansi theme, the text was black on black."""
        make_run(workplace / "models" / "baby", Shape(state="finished"))
        settings = workplace / "settings"
        settings.mkdir()
        (settings / "settings.json").write_text(json.dumps({"theme": "ansi-dark"}))
        environment = {"NO_COLOR": "1", "SIMPLEGPT_TUI_HOME": str(settings)}
        with Terminal(workplace, 80, 24, environment) as terminal:
            # The class leaves NO_COLOR out of what it inherits, but not of what it is given.
            terminal.start(sys.executable, "-m", "tui")
            terminal.wait_for("✓ finished")
            codes = terminal.styled().split("\x1b[")[1:]
        numbers = {n for code in codes for n in code.partition("m")[0].split(";")}
        assert numbers <= {"", "0", "1", "2", "3", "4", "7", "39", "49"}
        assert "7" in numbers  # the cursor and the tab


def test_greys_stay_grey_in_256_colours() -> None:
    """A dark grey with a tint of blue would become the palette's plain blue."""
    greys = [GRAPHITE.background, GRAPHITE.surface, GRAPHITE.panel]
    greys += [GRAPHITE.variables[name] for name in ("border", "scrollbar", "border-blurred")]
    for grey in greys:
        assert grey is not None
        number = Color.parse(grey).downgrade(ColorSystem.EIGHT_BIT).number
        assert number is not None
        assert number >= 232  # where the palette's greys begin
