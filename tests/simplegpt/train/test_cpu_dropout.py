"""The fast dropout for a CPU has torch's statistics and changes nothing else."""

import math

import pytest
import torch
from torch import nn

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT, Attention
from simplegpt.train.cpu_dropout import CPUAttention, CPUDropout, use_cpu_dropout

SHAPE = ModelConfig(n_vocab=61, n_ctx=24, n_embd=20, n_head=5, n_layer=2)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_dropout_keeps_the_expectation(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)  # not a multiple of 8
    y = CPUDropout(p).train()(x)
    assert (y == 0).double().mean().item() == pytest.approx(round(p * 256) / 256, abs=2e-3)
    assert y.double().mean().item() == pytest.approx(1.0, abs=1e-2)
    kept = y[y != 0]
    assert torch.equal(kept, kept[:1].expand_as(kept))
    columns = (y == 0).double().mean(0)  # every byte of a drawn word is as random as the others
    assert columns.std().item() == pytest.approx(math.sqrt(p * (1 - p) / 1000), rel=0.1)


def test_dropout_repeats_with_the_seed_and_is_off_in_eval_mode() -> None:
    x = torch.randn(9, 9)
    dropout = CPUDropout(0.3)
    torch.manual_seed(1)
    first = dropout(x)
    assert not torch.equal(first, dropout(x))
    torch.manual_seed(1)
    assert torch.equal(first, dropout(x))
    assert dropout.eval()(x) is x


def test_attention_with_dropout_averages_to_attention_without_it() -> None:
    torch.manual_seed(0)
    attention = CPUAttention(Attention(SHAPE, layer=0, dropout_p=0.2)).train()
    x = torch.randn(1, 6, 20)
    with torch.no_grad():
        averaged = attention(x.expand(4000, 6, 20)).mean(0)
        torch.testing.assert_close(averaged, attention.eval()(x)[0], atol=0.02, rtol=0)


def test_all_dropout_of_a_gpt_is_replaced_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    gpt = GPT(SHAPE, dropout_p=0.1)
    ids, names = torch.randint(61, (2, 11)), list(gpt.state_dict())
    expected = gpt.eval()(ids)
    use_cpu_dropout(gpt)
    assert {type(module) for module in gpt.modules() if isinstance(module, nn.Dropout)} == {
        CPUDropout
    }
    assert all(isinstance(block.attn, CPUAttention) for block in gpt.h)
    assert list(gpt.state_dict()) == names
    assert torch.equal(gpt(ids), expected)
    cache = gpt.new_cache(2)
    with torch.no_grad():
        parts = [gpt(part, cache=cache) for part in ids.split([7, 4], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, atol=1e-5, rtol=1e-5)


def test_training_reaches_every_parameter_and_compiles_without_a_break() -> None:
    gpt = GPT(SHAPE, dropout_p=0.1).train()
    use_cpu_dropout(gpt)
    gpt.compile(fullgraph=True, backend="eager")
    gpt.loss(torch.randint(61, (2, 10))).backward()
    for name, parameter in gpt.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_without_dropout_the_loss_is_the_models_own() -> None:
    torch.manual_seed(0)
    gpt, ids = GPT(SHAPE).train(), torch.randint(61, (2, 11))
    expected = gpt.loss(ids)
    use_cpu_dropout(gpt)
    assert torch.equal(gpt.loss(ids), expected)
