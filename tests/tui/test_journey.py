"""The workbench in a real terminal, by a person's keys."""

from pathlib import Path

import pytest

from tests.tui.configs import TINY_MODEL
from tests.tui.terminal import NEEDS_TMUX, Terminal

pytestmark = NEEDS_TMUX

TEXT = "".join(
    f"The {size} {animal} {deed} over the {place}.\n"
    for size in ("small", "large", "quick", "lazy")
    for animal in ("fox", "dog", "hen", "ox", "cat")
    for deed in ("jumps", "looks", "walks", "sings")
    for place in ("hill", "gate", "wall", "road", "brook")
)
TINY = f"""\
# Small enough to train while one looks on.
output_dir = "models/tiny"
tokenizer_name = "char"

{TINY_MODEL}
[data]
train_fpath = "data/animals/train-char.bin"
val_fpath = "data/animals/val-char.bin"
seq_len = 16
train_batch_size = 8

[trainer]
max_steps = 90000
val_check_interval = 100000
log_every_n_steps = 5
"""


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
    terminal.wait_for("characters per token")
    before = button(terminal)
    terminal.press("Enter")
    terminal.until(lambda: button(terminal) != before, "the button has the focus")
    terminal.press("Enter")
    terminal.wait_for("tokens for training")
    terminal.press("Enter")
    terminal.wait_for("epochs")  # the token files were looked at


def set_field(terminal: Terminal, name: str, value: str) -> None:
    """Find a setting by its name, and type a value over the old one."""
    terminal.press("C-f")  # and the letters with it: none is lost
    terminal.type(name)
    terminal.wait_for(rf"^ {name} +All")
    terminal.wait_for(rf"^  ? ?{name} +\S+ +this file")
    terminal.press("Enter")
    terminal.wait_for("Must be an integer")  # the description of the focused field
    terminal.type(value)
    terminal.wait_for(rf"^ ● {name} +{value} ")


def train(terminal: Terminal) -> None:
    """From the changed config to the end of a run, with a pause on the way."""
    terminal.press("F9")
    terminal.wait_for(r"\+max_steps = 4000")  # what will be written is shown first
    terminal.press("Enter")
    terminal.wait_for("running  tiny  training")
    terminal.press("F7")
    terminal.wait_for("paused  tiny")
    terminal.press("F7")
    terminal.wait_for("running  tiny")
    terminal.wait_for("finished  tiny", 120)


def chat(terminal: Terminal) -> None:
    """Talk to what the run has learnt."""
    terminal.press("F9")
    terminal.wait_for("tiny/last · step 4,000")
    terminal.type("The quick")
    terminal.wait_for("│ The quick ")
    terminal.press("Enter")
    terminal.wait_for("tok/s")
    terminal.wait_for("▎ The quick")


def resume(terminal: Terminal) -> None:
    """Find the finished run among the runs, and let it go on."""
    terminal.wait_for("tiny .*finished|finished .*tiny")
    terminal.press("r")
    terminal.wait_for("New total number of steps")
    terminal.wait_for("8000")  # twice as far is offered
    terminal.press("Enter")
    terminal.wait_for("finished  tiny .*(session|attempt) 2", 120)
    terminal.wait_for("step 8,000 of 8,000")


def test_enter_leads_from_a_text_to_the_config(folder: Path) -> None:
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui")
        prepare(terminal)
        assert (folder / "data" / "animals" / "train-char.bin").exists()


def test_from_a_text_over_a_training_to_a_chat_and_back_to_the_run(folder: Path) -> None:
    (folder / "tiny.toml").write_text(TINY)
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui")
        prepare(terminal)
        terminal.press("F10")  # nobody typed anything: it does not ask
        assert terminal.exit_code() == 0

        terminal.start("simplegpt-tui", "tiny.toml")
        terminal.wait_for("epochs")
        set_field(terminal, "max_steps", "4000")
        train(terminal)
        assert "max_steps = 4000" in (folder / "tiny.toml").read_text()
        chat(terminal)
        terminal.press("F10")
        assert terminal.exit_code() == 0

        terminal.start("simplegpt-tui")
        resume(terminal)
        terminal.press("F10")
        assert terminal.exit_code() == 0


def test_a_wrong_path_ends_with_2(folder: Path) -> None:
    with terminal_in(folder) as terminal:
        terminal.start("simplegpt-tui", "nowhere.toml")
        assert terminal.exit_code() == 2
