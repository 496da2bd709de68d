"""The chat against the real engine, with a tiny random GPT."""

from pathlib import Path

import pytest
import torch
from textual.widgets import Static

from simplegpt.config.schema import ModelConfig
from simplegpt.model import GPT
from tests.tui.chatting import chatting, dialog, say, shown
from tests.tui.conftest import until
from tui.chat.alternatives import AlternativesDialog
from tui.chat.engine import ENGINE_COMMAND

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
    async with chatting(None, command=ENGINE_COMMAND) as (pilot, screen):
        screen.open_model(str(checkpoint))
        await until(pilot, lambda: screen.left.session.model.state in ("ready", "failed"))
        assert screen.left.session.model.error == ""
        assert screen.left.session.model.loaded is not None
        assert screen.left.session.model.loaded.step == 3

        # The context of 16 is full after the second answer, and the text goes on.
        await say(pilot, screen, "/tokens 12")
        await say(pilot, screen, "/temp 1")
        await say(pilot, screen, "Zoë:")
        first = screen.left.conversation.path()[-1]
        assert len(first.ids) == len(first.pieces) == len(first.logprobs) == 12
        assert shown(screen) == "Zoë:" + first.text
        await pilot.press("ctrl+g")
        await until(pilot, lambda: screen.can_generate)
        second = screen.left.conversation.path()[-1]
        assert second.prompt_ids == [*"Zoë:".encode(), *first.ids]
        assert second.context_slides > 0
        line = str(screen.left.query_one(".turn", Static).content)
        assert "context shifted" in line

        # The same seed gives the same answer.
        screen.action_repeat()
        await until(pilot, lambda: screen.can_generate)
        repeated = screen.left.conversation.path()[-1]
        assert repeated.id != second.id
        assert repeated.ids == second.ids

        # The text continues from the choice of another token.
        screen.left.transcript.focus()
        await pilot.press("enter")
        window = await dialog(pilot, AlternativesDialog)
        assert sum(a.probability for a in window.alternatives) <= 1.0001
        choice = window.alternatives[1]
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.left.conversation.siblings(second)) == 3)
        await until(pilot, lambda: screen.can_generate)
        chosen = screen.left.conversation.path()[-1]
        assert chosen.ids[chosen.n_given - 1] == choice.id


async def test_invalid_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.ckpt").write_text("not a checkpoint")
    async with chatting(None, command=ENGINE_COMMAND) as (pilot, screen):
        screen.open_model(str(tmp_path / "notes.ckpt"))
        await until(pilot, lambda: screen.left.session.model.state == "failed")
        assert "notes.ckpt" in screen.left.session.model.error
        assert "Traceback" not in screen.left.session.model.error
        assert screen.left.session.model.engine.is_running, "it can load another model"
