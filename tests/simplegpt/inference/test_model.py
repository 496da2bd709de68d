"""Generation from Python."""

from pathlib import Path

import pytest
import torch

import simplegpt
from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig
from tests.simplegpt.models import random_gpt, save_checkpoint

SHAPE = ModelConfig(n_vocab=256, n_ctx=32, n_embd=16, n_head=2, n_layer=1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(random_gpt(SHAPE), tmp_path)


def test_greedy_text_is_the_likeliest_at_each_step(checkpoint: Path) -> None:
    model = simplegpt.load(str(checkpoint), device="cpu")
    ids = [ord(character) for character in "Now is"]
    for _ in range(20):
        ids.append(int(model.gpt.next_logits(torch.tensor([ids])).argmax()))
    expected = "".join(map(chr, ids[6:]))
    assert model.generate("Now is", n_tokens_to_generate=20, temperature=0) == expected
    pieces = list(model.stream("Now is", 20, temperature=0))
    assert "".join(pieces) == expected


def test_a_seed_gives_the_same_text_again(checkpoint: Path) -> None:
    model = simplegpt.load(str(checkpoint), device="cpu")
    first, again, other = (model.generate("a", 20, temperature=1, seed=n) for n in (1, 1, 2))
    assert first == again != other


def test_an_invalid_setting_is_named(checkpoint: Path) -> None:
    model = simplegpt.load(str(checkpoint), device="cpu")
    with pytest.raises(UserError, match="temperature"):
        model.generate("a", temperature=-1)
    with pytest.raises(UserError, match="temprature"):
        model.generate("a", temprature=1)
