"""The plan of a run agrees with what the run takes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simplegpt.cli import UserError
from simplegpt.config.load import config_folder, load
from simplegpt.config.schema import (
    Config,
    DataConfig,
    ModelConfig,
    OptimizationConfig,
    TrainerConfig,
)
from simplegpt.data.__main__ import main as prepare
from simplegpt.data.tokens import open_tokens
from simplegpt.data.windows import DialogueWindows
from simplegpt.model import GPT
from simplegpt.progress import format_count
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import System
from simplegpt.train.__main__ import main
from simplegpt.train.cpu_dropout import use_cpu_dropout
from simplegpt.train.devices import Devices, devices_of
from simplegpt.train.module import freeze
from simplegpt.train.optimizer import make_optimizer
from simplegpt.train.plan import (
    Speed,
    describe,
    flops_per_token,
    kept_activations,
    n_parameters,
    plan,
)
from tests.simplegpt.models import random_gpt, save_checkpoint, train_tokenizer

CPU = Devices("cpu")
SHAPES = [
    ModelConfig(n_vocab=256, n_ctx=128, n_embd=128, n_head=4, n_layer=4),
    ModelConfig(n_vocab=1001, n_ctx=7, n_embd=30, n_head=3, n_layer=1, bias=False),
    ModelConfig(n_vocab=3000, n_ctx=64, n_embd=96, n_head=2, n_layer=2),
]


def config(
    model: ModelConfig = SHAPES[0],
    *,
    precision: str = "32-true",
    optimizer: str = "adamw",
    dropout_p: float = 0.0,
    batch_size: int = 4,
    frozen: int = 0,
    **trainer: object,
) -> Config:
    return Config(
        model=model,
        data=DataConfig(seq_len=model.n_ctx, train_batch_size=batch_size, val_batch_size=2),
        optimization=OptimizationConfig.model_validate(
            {"optimizer": optimizer, "dropout_p": dropout_p, "freeze_layers": frozen}
        ),
        trainer=TrainerConfig.model_validate({"precision": precision, **trainer}),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_those_of_the_model(shape: ModelConfig) -> None:
    gpt = GPT(shape)
    assert n_parameters(shape) == gpt.n_parameters
    embeddings = gpt.wte.weight.numel() + gpt.wpe.weight.numel()
    assert plan(config(shape), CPU).embedding_parameters == embeddings


def test_gpt2_has_124_million_parameters() -> None:
    assert n_parameters(ModelConfig()) == 124_439_808


@pytest.mark.parametrize("frozen", [0, 2])
def test_flops_are_those_that_torch_counts(frozen: int) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    shape = SHAPES[0]
    gpt = GPT(shape)
    freeze(gpt, frozen)
    ids = torch.randint(0, shape.n_vocab, (2, shape.n_ctx + 1))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        torch.autograd.backward(gpt.loss(ids))
    estimate = flops_per_token(config(shape, frozen=frozen)) * 2 * shape.n_ctx
    assert estimate == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("frozen", [0, 3])
def test_optimizer_and_checkpoint_have_the_planned_size(optimizer: str, frozen: int) -> None:
    wanted = config(optimizer=optimizer, frozen=frozen)
    gpt = GPT(wanted.model)
    freeze(gpt, frozen)
    torch_optimizer = make_optimizer(gpt, wanted.optimization, fused=False)
    torch.autograd.backward(gpt.loss(torch.randint(0, 256, (1, 9))))
    torch_optimizer.step()
    states = [
        tensor.nbytes
        for state in torch_optimizer.state.values()
        for tensor in state.values()
        if isinstance(tensor, torch.Tensor) and tensor.dim()
    ]
    weights = sum(tensor.nbytes for tensor in gpt.state_dict().values())
    planned = plan(wanted, CPU)
    assert planned.memory.optimizer == sum(states)
    assert planned.checkpoint_bytes == sum(states) + weights


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("dropout_p", [0.0, 0.2])
def test_activations_are_what_the_backward_pass_keeps(precision: str, dropout_p: float) -> None:
    wanted = config(precision=precision, dropout_p=dropout_p, batch_size=8)
    log_softmax = 8 * wanted.data.seq_len * wanted.model.n_vocab * 4
    matrices = 12 * wanted.model.n_layer * wanted.model.n_embd**2
    copies = 2 * (matrices + wanted.model.n_vocab * wanted.model.n_embd)
    expected = kept_activations(wanted, "cpu") + log_softmax
    expected += copies if precision == "bf16-mixed" else 0
    assert expected == pytest.approx(kept_bytes(wanted), rel=0.1)


def kept_bytes(wanted: Config) -> int:
    """Bytes of the tensors that autograd saves in one forward pass, the weights left out."""
    gpt = GPT(wanted.model, wanted.optimization.dropout_p)
    use_cpu_dropout(gpt)
    if wanted.trainer.precision == "bf16-true":
        gpt = gpt.bfloat16()
    weights = {p.untyped_storage().data_ptr() for p in gpt.parameters()}
    storages = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    shape = (wanted.data.train_batch_size, wanted.data.seq_len + 1)
    ids = torch.randint(0, wanted.model.n_vocab, shape)
    mixed = wanted.trainer.precision == "bf16-mixed"
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        gpt.loss(ids)
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(
    ("shape", "batch_size", "optimizer", "frozen"),
    [
        # the peak is in the loss's backward pass, at the embedding's gradients, in Muon's step
        (ModelConfig(n_vocab=5000, n_ctx=64, n_embd=32, n_head=2, n_layer=2), 8, "adamw", 0),
        (ModelConfig(n_vocab=5000, n_ctx=8, n_embd=128, n_head=2, n_layer=1), 1, "adamw", 0),
        (ModelConfig(n_vocab=64, n_ctx=8, n_embd=128, n_head=2, n_layer=4), 1, "muon", 0),
        (ModelConfig(n_vocab=500, n_ctx=64, n_embd=64, n_head=2, n_layer=4), 8, "adamw", 2),
    ],
)
def test_peak_of_a_step_is_as_planned(
    shape: ModelConfig, batch_size: int, optimizer: str, frozen: int
) -> None:
    wanted = config(shape, batch_size=batch_size, optimizer=optimizer, frozen=frozen)
    gpt = GPT(shape)
    freeze(gpt, frozen)
    torch_optimizer = make_optimizer(gpt, wanted.optimization, fused=False)
    with LiveBytes() as allocated:
        for _ in range(2):  # the first makes the gradients and the optimizer's state
            ids = torch.randint(0, shape.n_vocab, (batch_size, shape.n_ctx + 1))
            loss = gpt.loss(ids)
            torch_optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch_optimizer.step()
    memory = plan(wanted, CPU).memory
    gaps = memory.activations - kept_activations(wanted, "cpu")
    planned = memory.total - memory.libraries - memory.weights - gaps
    assert planned == pytest.approx(allocated.peak, rel=0.1)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        given = {
            address(tensor) for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)
        }
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor) and address(tensor) not in given:
                storage = tensor.untyped_storage()
                self._storages[address(tensor)] = StorageWeakRef(storage), storage.nbytes()
        self._storages = {key: one for key, one in self._storages.items() if not one[0].expired()}
        self.peak = max(self.peak, sum(n_bytes for _, n_bytes in self._storages.values()))
        return outputs


def address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_tokens_count_batches_devices_and_nodes() -> None:
    wanted = config(batch_size=12, accumulate_grad_batches=5, max_steps=100)
    planned = plan(wanted, Devices("gpu", 8, 2), n_train_tokens=1_000_000)
    assert planned.tokens_per_step == 12 * 128 * 5 * 8 * 2
    assert planned.total_tokens == 100 * planned.tokens_per_step
    assert planned.epochs == planned.total_tokens / 1_000_000
    assert planned.total_flops == planned.total_tokens * flops_per_token(wanted)


@pytest.mark.parametrize(
    ("trainer", "n_gpus", "expected"),
    [
        ({}, 0, Devices("cpu")),
        ({}, 4, Devices("gpu", 4)),
        ({"devices": -1}, 4, Devices("gpu", 4)),
        ({"devices": [1, 3]}, 4, Devices("gpu", 2)),
        ({"devices": 8, "num_nodes": 2}, 8, Devices("gpu", 8, 2)),
        ({"accelerator": "cpu"}, 4, Devices("cpu")),
        ({"accelerator": "cpu", "devices": 2}, 0, Devices("cpu", 2)),
        ({"accelerator": "gpu"}, 0, Devices("gpu")),  # of another machine
    ],
)
def test_devices_are_what_the_config_says_or_else_the_machine_has(
    trainer: dict[str, object], n_gpus: int, expected: Devices
) -> None:
    assert devices_of(TrainerConfig.model_validate(trainer), n_gpus) == expected


def test_devices_are_as_many_as_torchrun_starts_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    assert devices_of(TrainerConfig(), 0) == Devices("cpu", 2, 3)
    assert devices_of(TrainerConfig(), 8) == Devices("gpu", 2, 3)


def test_time_counts_the_validations() -> None:
    without = plan(config(max_steps=10, val_check_interval=100), CPU, speed=Speed(1e9, ""))
    assert without.seconds == pytest.approx(without.total_flops / 1e9)
    # after steps 4, 8 and 10, the last
    wanted = config(max_steps=10, val_check_interval=4, limit_val_batches=3)
    for devices in (CPU, Devices("gpu", 4, 2)):
        planned = plan(wanted, devices, n_val_tokens=10_000, speed=Speed(1e9, ""))
        batches = 3 * 2 * 128  # of the run, on any number of devices
        tokens = 3 * (min(batches, 10_000) + batches)  # and as many of the training data
        validation = tokens * flops_per_token(wanted) / 3
        assert planned.seconds == pytest.approx((planned.total_flops + validation) / 1e9)


def test_ddp_takes_no_more_memory_on_each_device() -> None:
    """The gradients are exchanged in place (gradient_as_bucket_view)."""
    one, two = (plan(config(), Devices("gpu", n)).memory for n in (1, 2))
    assert two == one


def printed_plan(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    """The figures that --plan prints for GPT-2 124M."""
    assert main([str(config_folder() / "gpt2.toml"), "--plan", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 79
    return {line[:15].strip(): line[15:].strip().split("  ")[0] for line in lines}


def test_time_and_cost_on_named_gpus_are_those_published(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpus = ["--gpu", "a100", "--trainer.devices", "8", "--trainer.accumulate_grad_batches", "5"]
    # nanoGPT: about 4 days
    assert printed_plan(capsys, *gpus, "--mfu", "0.3")["time"] == "3d 21h"
    # llm.c: 10 billion tokens in 90 minutes, for about 20 dollars
    steps = ["--trainer.max_steps", "20_345", "--mfu", "0.63", "--price", "1.75"]
    rows = printed_plan(capsys, *gpus, *steps)
    assert (rows["total tokens"], rows["time"][:2]) == ("10.00 B", "1h")
    assert float(rows["cost"]) == pytest.approx(20, abs=2)


def test_time_at_a_given_peak_is_that_of_a_gpu_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    named = printed_plan(capsys, "--gpu", "A100", "--price", "2")
    assert printed_plan(capsys, "--flops", "312e12", "--price", "2") == named
    assert named["memory"] == printed_plan(capsys, "--trainer.accelerator", "gpu")["memory"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plan", "--gpu", "H10"], "unknown GPU H10; did you mean 'H100'"),
        (["--plan", "--gpu", "4090"], "did you mean 'RTX 4090'"),
        (["--plan", "--flops", "-1"], "--flops: expected a number > 0, got '-1'"),
        (["--plan", "--gpu", "H100", "--trainer.strategy", "fsdp"], "that shard the model are not"),
        (["--gpu", "H100"], "--gpu works only with --plan"),
    ],
)
def test_invalid_device_to_plan_for_is_explained(options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        main([str(config_folder() / "gpt2.toml"), *options])


def test_price_without_a_known_speed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="add --gpu or --flops"):
        main([str(config_folder() / "gpt2.toml"), "--plan", "--price", "2"])


def test_time_and_memory_are_estimated_as_in_an_earlier_run_nearby(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tiny.toml", "--output_dir", "earlier"]) == 0
    used = System(cpu_percent=1, memory_used=1, memory_total=1, process_memory=900 * 2**20)
    RunDirectory("earlier").append_event(used)
    capsys.readouterr()
    assert main(["tiny.toml", "--plan"]) == 0
    printed = capsys.readouterr().out
    assert "at the speed of earlier" in printed
    assert re.search(r"memory +900 MiB", printed)


def test_what_training_refuses_is_not_planned(folder: Path) -> None:
    with pytest.raises(UserError, match=r"model.n_vocab \(9\) must be > 6\d, the largest token ID"):
        main(["tiny.toml", "--plan", "--model.n_vocab", "9"])
    save_checkpoint(random_gpt(load("tiny.toml").model), folder)
    words = ["tiny.toml", "--init_from", "last.ckpt"]
    for more in ([], ["--plan"]):
        with pytest.raises(UserError, match=r'tokenizer_name \("byte"\) must be "char"'):
            main([*words, *more])
    assert main([*words, "--plan", "--init_from_other_tokenizer", "true"]) == 0
    assert main(["tiny.toml", "--plan", "--data.train_fpath", "still_to_be_made.bin"]) == 0


def test_epochs_of_dialogues_are_those_of_their_windows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_tokenizer(folder)
    said = [("user", "Hello! " * n) for n in range(1, 9)]
    dialogues = [[one, ("assistant", "I am fine.")] for one in said] * 4
    messages = [[{"role": r, "content": text} for r, text in one] for one in dialogues]
    Path("chat.jsonl").write_text("".join(json.dumps({"messages": m}) + "\n" for m in messages))
    prepare(["--chat_file", "chat.jsonl", "--tokenizer_name", tokenizer, "--output_dir", "chat"])
    words = ["--tokenizer_name", tokenizer, "--model.n_vocab", "300", "--model.n_ctx", "64"]
    words += ["--data.seq_len", "64", "--trainer.max_steps", "100", "--data.train_batch_size", "3"]
    words += [f"--data.{split}_fpath=chat/{split}-tokenizer.bin" for split in ("train", "val")]
    assert main(["tiny.toml", "--plan", *words]) == 0
    windows = DialogueWindows(open_tokens("chat/train-tokenizer.bin"), 64)
    assert f"{300 / len(windows):,.2f} epochs" in capsys.readouterr().out


def test_table_has_one_row_per_figure() -> None:
    planned = plan(config(max_steps=10), CPU, n_train_tokens=1000, speed=Speed(1e9, ""))
    lines = describe(planned).splitlines()
    assert lines[0].split()[:2] == ["parameters", format_count(planned.parameters)]
    assert {line[:15].strip() for line in lines} == {
        "parameters",
        "tokens/step",
        "total tokens",
        "FLOPs/step",
        "memory",
        "",
        "checkpoint",
        "time",
    }
    assert max(map(len, lines)) <= 79
