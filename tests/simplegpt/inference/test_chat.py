"""Answers in a dialogue, by a checkpoint that has a chat template."""

from pathlib import Path
from typing import Any

import pytest

from simplegpt.cli import UserError
from simplegpt.config.schema import SamplingConfig
from simplegpt.inference import protocol
from simplegpt.inference.engine import Engine, load_engine
from simplegpt.inference.protocol import AlternativesRequest, Done, GenerateRequest, LoadRequest
from tests.simplegpt.models import save_chat_checkpoint, save_checkpoint

HELLO = {"role": "user", "content": "Hello!"}
GREEDY = SamplingConfig(temperature=0)


def load(path: Path) -> tuple[Engine, protocol.Loaded]:
    return load_engine(LoadRequest(id="load", model=str(path), device="cpu"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load(save_chat_checkpoint(tmp_path_factory.mktemp("run")))[0]


def request(**fields: Any) -> GenerateRequest:
    return GenerateRequest.model_validate({"id": "1", "sampling": GREEDY, **fields})


def answer(engine: Engine, **fields: Any) -> tuple[str, Done]:
    *tokens, done = engine.generate(request(**fields))
    assert isinstance(done, Done)
    return "".join(one.text for one in tokens if isinstance(one, protocol.Tokens)), done


def test_a_checkpoint_says_its_template_and_a_base_model_has_none(tmp_path: Path) -> None:
    engine, loaded = load(save_chat_checkpoint(tmp_path))
    assert loaded.chat_template == "simplegpt"
    (tmp_path / "base").mkdir()
    base, loaded = load(save_checkpoint(engine.gpt, tmp_path / "base"))
    assert loaded.chat_template is None
    with pytest.raises(UserError, match="has no chat template"):
        list(base.generate(request(messages=[HELLO])))


def test_an_answer_is_the_continuation_of_the_templates_tokens(engine: Engine) -> None:
    text, done = answer(engine, messages=[HELLO], n_tokens_to_generate=20)
    prompt = "User:\nHello!<|endoftext|>Assistant:\n"
    assert engine.tokenizer is not None
    assert engine.tokenizer.decode(done.prompt_ids) == prompt
    assert engine.end_of_text in done.prompt_ids
    same, plain = answer(engine, prompt_ids=[done.prompt_ids], n_tokens_to_generate=20)
    assert text == same
    assert plain.prompt_ids == []
    alternatives = engine.alternatives(
        AlternativesRequest.model_validate({"id": "2", "messages": [HELLO]})
    )
    assert alternatives.prompt_ids == done.prompt_ids


def test_a_message_of_the_assistants_is_continued(engine: Engine) -> None:
    begun = [HELLO, {"role": "assistant", "content": "I am "}]
    _, done = answer(engine, messages=begun, n_tokens_to_generate=5)
    assert engine.tokenizer is not None
    assert engine.tokenizer.decode(done.prompt_ids).endswith("Assistant:\nI am ")


def test_an_answer_ends_at_the_end_token(tmp_path: Path) -> None:
    engine, _ = load(save_chat_checkpoint(tmp_path, answers=False))
    text, done = answer(engine, messages=[HELLO])
    assert (text, done.reason) == ("", "end_of_text")


def test_a_dialogue_that_is_too_long_loses_its_oldest_messages_and_says_so(engine: Engine) -> None:
    n_ctx = engine.gpt.config.n_ctx
    old = [{"role": role, "content": "Hello! " * 20} for role in ("user", "assistant")]
    messages = [{"role": "system", "content": "Be brief."}, *old, *old, HELLO]
    _, done = answer(engine, messages=messages, n_tokens_to_generate=1000)
    assert done.n_dropped == 4
    assert engine.tokenizer is not None
    assert engine.tokenizer.decode(done.prompt_ids).startswith(
        "System:\nBe brief.<|endoftext|>User"
    )
    # it ends where the context is full: a shifted one would lose the system prompt
    assert (done.reason, done.results[0].context_used) == ("length", n_ctx)
    assert done.results[0].context_slides == 0
