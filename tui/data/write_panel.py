"""The last step of preparing data: where to, how much for validation, and the writing itself."""

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

from simplegpt.progress import ProgressReport, format_bytes, format_count, format_duration

Phase = Literal["choosing", "working", "done"]
_BUTTONS: dict[Phase, tuple[str, str]] = {
    "choosing": ("Prepare", "primary"),
    "working": ("Cancel", "default"),
    "done": ("Look at the config", "success"),
}


class WritePanel(Vertical):
    """Asks where to, shows the progress, and what was written.

    Its button is the next step: prepare, cancel while it works, then on to the config.
    """

    HELP = """\
**Token files** — the text is cut at a line: the last part is for validation, to see how the model
does on what it was not trained on. Two files are written, `train-TOKENIZER.bin` and
`val-TOKENIZER.bin`. Cancel leaves nothing behind.
"""
    DEFAULT_CSS = """
    WritePanel {
        .field { height: 1; }
        Label { color: $text-muted; }
        .what { width: 11; }
        Input { width: 1fr; }
        #percent { width: 5; }
        #said { height: 1fr; min-height: 2; color: $text-muted; }
        ProgressBar { height: 1; width: 100%; display: none; Bar { width: 1fr; } }
        #next { width: 100%; }
        &.-working, &.-done { .field { display: none; } }
        &.-working ProgressBar { display: block; }
    }
    """

    phase: reactive[Phase] = reactive("choosing")

    @dataclass
    class Pressed(Message):
        """The button was pressed; which one it was, the phase says."""

        phase: Phase

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._total = 1
        self._before = 0
        self._step: ProgressReport | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("Folder", classes="what")
            yield Input("data", id="folder", compact=True, tooltip="Where the token files go")
        with Horizontal(classes="field"):
            yield Label("Validation", classes="what")
            yield Input(
                "10", id="percent", compact=True, tooltip="Percent of the lines, the last ones"
            )
            yield Label("% of the lines")
        yield ProgressBar(total=1, show_eta=False, show_percentage=True)
        yield Static(id="said", markup=False)
        yield Button("Prepare", id="next", variant="primary", compact=True)

    @property
    def folder(self) -> Path:
        """Where to, as it was typed."""
        return Path(self.query_one("#folder", Input).value.strip() or ".").expanduser()

    @property
    def fraction(self) -> float | None:
        """The part for validation, 0 up to 1; None where what was typed is none."""
        try:
            percent = float(self.query_one("#percent", Input).value.strip().rstrip("%"))
        except ValueError:
            return None
        return percent / 100 if 0 <= percent < 100 else None

    def propose_folder(self, folder: str) -> None:
        self.query_one("#folder", Input).value = folder

    def say(self, words: str | Content) -> None:
        """A line or two above the button."""
        self.query_one("#said", Static).update(words)

    def watch_phase(self, phase: Phase) -> None:
        self.set_class(phase == "working", "-working")
        self.set_class(phase == "done", "-done")
        button = self.query_one("#next", Button)
        label, variant = _BUTTONS[phase]
        button.label, button.variant = label, variant
        self.refresh_bindings()

    def start(self, total: int) -> None:
        """The work begins; `total` bytes of text over all files."""
        self._total, self._before, self._step = max(total, 1), 0, None
        self.query_one(ProgressBar).update(total=self._total, progress=0)
        self.phase = "working"
        self.say("starting …")
        self.screen.set_focus(None)  # a second Enter shall not cancel what the first began

    def advance(self, step: ProgressReport) -> None:
        """One more report: of the file that is being written now."""
        if self._step is not None and step.label != self._step.label:
            self._before += self._step.total
        self._step = step
        done = self._before + step.done
        self.query_one(ProgressBar).update(progress=min(done, self._total))
        left = (self._total - done) / step.rate if step.rate else None
        parts = [f"{format_bytes(step.rate)}/s"]
        parts += [f"{format_duration(max(left, 0))} left"] if left is not None else []
        parts += [f"{format_count(n)} {name}" for name, n in step.counts.items()]
        self.say(" · ".join(parts))

    @on(Button.Pressed, "#next")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Pressed(self.phase))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#next").focus()
