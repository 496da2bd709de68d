"""What a run has written: samples, checkpoints, its log."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Input, RichLog, Static

from simplegpt.run.events import Sample
from tui.shared.history import History
from tui.shared.text import one_line, printable
from tui.training.words import MUTED, loss

SHOWN_SAMPLES = 12
KEPT_LINES = 5_000


class SamplesPanel(VerticalScroll):
    """The newest samples, newest first, so that one sees the text improve."""

    HELP: ClassVar[str] = """\
## Samples
What the model writes at this point of its training, newest first; its prompt stands out. The
config's `[samples]` says how often. **w** asks for one now.
"""
    DEFAULT_CSS: ClassVar[str] = "SamplesPanel { padding: 0 1; Static { height: auto; } }"

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, history: History) -> None:
        newest = history.samples[-1].step if history.samples else -1
        if self._shown == (history.n_samples, newest):
            return
        self._shown = (history.n_samples, newest)
        body = self.query_one(Static)
        if not history.samples:
            body.update(
                Content.styled("no samples yet: [samples] in the config says how often", MUTED)
            )
            return
        newest_first = list(reversed(history.samples))[:SHOWN_SAMPLES]
        body.update(Content("\n\n").join([sample_in_words(sample) for sample in newest_first]))


def sample_in_words(sample: Sample) -> Content:
    prompt = printable(sample.prompt)
    return Content.assemble(
        (f"── step {sample.step:,} ", "$text-accent"),
        "\n",
        (prompt, "$primary bold") if prompt.strip() else "",
        printable(sample.text).rstrip() if prompt.strip() else printable(sample.text).strip(),
    )


class CheckpointsPanel(Vertical):
    """The checkpoints and their losses; Enter talks to one."""

    HELP: ClassVar[str] = """\
## Checkpoints
What was saved, newest first, with its validation loss; ★ marks the best. **Enter** opens the chat
with one.
"""
    DEFAULT_CSS: ClassVar[str] = """
    CheckpointsPanel {
        DataTable { height: 1fr; background: transparent; }
        #none { padding: 0 1; height: 1fr; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A checkpoint was chosen to talk to."""

        path: str

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: list[tuple[str, int]] | None = None

    def compose(self) -> ComposeResult:
        table: DataTable[str] = DataTable(cursor_type="row", cell_padding=1)
        table.add_column("", key="best", width=1)
        table.add_column("step", key="step")
        table.add_column("val loss", key="loss")
        table.add_column("file", key="file")
        yield table
        yield Static("no checkpoint yet", id="none")

    def show(self, history: History) -> None:
        newest_first = list(reversed(history.checkpoints.values()))
        wanted = [(event.path, event.step) for event in newest_first]
        if wanted == self._shown:
            return
        self._shown = wanted
        table = self.query_one(DataTable)
        table.display = bool(wanted)
        self.query_one("#none").display = not wanted
        table.clear()
        best = min((e.val_loss for e in newest_first if e.val_loss is not None), default=None)
        for event in newest_first:
            value = "–" if event.val_loss is None else loss(event.val_loss)
            star = "★" if best is not None and event.val_loss == best else ""
            name = one_line(event.path.removeprefix("ckpts/"))
            table.add_row(star, f"{event.step:,}", value, name, key=event.path)

    @on(DataTable.RowSelected)
    def _row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Chosen(event.row_key.value))


class LogPanel(Vertical):
    """What the training printed, its end first in sight, with a filter."""

    HELP: ClassVar[str] = """\
## Log
What the training process printed. **/** goes to the filter: only lines that hold its words are
shown, upper and lower case alike; Escape goes back.
"""
    DEFAULT_CSS: ClassVar[str] = """
    LogPanel {
        Input { height: 1; border: none; padding: 0 1; background: $panel; }
        RichLog { height: 1fr; background: transparent; padding: 0 1; }
    }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    def compose(self) -> ComposeResult:
        yield RichLog(max_lines=KEPT_LINES, wrap=True, markup=False, highlight=False, min_width=20)
        yield Input(placeholder="filter the log  ( / )", compact=True)

    def write(self, lines: Iterable[str]) -> None:
        """Add lines to the end."""
        new = [printable(line) for line in lines]
        self.lines.extend(new)
        log = self.query_one(RichLog)
        for line in new:
            if self._passes(line):
                log.write(line)

    def clear(self) -> None:
        self.lines.clear()
        self.query_one(RichLog).clear()

    def _passes(self, line: str) -> bool:
        words = self.query_one(Input).value.lower().split()
        return all(word in line.lower() for word in words)

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        log = self.query_one(RichLog)
        log.clear()
        for line in self.lines:
            if self._passes(line):
                log.write(line)

    @on(Input.Submitted)
    def _filter_entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(RichLog).focus()

    def key_escape(self) -> None:
        self.query_one(RichLog).focus()
