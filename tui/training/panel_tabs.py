"""Which panel is shown, where a terminal is too small for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class PanelTab(Static):
    """One name; a click chooses it."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            Content.assemble((key, "$text-accent"), f" {name.capitalize()}"), name=name
        )

    def on_click(self) -> None:
        assert self.name is not None
        self.post_message(PanelTabs.Chosen(self.name))


class PanelTabs(Horizontal):
    """The panels' names with their keys."""

    DEFAULT_CSS: ClassVar[str] = """
    PanelTabs {
        height: 1;
        background: $surface;
        PanelTab {
            width: auto;
            padding: 0 1;
            color: $text-muted;
            &:hover { background: $boost; }
            &.-chosen { color: $foreground; background: $background; text-style: bold; }
        }
    }
    """

    @dataclass
    class Chosen(Message):
        """A panel was chosen."""

        panel: str

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names

    def compose(self) -> ComposeResult:
        for i, name in enumerate(self.names, 1):
            yield PanelTab(name, str(i))

    def choose(self, name: str) -> None:
        for tab in self.query(PanelTab):
            tab.set_class(tab.name == name, "-chosen")
