"""The last step of preparing data: output folder, validation split, and the progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Button, Input, Label, ProgressBar, Static

from simplegpt.cli import UserError
from simplegpt.progress import ProgressReport, format_bytes, format_count, format_duration
from tui.data.choices import Kind
from tui.shared.paths import path_to_write

_HELD_OUT: dict[Kind, str] = {
    "text": "% of the lines",
    "documents": "% of documents",
    "dialogues": "% of dialogues",
}
Phase = Literal["choosing", "working", "done"]
_BUTTONS: dict[Phase, tuple[str, str]] = {
    "choosing": ("Prepare", "primary"),
    "working": ("Cancel", "default"),
    "done": ("Train on this", "success"),
}


class WritePanel(Vertical):
    """The output settings, then the progress, then the result.

    Its button is the next step: prepare, cancel while it works, then open a config to train on it.
    """

    HELP = """\
**Token files**: the last lines are held out to measure the validation loss on text that the model
was not trained on. Two files are written, `train-TOKENIZER.bin` and `val-TOKENIZER.bin`. Cancelling
leaves no files behind.

The **marker** is a text that ends a document, such as `<|endoftext|>` in many data sets; the
**separator** is the token that is written between two documents: that of the tokenizer, or the
token ID given here (the tokenizers char and byte have none of their own).

**Documents** (JSON Lines, Parquet, folders, datasets) are written in shards,
`train-TOKENIZER-00000.bin` …; **Column** is the key or column with their text. Each ends with the
separator, and the held-out ones are evenly spread. Cancelling keeps the whole shards: preparing
again resumes.

**Dialogues** (JSON Lines with `messages`) are written with the chat template, and a file beside
them marks the answers, which alone count in the loss. The last dialogues are held out.
"""
    DEFAULT_CSS = """
    WritePanel {
        .field { height: 1; }
        Label { color: $text-muted; }
        .what { width: 11; }
        Input { width: 1fr; }
        #percent { width: 5; }
        #status { height: 1fr; min-height: 2; color: $text-muted; }
        ProgressBar { height: 1; width: 100%; display: none; Bar { width: 1fr; } }
        #next { width: 100%; }
        #columns { display: none; }
        &.-documents { #columns { display: block; } #markers { display: none; } }
        &.-dialogues { #markers, #separators { display: none; } }
        &.-working, &.-done { .field, #columns, #markers, #separators { display: none; } }
        &.-working ProgressBar { display: block; }
    }
    """

    phase: reactive[Phase] = reactive("choosing")

    class ColumnTyped(Message):
        """The column of the text may have changed."""

    @dataclass
    class Pressed(Message):
        """The button was pressed in `phase`."""

        phase: Phase

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._total = 1
        self._done_files = 0
        """Of the files that are done, in the unit of the reports."""
        self._report: ProgressReport | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("Folder", classes="what")
            yield Input("data", id="folder", compact=True, tooltip="Folder for the token files")
        with Horizontal(classes="field"):
            yield Label("Validation", classes="what")
            yield Input("10", id="percent", compact=True, tooltip="Held-out lines or documents")
            yield Label("% of the lines", id="held-out")
        with Horizontal(classes="field", id="columns"):
            yield Label("Column", classes="what")
            yield Input(
                "text",
                id="column",
                compact=True,
                tooltip="Key or column with the text of a document",
            )
        with Horizontal(classes="field", id="markers"):
            yield Label("Marker", classes="what")
            yield Input(
                id="marker",
                compact=True,
                placeholder="none",
                tooltip="Text that ends a document; it is removed from the text",
            )
        with Horizontal(classes="field", id="separators"):
            yield Label("Separator", classes="what")
            yield Input(
                id="separator",
                compact=True,
                placeholder="automatic",
                tooltip="Token between documents: <|endoftext|> or a token ID",
            )
        yield ProgressBar(total=1, show_eta=False, show_percentage=True)
        yield Static(id="status", markup=False)
        yield Button("Prepare", id="next", variant="primary", compact=True)

    @property
    def folder(self) -> Path:
        """The output folder, as it was typed. Raises UserError for an unknown user's home."""
        try:
            return path_to_write(self.query_one("#folder", Input).value)
        except UserError as error:
            raise UserError(f"Folder: {error}") from None

    @property
    def val_fraction(self) -> float | None:
        """The held-out fraction, from 0 to below 1; None if the input is invalid."""
        try:
            percent = float(self.query_one("#percent", Input).value.strip().rstrip("%"))
        except ValueError:
            return None
        return percent / 100 if 0 <= percent < 100 else None

    @property
    def marker(self) -> str:
        return self.query_one("#marker", Input).value

    @property
    def column(self) -> str:
        """The key or column with the text of a document."""
        return self.query_one("#column", Input).value.strip() or "text"

    @property
    def separator(self) -> str:
        return self.query_one("#separator", Input).value.strip()

    def show_choice(self, folder: str, kind: Kind) -> None:
        """Propose a folder, and show the settings of this kind of input."""
        self.query_one("#folder", Input).value = folder
        self.set_class(kind == "documents", "-documents")
        self.set_class(kind == "dialogues", "-dialogues")
        self.query_one("#held-out", Label).update(_HELD_OUT[kind])

    def show_status(self, status: str | Content) -> None:
        """Show a line or two above the button."""
        self.query_one("#status", Static).update(status)

    def watch_phase(self, phase: Phase) -> None:
        self.set_class(phase == "working", "-working")
        self.set_class(phase == "done", "-done")
        button = self.query_one("#next", Button)
        label, variant = _BUTTONS[phase]
        button.label, button.variant = label, variant
        self.refresh_bindings()

    def start(self, total: int) -> None:
        """Show that work on `total` bytes or documents begins; 0 if their number is unknown."""
        self._total, self._done_files, self._report = total, 0, None
        self.query_one(ProgressBar).update(total=total or None, progress=0)
        self.phase = "working"
        self.show_status("starting …")
        self.screen.set_focus(None)  # a second Enter must not cancel what the first one started

    def show_progress(self, report: ProgressReport) -> None:
        """Show a report about the file that is being written now."""
        if self._report is not None and report.label != self._report.label:
            self._done_files += self._report.total
        self._report = report
        done = self._done_files + report.done
        done = min(done, self._total) if self._total else done
        self.query_one(ProgressBar).update(progress=done)
        is_bytes = report.unit == "B"
        rate = format_bytes(report.rate) if is_bytes else f"{report.rate:,.0f} {report.unit}"
        parts = [f"{rate}/s"]
        if report.rate and self._total:
            parts.append(f"ETA {format_duration((self._total - done) / report.rate)}")
        parts += [f"{format_count(n)} {name}" for name, n in report.counts.items()]
        self.show_status(" · ".join(parts))

    @on(Button.Pressed, "#next")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Pressed(self.phase))

    @on(Input.Blurred, "#column")
    def _column_typed(self, event: Input.Blurred) -> None:
        event.stop()
        self.post_message(self.ColumnTyped())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#next").focus()
