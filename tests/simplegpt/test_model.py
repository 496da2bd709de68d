"""The model computes what GPT-2 computes, with a cache and without."""

import math

import pytest
import torch
import torch.nn.functional as F

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT
from simplegpt.train.cpu_dropout import use_cpu_dropout
from tests.simplegpt.models import random_gpt

SHAPE = ModelConfig(n_vocab=61, n_ctx=24, n_embd=20, n_head=5, n_layer=3)


@pytest.fixture
def gpt() -> GPT:
    return random_gpt(SHAPE)


def random_ids(*shape: int) -> torch.Tensor:
    return torch.randint(SHAPE.n_vocab, shape)


def test_logits_have_a_row_for_each_token(gpt: GPT) -> None:
    assert gpt(random_ids(3, 7)).shape == (3, 7, 61)


def test_a_token_sees_only_what_is_before_it(gpt: GPT) -> None:
    ids = random_ids(1, 10)
    changed = ids.clone()
    changed[0, 6] = (changed[0, 6] + 1) % SHAPE.n_vocab
    before, after = gpt(ids), gpt(changed)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_loss_is_the_mean_cross_entropy_of_the_next_tokens(gpt: GPT) -> None:
    ids = random_ids(3, 9)
    logits = gpt(ids[:, :-1])
    expected = F.cross_entropy(logits.reshape(-1, 61), ids[:, 1:].reshape(-1))
    torch.testing.assert_close(gpt.loss(ids), expected)


def test_chunked_loss_has_the_same_value_and_gradients(gpt: GPT) -> None:
    ids = random_ids(3, 9)
    targets = ids[:, 1:].clone()
    targets[0, 2:] = -100  # they do not count, as outside the answers of dialogues
    losses, gradients = [], []
    for max_logits in (2**28, 5 * 61):  # whole, and 5 positions at a time
        gpt.zero_grad()
        loss = gpt.cross_entropy(gpt.hidden(ids[:, :-1]), targets, max_logits)
        loss.backward()
        losses.append(loss.detach())
        gradients.append({name: p.grad.clone() for name, p in gpt.named_parameters()})
    torch.testing.assert_close(losses[0], losses[1])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


def test_initial_weights_are_gpt2s() -> None:
    torch.manual_seed(0)
    gpt = GPT(ModelConfig(n_vocab=200, n_ctx=50, n_embd=128, n_head=2, n_layer=8))
    for name, parameter in gpt.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.dim() == 1:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            expected = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.05), name
    # A model that knows nothing gives every token the same chance.
    loss = gpt.loss(torch.randint(200, (4, 51))).item()
    assert loss == pytest.approx(math.log(200), abs=0.1)


def test_bias_false_leaves_only_weights() -> None:
    names = list(GPT(SHAPE.model_copy(update={"bias": False})).state_dict())
    assert names
    assert all(name.endswith("weight") for name in names)


def test_activation_is_the_one_asked_for(gpt: GPT) -> None:
    exact = GPT(SHAPE.model_copy(update={"activation": "gelu"})).eval()
    exact.load_state_dict(gpt.state_dict())
    ids = random_ids(1, 5)
    assert not torch.allclose(gpt(ids), exact(ids), atol=1e-6)
    x = torch.randn(4, SHAPE.n_embd)
    mlp = exact.h[0].mlp
    torch.testing.assert_close(mlp(x), mlp.c_proj(F.gelu(mlp.c_fc(x))))


@pytest.mark.parametrize("cuts", [[1] * 24, [10, 1, 1, 12], [24]])
@torch.no_grad()
def test_cached_reading_equals_reading_at_once(gpt: GPT, cuts: list[int]) -> None:
    ids = random_ids(2, 24)
    cache = gpt.new_cache(2)
    parts = [gpt(part, cache=cache) for part in ids.split(cuts, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), gpt(ids), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rows_of_different_lengths_share_a_batch(gpt: GPT) -> None:
    texts = [random_ids(1, n) for n in (3, 11, 1)]
    cache = gpt.new_cache(3)
    for row, text in enumerate(texts):
        gpt(text, cache=cache.row(row))
    for _ in range(5):
        new = random_ids(3, 2)
        logits = gpt(new, cache=cache)
        texts = [torch.cat([text, new[row : row + 1]], 1) for row, text in enumerate(texts)]
        for row, text in enumerate(texts):
            torch.testing.assert_close(logits[row], gpt(text)[0, -2:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_cache_works_under_autocast(gpt: GPT) -> None:
    ids, cache = random_ids(2, 9), gpt.new_cache(2)
    gpt(ids[:1, :5], cache=cache.row(0))
    gpt(ids[1:, :3], cache=cache.row(1))
    new = torch.stack([ids[0, 5:8], ids[1, 3:6]])
    with torch.autocast("cpu", torch.bfloat16):
        logits = gpt(new, cache=cache)[:, -1].float()
    for row, n in enumerate((8, 6)):
        expected = gpt(ids[row : row + 1, :n])[0, -1]
        assert F.cosine_similarity(logits[row], expected, dim=0) > 0.99


@torch.no_grad()
def test_copied_and_kept_rows_continue_as_their_sources(gpt: GPT) -> None:
    a, b = random_ids(1, 4), random_ids(1, 6)
    cache = gpt.new_cache(3)
    for row, text in enumerate((a, b)):
        gpt(text, cache=cache.row(row))
    cache.copy_row(0, 2)
    cache.keep([2, 1])
    new = random_ids(2, 1)
    logits = gpt(new, cache=cache)[:, -1]
    for row, text in enumerate((a, b)):
        alone = gpt(torch.cat([text, new[row : row + 1]], 1))[0, -1]
        torch.testing.assert_close(logits[row], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_full_cache_is_refused(gpt: GPT) -> None:
    cache = gpt.new_cache(size=4)
    gpt(random_ids(1, 4), cache=cache)
    with pytest.raises(ValueError, match="5 tokens do not fit into a cache of 4"):
        gpt(random_ids(1, 1), cache=cache)


def test_training_with_dropout_reaches_every_parameter() -> None:
    gpt = GPT(SHAPE, dropout_p=0.1).train()
    gpt.loss(random_ids(2, 10)).backward()
    for name, parameter in gpt.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_training_compiles_without_a_break() -> None:
    gpt = GPT(SHAPE.model_copy(update={"n_layer": 1}), dropout_p=0.1).train()
    gpt.compile(fullgraph=True, backend="eager")
    gpt.loss(random_ids(2, 10)).backward()
    assert gpt.wte.weight.grad is not None
    assert not [name for name in gpt.state_dict() if "_orig_mod" in name]


@pytest.mark.parametrize("change", [{"n_layer": 10**9}, {"n_embd": 10**9}, {"n_vocab": 2**62}])
def test_weights_of_a_model_beyond_all_memory_are_refused_at_once(change: dict[str, int]) -> None:
    gpt = random_gpt(ModelConfig(n_vocab=8, n_ctx=8, n_embd=8, n_head=2, n_layer=1))
    with pytest.raises(ValueError, match="larger model"):
        GPT.from_state_dict(gpt.config.model_copy(update=change), gpt.state_dict())


DOCUMENTS = torch.tensor([[1] * 5 + [2] * 9 + [3] * 4, [1] * 12 + [2] * 1 + [3] * 5])


@pytest.mark.parametrize("dropout", ["none", "on a CPU"])
def test_a_document_in_a_row_is_read_as_if_it_were_alone(gpt: GPT, dropout: str) -> None:
    """Its logits are the same, and no other document has a gradient from its loss."""
    if dropout == "on a CPU":  # computes attention itself
        for block in gpt.h:
            block.attn.dropout_p = 1e-9
        use_cpu_dropout(gpt)
        for block in gpt.h:
            block.attn.train()
            block.attn.attn_dropout.eval()
    ids = random_ids(2, 18)
    embedded: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    gpt.wte.register_forward_hook(keep)
    together = gpt(ids, documents=DOCUMENTS)
    for row in range(2):
        for document in (1, 2, 3):
            inside = DOCUMENTS[row] == document
            alone = gpt(ids[row, inside][None])[0]
            torch.testing.assert_close(together[row, inside], alone, atol=1e-5, rtol=1e-5)
            embedded[0].grad = None
            together[row, inside].sum().backward(retain_graph=True)
            touched = embedded[0].grad.abs().sum(dim=-1) > 0
            assert touched[row, inside].all()
            assert touched.sum() == inside.sum()


def test_documents_change_nothing_of_a_row_that_is_one(gpt: GPT) -> None:
    ids = random_ids(2, 18)
    torch.testing.assert_close(gpt(ids, documents=torch.ones_like(ids)), gpt(ids))
