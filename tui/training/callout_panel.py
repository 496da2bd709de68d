"""The message about a run that failed or did not start, or about a dashboard without a run."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.reactive import reactive
from textual.widgets import Button, Static

from simplegpt.cli import printable
from tui.training.view import Callout


class CalloutPanel(VerticalScroll):
    """Title, text, buttons, the end of the log."""

    HELP: ClassVar[str] = """\
## Errors
The cause, suggested edits where there are any, and the last lines that the training printed.
"""
    DEFAULT_CSS: ClassVar[str] = """
    CalloutPanel {
        height: auto;
        max-height: 12;
        padding: 0 1;
        border-left: thick $primary;
        background: $surface;
        display: none;
        &.-shown { display: block; }
        #title { height: auto; text-style: bold; }
        #text { height: auto; }
        #log { height: auto; color: $text-muted; margin-top: 1; }
        Horizontal { height: 1; margin-top: 1; }
        Button { margin-right: 1; }
        &.-error {
            border-left: thick $error;
            #title { color: $text-error; }
        }
    }
    """

    callout: reactive[Callout | None] = reactive(None, recompose=True, toggle_class="-shown")

    def compose(self) -> ComposeResult:
        callout = self.callout
        if callout is None:
            return
        yield Static(printable(callout.title), id="title", markup=False)
        if callout.text:
            yield Static(printable(callout.text), id="text", markup=False)
        with Horizontal():
            for label, action in callout.choices:
                yield Button(label, action=action)
        if callout.log:
            yield Static("\n".join(map(printable, callout.log)), id="log", markup=False)

    def watch_callout(self, callout: Callout | None) -> None:
        self.set_class(callout is not None and callout.is_error, "-error")
