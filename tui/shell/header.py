"""The header: one tab a screen, and the live run wherever one is looking."""

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

Mode = Literal["runs", "data", "config", "train", "chat"]
# (mode, title, key) in the order of the tabs.
TABS: tuple[tuple[Mode, str, str], ...] = (
    ("runs", "Runs", "f2"),
    ("data", "Data", "f3"),
    ("config", "Config", "f4"),
    ("train", "Train", "f5"),
    ("chat", "Chat", "f6"),
)


class Tab(Static):
    """A tab that switches to its screen."""

    class Chosen(Message):
        """The tab was clicked."""

        def __init__(self, mode: Mode) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: Mode, title: str, key: str, active: bool) -> None:
        label = Content.assemble((key.upper(), "dim"), " ", title)
        super().__init__(label, classes="-active" if active else "")
        self.mode = mode
        self.tooltip = f"{title} ({key.upper()})"

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.mode))


class RunIndicator(Static):
    """The run that is under way, in a few words; a click opens it."""

    class Chosen(Message):
        """The indicator was clicked."""

    def on_click(self) -> None:
        self.post_message(self.Chosen())


class Header(Horizontal):
    """Tabs at the left, the live run at the right."""

    DEFAULT_CSS: ClassVar[str] = """
    Header {
        dock: top;
        height: 1;
        background: $panel;
        Tab {
            width: auto;
            padding: 0 1;
            color: $text-muted;
            &:hover { background: $boost; color: $text; }
            &.-active { background: $primary; color: $background; text-style: bold; }
        }
        #brand { width: auto; padding: 0 2 0 1; color: $accent; text-style: bold; }
        RunIndicator {
            width: 1fr;
            text-align: right;
            padding: 0 1;
            text-overflow: ellipsis;
            text-wrap: nowrap;
            &:hover { background: $boost; }
        }
    }
    """

    live: reactive[Content] = reactive(Content())
    """What the indicator says; empty where nothing runs."""

    def __init__(self, active: Mode) -> None:
        super().__init__()
        self.active = active

    def compose(self) -> ComposeResult:
        yield Static("SimpleGPT", id="brand")
        for mode, title, key in TABS:
            yield Tab(mode, title, key, active=mode == self.active)
        yield RunIndicator()

    def watch_live(self, live: Content) -> None:
        if self.is_mounted:
            self.query_one(RunIndicator).update(live, layout=False)
