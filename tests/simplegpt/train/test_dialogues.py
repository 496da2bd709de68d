"""Training on dialogues: what the loss counts, alone and over batches, and what it cannot see."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from simplegpt.checkpoint import load_model
from simplegpt.config import load as config_file
from simplegpt.data.__main__ import main as encode
from simplegpt.data.chat import CHAT_TEMPLATE
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.data.tokens import open_tokens
from simplegpt.data.windows import DialogueWindows
from simplegpt.evaluate.loss import mean_loss
from simplegpt.model import GPT
from simplegpt.run.directory import RunDirectory
from simplegpt.run.events import Sample, TrainStep, Validation
from simplegpt.train.__main__ import main as train
from simplegpt.train.batches import TrainingBatches
from simplegpt.train.recorder import Recorder
from simplegpt.train.samples import Samples
from tests.simplegpt.models import train_tokenizer
from tests.simplegpt.tiny import TINY

SEQ_LEN = 96


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with token files of dialogues and chat.toml, as the working directory."""
    monkeypatch.chdir(tmp_path)
    train_tokenizer(tmp_path)
    lines = []
    for i in range(60):
        turns = [("user", f"Hello {i}!"), ("assistant", "I am fine. " * (1 + i % 4))]
        messages = [{"role": role, "content": content} for role, content in turns]
        lines.append(json.dumps({"messages": messages * (1 + i % 2)}))
    Path("chat.jsonl").write_text("\n".join(lines))
    encode(["--chat_file", "chat.jsonl", "--output_dir", ".", "--tokenizer_name", "tokenizer.json"])
    config = TINY.replace("train.bin", "train-tokenizer.bin").replace(
        "val.bin", "val-tokenizer.bin"
    )
    config = config.replace('"byte"', '"tokenizer.json"').replace("n_vocab = 256", "n_vocab = 300")
    Path("chat.toml").write_text(
        config.replace("= 16\n", f"= {SEQ_LEN}\n", 1).replace(
            "seq_len = 16", f"seq_len = {SEQ_LEN}"
        )
    )
    return tmp_path


def losses_alone(gpt: GPT, path: str) -> list[float]:
    """The loss of each answer's token, of each dialogue read alone."""
    tokens = open_tokens(path)
    ids, marks = tokens.slice(0, len(tokens)), tokens.marks()
    ends = [*np.flatnonzero(marks == 2)[1:], len(ids)]
    losses: list[float] = []
    start = 0
    for end in ends:
        document = torch.from_numpy(ids[start:end])
        with torch.no_grad():
            logits = gpt(document[None, :-1])[0]
        each = F.cross_entropy(logits, document[1:], reduction="none")
        losses += each[torch.from_numpy(marks[start + 1 : end] == 1)].tolist()
        start = end
    return losses


def steps_of(run: str) -> list[TrainStep]:
    return [
        event for event in RunDirectory(Path(run)).read_events() if isinstance(event, TrainStep)
    ]


def test_validation_is_the_mean_over_the_answers_of_dialogues_alone(folder: Path) -> None:
    assert train(["chat.toml"]) == 0
    loaded = load_model("run")
    assert loaded.chat_template == "simplegpt"
    losses = losses_alone(loaded.gpt, "val-tokenizer.bin")
    last = [e for e in RunDirectory(Path("run")).read_events() if isinstance(e, Validation)][-1]
    assert last.val_loss == pytest.approx(np.mean(losses), rel=1e-5)
    loss, n = mean_loss(loaded.gpt, open_tokens("val-tokenizer.bin"), SEQ_LEN)
    assert (loss, n) == (pytest.approx(np.mean(losses), rel=1e-5), len(losses))


def test_a_step_is_the_same_however_its_windows_are_batched(folder: Path) -> None:
    """Its loss is the mean over the answers' tokens of all its batches, and so is its gradient."""
    plain = ["--optimization.dropout_p", "0", "--trainer.max_steps", "4"]
    plain += ["--trainer.log_every_n_steps", "1"]
    for run, size, n_batches in (("one", 4, 1), ("four", 1, 4)):
        batches = ["--data.train_batch_size", str(size)]
        batches += ["--trainer.accumulate_grad_batches", str(n_batches)]
        assert train(["chat.toml", *plain, *batches, "--output_dir", run]) == 0
    one, four = steps_of("one"), steps_of("four")
    assert [step.loss for step in one] == pytest.approx([step.loss for step in four], rel=1e-5)
    assert [s.grad_norm for s in one] == pytest.approx([s.grad_norm for s in four], rel=1e-4)
    # the first step's loss is that of the initial weights on its answers
    config = config_file.load("chat.toml")
    windows = DialogueWindows(open_tokens("train-tokenizer.bin"), SEQ_LEN, config.seed)
    torch.manual_seed(config.seed)
    gpt = GPT(config.model)
    batch = windows.batch(windows.training(range(4)))
    assert batch.documents is not None
    inputs, targets, documents = map(torch.from_numpy, batch)
    assert one[0].loss == pytest.approx(gpt(inputs, targets, documents=documents).item(), rel=1e-5)


def test_weights_of_a_steps_batches_are_shares_of_its_answers(folder: Path) -> None:
    """Over two devices of two batches each, from any first sample and across epochs."""
    windows = DialogueWindows(open_tokens("train-tokenizer.bin"), SEQ_LEN, seed=3)
    data = TrainingBatches(windows, start=5, n_batches=4)
    for step in range(2 * len(windows)):
        first = 5 + 8 * step
        batches = [data[[first + 2 * i, first + 2 * i + 1]] for i in range(4)]
        assert all(isinstance(batch, tuple) for batch in batches)
        counts = [int((batch.targets >= 0).sum()) for batch in batches]
        weights = [float(batch.weight) for batch in batches]
        assert weights == pytest.approx([4 * n / sum(counts) for n in counts])


def test_a_resumed_run_repeats_the_uninterrupted_one(folder: Path) -> None:
    options = ["chat.toml", "--trainer.accumulate_grad_batches", "2"]
    assert train([*options, "--output_dir", "whole", "--trainer.max_steps", "6"]) == 0
    assert train([*options, "--output_dir", "parts", "--trainer.max_steps", "3"]) == 0
    assert train(["--resume", "parts", "--trainer.max_steps", "6"]) == 0
    whole, parts = (load_model(run).gpt.state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_samples_are_answers_to_their_prompts(folder: Path) -> None:
    options = {"samples.every_n_steps": "2", "samples.prompts": "Hello!"}
    config = config_file.load(Path("chat.toml"), list(options.items()))
    assert config.samples is not None
    recorder = Recorder(RunDirectory(Path("run")), config)
    samples = Samples(config.samples, config, CHAT_TEMPLATE, recorder)
    text = load_tokenizer("tokenizer.json").decode(samples.prompts["Hello!"])
    assert text == "User:\nHello!<|endoftext|>Assistant:\n"
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    assert train(["chat.toml", "--trainer.max_steps", "2", *words]) == 0
    events = RunDirectory(Path("run")).read_events()
    assert [event.prompt for event in events if isinstance(event, Sample)] == ["Hello!\n"]


def test_dialogues_that_are_too_long_are_counted_in_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["chat.toml", "--data.seq_len", "48", "--trainer.max_steps", "2"]) == 0
    shown = capsys.readouterr().out
    assert "dialogues are longer than data.seq_len (48)" in shown
    assert "simplegpt chat run/ckpts/last.ckpt" in shown
