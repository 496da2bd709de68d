"""Conversations are trees that lose nothing, on disk as in memory."""

from pathlib import Path

import pytest

from simplegpt.config.schema import SamplingConfig
from tui.chat.conversations import (
    Conversation,
    ConversationStore,
    Turn,
    parse,
    search,
    to_jsonl,
    to_markdown,
)


@pytest.fixture
def conversation() -> Conversation:
    """you -> answer -> you -> answer."""
    conversation = Conversation()
    at: str | None = None
    for role, text in (("you", "To be"), ("model", " or not"), ("you", " to"), ("model", " be.")):
        sampling = SamplingConfig(seed=7, temperature=0.5) if role == "model" else None
        model = "gpt2" if role == "model" else ""
        turn = Turn(role=role, text=text, parent=at, model=model, sampling=sampling)
        at = conversation.add(turn).id
    return conversation


def test_text_is_the_path_joined(conversation: Conversation) -> None:
    assert conversation.text == "To be or not to be."
    assert conversation.title == "To be or not to be."


def test_another_answer_is_a_sibling_and_both_can_be_shown(conversation: Conversation) -> None:
    first = conversation.path()[1]
    other = conversation.add(Turn(role="model", text=", that is", parent=first.parent))
    assert conversation.text == "To be, that is"
    assert [turn.id for turn in conversation.siblings(other)] == [first.id, other.id]
    assert conversation.show_sibling(other, -1)
    assert conversation.text == "To be or not to be.", "the whole old branch comes back"
    assert not conversation.show_sibling(conversation.path()[1], -1)


def test_saved_conversation_is_loaded_equal(conversation: Conversation, tmp_path: Path) -> None:
    store = ConversationStore(tmp_path / "conversations")
    conversation.add(
        Turn(
            role="model",
            text="é\n",
            parent=conversation.leaf,
            ids=[1, 2],
            pieces=["", "é\n"],
            logprobs=[-0.5, float("-inf")],
        )
    )
    store.save(conversation)
    loaded = store.load(conversation.id)
    assert loaded is not None
    assert loaded.header == conversation.header
    assert loaded.turns == conversation.turns


def test_damaged_lines_cost_only_themselves(conversation: Conversation) -> None:
    lines = conversation.lines()
    lines[2] = lines[2][:20]  # the first answer, cut by a full disk
    lines.append('{"type": "something newer", "id": "x"}')
    loaded = parse(lines)
    assert loaded is not None
    assert [turn.text for turn in loaded.turns.values()] == ["To be", " to", " be."]
    assert loaded.text == " to be.", "what followed the damaged turn begins on its own"


def test_turns_in_a_circle_do_not_hang_the_reader() -> None:
    lines = Conversation().lines()
    lines.append(Turn(id="a", parent="b", role="you", text="a").model_dump_json())
    lines.append(Turn(id="b", parent="a", role="you", text="b").model_dump_json())
    loaded = parse(lines)
    assert loaded is not None
    assert loaded.text == "ab"


def test_file_without_a_header_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("hello\n")
    store = ConversationStore(tmp_path)
    assert store.load("x") is None
    assert store.load("missing") is None
    assert search(store.read()) == []


def test_search_finds_every_word_in_any_branch(conversation: Conversation, tmp_path: Path) -> None:
    store = ConversationStore(tmp_path)
    store.save(conversation)
    other = Conversation()
    other.add(Turn(role="you", text="All the world's a stage"))
    store.save(other)
    assert [item.id for item in search(store.read(), "NOT be")] == [conversation.id]
    assert [item.id for item in search(store.read())] == [other.id, conversation.id], "latest first"
    assert search(store.read(), "not stage") == []
    assert "stage" in search(store.read(), "world")[0].excerpt


def test_deleted_conversation_can_be_restored(conversation: Conversation, tmp_path: Path) -> None:
    store = ConversationStore(tmp_path)
    store.save(conversation)
    store.delete(conversation.id)
    assert store.load(conversation.id) is None
    assert ConversationStore(tmp_path).restore() == conversation.id, "also in another session"
    assert store.restore() is None
    assert search(store.read())[0].title == conversation.title


def test_later_state_is_not_overwritten_by_an_earlier_one(
    conversation: Conversation, tmp_path: Path
) -> None:
    store = ConversationStore(tmp_path)
    earlier = conversation.snapshot()
    conversation.add(Turn(role="you", text=" More", parent=conversation.leaf))
    store.save(conversation)
    store.save(earlier)
    loaded = store.load(conversation.id)
    assert loaded is not None
    assert loaded.text == conversation.text


def test_markdown_has_the_exact_text_and_the_settings_that_repeat_it(
    conversation: Conversation,
) -> None:
    conversation.add(Turn(role="you", text="```python\n# x\n````", parent=conversation.leaf))
    markdown = to_markdown(conversation)
    assert "## gpt2 (seed 7, temperature 0.5)\n\n```text\n or not\n```" in markdown
    assert "`````text\n```python\n# x\n````\n`````" in markdown


def test_exported_lines_can_be_read_back(conversation: Conversation) -> None:
    loaded = parse(to_jsonl(conversation).splitlines())
    assert loaded is not None
    assert loaded.turns == conversation.turns
