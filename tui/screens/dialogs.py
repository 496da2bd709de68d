"""Windows over a screen: a question with its answers, and help."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Markdown, Static

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

    The first answer has the focus, so that Enter takes it; a letter in brackets in front of each
    label answers too: ``await app.push_screen_wait(Question("Quit?", "…", answers))``.
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


class HelpWindow(ModalScreen[None]):
    """Help, as Markdown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "Close"),
        Binding("up", "scroll('up')", "Up", show=False),
        Binding("down", "scroll('down')", "Down", show=False),
    ]

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.markdown = markdown

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as window:
            window.border_title = "Help"
            window.border_subtitle = "Esc closes"
            yield Markdown(self.markdown)

    def on_mount(self) -> None:
        self.query_one("#help").focus()

    def action_scroll(self, direction: str) -> None:
        window = self.query_one("#help")
        if direction == "up":
            window.scroll_up()
        else:
            window.scroll_down()
