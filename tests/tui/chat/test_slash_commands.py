"""Typed commands are read leniently, and a slip names the nearest."""

import pytest

from simplegpt.cli import UserError
from simplegpt.config.schema import SamplingConfig
from tui.chat.screen import ChatScreen
from tui.chat.slash_commands import COMMANDS, hint, is_command, parse, prompt_of, table


def test_every_command_has_an_action_of_the_screen() -> None:
    for command in COMMANDS:
        if command.action != "set":
            assert hasattr(ChatScreen, f"action_{command.action}"), command.name


def test_every_setting_of_the_core_can_be_typed() -> None:
    for name in SamplingConfig.model_fields:
        assert parse(f"/{name} 1").setting == name
    assert parse("/temp 0.7").setting == "temperature"
    assert parse("/tokens 9").setting == "n_tokens_to_generate"


def test_names_may_be_shortened_where_one_is_meant() -> None:
    assert parse("/ret").command.name == "retry"
    assert parse("/top-p 0.9").setting == "top_p"
    assert parse("/save my talk.md").argument == "my talk.md"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/rety", "there is no command /rety; did you mean '/retry'?"),
        ("/xyzzy", "there is no command /xyzzy; /help lists them"),
        ("/temp", "/temp needs a value: /temp NUMBER"),
        ("/undo 3", "/undo takes no value, but got '3'"),
    ],
)
def test_slips_are_one_sentence(line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(line)
    assert str(caught.value) == message


def test_only_one_line_with_one_slash_is_a_command() -> None:
    assert is_command("/help")
    assert not is_command("//help")
    assert not is_command("/ a\nlonger text")
    assert prompt_of("//help") == "/help"
    assert prompt_of("text") == "text"


def test_hint_follows_what_is_typed() -> None:
    assert hint("/comp") == "/compare [NAME]: two models or settings side by side"
    assert "/temp" in hint("/te")
    assert "/retry" in hint("/re")
    assert "/repeat" in hint("/re")
    assert table().count("| `/") == len(COMMANDS)
