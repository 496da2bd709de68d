"""Small models with random weights, and checkpoints of them."""

from pathlib import Path
from typing import Any

import torch

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT


def random_gpt(config: ModelConfig) -> GPT:
    """Return a GPT in eval mode; biases and norms are random too, to reveal errors in them."""
    torch.manual_seed(0)
    gpt = GPT(config).eval()
    for parameter in gpt.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return gpt


def checkpoint_of(gpt: GPT, prefix: str = "gpt.", **changes: Any) -> dict[str, Any]:
    """Return the contents of a checkpoint of `gpt` as a training writes them."""
    return {
        "state_dict": {prefix + name: tensor for name, tensor in gpt.state_dict().items()},
        "hyper_parameters": {"model": gpt.config.model_dump(), "tokenizer_name": "char"},
        "global_step": 12,
        "optimizer_states": [{"state": {}}],
        "simplegpt": {"version": 1, "val_loss": 1.5},
    } | changes


def save_checkpoint(gpt: GPT, folder: Path) -> Path:
    """Write a checkpoint of `gpt` as last.ckpt in `folder`."""
    torch.save(checkpoint_of(gpt), folder / "last.ckpt")
    return folder / "last.ckpt"
