"""The workbench in a real terminal, by a person's keys."""

from pathlib import Path

import pytest

from tests.tui.terminal import TMUX, Terminal

pytestmark = [
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
    pytest.mark.xdist_group("terminal"),
]

TEXT = "".join(
    f"The {size} {animal} {deed} over the {place}.\n"
    for size in ("small", "large", "quick", "lazy")
    for animal in ("fox", "dog", "hen", "ox", "cat")
    for deed in ("jumps", "looks", "walks", "sings")
    for place in ("hill", "gate", "wall", "road", "brook")
)


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A folder with nothing but a text in it."""
    (workplace / "animals.txt").write_text(TEXT)
    return workplace


def terminal_in(folder: Path, width: int = 80, height: int = 24) -> Terminal:
    own = {
        "SIMPLEGPT_TUI_HOME": str(folder.parent / "settings"),
        "SIMPLEGPT_CACHE": str(folder.parent / "cache"),
        "HOME": str(folder.parent),
        "TEXTUAL_ANIMATIONS": "none",
    }
    return Terminal(folder, width, height, own)


def button(terminal: Terminal) -> list[str]:
    """The button under the three steps, with its colours, which tell the focus."""
    return terminal.styled().splitlines()[21:22]


def prepare(terminal: Terminal) -> None:
    """From the first picture to the config, with Enter and Down only."""
    terminal.wait_for("animals.txt")
    terminal.press("Down", "Down")
    terminal.wait_for(r"animals.txt .* lines")
    terminal.press("Enter")
    terminal.wait_for("characters a token")
    before = button(terminal)
    terminal.press("Enter")
    terminal.until(lambda: button(terminal) != before, "the button has the focus")
    terminal.press("Enter")
    terminal.wait_for("tokens to train on")
    terminal.press("Enter")
    terminal.wait_for("epochs")  # the token files were looked at


def test_enter_leads_from_a_text_to_the_config(folder: Path) -> None:
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui")
        prepare(terminal)
        assert (folder / "data" / "animals" / "train-char.bin").exists()
