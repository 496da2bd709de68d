"""A question over a screen whose answer is typed; what is wrong with it is said as one types."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui.shared.text import one_line


class TextQuestion(ModalScreen[str | None]):
    """Asks for a line of text; returns it, or None for Escape.

    `problem` says in a sentence what is wrong with a text, or None where nothing is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Cancel")]
    DEFAULT_CSS = """
    TextQuestion {
        align: center middle;
        background: $background 60%;
        #dialog {
            width: 64;
            max-width: 94%;
            height: auto;
            padding: 1 2;
            background: $surface;
            border: round $primary;
            border-title-color: $accent;
            border-title-style: bold;
        }
        #text { height: auto; }
        Input { margin: 1 0 0 0; }
        #problem { height: 2; color: $text-error; }
        #answers { height: auto; align-horizontal: right; }
        Button { margin-left: 1; min-width: 10; }
    }
    """

    def __init__(
        self,
        title: str,
        text: str,
        value: str,
        *,
        accept: str,
        problem: Callable[[str], str | None],
    ) -> None:
        super().__init__()
        self.question_title, self.text, self.value = title, text, value
        self.accept, self.problem = accept, problem

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self.question_title
            yield Static(self.text, id="text", markup=False)
            yield Input(self.value)
            yield Static(id="problem", markup=False)
            with Horizontal(id="answers"):
                yield Button(self.accept, id="accept", variant="primary")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "accept":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        text = self.query_one(Input).value
        if self._judge(text):
            self.dismiss(text)

    def _judge(self, text: str) -> bool:
        found = self.problem(text)
        self.query_one("#problem", Static).update(found or "", layout=False)
        return found is None


class MoreSteps(TextQuestion):
    """Up to which step a run shall go on that has reached its end at `step`."""

    def __init__(self, name: str, step: int) -> None:
        def problem(text: str) -> str | None:
            if text.strip().replace("_", "").isdecimal() and int(text) > step:
                return None
            return f"A whole number above {step:,} is needed."

        text = f"{one_line(name)} has reached its end. Up to which step shall it go on?"
        offered = str(2 * max(step, 1))
        super().__init__("Resume", text, offered, accept="Resume", problem=problem)
