"""The GPT and its key/value cache.

Exactly GPT-2 (Radford et al. 2019): pre-norm blocks, learned positions, the tanh form of GELU,
biases everywhere, and an output layer that is the token embedding itself. Shapes are written with
the letters b (batch), s (sequence), e (n_embd), h (heads), d (width of a head), v (vocabulary).
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from simplegpt.config.schema import ModelConfig

# Logits of the loss that may be alive at once: 2^28 fp32 values are 1 GiB, and as much again for
# their gradient. A larger batch is cut into chunks whose logits are computed again backward.
MOST_LOGITS = 2**28


class GPT(nn.Module):
    """A GPT of the shape `config`; `dropout_p` acts in training mode only."""

    def __init__(self, config: ModelConfig, dropout_p: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.n_vocab, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.embd_dropout = Dropout(dropout_p)
        self.h = nn.ModuleList(Block(config, dropout_p) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.output: nn.Module | None = None  # wte in a faster form: see simplegpt.inference.cpu
        self.initialise()

    def forward(
        self, ids: Tensor, targets: Tensor | None = None, *, cache: "Cache | None" = None
    ) -> Tensor:
        """Logits ``[b, s, v]`` of the token after each of `ids` ``[b, s]``.

        With `targets` ``[b, s]``, their mean cross-entropy instead: a scalar. With `cache`, the
        ids follow the tokens that it holds, and are added to it.
        """
        x = self.hidden(ids, cache)
        return self.logits(x) if targets is None else self.cross_entropy(x, targets)

    def loss(self, ids: Tensor) -> Tensor:
        """Mean cross-entropy of each token of `ids` ``[b, s + 1]`` but the first: a scalar."""
        loss: Tensor = self(ids[:, :-1], ids[:, 1:])
        return loss

    def hidden(self, ids: Tensor, cache: "Cache | None" = None) -> Tensor:
        """What the output layer sees, ``[b, s, e]``: `forward` without it."""
        if cache is None:
            positions = torch.arange(ids.shape[1], device=ids.device)
        else:
            positions = cache.begin(ids.shape[1])
        x = self.embd_dropout(self.wte(ids) + self.wpe(positions))
        for layer, block in enumerate(self.h):
            x = block(x, None if cache is None else CacheLayer(cache, layer))
        if cache is not None:
            cache.end()
        normed: Tensor = self.ln_f(x)
        return normed

    def logits(self, x: Tensor) -> Tensor:
        """The tied output layer: ``[…, e]`` to ``[…, v]``."""
        if self.output is None:
            return F.linear(x, self.wte.weight)
        logits: Tensor = self.output(x)
        return logits

    def cross_entropy(self, x: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of `targets` ``[b, s]`` given `x` ``[b, s, e]``, in fp32."""
        x, targets = rearrange(x, "b s e -> (b s) e"), rearrange(targets, "b s -> (b s)")
        if targets.numel() * self.config.n_vocab <= MOST_LOGITS:
            return F.cross_entropy(self.logits(x).float(), targets)

        def total(x: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(self.logits(x).float(), targets, reduction="sum")

        rows = max(1, MOST_LOGITS // self.config.n_vocab)
        chunks = zip(torch.split(x, rows), torch.split(targets, rows), strict=True)
        totals = [checkpoint(total, *chunk, use_reentrant=False) for chunk in chunks]
        return torch.stack(totals).sum() / (targets >= 0).sum()

    @torch.no_grad()
    def initialise(self) -> None:
        """GPT-2's random weights: N(0, 0.02), biases zero, and smaller residual projections.

        Each of the 2 · n_layer residual branches adds its variance to the stream, hence theirs
        are divided by sqrt(2 · n_layer).
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
        """Parameters; the tied output layer is counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @classmethod
    def from_state_dict(cls, config: ModelConfig, state: Mapping[str, Tensor]) -> "GPT":
        """A GPT with the tensors of `state` as its weights, taken as they are and in eval mode.

        Raises ValueError that says which names and shapes are not those of `config`.
        """
        with torch.device("meta"):  # neither memory nor time for weights that are thrown away
            gpt = cls(config)
        expected = gpt.state_dict()
        problems = [f"{name} is missing" for name in expected if name not in state]
        problems += [f"{name} is unknown" for name in state if name not in expected]
        problems += [
            f"{name} is {list(state[name].shape)} and should be {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in state and state[name].shape != tensor.shape
        ]
        if problems:
            more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise ValueError(", ".join(problems[:3]) + more)
        gpt.load_state_dict(dict(state), assign=True)
        return gpt.requires_grad_().eval()

    @classmethod
    def from_pretrained(cls, name_or_path: str) -> "GPT":
        """A GPT-2 of Hugging Face's, by hub name or local folder, in fp32 on the CPU.

        Raises UserError where there is no such model, or none of GPT-2's names and shapes.
        """
        from simplegpt.gpt2 import load_pretrained

        return load_pretrained(name_or_path)


class Block(nn.Module):
    """A layer: attention and a feed-forward network, each on a residual branch."""

    def __init__(self, config: ModelConfig, dropout_p: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = Attention(config, dropout_p)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = FeedForward(config)
        self.resid_dropout = Dropout(dropout_p)

    def forward(self, x: Tensor, cache: "CacheLayer | None" = None) -> Tensor:
        x = x + self.resid_dropout(self.attn(self.ln_1(x), cache))
        out: Tensor = x + self.resid_dropout(self.mlp(self.ln_2(x)))
        return out


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: ModelConfig, dropout_p: float) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.attn_dropout = Dropout(dropout_p)

    def forward(self, x: Tensor, cache: "CacheLayer | None" = None) -> Tensor:
        q, k, v = rearrange(self.c_attn(x), "b s (n h d) -> n b h s d", n=3, h=self.n_head)
        if cache is not None:
            k, v, mask = cache.append(k, v)
            causal = mask is None and q.shape[2] > 1
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        elif self.training and self.attn_dropout.p > 0:
            out = self._with_dropout(q, k, v)
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        projected: Tensor = self.c_proj(rearrange(out, "b h s d -> b s (h d)"))
        return projected

    def _with_dropout(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention whose probabilities are dropped out, ``[b, h, s, d]``.

        On a CPU, scaled_dot_product_attention leaves its flash path for dropout and draws the
        mask at ten times the price of `Dropout`: written out, this is 1.5 to 2.5 times faster
        (16 windows of 256 tokens, 6 heads of 64).
        """
        if q.device.type != "cpu":
            return F.scaled_dot_product_attention(
                q, k, v, is_causal=True, dropout_p=self.attn_dropout.p
            )
        n_seq, width = q.shape[-2:]
        future = torch.full((n_seq, n_seq), -math.inf, dtype=q.dtype, device=q.device).triu(1)
        scores = q @ rearrange(k, "b h s d -> b h d s") / math.sqrt(width) + future
        attention: Tensor = self.attn_dropout(scores.softmax(dim=-1)) @ v
        return attention


class FeedForward(nn.Module):
    """The position-wise network: four times as wide inside."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.approximate = "tanh" if config.activation == "gelu_tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate))
        return projected


class Dropout(nn.Module):
    """Dropout that is cheap on a CPU.

    There torch's own draws a float for each element, at seven times the price of the eight
    random bits it is given here. So on a CPU, p is rounded to a multiple of 1/256, and what is
    kept is divided by the probability that it was really kept with: the expectation is exact.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.dropped = min(max(round(p * 256), 1), 255)  # of 256 equally likely bytes

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        keep = random_bytes(x) >= self.dropped
        return x * keep.to(x.dtype).mul_(256 / (256 - self.dropped))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def random_bytes(x: Tensor) -> Tensor:
    """Uniform random uint8 of the shape of `x`, from torch's global generator, 8 at a draw."""
    words = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 7) // 8,), device=x.device)
    return words.view(torch.uint8)[: x.numel()].view(x.shape)


class Cache:
    """Keys and values of the tokens read so far, in buffers of a fixed size.

    Each row has a length of its own, so that texts of different lengths share a batch: row r's
    next token is written at position ``lengths[r]``, and sees only what row r holds. Gradients do
    not pass through it: use it under ``torch.no_grad`` or ``torch.inference_mode``.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int = 1,
        size: int | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`size` is how many tokens fit in a row; by default, and at most, the context."""
        size = min(size or config.n_ctx, config.n_ctx)
        width = config.n_embd // config.n_head
        shape = (2, config.n_layer, batch_size, config.n_head, size, width)
        self.buffer = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = [0] * batch_size

    @property
    def size(self) -> int:
        return self.buffer.shape[4]

    def row(self, index: int) -> "Cache":
        """Row `index` as an empty cache of its own that writes to the same memory.

        Its length is its own: set ``lengths[index]`` when it has been read.
        """
        view = object.__new__(Cache)
        view.buffer, view.lengths = self.buffer[:, :, index : index + 1], [0]
        return view

    def copy_row(self, source: int, target: int) -> None:
        """Make row `target` hold what row `source` holds."""
        n = self.lengths[source]
        self.buffer[:, :, target, :, :n] = self.buffer[:, :, source, :, :n]
        self.lengths[target] = n

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but `rows`, in their order."""
        self.buffer = self.buffer[:, :, rows]
        self.lengths = [self.lengths[row] for row in rows]

    def begin(self, n_new: int) -> Tensor:
        """Make room for `n_new` tokens in each row; returns their positions ``[b or 1, s]``.

        Raises ValueError where a row has no room for them.
        """
        self._n_new, self._end = n_new, max(self.lengths) + n_new
        if self._end > self.size:
            raise ValueError(f"{self._end} tokens do not fit a cache of {self.size}")
        self._even = len(set(self.lengths)) == 1
        starts = torch.tensor(self.lengths[:1] if self._even else self.lengths)
        positions = rearrange(starts, "b -> b 1") + torch.arange(n_new)
        self._positions = positions.to(self.buffer.device, non_blocking=True)
        # One token sees all of an even batch, and a first reading is causal: flash needs no mask.
        if self._even and (n_new == 1 or self.lengths[0] == 0):
            self._mask = None
        else:
            past = torch.arange(self._end, device=self.buffer.device)
            self._mask = past <= rearrange(self._positions, "b s -> b 1 s 1")
        return self._positions

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Write `k` and `v` ``[b, h, s, d]``; returns all keys and values and their mask.

        Under autocast they come in another format than the buffer's, and go back in theirs.
        """
        keys, values = self.buffer[0, layer], self.buffer[1, layer]
        dtype = k.dtype
        k, v = k.to(keys.dtype), v.to(values.dtype)
        if self._even:
            new = slice(self._end - self._n_new, self._end)
            keys[:, :, new], values[:, :, new] = k, v
        else:
            rows = torch.arange(len(self.lengths), device=k.device)[:, None]
            keys[rows, :, self._positions] = rearrange(k, "b h s d -> b s h d")
            values[rows, :, self._positions] = rearrange(v, "b h s d -> b s h d")
        keys, values = keys[:, :, : self._end].to(dtype), values[:, :, : self._end].to(dtype)
        return keys, values, self._mask

    def end(self) -> None:
        """The tokens of `begin` are now in every layer."""
        self.lengths = [length + self._n_new for length in self.lengths]


class CacheLayer:
    """One layer's view of a cache."""

    def __init__(self, cache: Cache, layer: int) -> None:
        self.cache, self.layer = cache, layer

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """`Cache.append` for this layer."""
        return self.cache.append(self.layer, k, v)
