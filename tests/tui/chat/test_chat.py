"""A conversation with a model: it grows, forks, is stopped and stored, and survives crashes."""

import os
import signal
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.tui.chatting import ANSWER, NEXT, chatting, dialog, notices, say, say_only, shown
from tests.tui.conftest import settle, until
from tui.chat.conversations import ConversationStore, search
from tui.chat.model_list import ModelList
from tui.shell.settings import data_folder


async def test_answer_follows_the_prompt_as_one_text() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "Count: four")
        assert shown(screen) == screen.left.conversation.text == "Count: four" + ANSWER
        assert screen.prompt.text == ""
        await pilot.press("ctrl+g")
        await settle(pilot)
        assert shown(screen) == "Count: four" + ANSWER + ANSWER, "it continues where it ended"


async def test_continue_uses_the_answer_s_own_tokens() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "ab")
        await pilot.press("ctrl+g")
        await settle(pilot)
        turn = screen.left.conversation.path()[-1]
        assert turn.prompt_ids == [ord("a"), ord("b"), *range(1000, 1006)]


async def test_regenerate_uses_the_next_seed_and_keeps_both() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert shown(screen) == "x" + NEXT
        screen.left.transcript.focus()
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert shown(screen) == "x" + ANSWER
        await pilot.press("right_square_bracket")
        assert shown(screen) == "x" + NEXT


async def test_repeat_gives_the_same_answer() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "/repeat")
        assert "all tokens match" in notices(pilot)
        assert len(screen.left.conversation.turns) == 3


async def test_stop_keeps_what_was_generated() -> None:
    async with chatting("slow") as (pilot, screen):
        await say_only(pilot, screen, "x")
        await until(pilot, lambda: shown(screen) == "x five six")
        await pilot.press("escape")
        await settle(pilot)
        assert screen.session.model.state == "ready"
        assert screen.left.conversation.text == "x five six"
        assert screen.left.conversation.path()[-1].reason == "cancelled"


async def test_prompt_stays_while_an_answer_is_generated() -> None:
    async with chatting("slow") as (pilot, screen):
        await say_only(pilot, screen, "x")
        await until(pilot, lambda: shown(screen) == "x five six")
        await say_only(pilot, screen, "next")
        assert screen.prompt.text == "next"
        assert shown(screen) == "x five six"
        await pilot.press("escape")
        await settle(pilot)


async def test_edited_text_replaces_the_old_one() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "one")
        await say(pilot, screen, "two")
        screen.left.transcript.focus()
        await pilot.press("home", "e")
        assert screen.prompt.text == "one"
        await say(pilot, screen, "ONE")
        assert shown(screen) == "ONE" + ANSWER
        assert len(screen.left.conversation.children(None)) == 2, "the old text is a branch"


async def test_fork_ends_the_text_at_the_cursor_s_turn() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "one")
        await say(pilot, screen, "two")
        screen.left.transcript.focus()
        await pilot.press("home", "right", "b")
        await settle(pilot)
        assert shown(screen) == "one" + ANSWER
        await say(pilot, screen, "three")
        assert shown(screen) == "one" + ANSWER + "three" + ANSWER


async def test_answer_continues_the_prefill() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/prefill Well,")
        await say(pilot, screen, "Q: why? A: ")
        assert shown(screen) == "Q: why? A: Well," + ANSWER
        roles = [turn.role for turn in screen.left.conversation.path()]
        assert roles == ["you", "prefill", "model"]
        assert not screen.prefill.display


async def test_empty_prompt_lets_the_model_start() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "")
        assert shown(screen) == ANSWER


async def test_without_a_model_the_prompt_stays_and_the_model_list_opens() -> None:
    async with chatting(None) as (pilot, screen):
        await say_only(pilot, screen, "hello")
        await dialog(pilot, ModelList)
        await pilot.press("escape")
        assert screen.prompt.text == "hello"


async def test_chat_works_where_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()  # a mode would not stop root
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for name in ("SIMPLEGPT_TUI_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "y")
        assert shown(screen) == "x" + ANSWER + "y" + ANSWER
        assert notices(pilot).count("Conversations cannot be saved") == 1
        assert notices(pilot).count("Prompts cannot be saved") == 1


async def test_failed_load_shows_the_error_and_another_model_can_be_loaded() -> None:
    async with chatting("missing") as (pilot, screen):
        assert screen.session.model.state == "failed"
        assert "did you mean 'gpt2'" in screen.session.model.error
        await say(pilot, screen, "/model tiny")
        assert screen.session.can_generate
        assert screen.session.model.error == ""


async def test_crash_while_loading_shows_the_last_line_of_the_log() -> None:
    async with chatting("crash") as (_, screen):
        assert screen.session.model.state == "failed"
        assert screen.session.model.error == "The engine exited with code 3: cannot allocate 90 GB."


async def test_killed_engine_is_restarted() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        pid = screen.session.model.engine.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(pilot, lambda: screen.session.model.state == "loading")
        await settle(pilot)
        assert screen.session.model.state == "ready"
        assert "killed" in screen.session.model.error
        assert screen.session.model.engine.pid != pid
        await say(pilot, screen, "y")
        assert shown(screen) == "x" + ANSWER + "y" + ANSWER


async def test_crash_in_an_answer_keeps_what_was_generated() -> None:
    async with chatting("mortal") as (pilot, screen):
        await say(pilot, screen, "x")
        assert shown(screen) == "x five six seven"
        assert screen.left.conversation.path()[-1].reason is None
        await until(pilot, lambda: screen.can_generate)


async def test_hanging_load_can_be_cancelled() -> None:
    async with chatting(None) as (pilot, screen):
        screen.open_model("forever")
        await until(pilot, lambda: screen.session.model.engine.pid is not None)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.session.model.state == "failed"
        assert screen.session.model.error == "Loading was cancelled."
        await say(pilot, screen, "/model tiny")
        assert screen.session.can_generate


async def test_second_stop_does_not_wait_for_the_engine() -> None:
    async with chatting("slow") as (pilot, screen):
        await say_only(pilot, screen, "x")
        await until(pilot, lambda: shown(screen) == "x five six")
        screen.action_stop()
        screen.action_stop()
        await until(pilot, lambda: screen.session.model.state == "ready")
        assert screen.left.conversation.text == "x five six"


async def test_typed_settings_take_effect_with_the_next_answer() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/temp 0.7")
        await say(pilot, screen, "/seed 0")
        assert screen.form.query_one("#set-temperature", Input).value == "0.7"
        await say(pilot, screen, "x")
        turn = screen.left.conversation.path()[-1]
        assert turn.sampling is not None
        assert (turn.sampling.temperature, turn.sampling.seed) == (0.7, 0)
        assert turn.text == " one two three four five six"


async def test_unknown_command_names_the_nearest_and_keeps_the_line() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/rety")
        assert "did you mean '/retry'" in notices(pilot)
        assert screen.prompt.text == "/rety"
        await say(pilot, screen, "/top_p 7")
        assert "expected a number > 0 and ≤ 1, got 7" in notices(pilot)


async def test_two_slashes_send_one() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "//etc")
        assert shown(screen) == "/etc" + ANSWER


async def test_arrow_keys_recall_earlier_prompts_at_the_edges() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "first")
        await pilot.press("a", "ctrl+n", "b", "up")
        assert screen.prompt.text == "a\nb", "up moves within the text first"
        await pilot.press("up")
        assert screen.prompt.text == "first"
        await pilot.press("down")
        assert screen.prompt.text == "a\nb", "the draft comes back"


async def test_next_workbench_has_the_conversation_and_the_prompts() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "remember me")
    store = ConversationStore(data_folder() / "conversations")
    assert [found.title for found in search(store.read(), "remember")] == ["remember me" + ANSWER]
    async with chatting(None) as (pilot, screen):
        await pilot.press("up")
        assert screen.prompt.text == "remember me"
        await pilot.press("f8")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert shown(screen) == "remember me" + ANSWER


async def test_answer_under_way_is_saved_when_the_workbench_quits() -> None:
    async with chatting("slow") as (pilot, screen):
        await say_only(pilot, screen, "x")
        await until(pilot, lambda: shown(screen) == "x five six")
    store = ConversationStore(data_folder() / "conversations")
    assert [found.excerpt for found in search(store.read())] == ["x five six"]


async def test_control_characters_do_not_reach_the_terminal() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "[red]no markup[/] \x1b[31m\x07")
        rows = [
            "".join(segment.text for segment in screen.left.transcript.render_line(y))
            for y in range(3)
        ]
        assert "[red]no markup[/] ␛[31m␇" in rows[0]
        assert "\x1b" not in "".join(rows)
