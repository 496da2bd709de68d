"""GPT-2's recipe here and in plain PyTorch, and what the faster recipe saves.

    python -m tests.benchmarks.recipe [--text FILE] [--steps 300] [--seeds 3] [--picture FILE.png]

First: transformers' GPT-2 from the same weights, on the same windows, in a loop of torch's AdamW
and a cosine; the losses are compared step by step. Then AdamW with a cosine against Muon with
warmup-stable-decay, for each seed: the val losses, and how many steps Muon needs for AdamW's.
"""

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from simplegpt.config.schema import Config
from simplegpt.data.__main__ import main as make_data
from simplegpt.data.corpus import fetch
from simplegpt.data.tokens import open_tokens
from simplegpt.data.windows import TextWindows
from simplegpt.gpt2.folder import to_hugging_face
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import TrainStep, Validation
from simplegpt.train import train
from simplegpt.train.module import GPTModule
from tui.runs.export import read_whole, write_picture
from tui.shared.history import History

BATCH, LENGTH, WARMUP, PEAK, END = 12, 64, 100, 1e-3, 1e-4
ADAMW = {"peak_lr": PEAK, "end_lr": END, "warmup_steps": WARMUP}
MUON = {
    "optimizer": "muon",
    "schedule": "warmup_stable_decay",
    "muon_lr": 0.04,
    "peak_lr": 5e-3,
    "end_lr": 0.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="default: the source of Python's library")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    text = arguments.text or fetch("python-stdlib")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(["--text_file", str(text), "--tokenizer_name", "byte", "--output_dir", name])
        curves = compare_loops(folder, arguments.steps)
        curves += compare_recipes(folder, arguments.steps, arguments.seeds)
        if arguments.picture:
            write_picture(curves, arguments.picture)


def make_config(folder: Path, name: str, steps: int, seed: int, **optimization: Any) -> Config:
    return Config.model_validate(
        {
            "output_dir": folder / name,
            "seed": seed,
            "tokenizer_name": "byte",
            "torch_compile": False,
            "model": {"n_vocab": 256, "n_ctx": LENGTH, "n_embd": 128, "n_head": 4, "n_layer": 4},
            "data": {
                "train_fpath": folder / "train-byte.bin",
                "val_fpath": folder / "val-byte.bin",
                "seq_len": LENGTH,
                "train_batch_size": BATCH,
                "val_batch_size": 64,
            },
            "optimization": {
                "peak_lr": PEAK,
                "end_lr": END,
                "warmup_steps": WARMUP,
                **optimization,
            },
            "trainer": {
                "max_steps": steps,
                "accelerator": "cpu",
                "val_check_interval": max(steps // 15, 1),
                "limit_val_batches": 8,
                "log_every_n_steps": 1,
            },
        }
    )


def compare_loops(folder: Path, steps: int) -> list[tuple[str, History]]:
    """Print the largest difference of a step's loss between a run and `plain_loop`."""
    config = make_config(folder, "loop", steps, 1, decay_steps=steps - WARMUP)
    torch.manual_seed(config.seed)  # as a training does before it makes the model
    initial = to_hugging_face(GPTModule(config).gpt)
    expected = plain_loop(config, initial)
    train(config)
    events = RunDirectory(config.output_dir).read_events()
    losses = [event.loss for event in events if isinstance(event, TrainStep)]
    differences = [abs(a - b) for a, b in zip(losses, expected, strict=True)]
    print(f"plain PyTorch and a run, {steps} steps: the losses differ by at most", end=" ")
    print(f"{max(differences):.1e}, {np.mean(differences):.1e} on average; last {losses[-1]:.4f}")
    plain = History(steps + 2)
    plain.extend(
        event.model_copy(update={"loss": loss})
        for event, loss in zip(
            (event for event in events if isinstance(event, TrainStep)), expected, strict=True
        )
    )
    return [("plain PyTorch", plain), ("SimpleGPT", read_whole(RunDirectory(config.output_dir)))]


def plain_loop(config: Config, initial: dict[str, torch.Tensor]) -> list[float]:
    """Return the loss of each step of transformers' GPT-2 from the weights `initial`."""
    shape, steps = config.model, config.trainer.max_steps
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.n_vocab,
            n_positions=shape.n_ctx,
            n_embd=shape.n_embd,
            n_head=shape.n_head,
            n_layer=shape.n_layer,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    model.transformer.load_state_dict(initial)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95))
    tokens = open_tokens(config.data.train_fpath)
    windows = TextWindows(tokens, LENGTH, config.seed)
    losses = []
    for step in range(steps):
        rows = windows.training(range(step * BATCH, (step + 1) * BATCH))
        ids = torch.from_numpy(np.stack([tokens.slice(row.start, row.stop) for row in rows]))
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, steps)
        logits = model(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def cosine(step: int, steps: int) -> float:
    """Return the learning rate: a line up to PEAK, then a cosine down to END."""
    if step < WARMUP:
        return PEAK * step / WARMUP
    progress = (step - WARMUP) / (steps - WARMUP)
    return END + (PEAK - END) * 0.5 * (1 + math.cos(math.pi * progress))


def compare_recipes(folder: Path, steps: int, seeds: int) -> list[tuple[str, History]]:
    """Print the final val losses of both recipes, and the steps that Muon needs for AdamW's."""
    curves = []
    for seed in range(1, seeds + 1):
        adamw = make_config(folder, f"adamw-{seed}", steps, seed, decay_steps=steps - WARMUP)
        reached = train_and_read(adamw)[-1]
        shares = []
        for part in (0.4, 0.5, 0.6, 0.8, 1.0):
            short = round(part * steps)
            muon = MUON | {"warmup_steps": short // 10, "decay_steps": short * 7 // 10}
            config = make_config(folder, f"muon-{seed}-{short}", short, seed, **muon)
            loss = train_and_read(config)[-1].val_loss
            shares.append(f"{short}: {loss:.4f}")
            if loss <= reached.val_loss:
                break
        print(f"seed {seed}: AdamW {reached.val_loss:.4f} in {steps} steps; Muon", *shares)
        for name, one in ((f"AdamW, seed {seed}", adamw), (f"Muon, seed {seed}", config)):
            curves.append((name, read_whole(RunDirectory(one.output_dir))))
    return curves


def train_and_read(config: Config) -> list[Validation]:
    train(config)
    events = RunDirectory(config.output_dir).read_events()
    return [event for event in events if isinstance(event, Validation)]


if __name__ == "__main__":
    main()
