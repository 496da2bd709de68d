"""A dialog for a dataset of the Hugging Face Hub."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Static

from tui.data.choices import HubDataset
from tui.shell.dialogs import Dialog


class HubDialog(Dialog[HubDataset]):
    """Returns the dataset whose name was typed."""

    DEFAULT_CSS = """
    HubDialog {
        .field { height: 1; }
        Label { width: 10; color: $text-muted; }
        Input { width: 1fr; }
        #error { height: 1; margin-top: 1; }
        #buttons { margin-top: 0; }
    }
    """

    def __init__(self) -> None:
        accept = Button("Preview", id="accept", variant="primary", action="screen.accept")
        super().__init__("A dataset of the Hugging Face Hub", buttons=[accept])

    def compose_body(self) -> ComposeResult:
        for name, value, placeholder in (
            ("Name", "", "such as HuggingFaceFW/fineweb-edu, or a local folder"),
            ("Config", "", "the dataset's default"),
            ("Split", "train", "train"),
        ):
            with Horizontal(classes="field"):
                yield Label(name)
                yield Input(value, id=name.lower(), placeholder=placeholder, compact=True)
        yield Static(id="error", classes="error", markup=False)

    def _value(self, field: str) -> str:
        return self.query_one(f"#{field}", Input).value.strip()

    @on(Input.Submitted)
    def action_accept(self) -> None:
        """End the dialog with the dataset."""
        if name := self._value("name"):
            self.dismiss(HubDataset(name, self._value("config"), self._value("split") or "train"))
        else:
            self.query_one("#error", Static).update("Name a dataset.")
            self.query_one("#name").focus()
