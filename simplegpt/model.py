"""The GPT and its key/value cache.

Exactly GPT-2 (Radford et al. 2019): pre-norm blocks, learned positions, the tanh form of GELU,
biases everywhere, and an output layer that shares its weight with the token embedding. Shapes are
written with the letters b (batch), s (sequence), e (n_embd), h (heads), d (width of a head),
v (vocabulary).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from simplegpt.config.schema import MAX_LOGITS, ModelConfig


class GPT(nn.Module):
    """A GPT of the shape `config`; `dropout_p` applies in training mode only."""

    def __init__(self, config: ModelConfig, dropout_p: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.wte = TokenEmbedding(config.n_vocab, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.embd_dropout = nn.Dropout(dropout_p)
        self.h = nn.ModuleList(Block(config, layer, dropout_p) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.init_weights()

    def forward(
        self,
        ids: Tensor,
        targets: Tensor | None = None,
        *,
        cache: "Cache | None" = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """Return the logits ``[b, s, v]`` of the token after each of `ids` ``[b, s]``.

        With `targets` ``[b, s]``, return their mean cross-entropy instead, a scalar; negative
        targets are ignored. With `cache`, `ids` continue its tokens and are added to it. With
        `documents` ``[b, s]``, the number of each token's document in its row, every document is
        read as if it were alone.
        """
        x = self.hidden(ids, cache, documents)
        return self.wte.logits(x) if targets is None else self.cross_entropy(x, targets)

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean cross-entropy of all tokens of `ids` ``[b, s + 1]`` but the first."""
        loss: Tensor = self(ids[:, :-1], ids[:, 1:])
        return loss

    def next_logits(self, ids: Tensor, cache: "Cache | None" = None) -> Tensor:
        """Return the logits ``[b, v]`` of the token after the last of `ids` ``[b, s]``."""
        return self.wte.logits(self.hidden(ids, cache)[:, -1])

    def hidden(
        self, ids: Tensor, cache: "Cache | None" = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the input of the output layer, ``[b, s, e]``."""
        mask = None
        if documents is not None:
            positions, mask = isolate(documents)
        elif cache is None:
            positions = torch.arange(ids.shape[1], device=ids.device)
        else:
            positions = cache.extend(ids.shape[1])
        x = self.embd_dropout(self.wte(ids) + self.wpe(positions))
        for block in self.h:
            x = block(x, cache, mask)
        normed: Tensor = self.ln_f(x)
        return normed

    def cross_entropy(self, x: Tensor, targets: Tensor, max_logits: int = MAX_LOGITS) -> Tensor:
        """Return the mean cross-entropy, in fp32, of `targets` ``[b, s]`` for `x` ``[b, s, e]``.

        More than `max_logits` logits are computed in chunks, which the backward pass recomputes.
        """
        x, targets = rearrange(x, "b s e -> (b s) e"), rearrange(targets, "b s -> (b s)")
        if targets.numel() * self.config.n_vocab <= max_logits:
            return F.cross_entropy(self.wte.logits(x).float(), targets)

        def total(x: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(self.wte.logits(x).float(), targets, reduction="sum")

        rows = max(1, max_logits // self.config.n_vocab)
        chunks = zip(torch.split(x, rows), torch.split(targets, rows), strict=True)
        totals = [checkpoint(total, *chunk, use_reentrant=False) for chunk in chunks]
        return torch.stack(totals).sum() / (targets >= 0).sum()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Draw GPT-2's initial weights: N(0, 0.02), biases zero, smaller residual projections.

        The variances of the 2 · n_layer residual branches add up, so the weights of their
        projections are divided by sqrt(2 · n_layer).
        """
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                is_residual = name.endswith("c_proj.weight")
                scale = 1 / math.sqrt(2 * self.config.n_layer) if is_residual else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    @property
    def n_parameters(self) -> int:
        """Number of parameters; the tied output layer is counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def new_cache(self, batch_size: int = 1, size: int | None = None) -> "Cache":
        """Return an empty cache on the model's device, in its number format.

        `size` is the number of tokens that fit in a row: by default, and at most, n_ctx.
        """
        config, weight = self.config, self.wte.weight
        size = min(size or config.n_ctx, config.n_ctx)
        width = config.n_embd // config.n_head
        shape = (2, config.n_layer, batch_size, config.n_head, size, width)
        buffer = torch.zeros(shape, device=weight.device, dtype=weight.dtype)
        return Cache(buffer, torch.zeros(batch_size, dtype=torch.long))

    @classmethod
    def from_state_dict(cls, config: ModelConfig, state: Mapping[str, Tensor]) -> "GPT":
        """Return a GPT in eval mode whose weights are the tensors of `state` themselves.

        Raises ValueError listing the names and shapes that differ from those of `config`.
        """
        # checked before building the network: a large one takes long even without weights
        n_numbers = sum(tensor.numel() for tensor in state.values())
        largest = max(config.n_vocab, config.n_ctx, config.n_embd)
        if config.n_layer > len(state) or largest > n_numbers:
            raise ValueError("the config describes a larger model than the weights")
        with torch.device("meta"):  # do not allocate and initialize weights that are replaced
            gpt = cls(config)
        expected = gpt.state_dict()
        problems = [f"{name} is missing" for name in expected if name not in state]
        problems += [f"{name} is unknown" for name in state if name not in expected]
        problems += [
            f"{name} has shape {list(state[name].shape)}, expected {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in state and state[name].shape != tensor.shape
        ]
        if problems:
            more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise ValueError(", ".join(problems[:3]) + more)
        gpt.load_state_dict(dict(state), assign=True)
        return gpt.requires_grad_().eval()


def isolate(documents: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions ``[b, s]`` and the attention mask ``[b, 1, s, s]`` of documents in rows.

    A token of `documents` ``[b, s]`` attends to those of its own document up to itself, and its
    position is their number.
    """
    mask = (documents[:, :, None] == documents[:, None, :]).tril()
    return mask.sum(dim=-1) - 1, rearrange(mask, "b q k -> b 1 q k")


class TokenEmbedding(nn.Embedding):
    """The token embedding, which shares its weight with the output layer."""

    def logits(self, x: Tensor) -> Tensor:
        """Apply the output layer: ``[…, e]`` to ``[…, v]``."""
        return F.linear(x, self.weight)


class Block(nn.Module):
    """A transformer layer: attention and a feed-forward network, each on a residual branch."""

    def __init__(self, config: ModelConfig, layer: int, dropout_p: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = Attention(config, layer, dropout_p)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = FeedForward(config)
        self.resid_dropout = nn.Dropout(dropout_p)

    def forward(
        self, x: Tensor, cache: "Cache | None" = None, mask: Tensor | None = None
    ) -> Tensor:
        x = x + self.resid_dropout(self.attn(self.ln_1(x), cache, mask))
        out: Tensor = x + self.resid_dropout(self.mlp(self.ln_2(x)))
        return out


class Attention(nn.Module):
    """Causal multi-head self-attention; with a `mask`, only to the tokens that it has True for."""

    def __init__(self, config: ModelConfig, layer: int, dropout_p: float) -> None:
        super().__init__()
        self.n_head, self.layer, self.dropout_p = config.n_head, layer, dropout_p
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(
        self, x: Tensor, cache: "Cache | None" = None, mask: Tensor | None = None
    ) -> Tensor:
        q, k, v = rearrange(self.c_attn(x), "b s (n h d) -> n b h s d", n=3, h=self.n_head)
        if cache is not None:
            k, v, mask = cache.update(self.layer, k, v)
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None and q.shape[2] > 1,
            dropout_p=self.dropout_p if self.training else 0.0,
        )
        projected: Tensor = self.c_proj(rearrange(out, "b h s d -> b s (h d)"))
        return projected


class FeedForward(nn.Module):
    """The position-wise feed-forward network, with an inner width of 4 · n_embd."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.approximate = "tanh" if config.activation == "gelu_tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate))
        return projected


@dataclass
class Cache:
    """Keys and values of the tokens read so far; made by `GPT.new_cache`.

    Each row has its own length, so that texts of different lengths share a batch: row r's next
    token is written at position ``lengths[r]`` and attends only to row r's tokens. No gradients
    flow through a cache: use it under ``torch.inference_mode``.
    """

    buffer: Tensor
    """Keys and values, ``[2, n_layer, b, h, size, d]``."""
    lengths: Tensor
    """Tokens in each row, int64 ``[b]`` on the CPU."""

    @property
    def size(self) -> int:
        """Number of tokens that fit in a row."""
        return self.buffer.shape[4]

    def row(self, index: int) -> "Cache":
        """Return row `index` as a cache on the same memory: tokens added to it are added here."""
        return Cache(self.buffer[:, :, index : index + 1], self.lengths[index : index + 1])

    def copy_row(self, source: int, target: int) -> None:
        """Overwrite row `target` with row `source`."""
        n = int(self.lengths[source])
        self.buffer[:, :, target, :, :n] = self.buffer[:, :, source, :, :n]
        self.lengths[target] = n

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but `rows`, which become rows 0, 1 …"""
        self.buffer, self.lengths = self.buffer[:, :, rows], self.lengths[rows]

    def extend(self, n_new: int) -> Tensor:
        """Add `n_new` tokens to each row and return their positions ``[b or 1, s]``.

        Each layer's `update` then fills in their keys and values. Raises ValueError if they do
        not fit.
        """
        end = int(self.lengths.max()) + n_new
        if end > self.size:
            raise ValueError(f"{end} tokens do not fit into a cache of {self.size}")
        first = int(self.lengths[0])
        same_length = bool((self.lengths == first).all())
        starts = self.lengths[:1] if same_length else self.lengths
        positions = rearrange(starts, "b -> b 1") + torch.arange(n_new)
        self._positions = positions.to(self.buffer.device, non_blocking=True)
        self._end, self._new = end, slice(first, end) if same_length else None
        if same_length and (n_new == 1 or first == 0):
            self._mask = None  # for the flash kernel: attends to everything, or a causal prompt
        else:
            past = torch.arange(end, device=self.buffer.device)
            self._mask = past <= rearrange(self._positions, "b s -> b 1 s 1")
        self.lengths += n_new
        return self._positions

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Write the new `k` and `v` ``[b, h, s, d]``; return all keys, all values and their mask.

        The mask is None if each token attends to all tokens up to itself. Under autocast, the
        result has the number format of `k` and `v`, which differs from the buffer's.
        """
        keys, values = self.buffer[:, layer]
        if self._new is not None:
            keys[:, :, self._new], values[:, :, self._new] = k, v
        else:
            rows = rearrange(torch.arange(len(k), device=k.device), "b -> b 1")
            keys[rows, :, self._positions] = rearrange(k, "b h s d -> b s h d").to(keys.dtype)
            values[rows, :, self._positions] = rearrange(v, "b h s d -> b s h d").to(values.dtype)
        keys, values = keys[:, :, : self._end], values[:, :, : self._end]
        return keys.to(k.dtype), values.to(v.dtype), self._mask
