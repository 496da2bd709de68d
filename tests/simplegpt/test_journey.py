"""All commands in order on a real text: data, train, resume, inference, evaluate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep

CONFIG = """
output_dir = "models/stdlib"
tokenizer_name = "char"
torch_compile = false
[model]
n_vocab = 256
n_ctx = 32
n_embd = 32
n_head = 2
n_layer = 2
[data]
train_fpath = "data/train-char.bin"
val_fpath = "data/val-char.bin"
seq_len = 32
train_batch_size = 16
val_batch_size = 32
[optimization]
optimizer = "muon"
peak_lr = 1e-2
warmup_steps = 5
decay_steps = 60
[trainer]
accelerator = "cpu"
max_steps = 60
val_check_interval = 30
limit_val_batches = 4
log_every_n_steps = 5
"""


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, module: str) -> str:
        environment = {**os.environ, "SIMPLEGPT_CACHE": str(self.folder / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", f"simplegpt.{module}", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_from_a_text_to_generated_text(shell: Shell, tmp_path: Path) -> None:
    # real text that every machine has
    source = Path(subprocess.__file__).read_bytes().decode("ascii", "ignore")
    (tmp_path / "text.py").write_text(source)
    printed = shell("--text_file", "text.py", "--output_dir", "data", module="data")
    assert "number of tokens = " in printed
    (tmp_path / "tiny.toml").write_text(CONFIG)

    shell("tiny.toml", "--trainer.max_steps", "40", module="train")
    printed = shell("--resume", "models/stdlib", "--trainer.max_steps", "60", module="train")
    assert "resumed from step 40" in printed
    run = RunDirectory(tmp_path / "models/stdlib")
    losses = [event.loss for event in run.read_events() if isinstance(event, TrainStep)]
    assert losses[-1] < losses[0] - 1.5

    checkpoint = "models/stdlib/ckpts/last.ckpt"
    options = ["--model_name_or_ckpt_path", checkpoint, "--n_tokens_to_generate", "40"]
    printed = shell("def ", *options, "--batch_size", "2", "--top-k", "20", module="inference")
    assert "==== Result 1 ====" in printed
    assert "==== Result 2 ====" in printed
    again = shell("def ", *options, "--batch_size", "2", "--top_k", "20", module="inference")
    assert again == printed

    figures = json.loads(
        shell(checkpoint, "--tokens", "data/val-char.bin", "--json", module="evaluate")
    )
    assert 1.0 < figures["loss"] < losses[0] - 1.0
