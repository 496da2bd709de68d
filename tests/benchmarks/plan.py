"""How near the planned memory of a training step is to the real one, on a CPU.

    python -m tests.benchmarks.plan [SHAPE …]

Each shape is trained for a few steps in a process of its own, as `simplegpt.train` does it, with a
validation and a checkpoint, after a model so small that only the libraries remain of it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from simplegpt.config import load as config_file
from simplegpt.config.load import resolved
from simplegpt.config.schema import Config
from simplegpt.progress import format_bytes
from simplegpt.train import train
from simplegpt.train.devices import Devices
from simplegpt.train.plan import plan

BABY = {"n_vocab": 256, "n_ctx": 256, "n_embd": 384, "n_head": 6, "n_layer": 6}
TINY: dict[str, Any] = {
    "model": {"n_vocab": 256, "n_ctx": 8, "n_embd": 8, "n_head": 2, "n_layer": 1},
    "batch": 1,
}
SHAPES: dict[str, dict[str, Any]] = {
    "baby GPT": {"model": BABY, "batch": 8},
    "with dropout": {"model": BABY, "batch": 8, "optimization": {"dropout_p": 0.2}},
    "in bf16-mixed": {"model": BABY, "batch": 16, "precision": "bf16-mixed"},
    "in bf16-true": {"model": BABY, "batch": 16, "precision": "bf16-true"},
    "GPT-2's vocabulary": {"model": {**BABY, "n_vocab": 50_257, "n_embd": 192}, "batch": 4},
    "GPT-2, one short window": {"model": {"n_ctx": 128}, "batch": 1},
    "Muon": {
        "model": {**BABY, "n_embd": 768},
        "batch": 2,
        "optimization": {"optimizer": "muon"},
    },
}


def main() -> None:
    names = sys.argv[1:] or list(SHAPES)
    print(f"{'planned / measured':24}{'without the libraries':>28}{'in all':>30}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            config = make_config(Path(folder), **SHAPES[name])
            warm_up = make_config(Path(folder) / "tiny", **TINY)
            memory = plan(config, Devices("cpu")).memory
            libraries, peak = measure(config, warm_up)
        measured = peak - libraries
        step = memory.total - memory.libraries
        print(f"{name:24}{ratio(step, measured)}  {ratio(memory.total, peak)}", flush=True)


def ratio(planned: int, measured: int) -> str:
    return f"{format_bytes(planned):>10} /{format_bytes(measured):>9} ={planned / measured:5.2f}"


def make_config(
    folder: Path,
    *,
    model: dict[str, int],
    batch: int,
    precision: str = "32-true",
    optimization: dict[str, Any] | None = None,
) -> Config:
    folder.mkdir(exist_ok=True)
    tokens = folder / "tokens.bin"
    np.random.default_rng(0).integers(0, 256, 100_000).astype("<u2").tofile(tokens)
    return Config.model_validate(
        {
            "output_dir": folder / "run",
            "tokenizer_name": "byte",
            "model": model,
            "data": {
                "train_fpath": tokens,
                "val_fpath": tokens,
                "seq_len": model["n_ctx"],
                "train_batch_size": batch,
                "val_batch_size": batch,
            },
            "optimization": optimization or {},
            "trainer": {
                "max_steps": 4,
                "accelerator": "cpu",
                "precision": precision,
                "limit_val_batches": 1,
            },
        }
    )


def measure(config: Config, warm_up: Config) -> tuple[int, int]:
    """Bytes that a training process has after `warm_up`, and those at its peak in `config`."""
    paths = []
    for each in (warm_up, config):
        paths.append(each.output_dir.with_suffix(".toml"))
        paths[-1].write_text(resolved(each))
    program = "import sys; from tests.benchmarks.plan import train_each; train_each(*sys.argv[1:])"
    command = [sys.executable, "-c", program, *map(str, paths)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    libraries, peak = output.split()[-2:]
    return int(libraries), int(peak)


def train_each(*paths: str) -> None:
    """Train the configs at `paths`; print the resident bytes after the first, and at the peak."""
    for path in paths:
        if train(config_file.load(path)) != 0:
            sys.exit(f"{path}: the training failed")
        if path == paths[0]:
            libraries = psutil.Process().memory_info().rss
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(libraries, int(peak.split()[1]) * 1024)


if __name__ == "__main__":
    main()
