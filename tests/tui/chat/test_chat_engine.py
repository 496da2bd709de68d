"""The chat against the real engine, with a tiny random GPT."""

from pathlib import Path

import pytest
import torch
from textual.widgets import Static

from simplegpt.config.schema import ModelConfig
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.model import GPT
from tests.simplegpt.models import save_chat_checkpoint
from tests.tui.chatting import chatting, dialog, notices, say, shown
from tests.tui.conftest import settle, until
from tui.chat.alternatives import AlternativesDialog
from tui.chat.conversations import ConversationStore
from tui.chat.engine import ENGINE_COMMAND
from tui.shell.dialogs import TextDialog
from tui.shell.settings import data_folder

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


async def test_a_chat_model_answers_in_turns(tmp_path: Path) -> None:
    chat = save_chat_checkpoint(tmp_path)
    async with chatting(None, command=ENGINE_COMMAND) as (pilot, screen):
        screen.open_model(str(chat))
        await until(pilot, lambda: screen.can_generate)
        assert "chat template simplegpt" in str(screen.left.border_title)
        await say(pilot, screen, "")
        assert shown(screen) == "", "there is no message yet"

        await say(pilot, screen, "/system Be brief.")
        await say(pilot, screen, "Hello!")
        conversation = screen.left.conversation
        yours, first = conversation.path()
        assert (yours.template, first.template) == ("simplegpt", "simplegpt")
        dialogue = f"You:\nHello!\n\nAssistant:\n{first.text}"
        assert shown(screen) == f"System:\nBe brief.\n\n{dialogue}"
        assert conversation.text == dialogue
        assert conversation.title == "Hello!"
        assert tokens_as_text(first.prompt_ids, tmp_path) == (
            "System:\nBe brief.<|endoftext|>User:\nHello!<|endoftext|>Assistant:\n"
        )

        # Each turn can be regenerated, continued and edited.
        await pilot.press("ctrl+r")
        await until(pilot, lambda: screen.can_generate)
        again = conversation.path()[-1]
        assert conversation.siblings(again) == [first, again]
        assert again.prompt_ids == first.prompt_ids
        await pilot.press("ctrl+g")
        await until(pilot, lambda: screen.can_generate)
        more = conversation.path()[-1]
        assert more.prompt_ids == [*again.prompt_ids, *again.ids]
        assert shown(screen).endswith(f"Assistant:\n{again.text}{more.text}")
        await say(pilot, screen, "And you?")
        answer = tokens_as_text(conversation.path()[-1].prompt_ids, tmp_path)
        assert f"Assistant:\n{again.text}{more.text}".rstrip() in answer
        assert answer.endswith("<|endoftext|>User:\nAnd you?<|endoftext|>Assistant:\n")
        screen.left.transcript.focus()
        await pilot.press("home", "e")
        await dialog(pilot, TextDialog)  # the cursor is on the system prompt
        await pilot.press("ctrl+u", "enter")
        await settle(pilot)
        assert conversation.header.system == ""
        screen.left.transcript.focus()
        await pilot.press("home", "e")
        assert screen.prompt.text == "Hello!"
        await say(pilot, screen, "Hi!")
        assert tokens_as_text(conversation.path()[-1].prompt_ids, tmp_path) == (
            "User:\nHi!<|endoftext|>Assistant:\n"
        )

        # An alternative to a token continues the message.
        screen.left.transcript.focus()
        await pilot.press("end", "enter")
        await dialog(pilot, AlternativesDialog)
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(conversation.siblings(conversation.path()[-1])) == 2)
        await until(pilot, lambda: screen.can_generate)
        assert conversation.path()[-1].n_given > 0

        # Where the context is full, the oldest messages are left out, never the system prompt.
        await say(pilot, screen, "/system Be brief.")
        await say(pilot, screen, "/tokens 90")
        await say(pilot, screen, "Hello!")
        filled = conversation.path()[-1]
        assert filled.context_used == 128
        await say(pilot, screen, "Hello!")
        await until(pilot, lambda: screen.can_generate)
        last = conversation.path()[-1]
        assert last.n_dropped > 0
        assert last.context_slides == 0
        assert tokens_as_text(last.prompt_ids, tmp_path).startswith("System:\nBe brief.")

    saved = ConversationStore(data_folder() / "conversations").load(conversation.id)
    assert saved is not None
    assert saved.text == conversation.text


async def test_a_conversation_changes_between_a_chat_and_a_base_model(
    checkpoint: Path, tmp_path: Path
) -> None:
    chat = save_chat_checkpoint(tmp_path)
    async with chatting(None, command=ENGINE_COMMAND) as (pilot, screen):
        screen.open_model(str(checkpoint))
        await until(pilot, lambda: screen.can_generate)
        await say(pilot, screen, "Once")
        text = shown(screen)
        screen.open_model(str(chat))
        await until(pilot, lambda: screen.can_generate)
        await say(pilot, screen, "Hello!")
        assert shown(screen).startswith(f"{text}\n\nYou:\nHello!\n\nAssistant:\n")
        path = screen.left.conversation.path()
        read = tokens_as_text(path[-1].prompt_ids, tmp_path)
        assert read.startswith("User:\nOnce<|endoftext|>Assistant:\n")
        screen.open_model(str(checkpoint))
        await until(pilot, lambda: screen.can_generate)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: screen.can_generate)
        continued = screen.left.conversation.path()[-1]
        assert continued.prompt_ids == [], "the tokens of the other tokenizer mean nothing to it"
        assert shown(screen) == screen.left.conversation.text
        text_area = screen.left.transcript
        text_area.focus()
        text_area.cursor = next(
            i for i, piece in enumerate(text_area.pieces) if piece.turn == path[-1].id
        )
        await pilot.press("right", "enter")
        await settle(pilot)
        assert "Another kind of model" in notices(pilot)


def tokens_as_text(ids: list[int], folder: Path) -> str:
    return load_tokenizer(str(folder / "tokenizer.json")).decode(ids)


async def test_invalid_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.ckpt").write_text("not a checkpoint")
    async with chatting(None, command=ENGINE_COMMAND) as (pilot, screen):
        screen.open_model(str(tmp_path / "notes.ckpt"))
        await until(pilot, lambda: screen.left.session.model.state == "failed")
        assert "notes.ckpt" in screen.left.session.model.error
        assert "Traceback" not in screen.left.session.model.error
        assert screen.left.session.model.engine.is_running, "it can load another model"
