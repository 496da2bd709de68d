"""The packed layers for a CPU compute what torch's layers compute."""

import pytest
import torch

from simplegpt.config.schema import ModelConfig
from simplegpt.inference.cpu import is_supported, memory_bytes, pack
from simplegpt.model import TokenEmbedding
from tests.simplegpt.models import random_gpt

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=32, n_head=4, n_layer=2)


@pytest.mark.skipif(not is_supported(torch.float32), reason="this torch has no oneDNN")
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_packed_layers_give_the_same_logits(rows: int) -> None:
    gpt, packed = random_gpt(SHAPE), random_gpt(SHAPE)
    pack(packed, min_weights=0)
    ids = torch.randint(256, (rows, 7))
    with torch.inference_mode():
        torch.testing.assert_close(packed(ids), gpt(ids), atol=1e-4, rtol=1e-4)
    assert not [module for module in packed.modules() if isinstance(module, torch.nn.Linear)]
    # The weights of nn.Linear are all still there, and the output layer's a second time.
    assert memory_bytes(packed) == memory_bytes(gpt) + 4 * gpt.wte.weight.numel()


def test_small_layers_stay_as_they_are() -> None:
    packed = random_gpt(SHAPE)
    pack(packed)
    assert isinstance(packed.wte, TokenEmbedding)
    assert any(isinstance(module, torch.nn.Linear) for module in packed.modules())


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_low_precisions_are_close(precision: str) -> None:
    gpt = random_gpt(SHAPE)
    small = random_gpt(SHAPE).bfloat16() if precision == "bfloat16" else random_gpt(SHAPE)
    pack(small, int8=precision == "int8", min_weights=0)
    ids = torch.randint(256, (4, 10))
    with torch.inference_mode():
        expected, given = gpt(ids), small(ids).float()
    similarity = torch.nn.functional.cosine_similarity(expected, given, dim=-1)
    assert similarity.min() > 0.99
