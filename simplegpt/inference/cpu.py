"""Linear layers for inference on a CPU, where reading the weights is all that takes time.

`pack` replaces a GPT's linear layers. In float32 and bfloat16 the weights are laid out for
oneDNN: three times faster for one token than `nn.Linear` on an EPYC 9005 (53 GB/s of 69 there),
and for long prompts too, since torch's own fp32 product is MKL's, slow on that machine. In int8,
each output's weights get a scale of its own and activations are rounded as they come (8 bits over
a whole tensor): a third of float32's time, at a cost in quality that is small but not nothing.
"""

import warnings

import torch
from torch import Tensor, nn

from simplegpt.cli import UserError
from simplegpt.model import GPT

# A call costs 13 µs more than nn.Linear's: a smaller float layer gains less than that.
LEAST_WEIGHTS = 2**17
# oneDNN lays weights out for a number of rows; this layout is fast for one as for hundreds.
ROWS = 8


def pack(gpt: GPT, *, int8: bool = False, least: int = LEAST_WEIGHTS) -> GPT:
    """Give `gpt`, on the CPU, linear layers that are fast there; it can no longer be trained.

    Leaves layers of less than `least` weights as they are, and all of them where torch has no
    fast ones for their precision; `int8` takes all layers, and raises UserError without them.
    """
    if int8 and not int8_is_supported():
        raise UserError("this build of torch has no int8 product for this CPU: use float32")
    dtype = gpt.wte.weight.dtype
    if not int8 and not is_supported(dtype):
        return gpt
    layer, least = (Int8Linear, 0) if int8 else (PackedLinear, least)
    gpt.requires_grad_(False)
    for module in list(gpt.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and child.weight.numel() >= least:
                setattr(module, name, layer(child.weight, child.bias))
    if gpt.wte.weight.numel() >= least:
        gpt.output = layer(gpt.wte.weight, None)
    return gpt


def is_supported(dtype: torch.dtype) -> bool:
    """Whether oneDNN can pack weights of `dtype` here."""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def int8_is_supported() -> bool:
    """Whether torch has fbgemm's product of 8-bit integers here."""
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
    """A linear layer of 8-bit weights, by fbgemm."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).double()
        zeros = torch.zeros(len(scales), dtype=torch.long)
        torch.backends.quantized.engine = "fbgemm"
        with warnings.catch_warnings():  # quantized tensors are to leave torch one day
            warnings.simplefilter("ignore", UserWarning)
            weight = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            self.packed = torch.ops.quantized.linear_prepack(
                weight, None if bias is None else bias.detach().float()
            )
        # Without VNNI, sums of two products are kept in 16 bits: 7-bit activations fit.
        self.reduce_range = not torch.cpu.get_capabilities().get("avx512_vnni", False)
        self.n_bytes = weight.numel()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic(x, self.packed, self.reduce_range)
        return y


def memory_bytes(gpt: GPT) -> int:
    """Bytes of the weights as they are held."""
    held = sum(tensor.numel() * tensor.element_size() for tensor in gpt.parameters())
    return held + sum(
        module.n_bytes for module in gpt.modules() if isinstance(module, PackedLinear | Int8Linear)
    )
