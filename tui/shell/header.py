"""The header: a tab for each screen, and the live run."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from simplegpt.cli import one_line
from tui.shell import messages
from tui.shell.modes import TABS, Mode, Tab
from tui.shell.runs import KnownRun, KnownRuns, newest_live


class HeaderTab(Static):
    """A tab that brings its screen to the front."""

    def __init__(self, tab: Tab, *, active: bool) -> None:
        label = Content.assemble((tab.key.upper(), "dim"), " ", tab.title)
        super().__init__(label, classes="-active" if active else "")
        self.mode = tab.mode
        self.tooltip = f"{tab.title} ({tab.key.upper()})"

    def on_click(self) -> None:
        self.post_message(messages.Visit(self.mode))


class LiveRun(Static):
    """The newest live run: its state, how far it is, its name. A click opens it."""

    run: reactive[KnownRun | None] = reactive(None, layout=False)

    def watch_run(self, run: KnownRun | None) -> None:
        self.update(live_run_content(run) if run is not None else "", layout=False)

    def on_click(self) -> None:
        if self.run is not None:
            self.post_message(messages.OpenRun(self.run.path))


class Header(Horizontal):
    """Tabs at the left, the live run at the right: one line, where Textual's `Tabs` take two."""

    DEFAULT_CSS: ClassVar[str] = """
    Header {
        dock: top;
        height: 1;
        background: $panel;
        HeaderTab {
            width: auto;
            padding: 0 1;
            color: $text-muted;
            &:hover { background: $boost; color: $text; }
            &.-active { background: $primary; color: $background; text-style: bold; }
            &.-active:ansi { background: transparent; color: $primary; text-style: bold reverse; }
        }
        #brand { width: auto; padding: 0 2 0 1; color: $accent; text-style: bold; }
        LiveRun {
            width: 1fr;
            text-align: right;
            padding: 0 1;
            text-overflow: ellipsis;
            text-wrap: nowrap;
            &:hover { background: $boost; }
        }
    }
    """

    runs: reactive[KnownRuns | None] = reactive(None)

    def __init__(self, active: Mode) -> None:
        super().__init__()
        self.active = active

    def show_active(self, mode: Mode) -> None:
        """Highlight the tab of another screen, until this one is shown again."""
        for tab in self.query(HeaderTab):
            tab.set_class(tab.mode == mode, "-active")

    def compose(self) -> ComposeResult:
        yield Static("SimpleGPT", id="brand")
        for tab in TABS:
            yield HeaderTab(tab, active=tab.mode == self.active)
        yield LiveRun()

    def on_mount(self) -> None:
        self.watch(self, "runs", self._show_live)

    def _show_live(self, runs: KnownRuns | None) -> None:
        self.query_one(LiveRun).run = newest_live(runs or ())


def live_run_content(run: KnownRun) -> Content:
    """``● 30% shakespeare-char``."""
    paused = run.status is not None and run.status.state == "paused"
    sign, colour = ("‖", "$warning") if paused else ("●", "$success")
    done = "" if run.progress is None else f"{run.progress:.0%} "
    return Content.assemble((sign, colour), f" {done}{one_line(run.path.name)}")
