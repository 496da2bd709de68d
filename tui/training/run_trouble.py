"""What is shown where a run failed, crashed, or never began: the cause, and the ways on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Static

from tui.shared.text import printable

MOST_WAYS = 4


@dataclass(frozen=True)
class Way:
    """A way on: an action of the screen and its button."""

    action: str
    label: str


class RunTrouble(VerticalScroll):
    """A sentence, advice, the end of what was printed, buttons."""

    HELP: ClassVar[str] = """\
## What went wrong
The cause in a sentence, what would help, and the last lines that the training printed. The buttons
are the ways on.
"""
    DEFAULT_CSS: ClassVar[str] = """
    RunTrouble {
        height: auto;
        max-height: 12;
        padding: 0 1;
        border-left: thick $error;
        background: $error 8%;
        &.-calm { border-left: thick $primary; background: $surface; }
        &.-calm #cause { color: $foreground; }
        #cause { height: auto; text-style: bold; color: $text-error; }
        #advice { height: auto; }
        #end { height: auto; color: $text-muted; margin-top: 1; }
        Horizontal { height: 1; margin-top: 1; }
        Button { margin-right: 1; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A way on was chosen."""

        action: str

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._told: tuple[object, ...] = ()
        self._ways: Sequence[Way] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="cause", markup=False)
        yield Static(id="advice", markup=False)
        with Horizontal():
            for _ in range(MOST_WAYS):
                yield Button()
        yield Static(id="end", markup=False)

    def tell(
        self,
        cause: str,
        advice: str,
        end: Sequence[str],
        ways: Sequence[Way],
        *,
        calm: bool = False,
    ) -> None:
        """Show a trouble, or, `calm`, what there is instead of a run."""
        told = (cause, advice, tuple(end), tuple(ways))
        if told == self._told:
            return
        self._told = told
        self.set_class(calm, "-calm")
        self.query_one("#cause", Static).update(printable(cause))
        self.query_one("#advice", Static).update(printable(advice))
        self.query_one("#advice").display = bool(advice)
        self.query_one("#end", Static).update("\n".join(printable(line) for line in end))
        self.query_one("#end").display = bool(end)
        for button, way in zip_longest(self.query(Button), ways[:MOST_WAYS]):
            button.display = way is not None
            if way is not None:
                button.label = way.label
        self._ways = ways
        self.display = True

    def clear(self) -> None:
        self._told = ()
        self.display = False

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        place = list(self.query(Button)).index(event.button)
        self.post_message(self.Chosen(self._ways[place].action))
