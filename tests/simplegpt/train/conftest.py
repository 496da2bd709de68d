from pathlib import Path

import numpy as np
import pytest

TINY = """
output_dir = "run"
tokenizer_name = "byte"
[model]
n_vocab = 256
n_ctx = 16
n_embd = 16
n_head = 2
n_layer = 2
[data]
train_fpath = "train.bin"
val_fpath = "val.bin"
seq_len = 16
train_batch_size = 4
val_batch_size = 8
[optimization]
dropout_p = 0.1
warmup_steps = 2
decay_steps = 20
[trainer]
accelerator = "cpu"
max_steps = 12
val_check_interval = 4
log_every_n_steps = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with token files and tiny.toml, as the working directory."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    # each byte is mostly the one before plus one: something to learn at once
    for name, n in (("train.bin", 3000), ("val.bin", 500)):
        steps = (generator.random(n) < 0.1) * generator.integers(0, 9, n) + 1
        (np.cumsum(steps) % 64).astype("<u2").tofile(name)
    Path("tiny.toml").write_text(TINY)
    return tmp_path
