"""Small models with random weights, and checkpoints of them."""

from pathlib import Path
from typing import Any

import torch

from simplegpt.config.schema import ModelConfig
from simplegpt.data.chat import CHAT_TEMPLATE
from simplegpt.data.encode import Chunk
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.model import GPT
from simplegpt.tokenizer import train


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


def train_tokenizer(folder: Path) -> str:
    """Write a tokenizer of 300 tokens with <|endoftext|> to `folder`; return its name."""
    text = "Hello! How are you today? I am fine, thank you. " * 20
    (folder / "text.txt").write_text(text)
    path = folder / "tokenizer.json"
    path.write_text(train([Chunk(text, "")], 300)[0])
    return str(path)


def save_chat_checkpoint(folder: Path, n_ctx: int = 128, *, answers: bool = True) -> Path:
    """Write a random model with a chat template; with `answers` false, all of them are empty."""
    tokenizer_name = train_tokenizer(folder)
    tokenizer = load_tokenizer(tokenizer_name)
    assert tokenizer.end_of_text is not None
    gpt = random_gpt(
        ModelConfig(n_vocab=tokenizer.n_vocab, n_ctx=n_ctx, n_embd=32, n_head=4, n_layer=2)
    )
    with torch.no_grad():
        gpt.ln_f.weight *= int(answers)  # 0: the logits no longer depend on the text
        gpt.wte.weight[tokenizer.end_of_text] = gpt.ln_f.bias * (-100 if answers else 100)
    contents = checkpoint_of(
        gpt,
        hyper_parameters={"model": gpt.config.model_dump(), "tokenizer_name": tokenizer_name},
        simplegpt={"format": 1, "chat_template": CHAT_TEMPLATE},
    )
    torch.save(contents, folder / "last.ckpt")
    return folder / "last.ckpt"
