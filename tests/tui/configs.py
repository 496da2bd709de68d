"""A small project with a config and its token files, for the tests of the config editor."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from textual import on
from textual.message import Message
from textual.pilot import Pilot

from tests.tui.conftest import SMALL, settle
from tui import app
from tui.app import Workbench
from tui.config.estimate import Machine
from tui.config.screen import OPEN_SECTIONS, ConfigScreen
from tui.shell import messages

GIB = 2**30
MACHINE = Machine(memory=16 * GIB, cpu_memory=16 * GIB, n_gpus=0)

BASE = """\
seed = 123

[model]
n_embd = 128 # wide enough
n_head = 4
n_layer = 4

[optimization]
peak_lr = 1e-3
dropout_p = 0.1
"""

CONFIG = """\
# Letters of a play, for two CPU cores.
include = "base.toml"

output_dir = "models/letters"
tokenizer_name = "char"

[model]
n_vocab = 256 # a character's code is its id
n_ctx = 64

# 24 windows of 64: 1,536 tokens per step.
[data]
train_fpath = "data/train-char.bin"
val_fpath = "data/val-char.bin"
seq_len = 64
train_batch_size = 24

[trainer]
max_steps = 1_000
"""
TINY_MODEL = """\
[model]
n_vocab = 256
n_ctx = 16
n_embd = 16
n_head = 2
n_layer = 1
"""
"""So small that a real training of it takes seconds."""
PATH = Path("configs/shakespeare_char_cpu.toml")  # the one that is opened first without a GPU


def make_project(folder: Path, *, config: str = CONFIG) -> Path:
    """Configs and token files below `folder`; returns the config's path."""
    (folder / "configs").mkdir()
    (folder / "configs/base.toml").write_text(BASE)
    (folder / PATH).write_text(config)
    (folder / "data").mkdir()
    for part, count in (("train", 100_000), ("val", 10_000)):
        token_file(folder / f"data/{part}-char.bin", count)
    return folder / PATH


def token_file(path: Path, count: int) -> None:
    (np.arange(count) % 123).astype("<u2").tofile(path)
    sidecar: dict[str, Any] = {
        "dtype": "uint16",
        "count": count,
        "tokenizer": "char",
        "sha256": "0" * 64,
        "source": "a test",
        "max_id": 122,
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(sidecar))


class ConfigWorkbench(Workbench):
    """A workbench whose config editor estimates for `machine`, and starts no training."""

    CSS_PATH = Path(app.__file__).with_name("app.tcss")

    def __init__(
        self, machine: Machine = MACHINE, open_sections: Sequence[str] = OPEN_SECTIONS
    ) -> None:
        self.MODES = {
            **Workbench.MODES,
            "config": lambda: ConfigScreen(
                inspect_machine=lambda root: machine, open_sections=open_sections
            ),
        }
        super().__init__()
        self.asked: list[Message] = []
        """What the editor asked for."""

    @on(messages.StartTraining)
    @on(messages.ResumeTraining)
    @on(messages.Visit)
    def _keep(self, event: Message) -> None:
        event.prevent_default()
        self.asked.append(event)


def asked_of(pilot: Pilot[Any]) -> list[Message]:
    """What the editor has asked the workbench for."""
    assert isinstance(pilot.app, ConfigWorkbench)
    return pilot.app.asked


async def on_config(pilot: Pilot[Any]) -> ConfigScreen:
    """The editor with the config at PATH, in front and settled."""
    assert isinstance(pilot.app, Workbench)
    screen = await pilot.app.visit("config")
    assert isinstance(screen, ConfigScreen)
    screen.open(PATH, {})
    await settle(pilot)
    return screen


@asynccontextmanager
async def config_screen(
    size: tuple[int, int] = SMALL,
    machine: Machine = MACHINE,
    open_sections: Sequence[str] = ("model",),
) -> AsyncIterator[tuple[Pilot[None], ConfigScreen]]:
    """The editor; few sections are open at first, since making fields takes half of a test."""
    workbench = ConfigWorkbench(machine, open_sections)
    async with workbench.run_test(size=size) as pilot:
        yield pilot, await on_config(pilot)
