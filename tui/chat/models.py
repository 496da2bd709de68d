"""Choosing a model: from the runs here, by a pretrained name, or by a path."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Select
from textual.widgets.option_list import Option

from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.inference.protocol import Device, Precision
from simplegpt.progress import format_count, format_loss
from simplegpt.run.checkpoints import list_checkpoints
from simplegpt.run.directory import find_runs
from tui.chat.words import MUTED
from tui.shared.text import one_line

DEPTH = 4
NAME_WIDTH = 34


@dataclass(frozen=True)
class Choice:
    """A model and how it is loaded."""

    model: str
    device: str = "auto"
    precision: str = "float32"
    beside_run: Path | None = None
    """The live run that it belongs to."""


@dataclass(frozen=True)
class Entry:
    """A model that can be chosen."""

    model: str
    name: str
    about: str
    group: str
    is_part: bool = False
    """One checkpoint of the run above it."""
    live_run: Path | None = None
    """The run that it belongs to, where that goes on."""


@dataclass
class EntriesFound(Message):
    """A worker's news: the models there are."""

    entries: Sequence[Entry]


class ModelChooser(ModalScreen[Choice | None]):
    """A list that is filtered by what is typed; a path or a name can be typed as it is."""

    HELP = """\
## Choose a model

Type to filter, or type a path: a checkpoint, a run's directory, a folder in Hugging Face's format.
**Enter** loads what is marked. bfloat16 and int8 take less memory, and are faster where memory is
what limits.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
    ]

    def __init__(self, root: Path, runs_only: bool = False) -> None:
        super().__init__()
        self.root = root
        self.runs_only = runs_only
        self.entries: Sequence[Entry] = []
        self._shown: list[Entry] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="models") as window:
            window.border_title = "Choose a run" if self.runs_only else "Choose a model"
            window.border_subtitle = "Enter loads it · Esc closes"
            yield Input(placeholder="Filter, or a path", id="filter", compact=True)
            yield OptionList(id="list", compact=True)
            if not self.runs_only:
                with Horizontal(id="how"):
                    yield Label("device")
                    yield _select("device", get_args(Device))
                    yield Label("precision")
                    yield _select("precision", get_args(Precision))

    def on_mount(self) -> None:
        self.query_one("#filter").focus()
        self.query_one(OptionList).can_focus = False
        self._find()

    @work(thread=True, group="find-models", exclusive=True)
    def _find(self) -> None:
        runs = list(run_entries(self.root))
        self.post_message(EntriesFound(runs if self.runs_only else [*runs, *pretrained_entries()]))

    @on(EntriesFound)
    def _found(self, event: EntriesFound) -> None:
        self.entries = event.entries
        self._fill()

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._fill()

    def _fill(self) -> None:
        words = self.query_one("#filter", Input).value.casefold().split()
        options: list[Option | None] = []
        self._shown, group = [], ""
        for entry in self.entries:
            hay = f"{entry.name} {entry.model} {entry.about}".casefold()
            if not all(word in hay for word in words):
                continue
            if entry.group != group:
                if group:
                    options.append(Option("", disabled=True))
                group = entry.group
                options.append(Option(Content.styled(group, "$accent bold"), disabled=True))
            line = Content.assemble(_padded(entry), (entry.about, MUTED))
            options.append(Option(line, id=str(len(self._shown))))
            self._shown.append(entry)
        listing = self.query_one(OptionList)
        listing.clear_options()
        listing.add_options(options)
        if not self._shown:
            nothing = "No run here yet" if self.runs_only else "Enter loads the path or name typed"
            listing.add_option(Option(Content.styled(nothing, MUTED), disabled=True))
        else:
            listing.action_first()

    def action_move(self, step: int) -> None:
        focused = self.focused
        if isinstance(focused, Select):  # its own list is open, or opens
            (focused.action_show_overlay if not focused.expanded else lambda: None)()
            return
        listing = self.query_one(OptionList)
        (listing.action_cursor_down if step > 0 else listing.action_cursor_up)()

    @on(Input.Submitted, "#filter")
    def _submitted(self, event: Input.Submitted) -> None:
        typed = event.value.strip()
        place = self.query_one(OptionList).highlighted
        exact = typed and (Path(typed).expanduser().exists() or typed in PRETRAINED_NAMES)
        if self._shown and place is not None and not exact:
            option = self.query_one(OptionList).get_option_at_index(place)
            self._take(self._shown[int(option.id or 0)])
        elif typed:
            path = Path(typed).expanduser()
            model = str(path) if path.exists() else typed
            self._take(Entry(model, model, "", ""))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._take(self._shown[int(event.option.id or 0)])

    def _take(self, entry: Entry) -> None:
        if self.runs_only:
            self.dismiss(Choice(entry.model))
            return
        device, precision = (self.query_one(f"#{n}", Select).value for n in ("device", "precision"))
        self.dismiss(Choice(entry.model, str(device), str(precision), entry.live_run))


def _padded(entry: Entry) -> str:
    """The name, as wide as a column; of a long one, its end."""
    indent = "    " if entry.is_part else "  "
    room = NAME_WIDTH - len(indent)
    name = entry.name if len(entry.name) <= room else "…" + entry.name[1 - room :]
    return f"{indent}{name:<{room}}  "


def _select(name: str, values: Iterable[str]) -> Select[str]:
    options = [(value, value) for value in values]
    return Select(options, allow_blank=False, id=name, compact=True)


def run_entries(root: Path) -> Iterable[Entry]:
    """The runs below `root` that have checkpoints, and these. Reads files."""
    for run in find_runs(root, DEPTH):
        checkpoints = list_checkpoints(run)
        if not checkpoints:
            continue
        status = run.status()
        state = "unreadable" if status is None else status.state
        name = str(run.path.relative_to(root)) if run.path.is_relative_to(root) else str(run.path)
        best = [c.info.val_loss for c in checkpoints if c.info.val_loss is not None]
        about = f"{state} · step {checkpoints[-1].info.step:,} · val loss "
        about += format_loss(min(best, default=None))
        live = run.path if status is not None and status.is_live else None
        yield Entry(str(run.path), one_line(name), about, "Runs here", live_run=live)
        for checkpoint in reversed(checkpoints):
            path, info = checkpoint.path, checkpoint.info
            about = f"step {info.step:,} · val loss {format_loss(info.val_loss)}"
            yield Entry(str(path), one_line(path.name), about, "Runs here", True, live)


def pretrained_entries() -> Iterable[Entry]:
    """GPT-2 in its sizes, and which of them are on this machine. Reads files."""
    home = os.environ.get("HF_HOME")
    cache = Path(home) if home else Path.home() / ".cache" / "huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or cache / "hub")
    for name, n_parameters in PRETRAINED_NAMES.items():
        folders = (hub / f"models--{owner}{name}" for owner in ("", "openai-community--"))
        here = any(folder.is_dir() for folder in folders)
        place = "on this machine" if here else "is downloaded when chosen"
        about = f"{format_count(n_parameters)} · {place}"
        yield Entry(name, name, about, "Pretrained")
