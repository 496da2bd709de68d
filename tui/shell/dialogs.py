"""A question over a screen, with its answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

Variant = Literal["default", "primary", "success", "warning", "error"]


@dataclass(frozen=True)
class Answer:
    """One answer to a question."""

    name: str
    """What the question returns."""
    label: str
    variant: Variant = "default"


class Question(ModalScreen[str | None]):
    """Asks something; returns the name of the answer chosen, or None for Escape.

    The first answer has the focus, so that Enter takes it. In a worker:
    ``answer = await self.app.push_screen_wait(Question("Quit?", "…", [Answer("stay", "Stay")]))``.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        super().__init__()
        self.question_title = title
        self.text = text
        self.answers = answers

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self.question_title
            yield Static(self.text, id="text", markup=False)
            with Horizontal(id="answers"):
                for answer in self.answers:
                    yield Button(answer.label, id=answer.name, variant=answer.variant)

    def on_mount(self) -> None:
        self.query(Button).first().focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id)
