"""Training learns, from the right windows, and a resumed run repeats the uninterrupted one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import simplegpt.train
from simplegpt.checkpoint import load_model
from simplegpt.cli import UserError
from simplegpt.config import load as config_file
from simplegpt.config.load import load
from simplegpt.data.__main__ import main as encode
from simplegpt.run.checkpoints import list_checkpoints, read_info
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import (
    CheckpointSaved,
    RunEnded,
    RunStarted,
    Sample,
    TrainStep,
    Validation,
    Warned,
)
from simplegpt.tokenizer import main as make_tokenizer
from simplegpt.train.__main__ import main as train
from simplegpt.train.module import BatchIndices, GPTModule
from tests.simplegpt.tiny import TINY
from tests.stress.child import Command
from tests.waiting import wait_until


def weights(directory: str) -> dict[str, torch.Tensor]:
    checkpoint = RunDirectory(directory).last_checkpoint
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state


def assert_equal_weights(left: str, right: str) -> None:
    a, b = weights(left), weights(right)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adamw", []),
        ("muon", ["--optimization.optimizer", "muon"]),
        ("accumulation", ["--trainer.accumulate_grad_batches", "2"]),
        ("workers", ["--data.num_workers", "2"]),
        ("bf16-mixed", ["--trainer.precision", "bf16-mixed"]),
        ("bf16-true", ["--trainer.precision", "bf16-true"]),
        ("16-mixed", ["--trainer.precision", "16-mixed"]),
    ],
)
def test_resumed_run_repeats_the_uninterrupted_one(
    folder: Path, name: str, settings: list[str]
) -> None:
    assert train(["tiny.toml", "--output_dir", "whole", *settings]) == 0
    assert train(["tiny.toml", "--output_dir", "parts", "--trainer.max_steps", "5", *settings]) == 0
    assert train(["--resume", "parts", "--trainer.max_steps", "12"]) == 0
    assert_equal_weights("whole", "parts")

    whole, parts = (RunDirectory(name).read_events() for name in ("whole", "parts"))
    validations = [
        {e.step: e.val_loss for e in x if isinstance(e, Validation)} for x in (whole, parts)
    ]
    assert validations[0].items() <= validations[1].items()  # step 5 was the end of the first part


def test_fp16_on_a_cpu_warns_that_it_computes_in_bf16(folder: Path) -> None:
    assert train(["tiny.toml", "--trainer.precision", "16-mixed"]) == 0
    warned = [e.message for e in RunDirectory("run").read_events() if isinstance(e, Warned)]
    assert warned == ["16-mixed is computed as bf16-mixed on a CPU"]


def test_shards_that_are_not_all_written_are_a_warning(folder: Path) -> None:
    shards = ["--data.train_fpath", "train-byte-*.bin"]
    options = ["tiny.toml", "--trainer.max_steps", "1", *shards, "--output_dir"]
    Path("train.bin").rename("train-byte-00000.bin")
    for output, n_warnings in (("whole", 0), ("part", 1)):
        assert train([*options, output]) == 0
        events = RunDirectory(output).read_events()
        assert len([event for event in events if isinstance(event, Warned)]) == n_warnings
        Path("train-byte.resume.json").touch()


def test_another_seed_gives_another_run(folder: Path) -> None:
    assert train(["tiny.toml", "--output_dir", "a"]) == 0
    assert train(["tiny.toml", "--output_dir", "b", "--seed", "2"]) == 0
    a, b = weights("a"), weights("b")
    assert not torch.equal(a["gpt.wte.weight"], b["gpt.wte.weight"])


def test_run_learns_and_records_its_events(folder: Path) -> None:
    """Run as a command."""
    settings = ["--trainer.max_steps", "40", "--optimization.peak_lr", "1e-2"]
    command = [sys.executable, "-m", "simplegpt.train", "tiny.toml", *settings]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    run = RunDirectory("run")
    events = run.read_events()
    losses = [event.loss for event in events if isinstance(event, TrainStep)]
    assert len(losses) == 20
    assert losses[-1] < losses[0] - 1
    assert [e.reason for e in events if isinstance(e, RunEnded)] == ["finished"]
    saved = [event for event in events if isinstance(event, CheckpointSaved)]
    assert {(run.path / event.path).name for event in saved} == {"last.ckpt", "best.ckpt"}
    status = run.status()
    assert status is not None
    assert (status.state, status.step, status.is_live) == ("finished", 40, False)
    assert config_file.load(run.config).model.n_embd == 16
    assert "finished at step 40" in run.log.read_text()


def test_checkpoint_holds_plain_data_only(folder: Path) -> None:
    assert train(["tiny.toml", "--torch_compile", "false"]) == 0
    checkpoint = torch.load(RunDirectory("run").last_checkpoint, weights_only=True)
    assert checkpoint["hyper_parameters"]["model"]["n_ctx"] == 16
    assert checkpoint["simplegpt"]["step"] == checkpoint["global_step"] == 12
    json.dumps(checkpoint["hyper_parameters"])
    assert not [name for name in checkpoint["state_dict"] if "_orig_mod" in name]


def test_compiled_run_learns_the_same_under_the_same_names(folder: Path) -> None:
    settings = ["tiny.toml", "--optimization.dropout_p", "0", "--model.n_layer", "1"]
    assert train([*settings, "--output_dir", "plain", "--torch_compile", "false"]) == 0
    samples = ["--samples.prompts", '["ab"]', "--samples.every_n_steps", "6"]
    compiled_settings = ["--output_dir", "compiled", "--torch_compile", "true", *samples]
    assert train([*settings, *compiled_settings]) == 0
    events = RunDirectory("compiled").read_events()
    assert [e.step for e in events if isinstance(e, Sample)] == [6, 12]
    plain, compiled = weights("plain"), weights("compiled")
    assert plain.keys() == compiled.keys()
    assert [n for n in plain if not torch.allclose(plain[n], compiled[n], atol=1e-4)] == []


def test_compiler_that_is_missing_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(UserError, match=r"(?s)C\+\+ compiler.*--torch_compile false"):
        train(["tiny.toml", "--torch_compile", "true"])
    assert not Path("run").exists()


def test_resume_refuses_another_run_and_lists_every_difference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["tiny.toml"]) == 0
    with pytest.raises(UserError) as caught:
        train(["tiny.toml", "--resume", "--model.n_embd", "32", "--seed", "3"])
    assert "model.n_embd: was 16, is 32" in str(caught.value)
    assert "seed: was 1337, is 3" in str(caught.value)
    assert train(["tiny.toml", "--resume", "--trainer.max_steps", "14"]) == 0


def test_existing_run_is_refused_with_the_alternatives(folder: Path) -> None:
    assert train(["tiny.toml"]) == 0
    Path("run-2").mkdir()
    before = RunDirectory("run").events.read_bytes()
    with pytest.raises(UserError, match=r"(?s)--resume.*--output_dir .*run-3"):
        train(["tiny.toml"])
    assert RunDirectory("run").events.read_bytes() == before


def test_project_that_was_moved_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its data, and a tokenizer of its own whose file is gone."""
    Path("project").mkdir()
    monkeypatch.chdir("project")
    Path("words.txt").write_text("some words of a text, and some more of them\n" * 50)
    make = ["--text_file", "words.txt", "--n_vocab", "270", "--output_file", "own.json"]
    assert make_tokenizer(make) == 0
    encode(["--text_file", "words.txt", "--output_dir", "data", "--tokenizer_name", "own.json"])
    config = TINY.replace('"byte"', '"own.json"').replace("n_vocab = 256", "n_vocab = 270")
    for split in ("train", "val"):
        config = config.replace(f'"{split}.bin"', f'"data/{split}-own.bin"')
    Path("tiny.toml").write_text(config)
    assert train(["tiny.toml", "--output_dir", "models/whole"]) == 0
    assert train(["tiny.toml", "--output_dir", "models/run", "--trainer.max_steps", "6"]) == 0
    monkeypatch.chdir(folder)
    Path("project").rename("moved")
    Path("moved/own.json").unlink()
    end = ["--trainer.max_steps", "12"]
    assert train(["--resume", "moved/models/run", *end]) == 0
    assert_equal_weights("moved/models/whole", "moved/models/run")
    longer = ["--resume", "moved/models/run", "--trainer.max_steps", "14"]
    with pytest.raises(UserError, match=r"(?s)is not the data of .*it was trained on"):
        train([*longer, "--data.val_fpath", "moved/data/train-own.bin"])
    shutil.copytree("moved/data", "copy")
    assert train([*longer, "--data.train_fpath", "copy/train-own.bin"]) == 0


@pytest.mark.parametrize("n_steps", ["4", "5"])  # of batches, an even and an odd number
@pytest.mark.parametrize("reverse", [False, True])
def test_step_may_be_split_otherwise_on_resume(folder: Path, n_steps: str, reverse: bool) -> None:
    words = ["tiny.toml", "--optimization.dropout_p", "0", "--output_dir"]
    sizes = [["--data.train_batch_size", "6"], ["--data.train_batch_size", "2"]]
    first, second = sizes[::-1] if reverse else sizes
    global_size, end = ["--data.global_batch_size", "6"], ["--trainer.max_steps", "12"]
    assert train([*words, "whole", *first, *global_size]) == 0
    assert train([*words, "parts", *first, *global_size, "--trainer.max_steps", n_steps]) == 0
    with pytest.raises(UserError, match=r"(?s)step has 8 windows.*had 6.*global_batch_size 6"):
        train(["--resume", "parts", "--data.train_batch_size", "8", *global_size[:1], "8", *end])
    assert train(["--resume", "parts", *end, *second]) == 0
    a, b = weights("whole"), weights("parts")
    assert [name for name in a if not torch.allclose(a[name], b[name], atol=1e-6)] == []
    with pytest.raises(UserError, match=r"global_batch_size \(6\) must be divisible by .*4 × 1"):
        train([*words, "other", "--data.train_batch_size", "4", *global_size])


def test_failed_start_leaves_what_was_there(folder: Path) -> None:
    """The only copy of a tokenizer, and notes, in the directory of a run that cannot start."""
    Path("run").mkdir()
    Path("words.txt").write_text("some words of a text\n")
    make = ["--text_file", "words.txt", "--n_vocab", "260"]
    assert make_tokenizer([*make, "--output_file", "run/tokenizer.json"]) == 0
    Path("run/notes.json").write_text("mine")
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    broken = ["--tokenizer_name", "run/tokenizer.json", "--trainer.callbacks", '["no.Such"]']
    with pytest.raises(UserError, match=r"no\.Such"):
        train(["tiny.toml", *broken])
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


def test_same_command_starts_resumes_and_is_done(folder: Path) -> None:
    """``--resume auto``, submitted again and again over kills, ends as one run without them."""
    words = ["tiny.toml", "--trainer.log_every_n_steps", "1", "--checkpointing.every_n_steps", "1"]
    words += ["--trainer.max_steps", "40", "--output_dir"]
    assert train([*words, "whole"]) == 0
    command, run = [*words, "run", "--resume", "auto"], RunDirectory("run")
    for n_kills in range(4):
        started = Command(train, command, folder)
        wait_until(
            lambda n=n_kills: sum(isinstance(e, CheckpointSaved) for e in run.read_events()) > 4 * n
        )
        started.kill()
    for _ in range(2):
        last = Command(train, command, folder)
        assert last.wait()
        assert last.code == 0
    assert "has finished" in last.output()
    assert_equal_weights("whole", "run")
    longer = Command(train, [*command, "--trainer.max_steps", "42"], folder)
    assert longer.wait()
    assert "resumed from step 40" in longer.output()


def test_start_that_died_before_training_does_not_block_the_next(folder: Path) -> None:
    with pytest.raises(UserError, match="devices"):
        train(["tiny.toml", "--trainer.devices", "[0, 1]"])
    assert not Path("run").exists()
    started = subprocess.Popen([sys.executable, "-m", "simplegpt.train", "tiny.toml"])
    wait_until(RunDirectory("run").commands.exists)
    started.kill()  # it imports torch now
    started.wait()
    assert train(["tiny.toml"]) == 0


def test_an_edit_of_the_run_s_own_config_is_a_difference(folder: Path) -> None:
    assert train(["tiny.toml"]) == 0
    stored = RunDirectory("run").config
    before = stored.read_text()
    stored.write_text(before.replace("dropout_p = 0.1", "dropout_p = 0.2"))
    assert stored.read_text() != before
    with pytest.raises(UserError, match=r"dropout_p: was 0\.1, is 0\.2"):
        train(["--resume", "run", "--trainer.max_steps", "14"])
    stored.write_text(before)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    assert train(["--resume", "../run", "--trainer.max_steps", "14"]) == 0


def test_a_batch_beyond_all_memory_is_refused_before_it_is_made(folder: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)needs about .*TiB.*train_batch_size"):
        train(["tiny.toml", "--data.train_batch_size", "1000000000"])
    os.truncate("val.bin", 10**8)  # without blocks on disk
    wide = ["--model.n_embd", "1024", "--data.val_batch_size", "1000000000"]
    with pytest.raises(UserError, match=r"(?s)validation needs about .*TiB.*val_batch_size"):
        train(["tiny.toml", *wide])
    assert not Path("run").exists()


def test_samples_are_printed_with_their_escape_sequences_shown(folder: Path) -> None:
    prompt = "\x1b[2Jx\x9b"
    options = ["--samples.prompts", json.dumps([prompt]), "--samples.every_n_steps", "12"]
    options += ["--samples.n_tokens_to_generate", "4"]
    command = Command(train, ["tiny.toml", *options], folder)  # the log copies descriptors
    assert command.wait(120)
    printed = RunDirectory("run").log.read_text()
    assert "␛[2Jx\ufffd" in printed
    assert "\x1b" not in printed
    samples = [e for e in RunDirectory("run").read_events() if isinstance(e, Sample)]
    assert [sample.prompt for sample in samples] == [prompt]


def test_damaged_checkpoint_is_not_resumed_and_the_run_stays_as_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["tiny.toml"]) == 0
    run = RunDirectory("run")
    before = run.status(), run.events.read_bytes(), run.config.read_bytes()
    run.last_checkpoint.write_bytes(run.last_checkpoint.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"last\.ckpt is not a checkpoint, or is damaged"):
        train(["--resume", "run", "--trainer.max_steps", "20"])
    assert (run.status(), run.events.read_bytes(), run.config.read_bytes()) == before


def test_resume_takes_the_newest_intact_checkpoint(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keep_all = ["--checkpointing.save_top_k", "-1"]
    assert train(["tiny.toml", *keep_all]) == 0
    assert train(["tiny.toml", *keep_all, "--output_dir", "other"]) == 0
    run = RunDirectory("run")
    newest = max(list_checkpoints(run), key=lambda checkpoint: checkpoint.info.step)
    content = bytearray(newest.path.read_bytes())
    content[-len(content) // 2] ^= 1  # in place: in all its names
    for path in run.checkpoints.glob("*.ckpt"):
        if path.samefile(newest.path):
            path.write_bytes(content)
    more = ["--trainer.max_steps", "16"]
    assert train(["--resume", "run", *more]) == train(["--resume", "other", *more]) == 0
    assert_equal_weights("run", "other")
    said = capfd.readouterr().err
    assert "last.ckpt is damaged" in said
    assert "resuming from" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["tiny.toml", "--model.n_hed", "3"], "n_head"),
        (["tiny.toml", "--trainer.max_steps", "none"], "max_steps"),
        (["tinny.toml"], "tiny.toml"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_invalid_config_is_named_and_writes_nothing(
    folder: Path, arguments: list[str], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        train(arguments)
    assert not Path("run").exists()


def test_wandb_that_is_not_installed_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # also where it is installed
    assert train(["tiny.toml", "--wandb.project", "x"]) == 0
    assert "pip install 'simplegpt[wandb]'" in capfd.readouterr().err


def test_tensorboard_that_is_not_installed_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match="pip install 'simplegpt\\[tensorboard\\]'"):
        train(["tiny.toml", "--tensorboard", "true"])
    assert not Path("run").exists()


def test_early_stopping_ends_a_run_that_does_not_improve(folder: Path) -> None:
    # a rate of almost nothing, and an improvement that it cannot make
    early = ["--early_stopping.patience", "2", "--early_stopping.min_delta", "0.5"]
    assert train(["tiny.toml", "--optimization.peak_lr", "1e-9", *early]) == 0
    status = RunDirectory("run").status()
    assert status is not None
    assert (status.state, status.step) == ("finished", 12)
    ended = [event for event in RunDirectory("run").read_events() if isinstance(event, RunEnded)]
    assert "no improvement in 2 validations" in (ended[0].error or "")


def test_train_loss_ranks_checkpoints_at_any_interval(folder: Path) -> None:
    monitor = ["--checkpointing.monitor", "train_loss", "--trainer.log_every_n_steps", "100"]
    assert train(["tiny.toml", *monitor]) == 0
    best = read_info(RunDirectory("run").checkpoints / "best.ckpt")
    assert best is not None
    assert best.score is not None
    assert best.val_loss is not None
    assert 0.0 < abs(best.score - best.val_loss) < 1.0


def test_best_checkpoints_are_kept_and_the_rest_dropped(folder: Path) -> None:
    kept = ["--checkpointing.save_top_k", "2", "--optimization.peak_lr", "1e-2"]
    assert train(["tiny.toml", "--trainer.max_steps", "20", *kept]) == 0
    names = sorted(path.name for path in RunDirectory("run").checkpoints.glob("*.ckpt"))
    assert names == ["best.ckpt", "last.ckpt", "step-000016.ckpt", "step-000020.ckpt"]


def test_validation_counts_every_target_once(folder: Path) -> None:
    config = config_file.load("tiny.toml")
    assert train(["tiny.toml"]) == 0
    module = GPTModule(config)
    module.load_state_dict(weights("run"))
    module.eval()
    ids = torch.from_numpy(np.fromfile("val.bin", dtype="<u2").astype(np.int64))
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, 499, 16):
        first = min(start, 499 - 16)  # the last window is moved back to full length
        window = ids[first : first + 17][None]
        with torch.no_grad():
            logits = module.gpt(window[:, :-1])[0, start - first :]
            targets = window[0, 1 + start - first :]
            total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").double()
    last = [e for e in RunDirectory("run").read_events() if isinstance(e, Validation)][-1]
    assert last.val_loss == pytest.approx(float(total) / 499, rel=1e-5)


def test_ranks_share_the_samples_of_one_device() -> None:
    def indices(rank: int, world: int, batch: int) -> list[list[int]]:
        sampler = BatchIndices(start=8, batch_size=batch, rank=rank, world_size=world)
        return [ids for _, ids in zip(range(4), sampler, strict=False)]

    alone = indices(0, 1, 4)
    together = [a + b for a, b in zip(indices(0, 2, 2), indices(1, 2, 2), strict=True)]
    assert alone == together
    assert alone[0] == [8, 9, 10, 11]


def test_init_from_a_checkpoint_takes_its_weights(folder: Path) -> None:
    assert train(["tiny.toml", "--output_dir", "first"]) == 0
    checkpoint = str(RunDirectory("first").last_checkpoint)
    still = ["--optimization.peak_lr", "1e-12", "--optimization.end_lr", "0"]
    wider = ["--model.n_vocab", "300", "--data.seq_len", "8", "--model.n_ctx", "8"]
    assert train(["tiny.toml", "--init_from", checkpoint, *still, *wider]) == 0
    first, second = weights("first"), weights("run")
    assert torch.allclose(second["gpt.wte.weight"][:256], first["gpt.wte.weight"], atol=1e-6)
    assert torch.allclose(second["gpt.wpe.weight"], first["gpt.wpe.weight"][:8], atol=1e-6)
    with pytest.raises(UserError, match=r"(?s)n_layer.*has 2, the config 1"):
        train(["tiny.toml", "--init_from", checkpoint, "--model.n_layer", "1", "--output_dir", "x"])
    other = ["tiny.toml", "--init_from", checkpoint, "--tokenizer_name", "char"]
    with pytest.raises(UserError, match=r"tokenizer_name.*init_from_other_tokenizer"):
        train([*other, "--output_dir", "x"])
    assert not Path("x").exists()
    assert train([*other, "--init_from_other_tokenizer", "true", "--output_dir", "x"]) == 0


def test_torchrun_on_two_ranks_equals_one_rank_with_the_whole_batch(folder: Path) -> None:
    settings = ["--optimization.dropout_p", "0", "--trainer.log_every_n_steps", "4"]
    whole = ["tiny.toml", "--output_dir", "one", "--data.train_batch_size", "8", *settings]
    assert train(whole) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    parallel = ["--nproc_per_node", "2", "-m", "simplegpt.train", "tiny.toml"]
    command = [*torchrun, *parallel, "--output_dir", "two", *settings]
    subprocess.run(command, check=True, timeout=180)
    a, b = weights("one"), weights("two")
    assert [n for n in a if not torch.allclose(a[n], b[n], atol=2e-5)] == []
    losses: list[list[Any]] = []
    for name in ("one", "two"):
        events = RunDirectory(name).read_events()
        losses.append([e.val_loss for e in events if isinstance(e, Validation)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    (started,) = [e for e in RunDirectory("two").read_events() if isinstance(e, RunStarted)]
    assert re.fullmatch(r"2 processes on \d+ CPU cores?", started.device)
    with pytest.raises(UserError, match=r"already contains a run"):
        train(["tiny.toml", "--output_dir", "two"])


def test_number_of_devices_that_torchrun_did_not_start_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4", "RANK": "0"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"trainer.devices \(3\) must be 2"):
        train(["tiny.toml", "--trainer.devices", "3"])
    with pytest.raises(UserError, match=r"trainer.num_nodes \(3\) must be 2"):
        train(["tiny.toml", "--trainer.devices", "0,1", "--trainer.num_nodes", "3"])
    assert not Path("run").exists()


def test_rank_that_would_train_alone_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match="LOCAL_RANK"):
        train(["tiny.toml"])
    assert not Path("run").exists()


CALLBACK = """
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Witness(Callback):
    def on_validation_end(self, trainer, pl_module):
        with Path("seen.txt").open("a") as file:
            loss = float(trainer.callback_metrics["val_loss"])
            file.write(f"{trainer.global_step} {loss == pl_module.state.val_loss}\\n")
"""


def test_callbacks_of_the_config_see_the_validations(folder: Path) -> None:
    Path("mine.py").write_text(CALLBACK)
    assert train(["tiny.toml", "--trainer.callbacks", '["mine.Witness"]']) == 0
    assert [line.split()[0] for line in Path("seen.txt").read_text().splitlines()] == [
        "4",
        "8",
        "12",
    ]


@pytest.mark.parametrize("path", ["nowhere.Witness", "mine:Nobody", "pathlib.Path"])
def test_callback_of_another_class_is_one_message(folder: Path, path: str) -> None:
    Path("mine.py").write_text(CALLBACK)
    with pytest.raises(UserError, match=f"trainer.callbacks: {path}"):
        train(["tiny.toml", "--trainer.callbacks", f'["{path}"]'])
    assert not Path("run").exists()


def test_callbacks_given_in_python_see_each_step(folder: Path) -> None:
    norms = []

    class GradNorm(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *batch: Any) -> None:
            norms.append(float(pl_module.grad_norm))

    assert simplegpt.train.train(load(Path("tiny.toml")), callbacks=[GradNorm()]) == 0
    assert len(norms) == 12
    assert min(norms) > 0


def test_training_package_is_imported_without_torch() -> None:
    program = "import sys, simplegpt.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_max_time_ends_a_run_at_a_step_and_counts_from_zero_on_resume(folder: Path) -> None:
    steps = ["--trainer.max_steps", "1_000_000", "--trainer.accumulate_grad_batches", "2"]
    assert train(["tiny.toml", *steps, "--trainer.max_time", "00:00:00:01"]) == 0
    run = RunDirectory("run")
    first = read_info(run.last_checkpoint)
    ended = run.read_events()[-1]
    assert first is not None
    assert isinstance(ended, RunEnded)
    assert ended.error == "max_time reached"
    assert train(["--resume", "run", "--trainer.max_time", "00:00:00:01"]) == 0
    second = read_info(run.last_checkpoint)
    assert second is not None
    assert second.step > first.step


def test_checkpoint_of_the_first_versions_is_resumed(folder: Path) -> None:
    assert train(["tiny.toml", "--output_dir", "whole"]) == 0
    assert train(["tiny.toml", "--output_dir", "old", "--trainer.max_steps", "5"]) == 0
    path = RunDirectory("old").last_checkpoint
    checkpoint = torch.load(path, weights_only=True)
    state = checkpoint["simplegpt"]
    old = {key: state.pop(key) for key in ("samples_seen", "best_loss", "lr_factor")}
    old["learning_rate_scale"] = old.pop("lr_factor")
    old["validations_without_improvement"] = state.pop("validations_without_improvement")
    old |= {"tokens": state["tokens"], "val_loss": state["val_loss"]}
    checkpoint["callbacks"]["Recorder"] = old
    torch.save(checkpoint, path)
    assert train(["--resume", "old", "--trainer.max_steps", "12"]) == 0
    assert_equal_weights("whole", "old")


def test_last_validation_reaches_a_step_that_was_saved_before_it(folder: Path) -> None:
    every = ["--checkpointing.every_n_steps", "5", "--trainer.val_check_interval", "100"]
    assert train(["tiny.toml", "--trainer.max_steps", "5", *every]) == 0
    run = RunDirectory("run")
    for name in ("last.ckpt", "best.ckpt"):
        info = read_info(run.checkpoints / name)
        assert info is not None
        assert (info.step, info.val_loss) == (5, info.score)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_frozen_layers_keep_their_weights_and_the_rest_learns(folder: Path, optimizer: str) -> None:
    assert train(["tiny.toml", "--output_dir", "base", "--trainer.max_steps", "2"]) == 0
    first = RunDirectory("base").last_checkpoint
    frozen = ["--optimization.freeze_layers", "1", "--optimization.optimizer", optimizer]
    assert train(["tiny.toml", "--init_from", str(first), *frozen]) == 0
    before = load_model(str(first)).gpt.state_dict()
    after = load_model("run").gpt.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(("h.1.", "ln_f."))}


def test_freezing_more_layers_than_the_model_has_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"freeze_layers \(3\) must be ≤ model.n_layer \(2\)"):
        train(["tiny.toml", "--optimization.freeze_layers", "3"])


def test_shape_and_tokenizer_come_from_the_model_to_start_from(folder: Path) -> None:
    assert train(["tiny.toml", "--output_dir", "base", "--trainer.max_steps", "2"]) == 0
    text = Path("tiny.toml").read_text()
    shape = text[text.index("[model]") : text.index("[data]")]
    plain = text.replace(shape, "").replace('tokenizer_name = "byte"\n', "")
    Path("include.toml").write_text("[model]\nn_embd = 64\n")  # the model's shape goes over it
    Path("fine.toml").write_text('include = "include.toml"\ninit_from = "base"\n' + plain)
    assert train(["fine.toml"]) == 0
    resolved = load("run/config.toml")
    assert resolved.model == load("base/config.toml").model
    assert resolved.tokenizer_name == "byte"
    assert train(["--resume", "run", "--trainer.max_steps", "13"]) == 0
    cropped = ["fine.toml", "--model.n_ctx", "8", "--data.seq_len", "8", "--output_dir", "short"]
    assert train(cropped) == 0
    with pytest.raises(UserError, match=r"seq_len \(32\) must be ≤ model.n_ctx \(16\).*init_from"):
        train(["fine.toml", "--data.seq_len", "32", "--output_dir", "long"])
