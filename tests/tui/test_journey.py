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


def set_field(terminal: Terminal, name: str, value: str) -> None:
    """Find a setting by its name, as a person does, and type a value over the old one."""
    terminal.press("C-l")
    terminal.type(name)
    terminal.wait_for(rf"^ {name} +All")
    terminal.wait_for(rf"^ [ ●] {name} +\S+")
    terminal.press("Enter")
    terminal.until(lambda: cursor_row(terminal, name), f"the cursor is in {name}")
    terminal.type(value)
    terminal.wait_for(rf"^ [ ●] {name} +{value} ")


def cursor_row(terminal: Terminal, name: str) -> bool:
    """Whether the help of a field stands below: it has the focus."""
    lines = terminal.screen().splitlines()
    about = next((i for i, line in enumerate(lines) if line.startswith("────")), None)
    return about is not None and bool(lines[about + 1].strip())


def prepare(terminal: Terminal) -> None:
    """From the first picture to the config, with Enter and Down only."""
    terminal.wait_for("animals.txt")
    terminal.press("Down", "Down")
    terminal.wait_for(r"animals.txt .* lines")
    terminal.press("Enter")
    terminal.wait_for("characters a token")
    terminal.press("Enter")
    terminal.wait_for("Folder +data/animals")
    terminal.press("Enter")
    terminal.wait_for("tokens to train on")
    terminal.press("Enter")
    terminal.wait_for("epochs")  # the token files were looked at


def test_enter_leads_from_a_text_to_the_config_and_keys_change_it(folder: Path) -> None:
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui")
        prepare(terminal)
        set_field(terminal, "n_embd", "32")
        assert (folder / "data" / "animals" / "train-char.bin").exists()


def test_a_wrong_path_ends_with_2(folder: Path) -> None:
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui", "nowhere.toml")
        assert terminal.exit_code() == 2
