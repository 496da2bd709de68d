"""The keys of the Chat screen: what they act on, in which order, and where the focus is after."""

from textual.widgets import Input, Select

from tests.tui.chatting import ANSWER, NEXT, chatting, dialog, notices, say, say_only, shown
from tests.tui.conftest import SMALL, settle
from tui.chat.answer_list import AnswerList
from tui.chat.command_popup import CommandPopup
from tui.chat.model_list import ModelList
from tui.shell.dialogs import Question


async def test_keys_of_one_burst_are_handled_in_the_order_typed() -> None:
    async with chatting() as (pilot, screen):
        screen.prompt.focus()
        await pilot.pause()
        for key in (*"ab", "ctrl+n", *"cd", "ctrl+u", *"ef", "enter", *"next"):
            pilot.app.simulate_key(key)
        await settle(pilot)
        assert shown(screen) == "ab\nef" + ANSWER
        assert screen.prompt.text == "next"


async def test_tab_completes_a_command_and_never_leaves_the_prompt() -> None:
    async with chatting() as (pilot, screen):
        popup = screen.query_one(CommandPopup)
        await pilot.press(*"/re")
        assert popup.display
        assert popup.commands[1].name == "repeat"
        await pilot.press("down", "tab")
        assert screen.prompt.text == "/repeat "
        await pilot.press("escape")
        assert screen.prompt.text == ""
        assert not popup.display
        await pilot.press(*"one", "tab", *"nsu")
        assert screen.prompt.text == "onensu"


async def test_letters_are_commands_only_while_the_text_has_the_focus() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.form.query_one("#preset", Select).focus()
        await pilot.press("n", "p")
        screen.set_focus(None)
        await pilot.press("n", "p")
        assert shown(screen) == "x" + ANSWER
        assert not screen.probabilities
        screen.left.transcript.focus()
        await pilot.press("p")
        assert screen.probabilities


async def test_focus_returns_to_where_it_was() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        text = screen.left.transcript
        text.focus()
        await pilot.press("e", "escape")
        assert text.has_focus, "after a cancelled edit"
        assert screen.prompt.text == ""
        await pilot.press("e", *"y", "enter")
        await settle(pilot)
        assert shown(screen) == "xy" + ANSWER
        assert text.has_focus, "after an edit"
        await pilot.press("f7")
        await dialog(pilot, ModelList)
        await pilot.press("escape", "x")
        await dialog(pilot, Question)
        await pilot.press("enter")
        await settle(pilot)
        assert text.has_focus, "after a dialog, and in a comparison"
        await pilot.press("ctrl+t", "ctrl+t", "x")
        await settle(pilot)
        assert screen.right is None
        assert text.has_focus


async def test_sampling_key_moves_the_focus_there_and_back() -> None:
    async with chatting() as (pilot, screen):
        assert screen.side.display
        await pilot.press("ctrl+t")
        field = screen.form.query_one("#set-n_tokens_to_generate", Input)
        assert field.has_focus
        await pilot.press("up")
        assert screen.settings.n_tokens_to_generate == 50, "a step from 6"
        await pilot.press("tab", "down")
        assert screen.settings.sampling.temperature == 0.7
        await pilot.press("ctrl+t")
        assert screen.prompt.has_focus
        assert not screen.side.display


async def test_ctrl_c_names_the_key_that_quits() -> None:
    async with chatting(None) as (pilot, screen):
        await pilot.press(*"text", "ctrl+c")
        assert "f10" in notices(pilot).lower()
        assert screen.prompt.text == "text"


async def test_footer_follows_the_focus() -> None:
    async with chatting(None, size=SMALL) as (pilot, screen):

        def footer() -> dict[str, bool]:
            bindings = screen.active_bindings.values()
            return {b.binding.description: b.enabled for b in bindings if b.binding.show}

        assert footer()["Send"] is False, "there is no model"
        assert "Edit" not in footer()
        screen.open_model("tiny")
        await settle(pilot)
        assert footer()["Send"] is True
        await say(pilot, screen, "x")
        screen.left.transcript.focus()
        await pilot.pause()
        assert list(footer())[:5] == [
            "Alternatives",
            "Probabilities",
            "Edit",
            "Compare",
            "Checkpoints",
        ]


async def test_undo_puts_the_prompt_back_and_redo_takes_it() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "one")
        await say(pilot, screen, "two")
        screen.left.transcript.focus()
        await pilot.press("ctrl+z")
        assert shown(screen) == "one" + ANSWER
        assert screen.prompt.text == "two"
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert shown(screen) == ""
        await pilot.press("ctrl+y", "ctrl+y")
        await settle(pilot)
        assert shown(screen) == "one" + ANSWER + "two" + ANSWER


async def test_several_answers_are_listed_with_their_mean_logprob() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say_only(pilot, screen, "/answers 2")
        window = await dialog(pilot, AnswerList)
        assert [entry.columns[0] for entry in window.entries] == [
            "seed 1234",
            "seed 1235",
            "seed 1236",
        ]
        assert window.entries[0].columns[2] == "mean logprob -1.143"
        await pilot.press("down", "enter")
        await settle(pilot)
        assert shown(screen) == "x" + NEXT
        await say(pilot, screen, "/answers none")
        assert "from 1 to" in notices(pilot)


async def test_random_seed_is_drawn_for_each_answer_and_kept_with_it() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/random_seed true")
        await say(pilot, screen, "x")
        await say(pilot, screen, "y")
        answers = [turn for turn in screen.left.conversation.path() if turn.role == "model"]
        seeds = {turn.sampling.seed for turn in answers if turn.sampling is not None}
        assert len(seeds | {1234}) == 3


async def test_invalid_setting_holds_the_prompt_back() -> None:
    async with chatting() as (pilot, screen):
        screen.form.query_one("#set-top_p", Input).value = "1.5"
        await pilot.pause()
        await say(pilot, screen, "x")
        assert screen.prompt.text == "x"
        assert "top_p: expected a number > 0 and ≤ 1" in notices(pilot)


async def test_regenerate_answers_a_prompt_that_an_error_left_without_one() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.session.send("y", "", screen.left.conversation.leaf)
        screen.left.show_text()
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert shown(screen) == "x" + ANSWER + "y" + ANSWER
