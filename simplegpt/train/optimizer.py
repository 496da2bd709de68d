"""AdamW with weight decay on matrices only, and Muon for the matrices in the blocks."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from simplegpt.config.schema import OptimizationConfig


def make_optimizer(
    model: nn.Module, config: OptimizationConfig, *, fused: bool
) -> torch.optim.Optimizer:
    """Return the optimizer that `config` describes, for the parameters of a `GPT`.

    Every group has a ``peak_lr``, from which ``lr`` is set at each step. Weight decay applies to
    matrices and embeddings (two dimensions), not to biases and layer norms.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    muon = [p for name, p in named if config.optimizer == "muon" and _is_block_matrix(name, p)]
    taken = {id(p) for p in muon}
    rest = [p for _, p in named if id(p) not in taken]
    adam = {"peak_lr": config.peak_lr, "lr": config.peak_lr, "betas": config.betas}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.dim() >= 2], "weight_decay": config.weight_decay, **adam},
        {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0, **adam},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, fused=fused)
    muon_group = {
        "params": muon,
        "momentum": config.muon_momentum,
        "weight_decay": config.weight_decay,
        "peak_lr": config.muon_lr,
        "lr": config.muon_lr,
    }
    return MuonWithAdamW(groups, [muon_group], fused=fused)


def _is_block_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.dim() == 2 and ".h." in f".{name}"


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the groups that have a ``momentum``, torch's AdamW for the others.

    As one optimizer, it needs no special case in the training loop, checkpoints and schedule. Muon
    (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a
    matrix by the nearest orthogonal matrix. `torch.optim.Muon` does the same for a single matrix,
    but orthogonalizes the fused projection of query, key and value as one (here: as three) and the
    matrices one by one (here: equal shapes in a batch), always in bf16.
    """

    def __init__(
        self,
        adamw_groups: Iterable[dict[str, Any]],
        muon_groups: Iterable[dict[str, Any]],
        *,
        fused: bool,
    ) -> None:
        self.adamw = torch.optim.AdamW(adamw_groups, fused=fused)
        super().__init__([*self.adamw.param_groups, *muon_groups], defaults={})
        self.adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; add settings that are missing in checkpoints of the first versions.

        One of them is `fused`, by which torch chooses the device of AdamW's step counters.
        """
        groups = [
            group if "momentum" in group else self.adamw.defaults | group
            for group in state_dict["param_groups"]
        ]
        super().load_state_dict({**state_dict, "param_groups": groups})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set a loaded state here and in AdamW: both share state and groups."""
        super().__setstate__(state)
        groups = [group for group in self.param_groups if "momentum" not in group]
        self.adamw.__setstate__({"state": self.state, "param_groups": groups})  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.adamw.step()
        for group in self.param_groups:
            if "momentum" in group:
                self._step_muon(group)
        return loss

    def _step_muon(self, group: dict[str, Any]) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {"momentum_buffer": torch.zeros_like(p)}
        gradients = [p.grad for p in parameters if p.grad is not None]
        buffers = [self.state[p]["momentum_buffer"] for p in parameters]
        momentum = group["momentum"]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        updates = torch._foreach_lerp(gradients, buffers, momentum)  # Nesterov
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])

        # Equal shapes are orthogonalized in one batch: at these sizes, kernel launches take longer
        # than the arithmetic.
        stacks: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, update in zip(parameters, updates, strict=True):
            rows, columns = p.shape
            parts = 3 if rows == 3 * columns else 1
            for p_part, part in zip(p.chunk(parts), update.chunk(parts), strict=True):
                stacks[part.shape].append((p_part, part))
        for shape, pairs in stacks.items():
            orthogonal = orthogonalize(torch.stack([part for _, part in pairs]))
            # gives updates of any shape the root mean square of a square matrix's
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_add_(
                [p_part for p_part, _ in pairs],
                list(orthogonal.unbind()),
                alpha=-group["lr"] * scale,
            )


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Approximate U·Vᵀ of each matrix ``[batch, rows, columns]`` = U·S·Vᵀ by Newton-Schulz steps.

    The quintic's coefficients (from the Muon post) bring every singular value to between 0.7 and
    1.2 in five steps, which is accurate enough for an update. Computes in bf16 on CUDA, where it is
    fast, elsewhere in the precision of the matrices.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    transposed = x.size(-2) > x.size(-1)
    if transposed:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    if transposed:
        x = x.mT
    return x.to(matrices.dtype)
