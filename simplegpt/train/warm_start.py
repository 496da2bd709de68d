"""Start a training from weights that exist: another checkpoint's, or GPT-2's."""

import torch
from torch import Tensor

from simplegpt.checkpoint import load_model
from simplegpt.cli import UserError
from simplegpt.config.schema import Config
from simplegpt.model import GPT


@torch.no_grad()
def load_initial_weights(gpt: GPT, config: Config) -> None:
    """Copy the weights that ``init_from`` names into `gpt`.

    A shorter context takes the first positions, a larger vocabulary keeps fresh rows for the ids
    that are new. Any other difference in shape raises UserError, with every one of them.
    """
    assert config.init_from is not None
    source = load_model(config.init_from).gpt
    wrong = [
        f"model.{name}: {config.init_from} has {getattr(source.config, name)!r}, "
        f"the config {getattr(gpt.config, name)!r}"
        for name in ("n_embd", "n_head", "n_layer", "bias", "activation")
        if getattr(source.config, name) != getattr(gpt.config, name)
    ]
    if gpt.config.n_ctx > source.config.n_ctx:
        wrong.append(f"model.n_ctx: at most {source.config.n_ctx} positions were trained")
    if gpt.config.n_vocab < source.config.n_vocab:
        wrong.append(f"model.n_vocab: at least {source.config.n_vocab} are needed")
    if wrong:
        raise UserError("init_from does not fit [model]:\n  " + "\n  ".join(wrong))
    theirs = source.state_dict()
    for name, ours in gpt.state_dict().items():
        _copy_common_rows(theirs[name], ours)


def _copy_common_rows(source: Tensor, target: Tensor) -> None:
    rows = min(source.shape[0], target.shape[0])
    target[:rows].copy_(source[:rows])
