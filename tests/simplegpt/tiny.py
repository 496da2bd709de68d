"""A training of a second: its config, and token files with something to learn at once."""

from pathlib import Path

import numpy as np

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


def write_token_files(folder: Path, n_val: int = 500) -> None:
    """Write train.bin and val.bin, in which each byte is mostly the one before plus one."""
    generator = np.random.default_rng(0)
    for name, n in (("train.bin", 3000), ("val.bin", n_val)):
        steps = (generator.random(n) < 0.1) * generator.integers(0, 9, n) + 1
        (np.cumsum(steps) % 64).astype("<u2").tofile(folder / name)
