"""Linear layers for inference on a CPU, which is limited by reading the weights.

`pack` replaces a GPT's linear layers. In float32 and bfloat16 the weights are laid out for oneDNN:
one token then takes a third of `nn.Linear`'s time on an EPYC 9005 (53 GB/s of 69 there), and long
prompts are faster too, since torch's fp32 matrix product is MKL's, which is slow on that machine.
In int8 the weights have one scale per output, and activations are quantized dynamically with one
scale per tensor: a third of float32's time, at a small loss of quality.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simplegpt.cli import UserError
from simplegpt.model import GPT, TokenEmbedding

# A call takes 13 µs more than nn.Linear's: a float layer smaller than this gains less.
MIN_WEIGHTS = 2**17
# oneDNN optimizes the layout for a number of rows; this one is fast for one and for hundreds.
ROWS = 8


def pack(gpt: GPT, *, int8: bool = False, min_weights: int = MIN_WEIGHTS) -> None:
    """Replace the linear layers of `gpt`, on the CPU, in place; it can no longer be trained.

    Layers with fewer than `min_weights` weights are kept, as are all layers if torch cannot pack
    their number format. `int8` replaces every layer; raises UserError if torch has no int8 product
    for this CPU.
    """
    if int8 and not int8_is_supported():
        raise UserError("this build of torch has no int8 product for this CPU: use float32")
    if not int8 and not is_supported(gpt.wte.weight.dtype):
        return
    layer, min_weights = (Int8Linear, 0) if int8 else (PackedLinear, min_weights)
    gpt.requires_grad_(False)
    for module in list(gpt.modules()):
        for name, child in list(module.named_children()):
            if not isinstance(child, nn.Linear | TokenEmbedding):
                continue
            if child.weight.numel() < min_weights:
                continue
            if isinstance(child, nn.Linear):
                setattr(module, name, layer(child.weight, child.bias))
            else:
                setattr(module, name, PackedEmbedding(child.weight, layer(child.weight, None)))


def is_supported(dtype: torch.dtype) -> bool:
    """Whether oneDNN can pack weights of `dtype` on this machine."""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def int8_is_supported() -> bool:
    """Whether torch has fbgemm's product of 8-bit integers on this machine."""
    return "fbgemm" in torch.backends.quantized.supported_engines and hasattr(
        torch.ops.quantized, "linear_dynamic"
    )


class PackedLinear(nn.Module):
    """A linear layer whose weight is laid out for oneDNN."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS)
        self.bias = bias
        self.n_bytes = weight.numel() * weight.element_size()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


class Int8Linear(nn.Module):
    """A linear layer of 8-bit weights, computed by fbgemm."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).double()
        zeros = torch.zeros(len(scales), dtype=torch.long)
        torch.backends.quantized.engine = "fbgemm"
        with warnings.catch_warnings():  # torch deprecates its quantized tensors
            warnings.simplefilter("ignore", UserWarning)
            weight = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            self.packed = torch.ops.quantized.linear_prepack(
                weight, None if bias is None else bias.detach().float()
            )
        # Without VNNI, sums of two products have 16 bits, which only fit 7-bit activations; those
        # are right on any CPU, also where torch 2.9 cannot say what it has.
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        self.reduce_range = not capabilities.get("avx512_vnni", False)
        self.n_bytes = weight.numel()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic(x, self.packed, self.reduce_range)
        return y


class PackedEmbedding(nn.Module):
    """A `TokenEmbedding` with a packed output layer: its weight is in memory twice."""

    def __init__(self, weight: Tensor, output: PackedLinear | Int8Linear) -> None:
        super().__init__()
        self.weight, self.output = weight, output

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight)

    def logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(x)
        return logits


def memory_bytes(gpt: GPT) -> int:
    """Return the size of the weights in memory, in bytes."""
    plain = sum(tensor.numel() * tensor.element_size() for tensor in gpt.parameters())
    return plain + sum(
        module.n_bytes for module in gpt.modules() if isinstance(module, PackedLinear | Int8Linear)
    )
