"""The chat command, as a person or a script uses it, and the same from Python."""

import io
import json
from pathlib import Path

import pytest

import simplegpt
from simplegpt.chat import main
from simplegpt.cli import UserError
from tests.simplegpt.models import random_gpt, save_chat_checkpoint, save_checkpoint

OPTIONS = ["--device", "cpu", "--n_tokens_to_generate", "8", "--temperature", "0"]
HELLO = {"role": "user", "content": "Hello!"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_chat_checkpoint(tmp_path_factory.mktemp("run"))


def ask(checkpoint: Path, *messages: dict[str, str]) -> str:
    model = simplegpt.load(str(checkpoint), device="cpu")
    return model.generate(messages, n_tokens_to_generate=8, temperature=0)


def test_each_line_is_answered_in_the_dialogue_so_far(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello!\n\nHow are you?\n"))
    assert main([str(checkpoint), *OPTIONS, "--system", "Be brief."]) == 0
    system = {"role": "system", "content": "Be brief."}
    first = ask(checkpoint, system, HELLO)
    answer = {"role": "assistant", "content": first}
    second = ask(checkpoint, system, HELLO, answer, {"role": "user", "content": "How are you?"})
    assert capsys.readouterr().out == f"{first}\n\n{second}\n\n"


def test_dialogues_of_a_file_are_completed_as_json_lines(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = [HELLO, {"role": "assistant", "content": "I am"}]
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in ([HELLO], begun)))
    assert main([str(checkpoint), *OPTIONS, "--messages", str(path)]) == 0
    answered, continued = map(json.loads, capsys.readouterr().out.splitlines())
    assert answered["messages"] == [
        HELLO,
        {"role": "assistant", "content": ask(checkpoint, HELLO)},
    ]
    whole = "I am" + ask(checkpoint, *begun)
    assert continued["messages"] == [HELLO, {"role": "assistant", "content": whole}]


def test_messages_that_are_left_out_are_said(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello! How are you today?\n" * 9))
    assert main([str(checkpoint), *OPTIONS]) == 0
    assert "warning: the oldest 2 messages of the dialogue not read" in capsys.readouterr().err


def test_a_base_model_and_invalid_messages_are_one_message(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = simplegpt.load(str(checkpoint), device="cpu")
    base = save_checkpoint(random_gpt(model.gpt.config), tmp_path)
    with pytest.raises(UserError, match="has no chat template"):
        main([str(base), *OPTIONS])
    (tmp_path / "asked.jsonl").write_text('\n{"messages": [{"role": "me", "content": ""}]}')
    with pytest.raises(UserError, match=r"asked\.jsonl:2: messages\.0\.role"):
        main([str(checkpoint), "--messages", str(tmp_path / "asked.jsonl")])
    with pytest.raises(UserError, match="role"):
        model.generate([{"role": "me", "content": "Hello"}])
    with pytest.raises(UserError, match="expected either prompts, prompt_ids or messages"):
        model.generate([])
