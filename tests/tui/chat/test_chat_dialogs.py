"""Probabilities, alternatives, comparisons, presets, exports, and the dialogs of the chat."""

import os
from pathlib import Path

import pytest
from textual.widgets import DataTable, Input, Select, Static

from simplegpt.config.schema import SamplingConfig, settings_of
from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import Status
from tests.tui.chatting import ANSWER, chatting, dialog, notices, say, say_only, shown
from tests.tui.conftest import SMALL, settle, until
from tui.chat.alternatives import AlternativesDialog
from tui.chat.checkpoint_comparison import CheckpointAnswer, CheckpointComparison
from tui.chat.conversation_list import ConversationList
from tui.chat.conversations import parse
from tui.chat.model_list import ModelList
from tui.chat.sampling import describe_sampling
from tui.shell import settings
from tui.shell.dialogs import Question, TextDialog


def save_checkpoint(run: Path, step: int, name: str = "last.ckpt") -> Path:
    """A checkpoint's file as the fake engine needs it, with its sidecar; last.ckpt unvalidated."""
    path = run / "ckpts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    info = CheckpointInfo(
        step=step,
        val_loss=2.0 - step / 1000,
        score=None if name == "last.ckpt" else 2.0 - step / 1000,
        time=1_790_000_000.0 + step,
    )
    sidecar(path).write_text(info.model_dump_json())
    return path


def live_run(folder: Path) -> Path:
    """A run whose process is this one."""
    run = RunDirectory(folder)
    run.create()
    run.write_status(Status.of_this_process("running", step=500, max_steps=1000))
    return run.path


async def test_token_shows_its_probability_and_id() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.left.transcript.focus()
        await pilot.press("left")
        await pilot.pause()
        line = str(screen.left.query_one(".turn", Static).content)
        assert line.startswith("“·nine” 90.0% before sampling · ID 1004")


async def test_probabilities_colour_tokens_by_how_likely_they_were() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.left.transcript.focus()
        await pilot.press("home", "p")
        await pilot.pause()
        segments = list(screen.left.transcript.render_line(0))
        ground = [(s.text, s.style.bgcolor) for s in segments if s.style is not None]
        five, six, eight = (
            next(colour for text, colour in ground if word in text)
            for word in ("five", "six", "eight")
        )
        assert five != six, "4% against 90%"
        underlined = "".join(s.text for s in segments if s.style and s.style.underline)
        assert "five" in underlined, "visible without colour too"
        assert "six" not in underlined
        assert five == eight


async def test_enter_on_an_alternative_continues_from_it_and_keeps_the_old_answer() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.left.transcript.focus()
        await pilot.press("home", "right", "right", "enter")
        table = (await dialog(pilot, AlternativesDialog)).query_one(DataTable)
        row = [str(cell) for cell in table.get_row_at(0)]
        assert (row[1], row[2], row[4]) == ("·alpha", "50.0%", "80.0%")
        assert [str(cell) for cell in table.get_row_at(2)][1:5:3] == ["↵", "–"]
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.can_generate and "beta five" in shown(screen))
        assert shown(screen) == "x five beta" + ANSWER
        turn = screen.left.conversation.path()[-1]
        assert turn.prompt_ids == [ord("x")]
        assert turn.ids[:2] == [1000, 2001]
        assert turn.n_given == 2
        await pilot.press("left_square_bracket")
        assert shown(screen) == "x" + ANSWER


async def test_markdown_view_keeps_every_line_while_an_answer_streams() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "# Title\n\nfirst\nsecond")
        await say(pilot, screen, "/markdown")
        assert screen.left.query("MarkdownH1")
        await pilot.press("ctrl+g")
        await settle(pilot)
        blocks = screen.left.query("MarkdownParagraph")
        words = " ".join(str(block.render()) for block in blocks).split()
        assert words == screen.left.conversation.text.split()[2:]
        await say(pilot, screen, "/raw")
        assert not screen.markdown


async def test_copy_reaches_the_clipboard() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "/copy")
        assert pilot.app.clipboard == ANSWER
        await say(pilot, screen, "/copy all")
        assert pilot.app.clipboard == "x" + ANSWER


async def test_export_asks_before_replacing(workplace: Path) -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "/save talk.jsonl")
        exported = parse((workplace / "talk.jsonl").read_bytes().splitlines())
        assert exported is not None
        assert exported.text == "x" + ANSWER
        (workplace / "talk.md").write_text("mine")
        await say_only(pilot, screen, "/save talk.md")
        await dialog(pilot, Question)
        await pilot.press("enter")  # Cancel has the focus
        await settle(pilot)
        assert (workplace / "talk.md").read_text() == "mine"


async def test_export_to_an_unknown_users_home_is_refused(workplace: Path) -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say_only(pilot, screen, "/save ~nobody-at-all/talk.md")
        await until(pilot, lambda: "no such user" in notices(pilot))
        assert list(workplace.glob("~*")) == []


async def test_invalid_setting_is_shown_below_its_field_and_has_no_effect() -> None:
    async with chatting() as (pilot, screen):
        field = screen.form.query_one("#set-top_p", Input)
        field.value = "1.5"
        await pilot.pause()
        problem = screen.form.query_one("#error-top_p", Static)
        assert problem.display
        assert str(problem.content) == "expected a number > 0 and ≤ 1, got 1.5"
        assert field.value == "1.5"
        assert screen.left.session.settings.sampling.top_p == 1
        field.value = "0.9"
        await pilot.pause()
        assert not problem.display
        assert screen.left.session.settings.sampling.top_p == 0.9
        assert screen.form.query_one("#row-top_p").has_class("-changed")


async def test_every_field_of_the_core_has_a_row_with_its_docstring() -> None:
    async with chatting(None) as (_, screen):
        for name, setting in settings_of(SamplingConfig).items():
            label = screen.form.query_one(f"#row-{name} .name")
            assert setting.description in str(label.tooltip)


async def test_stop_texts_can_hold_newlines_and_bars() -> None:
    async with chatting() as (pilot, screen):
        screen.form.query_one("#set-stop", Input).value = r"\n\n|a\|b"
        await pilot.pause()
        assert screen.left.session.settings.sampling.stop == ["\n\n", "a|b"]


async def test_preset_is_saved_applied_and_deleted() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/temp 0.7")
        await pilot.click("#save-preset")
        await dialog(pilot, TextDialog)
        await pilot.press(*"mine", "enter")
        await settle(pilot)
        kept = settings.Settings.load().sampling_presets
        assert kept["mine"].temperature == 0.7
        await say(pilot, screen, "/preset greedy")
        assert screen.left.session.settings.sampling.temperature == 0
        await say(pilot, screen, "/preset mine")
        assert screen.left.session.settings.sampling.temperature == 0.7
        assert screen.form.query_one("#preset", Select).value == "mine"
        await pilot.click("#delete-preset")
        await settle(pilot)
        assert not settings.Settings.load().sampling_presets
        await say(pilot, screen, "/preset minee")
        assert "Unknown preset minee" in notices(pilot)


async def test_compared_settings_answer_from_the_same_seed() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say_only(pilot, screen, "/compare")
        await dialog(pilot, Question)
        await pilot.press("enter")  # the settings
        await settle(pilot)
        right = screen.right
        assert right is not None
        assert right.session.model.engine is screen.left.session.model.engine
        assert screen.active is right
        await say(pilot, screen, "/tokens 2")
        titles = [str(pane.border_title) for pane in screen.panes]
        assert titles[0].startswith("Left · max tokens 6 · ")
        assert titles[1].startswith("Right · max tokens 2 · ")
        await say(pilot, screen, "/seed 7")
        await say(pilot, screen, "y")
        assert shown(screen) == "x" + ANSWER + "y" + ANSWER
        assert right.conversation.text == "x" + ANSWER + "y five six"
        await say(pilot, screen, "/compare")
        assert screen.right is None
        assert screen.form.border_title == "Sampling"
        assert str(screen.left.border_title).startswith("x five six")


async def test_second_stop_restarts_a_shared_engine_once() -> None:
    async with chatting("slow") as (pilot, screen):
        await say_only(pilot, screen, "/compare")
        await dialog(pilot, Question)
        await pilot.press("enter")  # the settings
        await settle(pilot)
        engine = screen.session.model.engine
        pid = engine.pid
        await say_only(pilot, screen, "x")
        await until(pilot, lambda: shown(screen) == "x five six")
        screen.action_stop()
        screen.action_stop()
        await until(pilot, lambda: screen.can_generate)
        assert all(pane.session.model.engine is engine for pane in screen.panes)
        assert engine.pid != pid
        assert screen.left.conversation.text == "x five six"
        assert screen.right is not None
        assert screen.right.conversation.text == "x", "its answer had not begun"


async def test_compared_models_have_an_engine_each() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/compare other-chat")
        right = screen.right
        assert right is not None
        assert right.session.model.loaded is not None
        assert (
            right.session.model.loaded.model,
            right.session.model.engine.pid != screen.left.session.model.engine.pid,
        ) == ("other-chat", True)
        await say(pilot, screen, "x")
        assert shown(screen) == "x" + ANSWER
        assert right.conversation.text == f"You:\nx\n\nAssistant:\n{ANSWER}", "it chats in turns"
        pid = right.session.model.engine.pid
        assert pid is not None
        await say(pilot, screen, "/compare")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_checkpoints_are_compared_the_oldest_first(workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    for step, name in ((100, "step-000100.ckpt"), (200, "step-000200.ckpt"), (300, "last.ckpt")):
        save_checkpoint(run, step, name)
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say_only(pilot, screen, "/checkpoints models/run")
        window = await dialog(pilot, CheckpointComparison)
        await until(pilot, lambda: len(window.query(".-ended")) == 3)
        answers = list(window.query(CheckpointAnswer))
        assert [answer.checkpoint.info.step for answer in answers] == [100, 200, 300]
        assert "val loss 1.9000" in str(answers[0].border_title)
        assert "val loss –" in str(answers[2].border_title), "not that of another step"
        assert [answer.text for answer in answers] == [ANSWER] * 3
        pid = window.engine.pid
        assert pid is not None
        await pilot.press("escape")
        await settle(pilot)
        assert not window.engine.is_running


async def test_model_list_has_runs_with_their_checkpoints_and_pretrained_names(
    workplace: Path,
) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 300)
    async with chatting(None) as (pilot, screen):
        await pilot.press("f7")
        window = await dialog(pilot, ModelList)
        await until(pilot, lambda: bool(window.entries))
        names = [entry.label.strip() for entry in window.entries]
        assert names[:2] == ["models/run", "last.ckpt"]
        assert "gpt2-xl" in names
        await pilot.press(*"last", "enter")
        await until(pilot, lambda: screen.loaded is not None)
        assert screen.loaded is not None
        assert screen.loaded.model == str(run / "ckpts" / "last.ckpt")
        assert screen.live_run is not None, "it is training, and is not slowed down"
        assert screen.live_run.path == run


async def test_model_list_takes_a_typed_path(workplace: Path) -> None:
    (workplace / "my model").mkdir()
    async with chatting(None) as (pilot, screen):
        await pilot.press("f7")
        window = await dialog(pilot, ModelList)
        window.query_one("#filter", Input).value = "my model"
        window.query_one("#precision", Select).value = "bfloat16"
        await pilot.press("enter")
        await until(pilot, lambda: screen.loaded is not None)
        assert screen.loaded is not None
        assert screen.loaded.model == "my model"
        assert screen.loaded.precision == "bfloat16"


async def test_beside_a_live_run_the_chat_follows_its_checkpoints(workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 300)
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(run), beside_run=run)
        await until(pilot, lambda: screen.can_generate)
        assert "“run”" in screen.left.note
        assert "step 300" in screen.left.note
        await say(pilot, screen, "x")
        save_checkpoint(run, 400)
        screen.check_for_checkpoint()
        await until(pilot, lambda: screen.live_run is not None and screen.live_run.has_newer)
        assert "new checkpoint: step 400" in screen.left.note
        await say(pilot, screen, "/refresh")
        await until(pilot, lambda: screen.can_generate and "new" not in screen.left.note)
        assert "step 400" in screen.left.note
        assert shown(screen) == "x" + ANSWER, "the text stays"


async def test_first_checkpoint_of_a_live_run_is_loaded_when_it_is_saved(workplace: Path) -> None:
    run = live_run(workplace / "run")
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(run), beside_run=run)
        await until(pilot, lambda: "no checkpoint yet" in screen.left.note)
        save_checkpoint(run, 100)
        screen.check_for_checkpoint()
        await until(pilot, lambda: screen.loaded is not None)
        assert screen.loaded is not None
        assert screen.loaded.model.endswith("last.ckpt")


async def test_best_checkpoint_of_the_newest_run_is_one_key_away(workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 200, "best.ckpt")
    save_checkpoint(run, 300)
    async with chatting(None) as (pilot, screen):
        await until(pilot, lambda: screen.offer is not None)
        assert "F9 to load models/run (best, step 200, val loss 1.8000)" in screen.left.note
        await pilot.press("f9")
        await until(pilot, lambda: screen.can_generate)
        assert screen.loaded is not None
        assert screen.loaded.model == str(run / "ckpts" / "best.ckpt")
    async with chatting(None) as (pilot, screen):
        await until(pilot, lambda: screen.can_generate)  # the model of the last time
        assert screen.loaded is not None
        assert screen.loaded.model == str(run / "ckpts" / "best.ckpt")
        assert screen.live_run is not None


async def test_download_is_announced_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    async with chatting(None) as (pilot, screen):
        screen.open_model("distilgpt2")
        question = await dialog(pilot, Question)
        assert "about 312 MiB" in str(question.query_one(Static).content)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.session.model.state == "none"
        screen.open_model("distilgpt2")
        await dialog(pilot, Question)
        await pilot.press("enter")
        await settle(pilot)
        assert screen.can_generate


async def test_settings_cover_the_text_where_there_is_no_room() -> None:
    async with chatting(size=SMALL) as (pilot, screen):
        assert not screen.side.display
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert screen.side.display
        assert screen.form.query_one("#set-n_tokens_to_generate").has_focus
        await pilot.press("escape")
        await pilot.pause()
        assert not screen.side.display
        assert screen.prompt.has_focus


async def test_conversation_is_deleted_and_restored() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "keep me")
        await pilot.press("f8")
        window = await dialog(pilot, ConversationList)
        await until(pilot, lambda: len(window.shown) == 1)
        await pilot.press(*"keep", "home", "delete", "d")
        assert window.query_one("#filter", Input).value == "deep", "keys edit the search"
        await pilot.press("ctrl+u", "ctrl+k")
        await until(pilot, lambda: len(window.shown) == 1)
        await pilot.press("tab", "d")
        await until(pilot, lambda: not window.shown)
        await pilot.press("escape", "f8")
        window = await dialog(pilot, ConversationList)
        await until(pilot, lambda: window.stored is not None)
        await pilot.press("ctrl+z")  # in another window
        await until(pilot, lambda: len(window.shown) == 1)
        await pilot.press("escape")


def test_describe_sampling_leave_out_defaults_and_the_seed() -> None:
    assert describe_sampling(SamplingConfig(temperature=0.9, seed=3)) == ["temperature 0.9"]
