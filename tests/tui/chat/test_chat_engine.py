"""The chat against the real engine, with a tiny random GPT."""

from pathlib import Path

import pytest
import torch
from textual.widgets import Static

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT
from tests.tui.chatting import chatting, say, shown, until
from tui.chat.alternatives import AlternativesWindow

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=32, n_head=4, n_layer=2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    gpt = GPT(SHAPE)
    path = tmp_path_factory.mktemp("run") / "ckpts" / "last.ckpt"
    path.parent.mkdir()
    values = {
        "state_dict": {f"gpt.{name}": tensor for name, tensor in gpt.state_dict().items()},
        "hyper_parameters": {"model": SHAPE.model_dump(), "tokenizer_name": "byte"},
        "global_step": 3,
    }
    torch.save(values, path)
    return path


async def test_a_conversation_with_the_real_engine(checkpoint: Path) -> None:
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(checkpoint))
        await until(pilot, lambda: screen.left.state in ("ready", "failed"))
        assert screen.left.error == ""
        assert screen.left.loaded is not None
        assert screen.left.loaded.step == 3

        # The context of 16 is full after the second answer, and the text goes on.
        await say(pilot, screen, "/tokens 12")
        await say(pilot, screen, "/temp 1")
        await say(pilot, screen, "Zoë:")
        first = screen.left.conversation.path()[-1]
        assert len(first.ids) == len(first.pieces) == len(first.logprobs) == 12
        assert shown(screen) == "Zoë:" + first.text
        await pilot.press("ctrl+g")
        await until(pilot, lambda: screen.left.state == "ready")
        second = screen.left.conversation.path()[-1]
        assert second.prompt_ids == [*"Zoë:".encode(), *first.ids]
        assert second.context_slides > 0
        line = str(screen.left.query_one(".turn", Static).content)
        assert "context full, older half dropped" in line

        # The same seed gives the same answer.
        screen.action_repeat()
        await until(pilot, lambda: screen.left.state == "ready")
        repeated = screen.left.conversation.path()[-1]
        assert repeated.id != second.id
        assert repeated.ids == second.ids

        # Another token's choice is gone on from.
        screen.left.transcript.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AlternativesWindow))
        window = pilot.app.screen
        assert isinstance(window, AlternativesWindow)
        assert sum(a.probability for a in window.alternatives) <= 1.0001
        choice = window.alternatives[1]
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.left.conversation.siblings(second)) == 3)
        await until(pilot, lambda: screen.left.state == "ready")
        chosen = screen.left.conversation.path()[-1]
        assert chosen.ids[chosen.n_given - 1] == choice.id


async def test_path_that_holds_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.ckpt").write_text("not a checkpoint")
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(tmp_path / "notes.ckpt"))
        await until(pilot, lambda: screen.left.state == "failed")
        assert "notes.ckpt" in screen.left.error
        assert "Traceback" not in screen.left.error
        assert screen.left.engine.is_running, "the process is there for the next model"
