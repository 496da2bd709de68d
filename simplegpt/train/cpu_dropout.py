"""Fast dropout for training on a CPU.

torch draws a float for each element of a dropout mask, and its flash attention kernel has no
dropout on a CPU. Here a mask takes 8 random bits per element and attention is computed explicitly,
which makes a training step of the baby GPT 1.5 to 2.5 times faster (batch of 16 windows of 256
tokens, 6 heads of width 64).
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from simplegpt.model import GPT, Attention, Cache


def use_cpu_dropout(gpt: GPT) -> None:
    """Replace the dropout of `gpt` in place; parameters and their names stay the same."""
    for module in list(gpt.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(module, name, CPUDropout(child.p).train(child.training))
            elif isinstance(child, Attention):
                setattr(module, name, CPUAttention(child).train(child.training))


class CPUDropout(nn.Dropout):
    """Dropout whose mask takes 8 random bits per element.

    `p` is rounded to a multiple of 1/256. Kept elements are divided by the probability of being
    kept after rounding, so the expectation is exact.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        dropped = min(max(round(self.p * 256), 1), 255)  # of 256 equally likely bytes
        keep = random_bytes(x) >= dropped
        return x * keep.to(x.dtype).mul_(256 / (256 - dropped))


class CPUAttention(Attention):
    """`Attention` whose dropout is a `CPUDropout`; takes over the layers of `attention`."""

    def __init__(self, attention: Attention) -> None:
        nn.Module.__init__(self)  # not Attention's, which would create layers
        self.n_head, self.layer = attention.n_head, attention.layer
        self.c_attn, self.c_proj = attention.c_attn, attention.c_proj
        self.dropout_p = attention.dropout_p
        self.attn_dropout = CPUDropout(attention.dropout_p)

    def forward(self, x: Tensor, cache: Cache | None = None, mask: Tensor | None = None) -> Tensor:
        if not self.training or self.dropout_p == 0:
            return super().forward(x, cache, mask)
        q, k, v = rearrange(self.c_attn(x), "b s (n h d) -> n b h s d", n=3, h=self.n_head)
        n_seq, width = q.shape[-2:]
        future = torch.full((n_seq, n_seq), -math.inf, dtype=q.dtype, device=q.device).triu(1)
        scores = q @ rearrange(k, "b h s d -> b h d s") / math.sqrt(width) + future
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        out = self.attn_dropout(scores.softmax(dim=-1)) @ v
        projected: Tensor = self.c_proj(rearrange(out, "b h s d -> b s (h d)"))
        return projected


def random_bytes(x: Tensor) -> Tensor:
    """Return uniform random uint8 of the shape of `x`, from torch's global generator."""
    words = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 7) // 8,), device=x.device)
    return words.view(torch.uint8)[: x.numel()].view(x.shape)
