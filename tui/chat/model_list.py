"""Dialogs to choose a model: from the runs below this folder, by a pretrained name, or by path."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Label, Select

from simplegpt.cli import one_line
from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.inference.protocol import Device, Precision
from simplegpt.progress import format_bytes, format_count, format_loss
from simplegpt.run.checkpoints import Checkpoint, list_checkpoints
from simplegpt.run.directory import RunDirectory
from tui.shared.paths import expand_home
from tui.shell.dialogs import Entry, ListDialog
from tui.shell.runs import KnownRuns


@dataclass(frozen=True)
class ModelChoice:
    """A model and how to load it."""

    model: str
    """A checkpoint, a run's directory, a folder in Hugging Face's format, or a pretrained name."""
    device: Device = "auto"
    precision: Precision = "float32"
    live_run: Path | None = None
    """The live run that it belongs to."""


class ModelList(ListDialog[ModelChoice]):
    """All available models; a path or a name can also be typed."""

    DEFAULT_CSS: ClassVar[str] = """
    ModelList #options {
        height: 1;
        margin-top: 1;
        Label { margin-right: 1; color: $text-muted; }
        Select { width: 16; margin-right: 3; }
    }
    """

    def __init__(self, runs: KnownRuns) -> None:
        super().__init__(
            "Model",
            placeholder="Filter, or a path",
            empty="No models found. Type a path.",
            hint="Enter to load · Esc to cancel",
            parse=parse_model,
        )
        self.runs = runs

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        with Horizontal(id="options"):
            for name, values in (("device", get_args(Device)), ("precision", get_args(Precision))):
                yield Label(name)
                options = [(value, value) for value in values]
                yield Select(options, allow_blank=False, id=name, compact=True)

    @on(events.Mount)
    @work(group="models", exclusive=True)
    async def _find(self) -> None:
        self.show_entries(await asyncio.to_thread(find_models, self.runs))

    def choose(self, value: ModelChoice) -> None:
        device: Any = self.query_one("#device", Select).value
        precision: Any = self.query_one("#precision", Select).value
        super().choose(replace(value, device=device, precision=precision))


class RunList(ListDialog[Path]):
    """The runs that have checkpoints."""

    def __init__(self, runs: KnownRuns) -> None:
        super().__init__("Run", empty="No runs with checkpoints here")
        self.runs = runs

    @on(events.Mount)
    @work(group="runs", exclusive=True)
    async def _find(self) -> None:
        runs = await asyncio.to_thread(lambda: list(_find_runs(self.runs)))
        self.show_entries([Entry(each.path, each.name, each.columns) for each in runs])


def parse_model(text: str) -> ModelChoice | None:
    """The model for a typed path or pretrained name; None if it is neither."""
    path = expand_home(text)
    if os.path.exists(path):
        return ModelChoice(str(path))
    return ModelChoice(text) if text in PRETRAINED_NAMES else None


def find_models(runs: KnownRuns) -> list[Entry[ModelChoice]]:
    """The runs with their checkpoints, and the pretrained models. Blocks on the disk."""
    return [*_run_entries(runs), *_pretrained_entries()]


@dataclass(frozen=True)
class _Run:
    """A run that has checkpoints."""

    path: Path
    name: str
    columns: Sequence[str]
    is_live: bool
    checkpoints: Sequence[Checkpoint]


def _find_runs(runs: KnownRuns) -> Iterator[_Run]:
    for run in runs:
        checkpoints = list_checkpoints(RunDirectory(run.path))
        if not checkpoints:
            continue
        state = "unreadable" if run.status is None else run.status.state
        best = [loss for c in checkpoints if (loss := c.info.own_val_loss) is not None]
        columns = (state, *_columns(checkpoints[-1].info.step, min(best, default=None)))
        yield _Run(run.path, os.path.relpath(run.path), columns, run.is_live, checkpoints)


def _run_entries(runs: KnownRuns) -> Iterator[Entry[ModelChoice]]:
    for run in _find_runs(runs):
        live = run.path if run.is_live else None
        choice = ModelChoice(str(run.path), live_run=live)
        yield Entry(choice, run.name, run.columns, group="Runs")
        for checkpoint in reversed(run.checkpoints):
            kind = "best" if checkpoint.is_best else "last" if checkpoint.is_last else ""
            columns = (kind, *_columns(checkpoint.info.step, checkpoint.info.own_val_loss))
            choice = ModelChoice(str(checkpoint.path), live_run=live)
            label = f"  {checkpoint.path.name}"
            yield Entry(choice, label, columns, group="Runs", keywords=run.name)


def _columns(step: int, val_loss: float | None) -> tuple[str, str]:
    return f"step {step:,}", f"val loss {format_loss(val_loss)}"


def _pretrained_entries() -> Iterator[Entry[ModelChoice]]:
    for name, n_parameters in PRETRAINED_NAMES.items():
        download = "downloaded" if is_downloaded(name) else f"{download_size(name)} to download"
        columns = (f"{format_count(n_parameters)} parameters", download)
        yield Entry(ModelChoice(name), name, columns, group="Pretrained")


def is_downloaded(name: str) -> bool:
    """Whether a pretrained model is on this machine. Blocks on the disk."""
    home = os.environ.get("HF_HOME")
    cache = Path(home) if home else expand_home("~/.cache/huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or cache / "hub")
    folders = [hub / f"models--{owner}{name}" for owner in ("", "openai-community--")]
    return Path(name).exists() or any(folder.is_dir() for folder in folders)


def download_size(name: str) -> str:
    """The size of a pretrained model's file, whose weights are in float32: ``about 475 MiB``."""
    return f"about {format_bytes(4 * PRETRAINED_NAMES[name])}"


def reopen(model: str) -> ModelChoice | None:
    """The model used last, if it can be loaded without a download. Blocks on the disk."""
    if model in PRETRAINED_NAMES:
        return ModelChoice(model) if is_downloaded(model) else None
    path = Path(model)
    if not os.path.exists(path):
        return None
    run = path.parent.parent if path.parent.name == "ckpts" else path
    status = RunDirectory(run).status()
    is_live = status is not None and status.is_live
    return ModelChoice(model, live_run=run if is_live else None)


@dataclass(frozen=True)
class Offer:
    """A model to load by one key, where none was chosen."""

    choice: ModelChoice
    note: str


def newest_best(runs: KnownRuns) -> Offer | None:
    """The best checkpoint of the newest run that has any. Blocks on the disk."""
    for run in sorted(runs, key=lambda run: run.modified, reverse=True):
        checkpoints = list_checkpoints(RunDirectory(run.path))
        if not checkpoints:
            continue
        chosen = next((each for each in checkpoints if each.is_best), checkpoints[-1])
        kind = "best" if chosen.is_best else "last"
        step, loss = _columns(chosen.info.step, chosen.info.own_val_loss)
        name = one_line(os.path.relpath(run.path))
        note = f"F9 to load {name} ({kind}, {step}, {loss}) · F7 for another model"
        live = run.path if run.is_live else None
        return Offer(ModelChoice(str(chosen.path), live_run=live), note)
    return None
