"""Evaluation counts every token once, and its figures are right."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig
from simplegpt.evaluate import main
from simplegpt.model import GPT
from tests.simplegpt.models import random_gpt, save_checkpoint

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=16, n_head=2, n_layer=1)
TEXT = "Now is the wintér of our discontent\nMade glorious summer by this sun of Yôrk;\n" * 3


@pytest.fixture
def gpt() -> GPT:
    return random_gpt(SHAPE)


@pytest.fixture
def checkpoint(gpt: GPT, tmp_path: Path) -> Path:
    return save_checkpoint(gpt, tmp_path)


def write_tokens(path: Path, ids: list[int]) -> Path:
    np.array(ids, dtype="<u2").tofile(path)
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "val.bin", [ord(character) for character in TEXT])


def evaluate(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, float]:
    assert main([*map(str, argv), "--json", "--device", "cpu"]) == 0
    values: dict[str, float] = json.loads(capsys.readouterr().out)
    return values


@torch.no_grad()
@pytest.mark.parametrize("seq_len", [1, 5, 16])
def test_every_token_but_the_first_counts_once(
    gpt: GPT, checkpoint: Path, tokens: Path, capsys: pytest.CaptureFixture[str], seq_len: int
) -> None:
    ids = torch.tensor([ord(character) for character in TEXT])
    n_predicted, losses = len(ids) - 1, []
    for target in range(1, len(ids)):
        # The window that predicts it: the last one is moved back to full length.
        start = min((target - 1) // seq_len * seq_len, n_predicted - seq_len)
        logits = gpt(ids[None, start:target])[0, -1]
        losses.append(-logits.log_softmax(-1)[ids[target]].item())
    values = evaluate(capsys, checkpoint, "--tokens", tokens, "--seq-len", seq_len)
    loss = sum(losses) / n_predicted
    assert values["n_predicted"] == n_predicted
    assert values["loss"] == pytest.approx(loss, rel=1e-5)
    assert values["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert values["n_bytes"] == len(TEXT[1:].encode())
    bits = sum(losses) / math.log(2) / len(TEXT[1:].encode())
    assert values["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


def test_figures_are_printed_for_people(
    checkpoint: Path, tokens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), "--tokens", str(tokens)]) == 0
    shown = capsys.readouterr().out
    assert [line.split("  ")[0] for line in shown.splitlines()[:3]] == [
        "loss",
        "perplexity",
        "bits per byte",
    ]
    assert f"{len(TEXT) - 1:,} tokens in windows of 16" in shown


def test_a_file_shorter_than_the_context_is_one_window(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = write_tokens(tmp_path / "short.bin", [1, 2, 3])
    values = evaluate(capsys, checkpoint, "--tokens", tokens)
    assert (values["n_predicted"], values["seq_len"]) == (2, 2)


@pytest.mark.parametrize(
    ("ids", "sidecar", "options", "message"),
    [
        ([1, 2, 300], None, [], r"largest token ID \(300\) must be < the model's n_vocab \(256\)"),
        ([1], None, [], "only one token"),
        (
            [1, 2, 3],
            None,
            ["--seq_len", "17"],
            r"--seq_len \(17\) must be ≤ .*n_ctx \(16\)",
        ),
        ([1, 2, 3], "byte", [], "encoded with tokenizer 'byte', but the model's is 'char'"),
        ([1, 2, 3], None, ["--seq_len", "x"], "expected an integer"),
        ([1, 2, 3], None, ["--tokns", "x"], "did you mean '--tokens'"),
    ],
)
def test_mismatches_are_one_message(
    checkpoint: Path,
    tmp_path: Path,
    ids: list[int],
    sidecar: str | None,
    options: list[str],
    message: str,
) -> None:
    tokens = write_tokens(tmp_path / "odd.bin", ids)
    if sidecar is not None:
        info = {"dtype": "uint16", "count": len(ids), "tokenizer": sidecar, "max_id": max(ids)}
        info |= {"sha256": "0" * 64, "source": "a test"}
        (tmp_path / "odd.bin.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=message):
        main([str(checkpoint), "--tokens", str(tokens), *options])


def test_tokens_of_nanogpts_own_vocabulary_are_another_tokenizers(
    checkpoint: Path, tokens: Path
) -> None:
    tokens.with_name("meta.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"the token IDs are those of .*meta\.pkl"):
        main([str(checkpoint), "--tokens", str(tokens), "--device", "cpu"])
