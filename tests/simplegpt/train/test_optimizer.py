"""AdamW and Muon: what decays, what is orthogonalized, and that both halves are torch's."""

import copy

import pytest
import torch

from simplegpt.config.schema import Config, OptimizationConfig
from simplegpt.train.module import GPTModule
from simplegpt.train.optimizer import MuonWithAdamW, make_optimizer, orthogonalize


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_only_matrices_decay(name: str) -> None:
    config = Config()
    small = config.model.model_copy(update={"n_embd": 8, "n_head": 2, "n_layer": 1, "n_vocab": 16})
    module = GPTModule(config.model_copy(update={"model": small}))
    settings = OptimizationConfig(optimizer=name, weight_decay=0.1)  # type: ignore[arg-type]
    optimizer = make_optimizer(module.gpt, settings, fused=False)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for parameter in module.gpt.parameters():
        assert decays.pop(id(parameter)) == (0.1 if parameter.dim() >= 2 else 0.0)
    assert not decays
    assert isinstance(optimizer, MuonWithAdamW) == (name == "muon")


@pytest.mark.parametrize("shape", [(16, 16), (32, 8), (8, 32)])
def test_orthogonalised_matrices_keep_their_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(3, *shape), full_matrices=False)
    stretched = left @ torch.diag(torch.linspace(0.05, 1.0, min(shape))) @ right
    result = orthogonalize(stretched)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.5
    assert values.max() < 1.3
    # the same singular vectors: in their basis the result is diagonal
    inner = left.mT @ result @ right.mT
    assert (inner - torch.diag_embed(torch.diagonal(inner, dim1=1, dim2=2))).abs().max() < 1e-4


def test_adamw_half_of_muon_is_torchs_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(3, 5)) for _ in range(2))
    settings = {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}
    optimizers = [
        MuonWithAdamW([{"params": [ours], **settings}], [], fused=False),
        torch.optim.AdamW([theirs], **settings),  # type: ignore[arg-type]
    ]
    for _ in range(4):
        gradient = torch.randn(3, 5)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


OTHER = {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.1}
"""AdamW's group of parameters in tests of Muon."""


@pytest.mark.parametrize("shape", [(8, 8), (16, 8), (8, 32)])
def test_muon_half_is_torchs_muon_for_a_single_matrix(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    settings = {"lr": 0.1, "momentum": 0.95, "weight_decay": 0.1}
    optimizers = [
        MuonWithAdamW(
            [OTHER],
            [{"params": [ours], **settings}],
            fused=False,
        ),
        torch.optim.Muon([theirs], **settings),
    ]
    for _ in range(4):
        gradient = torch.randn(shape)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)  # torch's iterates in bf16


def test_fused_qkv_is_orthogonalized_as_three_matrices() -> None:
    torch.manual_seed(0)
    qkv = torch.nn.Parameter(torch.zeros(24, 8))
    settings = {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    optimizer = MuonWithAdamW([OTHER], [{"params": [qkv], **settings}], fused=False)
    qkv.grad = torch.randn(24, 8)
    optimizer.step()
    parts = torch.stack([-part for part in qkv.detach().chunk(3)])
    expected = orthogonalize(torch.stack(qkv.grad.chunk(3)))
    torch.testing.assert_close(parts, expected)


def test_loaded_state_is_shared_by_both_halves() -> None:
    def make() -> tuple[list[torch.nn.Parameter], MuonWithAdamW]:
        torch.manual_seed(0)
        vector, matrix = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4, 4))
        adamw = {"params": [vector], "lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}
        muon = {"params": [matrix], "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
        return [vector, matrix], MuonWithAdamW([adamw], [muon], fused=True)

    def take_steps(parameters: list[torch.nn.Parameter], optimizer: MuonWithAdamW) -> None:
        for seed in range(3):
            torch.manual_seed(seed)
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()

    (parameters, optimizer), (copies, loaded) = make(), make()
    take_steps(parameters, optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    for group in saved["param_groups"]:  # as in a checkpoint of the first versions
        group.pop("eps", None)
        group.pop("fused", None)
    counter = saved["state"][0]["step"]
    saved["state"][0]["step"] = counter.double()
    loaded.load_state_dict(saved)
    # As for another device: torch places the counters of a fused AdamW, and no others.
    assert loaded.state[copies[0]]["step"].dtype == counter.dtype == torch.float32
    with torch.no_grad():
        for parameter, twin in zip(parameters, copies, strict=True):
            twin.copy_(parameter)
    take_steps(parameters, optimizer)
    take_steps(copies, loaded)
    for parameter, twin in zip(parameters, copies, strict=True):
        assert torch.equal(parameter, twin)
