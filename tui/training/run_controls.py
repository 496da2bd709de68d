"""The buttons that steer a run, and what became of what was asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

# (action of the screen, label, tooltip)
BUTTONS: tuple[tuple[str, str, str], ...] = (
    ("pause", "Pause", "Pause the training; that keeps its memory allocated (F7)"),
    ("unpause", "Resume", "Let the paused training go on (F7)"),
    ("go_on", "Go on", "Go on from the last checkpoint (F7)"),
    ("stop", "Stop", "Stop after a checkpoint; it can be resumed (F8)"),
    ("save", "Save", "Write a checkpoint now (s)"),
    ("validate", "Validate", "Measure the validation loss now (v)"),
    ("sample", "Sample", "Write a sample now (w)"),
    ("learning_rate", "Rate", "Multiply the learning rate by a factor (l)"),
    ("chat", "Chat", "Talk to the newest checkpoint (F9)"),
    ("edit", "Config", "Open the run's config in the editor (e)"),
)


class RunControls(Vertical):
    """Buttons, and a line for the answer."""

    HELP: ClassVar[str] = """\
## Controls
Each asks the training for something and shows the answer beside it when it comes: at the end of
the step, or of the validation or the saving that is under way. **Stop** saves first; a stopped run
can be resumed. **Pause** halts the training and keeps its memory allocated; stop it to free that.
"""
    DEFAULT_CSS: ClassVar[str] = """
    RunControls {
        height: 2;
        padding: 0 1;
        background: $surface;
        Horizontal { height: 1; }
        #answer { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A button was pressed."""

        action: str

    def compose(self) -> ComposeResult:
        with Horizontal():
            for action, label, tooltip in BUTTONS:
                yield Button(label, id=action, tooltip=tooltip, disabled=True)
        yield Static(id="answer")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        assert event.button.id is not None
        self.post_message(self.Chosen(event.button.id))

    def show(self, allowed: Mapping[str, bool]) -> None:
        """What can be done now. Of pausing and going on only one is there; Pause where neither."""
        first = next((name for name in ("unpause", "go_on") if allowed.get(name)), "pause")
        for button in self.query(Button):
            name = button.id or ""
            button.disabled = not allowed.get(name, False)
            if name in ("pause", "unpause", "go_on"):
                button.display = name == first

    def answer(self, sign: str, sentence: str, colour: str) -> None:
        content = (
            Content.assemble((f"{sign} ", colour), (sentence, colour)) if sentence else Content()
        )
        self.query_one("#answer", Static).update(content, layout=False)
