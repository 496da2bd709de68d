"""What Lightning and the recorder cost a training step.

    python -m tests.benchmarks.train_step [--steps 300] [--rounds 3] [--precision bf16-mixed]

The same model, data order and optimizer in three loops, in turn, so that a noisy machine is
noisy for all of them: bare PyTorch, Lightning without the recorder, and a run as `simplegpt.train`
makes it. Prints milliseconds a step and their ratios; the median of the rounds is the one to quote.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from simplegpt.config.schema import Config
from simplegpt.data.windows import TextWindows
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep
from simplegpt.train import train
from simplegpt.train.module import GPTModule, TokenData
from simplegpt.train.optimizer import make_optimizer
from simplegpt.train.schedule import learning_rate_factor
from simplegpt.train.trainer import quiet_lightning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--n_embd", type=int, default=128)
    parser.add_argument("--n_layer", type=int, default=4)
    parser.add_argument("--n_ctx", type=int, default=64)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--optimizer", default="adamw")
    arguments = parser.parse_args()
    quiet_lightning()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, list[float]] = {"bare": [], "lightning": [], "simplegpt": []}
        for round_number in range(arguments.rounds):
            config = make_config(Path(folder), arguments, round_number)
            results["bare"].append(bare(config))
            results["lightning"].append(bare_lightning(config))
            results["simplegpt"].append(recorded(config))
    medians = {name: statistics.median(times) for name, times in results.items()}
    for name, times in results.items():
        ratio = statistics.median(t / b for t, b in zip(times, results["bare"], strict=True))
        print(f"{name:10} {medians[name] * 1e3:8.2f} ms a step   {ratio:.3f} of bare")
    print(f"recorder   {medians['simplegpt'] / medians['lightning'] - 1:+.1%} over bare Lightning")


def make_config(folder: Path, arguments: argparse.Namespace, number: int) -> Config:
    tokens = folder / "tokens.bin"
    np.random.default_rng(0).integers(0, 256, 1_000_000).astype("<u2").tofile(tokens)
    return Config.model_validate(
        {
            "output_dir": folder / f"run-{number}",
            "tokenizer_name": "byte",
            "torch_compile": False,
            "model": {
                "n_vocab": 256,
                "n_ctx": arguments.n_ctx,
                "n_embd": arguments.n_embd,
                "n_head": 4,
                "n_layer": arguments.n_layer,
            },
            "data": {
                "train_fpath": tokens,
                "val_fpath": tokens,
                "seq_len": arguments.n_ctx,
                "train_batch_size": arguments.batch,
                "val_batch_size": 64,
            },
            "optimization": {"optimizer": arguments.optimizer},
            "trainer": {
                "max_steps": arguments.steps,
                "accelerator": "cpu",
                "precision": arguments.precision,
                "val_check_interval": 10**6,
                "limit_val_batches": 1,
            },
        }
    )


def bare(config: Config) -> float:
    """Seconds a step of a loop that does nothing but train."""
    module, data = GPTModule(config), TokenData(config)
    optimizer = make_optimizer(module.gpt, config.optimization, fused=True)
    windows = TextWindows(data.train_tokens, config.data.seq_len, config.seed)
    size, steps = config.data.train_batch_size, config.trainer.max_steps
    mixed = config.trainer.precision == "bf16-mixed"
    start = time.perf_counter()
    for step in range(steps):
        slices = windows.training(range(step * size, (step + 1) * size))
        ids = np.stack([data.train_tokens.slice(s.start, s.stop) for s in slices])
        batch = torch.from_numpy(ids)
        factor = learning_rate_factor(step, config.optimization, steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = module.gpt(batch[:, :-1], batch[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - start) / steps


class Stopwatch(Callback):
    """Times the steps, without Lightning's start and end."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.seconds = time.perf_counter() - self.start


def bare_lightning(config: Config) -> float:
    """Seconds a step of Lightning's loop, with our module and data and nothing else."""
    stopwatch = Stopwatch()
    settings = config.trainer.model_dump(
        exclude={"val_check_interval", "limit_val_batches", "callbacks"}, exclude_none=True
    )
    trainer = lightning.Trainer(
        **settings,
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        callbacks=[stopwatch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(GPTModule(config), datamodule=TokenData(config))
    return stopwatch.seconds / config.trainer.max_steps


def recorded(config: Config) -> float:
    """Seconds a step of a real run, by its own events: validation and saving are left out."""
    train(config)
    events = RunDirectory(config.output_dir).read_events()
    steps = [event for event in events if isinstance(event, TrainStep)]
    return statistics.mean(event.step_seconds for event in steps)


if __name__ == "__main__":
    main()
