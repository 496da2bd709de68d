"""Checkpoints are read without lightning, run no code, and wrong ones give one message."""

import os
import pathlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from simplegpt.checkpoint import find_model, load_initial_weights, load_model, read_checkpoint
from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT
from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from tests.simplegpt.models import checkpoint_of, random_gpt, save_checkpoint

SHAPE = ModelConfig(n_vocab=256, n_ctx=8, n_embd=8, n_head=2, n_layer=2)


@pytest.fixture
def gpt() -> GPT:
    return random_gpt(SHAPE)


@pytest.fixture
def run(gpt: GPT, tmp_path: Path) -> Path:
    (tmp_path / "run" / "ckpts").mkdir(parents=True)
    save_checkpoint(gpt, tmp_path / "run" / "ckpts")
    return tmp_path / "run"


@pytest.mark.parametrize("place", ["", "ckpts", "ckpts/last.ckpt"])
def test_a_run_its_folder_and_its_file_are_the_same_model(run: Path, gpt: GPT, place: str) -> None:
    loaded = load_model(str(run / place))
    assert loaded.source == run / "ckpts" / "last.ckpt"
    assert (loaded.config, loaded.tokenizer_name) == (SHAPE, "char")
    assert (loaded.step, loaded.val_loss) == (12, 1.5)
    assert not loaded.gpt.training
    ids = torch.randint(256, (2, 8))
    assert torch.equal(loaded.gpt(ids), gpt(ids))


def test_a_step_that_was_not_validated_has_no_validation_loss(run: Path) -> None:
    path = run / "ckpts" / "last.ckpt"
    info = CheckpointInfo(step=12, val_loss=1.5, score=1.5)
    sidecar(path).write_text(info.model_dump_json())
    assert load_model(str(run)).val_loss == 1.5
    earlier = info.model_copy(update={"score": None})
    sidecar(path).write_text(earlier.model_dump_json())
    assert load_model(str(run)).val_loss is None


def test_without_a_last_checkpoint_the_newest_is_read(run: Path, gpt: GPT) -> None:
    (run / "ckpts" / "last.ckpt").unlink()
    for time, name in ((100, "b.ckpt"), (200, "a.ckpt")):
        torch.save(checkpoint_of(gpt), run / "ckpts" / name)
        os.utime(run / "ckpts" / name, (time, time))
    assert find_model(str(run)).name == "a.ckpt"


def test_weights_are_cast_to_the_precision_asked_for(run: Path) -> None:
    loaded = load_model(str(run), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.gpt.parameters()} == {torch.bfloat16}


def test_a_gpus_checkpoint_loads_on_a_cpu(
    gpt: GPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # as a GPU's tensors are marked
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        torch.save(checkpoint_of(gpt), tmp_path / "gpu.ckpt")
    assert b"cuda:0" in (tmp_path / "gpu.ckpt").read_bytes()
    loaded = load_model(str(tmp_path / "gpu.ckpt"))
    assert loaded.gpt.wte.weight.device.type == "cpu"
    assert torch.equal(loaded.gpt.wte.weight, gpt.wte.weight)


@pytest.mark.parametrize("prefix", ["gpt.", "gpt._orig_mod.", "_orig_mod.gpt."])
def test_a_compiled_networks_names_are_understood(gpt: GPT, tmp_path: Path, prefix: str) -> None:
    torch.save(checkpoint_of(gpt, prefix), tmp_path / "a.ckpt")
    loaded = load_model(str(tmp_path / "a.ckpt")).gpt.state_dict()
    assert loaded.keys() == gpt.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in gpt.state_dict().items())


def test_the_originals_checkpoint_means_exact_gelu_and_may_hold_paths(
    gpt: GPT, tmp_path: Path
) -> None:
    names = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")
    values = checkpoint_of(gpt)
    del values["simplegpt"]
    values["hyper_parameters"] = {
        "model": {name: getattr(SHAPE, name) for name in names},
        "tokenizer_name": "char",
        "data": {"train_fpath": pathlib.PosixPath("data/train.bin")},
    }
    torch.save(values, tmp_path / "last.ckpt")
    loaded = load_model(str(tmp_path / "last.ckpt"))
    assert (loaded.config.activation, loaded.config.bias) == ("gelu", True)
    assert loaded.val_loss is None


def test_loaded_weights_do_not_depend_on_the_file_any_more(run: Path) -> None:
    loaded = load_model(str(run))
    before = loaded.gpt.wte.weight.sum().item()
    path = run / "ckpts" / "last.ckpt"
    path.write_bytes(b"\xff" * path.stat().st_size)  # in place, which no writer here does
    assert loaded.gpt.wte.weight.sum().item() == before


def test_additional_ids_take_the_mean_of_the_token_embeddings(run: Path, gpt: GPT) -> None:
    wider = GPT(SHAPE.model_copy(update={"n_vocab": 300, "n_ctx": 5}))
    load_initial_weights(wider, str(run))
    rows = gpt.wte.weight
    assert torch.equal(wider.wte.weight[:256], rows)
    assert torch.equal(wider.wte.weight[256:], rows.mean(dim=0).expand(44, -1))
    assert torch.equal(wider.wpe.weight, gpt.wpe.weight[:5])


def test_weights_of_another_tokenizer_are_an_error_unless_allowed(run: Path) -> None:
    own = GPT(SHAPE)
    with pytest.raises(UserError, match=r'tokenizer_name \("byte"\) must be "char".*other_token'):
        load_initial_weights(own, str(run), "byte")
    for tokenizer_name in ("char", None):
        load_initial_weights(own, str(run), tokenizer_name)


class Evil:
    """Would make a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_file_that_would_run_code_is_refused(gpt: GPT, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save(checkpoint_of(gpt, extra=Evil(mark)), tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="could run code"):
        load_model(str(tmp_path / "evil.ckpt"))
    assert not mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_one_message(run: Path, share: float) -> None:
    path = run / "ckpts" / "last.ckpt"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"last\.ckpt is not a checkpoint"):
        load_model(str(path))


def test_no_flipped_bit_loads_as_other_weights(run: Path, gpt: GPT) -> None:
    path, expected = run / "ckpts" / "last.ckpt", gpt.state_dict()
    whole, n_refused = path.read_bytes(), 0
    for position in random.Random(0).sample(range(8 * len(whole)), 300):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            state = load_model(str(path)).gpt.state_dict()
        except UserError:
            n_refused += 1
        else:  # a bit between the records
            assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert n_refused > 100


def test_a_checkpoint_is_whole_only_with_its_optimizers_state(gpt: GPT, tmp_path: Path) -> None:
    moments = torch.full((1000,), 3.25)
    torch.save(checkpoint_of(gpt, optimizer_states=[moments]), tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    stored = moments.numpy().tobytes()
    flipped = b"\x01" + stored[1:]
    (tmp_path / "a.ckpt").write_bytes(content.replace(stored, flipped))
    read_checkpoint(tmp_path / "a.ckpt")  # does not need it
    with pytest.raises(UserError, match=r"a\.ckpt is damaged: wrong checksum of .*data/\d+"):
        read_checkpoint(tmp_path / "a.ckpt", whole=True)


@pytest.mark.parametrize("bias", [True, False])
def test_nanogpts_checkpoint_is_read(tmp_path: Path, bias: bool) -> None:
    gpt = random_gpt(SHAPE.model_copy(update={"bias": bias, "activation": "gelu"}))
    state = {f"_orig_mod.transformer.{name}": t for name, t in gpt.state_dict().items()}
    arguments = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 8, "vocab_size": 256}
    values = {
        "model": state
        | {"_orig_mod.lm_head.weight": gpt.wte.weight.detach()}
        | {"_orig_mod.transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8)},  # the causal mask
        "model_args": arguments | {"bias": bias, "dropout": 0.0},
        "iter_num": 7,
        "best_val_loss": torch.tensor(1.25),
        "config": {"dataset": "shakespeare_char"},
        "optimizer": {},
    }
    torch.save(values, tmp_path / "ckpt.pt")
    loaded = load_model(str(tmp_path))
    assert (loaded.config, loaded.step, loaded.val_loss) == (gpt.config, 7, 1.25)
    assert loaded.tokenizer_name is None  # its characters have IDs of their own
    ids = torch.randint(256, (2, 8))
    assert torch.equal(loaded.gpt(ids), gpt(ids))


@pytest.mark.parametrize(
    "changes",
    [
        {"state_dict": {"wte.weight": 1}},
        {"state_dict": {"wte.weight": torch.eye(3).to_sparse()}},
        {"hyper_parameters": {"model": 3}},
        {"hyper_parameters": {"model": {}, "tokenizer_name": []}},
        {"simplegpt": [1]},
        {"global_step": "x"},
    ],
)
def test_hostile_contents_are_one_message(
    gpt: GPT, tmp_path: Path, changes: dict[str, Any]
) -> None:
    torch.save(checkpoint_of(gpt, **changes), tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x\.ckpt is not a run's checkpoint"):
        load_model(str(tmp_path / "x.ckpt"))


def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last.ckpt")
    for path in (tmp_path / "last.ckpt", Path("/dev/zero")):
        with pytest.raises(UserError, match=r"cannot read .*: Not a regular file"):
            load_model(str(path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "not a run's checkpoint"),
        ({"state_dict": {}}, "not a run's checkpoint"),
        ({"state_dict": {}, "hyper_parameters": {"model": {"n_layer": 0}}}, "n_layer"),
        ({"state_dict": {}, "hyper_parameters": {}}, "weights and config do not match"),
    ],
)
def test_a_file_of_another_kind_is_one_message(
    tmp_path: Path, values: object, message: str
) -> None:
    torch.save(values, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=message):
        load_model(str(tmp_path / "x.ckpt"))


def test_weights_of_another_shape_are_one_message(gpt: GPT, tmp_path: Path) -> None:
    model = SHAPE.model_dump() | {"n_ctx": 9, "n_layer": 1}
    hyper_parameters = {"model": model, "tokenizer_name": "char"}
    torch.save(checkpoint_of(gpt, hyper_parameters=hyper_parameters), tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"h\.1\.ln_1\.weight is unknown.* and \d+ more"):
        load_model(str(tmp_path / "x.ckpt"))


def test_a_text_file_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("To be, or not to be.\n" * 100)
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_model(str(tmp_path / "notes.txt"))


def test_missing_paths_name_what_is_nearest(run: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean '.*last\.ckpt'"):
        load_model(str(run / "ckpts" / "lst.ckpt"))
    with pytest.raises(UserError, match=rf"did you mean '{run}'"):
        load_model(str(run.parent / "runn" / "ckpts" / "last.ckpt"))
    with pytest.raises(UserError, match=r"no model at '~nobody-such/x\.ckpt'"):
        load_model("~nobody-such/x.ckpt")
    with pytest.raises(UserError, match="did you mean 'gpt2-medium'"):
        load_model("gpt2-medum")


def test_a_folder_without_a_model_says_so(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no model in"):
        load_model(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="it contains runs: run"):
        load_model(str(run.parent))


def test_reading_and_generating_import_no_lightning(run: Path) -> None:
    script = (
        "import sys, simplegpt.inference.engine\n"
        "from simplegpt.checkpoint import load_model; load_model(sys.argv[1])\n"
        "sys.exit(any(n in sys.modules for n in ('lightning', 'transformers', 'textual')))"
    )
    assert subprocess.run([sys.executable, "-c", script, str(run)], check=False).returncode == 0
