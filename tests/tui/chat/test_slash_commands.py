"""Typed commands: names may be shortened, and an unknown one names the nearest."""

import pytest

from simplegpt.cli import UserError
from tui.chat.sampling import FIELDS
from tui.chat.screen import ChatScreen
from tui.chat.slash_commands import COMMANDS, NAMES, is_command, parse, suggestions, unescape


def test_every_command_has_an_action_of_the_screen() -> None:
    for command in COMMANDS:
        assert hasattr(ChatScreen, f"action_{command.action}"), command.name


def test_no_name_is_taken_twice() -> None:
    assert len(NAMES) == sum(1 + len(command.aliases) for command in COMMANDS)


def test_every_setting_can_be_typed() -> None:
    settings = {command.setting: command for command in COMMANDS if command.setting}
    assert set(settings) == set(FIELDS)
    for name, command in settings.items():
        value = "true" if name == "random_seed" else "1"
        assert parse(f"/{command.name} {value}").arguments == (name, value)
    assert parse("/temp 0.7").arguments == ("temperature", "0.7")
    assert parse("/tokens 9").arguments == ("n_tokens_to_generate", "9")


def test_names_may_be_shortened_where_one_is_meant() -> None:
    assert parse("/ret").command.name == "retry"
    assert parse("/top-p 0.9").arguments == ("top_p", "0.9")
    assert parse("/save my talk.md").arguments == ("my talk.md",)
    assert parse("/stop").command.action == "stop"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/rety", "unknown command /rety; did you mean '/retry'?"),
        ("/xyzzy", "unknown command /xyzzy; /help lists the commands"),
        ("/temp", "/temp needs a value: /temp NUMBER"),
        ("/undo 3", "/undo takes no value, got '3'"),
        ("/top_p 7", "top_p: expected a number > 0 and ≤ 1, got 7"),
    ],
)
def test_errors_name_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(line)
    assert str(caught.value) == message


def test_only_one_line_with_one_slash_is_a_command() -> None:
    assert is_command("/help")
    assert not is_command("//help")
    assert not is_command("/ a\nlonger text")
    assert unescape("//help") == "/help"
    assert unescape("text") == "text"


def test_suggestions_follow_what_is_typed() -> None:
    def names(text: str) -> list[str]:
        return [command.name for command in suggestions(text)]

    assert names("/comp") == ["compare"]
    assert {"retry", "repeat", "rename"} <= set(names("/re"))
    assert len(names("/")) == len(COMMANDS)
    assert names("/temp 0.7") == ["temp"], "what it expects stays on the screen"
    assert names("/re x") == names("//re") == names("text") == []
