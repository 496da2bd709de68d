"""One looks into an answer, compares, goes back in time, and keeps presets and exports."""

import os
from pathlib import Path

import pytest
from textual.widgets import DataTable, Input, OptionList, Select, Static

from simplegpt.config.schema import SamplingConfig
from simplegpt.run.checkpoints import CheckpointInfo, sidecar
from simplegpt.run.directory import RunDirectory
from simplegpt.run.state import Status
from tests.tui.chatting import FAKE, chatting, notices, say, shown, until
from tests.tui.conftest import SMALL, settle
from tui.chat.alternatives import AlternativesWindow
from tui.chat.conversations import parse
from tui.chat.models import ModelChooser
from tui.chat.sampling_form import GenerationSettings
from tui.chat.time_machine import Era, TimeMachine
from tui.shell import settings

ANSWER = " five six seven eight nine ten"  # of the seed 1234


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.chat.engine.ENGINE_COMMAND", FAKE)


def save_checkpoint(run: Path, step: int, name: str = "last.ckpt") -> Path:
    """A checkpoint's file as the fake engine needs it, with its sidecar."""
    path = run / "ckpts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    info = CheckpointInfo(step=step, val_loss=2.0 - step / 1000, time=1_790_000_000.0 + step)
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
        assert line.startswith("“·nine” 90.0% · id 1004")


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
        assert five == eight


async def test_enter_on_an_alternative_goes_on_from_there_and_keeps_the_old_answer() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.left.transcript.focus()
        await pilot.press("home", "right", "right", "enter")
        await settle_window(pilot)
        assert isinstance(pilot.app.screen, AlternativesWindow)
        table = pilot.app.screen.query_one(DataTable)
        row = [str(cell) for cell in table.get_row_at(0)]
        assert (row[1], row[2], row[4]) == ("·alpha", "50.0%", "80.0%")
        assert [str(cell) for cell in table.get_row_at(2)][1:5:3] == ["↵", "–"]
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.left.state == "ready" and "beta five" in shown(screen))
        assert shown(screen) == "x five beta" + ANSWER
        turn = screen.left.conversation.path()[-1]
        assert turn.prompt_ids == [ord("x")]
        assert turn.ids[:2] == [1000, 2001]
        assert turn.n_given == 2
        await pilot.press("left_square_bracket")
        assert shown(screen) == "x" + ANSWER


async def settle_window(pilot: object) -> None:
    """Wait for a window to open over the chat: its opener waits for its answer."""
    from textual.pilot import Pilot

    assert isinstance(pilot, Pilot)
    await until(pilot, lambda: pilot.app.screen.is_modal and pilot.app.screen.is_mounted)
    await pilot.pause()


async def test_markdown_view_shows_the_whole_text_and_streams() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "# Title\n\n")
        await say(pilot, screen, "/markdown")
        assert screen.left.query("MarkdownH1")
        await say(pilot, screen, " **more**")
        assert "more" in "".join(str(w.render()) for w in screen.left.query("MarkdownParagraph"))
        await say(pilot, screen, "/raw")
        assert not screen.left.is_rendered


async def test_copy_reaches_the_clipboard() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "/copy")
        assert pilot.app.clipboard == ANSWER
        await say(pilot, screen, "/copy all")
        assert pilot.app.clipboard == "x" + ANSWER


async def test_export_asks_before_it_replaces(workplace: Path) -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        await say(pilot, screen, "/save talk.jsonl")
        exported = parse((workplace / "talk.jsonl").read_bytes().splitlines())
        assert exported is not None
        assert exported.text == "x" + ANSWER
        (workplace / "talk.md").write_text("mine")
        screen.prompt.put("/save talk.md")
        await pilot.press("enter")
        await settle_window(pilot)
        await pilot.press("enter")  # Cancel has the focus
        await settle(pilot)
        assert (workplace / "talk.md").read_text() == "mine"


async def test_invalid_setting_says_so_under_its_field_and_does_not_act() -> None:
    async with chatting() as (pilot, screen):
        field = screen.form.query_one("#set-top_p", Input)
        field.value = "1.5"
        await pilot.pause()
        problem = screen.form.query_one("#error-top_p", Static)
        assert problem.display
        assert str(problem.content) == "must be at most 1"
        assert field.value == "1.5"
        assert screen.left.settings.sampling.top_p == 1
        field.value = "0.9"
        await pilot.pause()
        assert not problem.display
        assert screen.left.settings.sampling.top_p == 0.9
        assert screen.form.query_one("#row-top_p").has_class("-changed")


async def test_every_field_of_the_core_has_a_row_with_its_docstring() -> None:
    async with chatting(None) as (_, screen):
        for name, info in SamplingConfig.model_fields.items():
            label = screen.form.query_one(f"#row-{name} .name")
            assert info.description
            assert info.description in str(label.tooltip)


async def test_stop_texts_can_hold_newlines_and_bars() -> None:
    async with chatting() as (pilot, screen):
        screen.form.query_one("#set-stop", Input).value = r"\n\n|a\|b"
        await pilot.pause()
        assert screen.left.settings.sampling.stop == ["\n\n", "a|b"]


async def test_preset_is_saved_taken_and_removed() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/temp 0.7")
        await pilot.click("#save-preset")
        await settle_window(pilot)
        await pilot.press(*"mine", "enter")
        await settle(pilot)
        kept = settings.Settings.load().sampling_presets
        assert kept["mine"].temperature == 0.7
        await say(pilot, screen, "/preset greedy")
        assert screen.left.settings.sampling.temperature == 0
        await say(pilot, screen, "/preset mine")
        assert screen.left.settings.sampling.temperature == 0.7
        assert screen.form.query_one("#preset", Select).value == "mine"
        await pilot.click("#delete-preset")
        await settle(pilot)
        assert not settings.Settings.load().sampling_presets
        await say(pilot, screen, "/preset minee")
        assert "There is no preset minee" in notices(pilot)


async def test_compared_settings_answer_from_the_same_seed() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "x")
        screen.prompt.put("/compare")
        await pilot.press("enter")
        await settle_window(pilot)
        await pilot.press("enter")  # the settings
        await settle(pilot)
        right = screen.right
        assert right is not None
        assert right.engine is screen.left.engine
        assert screen.active is right
        await say(pilot, screen, "/tokens 2")
        await say(pilot, screen, "/seed 7")
        await say(pilot, screen, "y")
        assert shown(screen) == "x" + ANSWER + "y" + ANSWER
        assert right.conversation.text == "x" + ANSWER + "y five six"
        await say(pilot, screen, "/compare")
        assert screen.right is None


async def test_compared_models_have_an_engine_each() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "/compare other")
        right = screen.right
        assert right is not None
        assert right.loaded is not None
        assert (right.loaded.model, right.engine.pid != screen.left.engine.pid) == ("other", True)
        await say(pilot, screen, "x")
        assert right.conversation.text == shown(screen) == "x" + ANSWER
        pid = right.engine.pid
        assert pid is not None
        await say(pilot, screen, "/compare")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_time_machine_asks_every_checkpoint_the_oldest_first(workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    for step, name in ((100, "step-000100.ckpt"), (200, "step-000200.ckpt"), (300, "last.ckpt")):
        save_checkpoint(run, step, name)
    async with chatting() as (pilot, screen):
        await say_without_waiting(pilot, screen, "x", "/time models/run")
        await until(pilot, lambda: isinstance(pilot.app.screen, TimeMachine))
        window = pilot.app.screen
        assert isinstance(window, TimeMachine)
        await until(pilot, lambda: len(window.query(".-ended")) == 3)
        eras = list(window.query(Era))
        assert [str(era.border_title) for era in eras] == [
            "step 100 · val loss 1.900",
            "step 200 · val loss 1.800",
            "step 300 · val loss 1.700",
        ]
        assert [era.text for era in eras] == [ANSWER] * 3
        pid = window.engine.pid
        assert pid is not None
        await pilot.press("escape")
        await settle(pilot)
        assert not window.engine.is_running


async def say_without_waiting(pilot: object, screen: object, text: str, command: str) -> None:
    """Send a prompt, then a command that opens a window."""
    from textual.pilot import Pilot

    from tui.chat.screen import ChatScreen

    assert isinstance(pilot, Pilot)
    assert isinstance(screen, ChatScreen)
    await say(pilot, screen, text)
    screen.prompt.put(command)
    await pilot.press("enter")


async def test_chooser_lists_runs_with_their_checkpoints_and_pretrained_names(
    workplace: Path,
) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 300)
    async with chatting(None) as (pilot, screen):
        await pilot.press("f7")
        await settle_window(pilot)
        window = pilot.app.screen
        assert isinstance(window, ModelChooser)
        await until(pilot, lambda: window.entries)
        names = [entry.name for entry in window.entries]
        assert names[:2] == ["models/run", "last.ckpt"]
        assert "gpt2-xl" in names
        await pilot.press(*"last", "enter")
        await until(pilot, lambda: screen.left.can_generate)
        assert screen.left.loaded is not None
        assert screen.left.loaded.model == str(run / "ckpts" / "last.ckpt")
        assert "Beside the live run" in screen.left.note, "it goes on, and is not slowed down"


async def test_chooser_takes_a_path_as_it_is_typed(workplace: Path) -> None:
    (workplace / "my model").mkdir()
    async with chatting(None) as (pilot, screen):
        await pilot.press("f7")
        await settle_window(pilot)
        window = pilot.app.screen
        window.query_one("#filter", Input).value = "my model"
        await pilot.press("enter")
        await settle(pilot)
        assert screen.left.loaded is not None
        assert screen.left.loaded.model == "my model"


async def test_beside_a_live_run_the_engine_takes_little_and_follows(workplace: Path) -> None:
    run = live_run(workplace / "models" / "run")
    save_checkpoint(run, 300)
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(run), beside_run=run)
        await until(pilot, lambda: screen.left.can_generate)
        assert "Beside the live run “run”" in screen.left.note
        assert "step 300" in screen.left.note
        await say(pilot, screen, "x")
        save_checkpoint(run, 400)
        screen.look_for_checkpoint()
        await until(pilot, lambda: screen.has_newer)
        assert "a newer checkpoint, step 400" in screen.left.note
        await say(pilot, screen, "/refresh")
        await until(pilot, lambda: screen.left.can_generate and not screen.has_newer)
        assert "newest checkpoint, step 400" in screen.left.note
        assert shown(screen) == "x" + ANSWER, "the text stays"


async def test_beside_a_run_without_a_checkpoint_it_is_loaded_when_there_is_one(
    workplace: Path,
) -> None:
    run = live_run(workplace / "run")
    async with chatting(None) as (pilot, screen):
        screen.open_model(str(run), beside_run=run)
        await until(pilot, lambda: "no checkpoint yet" in screen.left.note)
        save_checkpoint(run, 100)
        screen.look_for_checkpoint()
        await until(pilot, lambda: screen.left.can_generate)
        assert screen.left.loaded is not None
        assert screen.left.loaded.model.endswith("last.ckpt")


async def test_settings_lie_over_the_text_where_there_is_no_room() -> None:
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


async def test_conversation_is_removed_and_brought_back() -> None:
    async with chatting() as (pilot, screen):
        await say(pilot, screen, "keep me")
        await pilot.press("f8")
        await settle_window(pilot)
        listing = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: listing.option_count == 1 and listing.get_option_at_index(0).id)
        await pilot.press("delete")
        await until(pilot, lambda: listing.get_option_at_index(0).id is None)
        await pilot.press("ctrl+y")
        await until(pilot, lambda: listing.get_option_at_index(0).id is not None)
        await pilot.press("escape")


def test_settings_name_what_differs() -> None:
    changed = GenerationSettings(sampling=SamplingConfig(temperature=0.9, seed=3)).changed()
    assert changed == {"temperature": 0.9}
