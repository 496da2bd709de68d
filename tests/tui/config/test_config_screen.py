"""The Config screen: keys and clicks, and what they do to the config, the file and the screen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.content import Content
from textual.widgets import Button, Input, Select, Switch, TextArea

from simplegpt.config.load import Problem
from simplegpt.config.schema import settings
from simplegpt.run.directory import RunDirectory
from simplegpt.train.speed import MeasuredSpeed
from tests.tui.configs import (
    BASE,
    CONFIG,
    PATH,
    ConfigWorkbench,
    asked_of,
    config_screen,
    make_project,
    on_config,
)
from tests.tui.conftest import LARGE, SIZES, SMALL, quit_by, settle, toasts, until
from tests.tui.made_runs import Shape, make_run
from tui.config.dialogs import SaveDialog
from tui.config.estimate import Machine, TokenFiles
from tui.config.estimate_panel import EstimatePanel
from tui.config.fields import COMMON, COMMON_SETTINGS, FieldState
from tui.config.form_field import FormField, field_id
from tui.config.form_section import FormSection, SectionTitle
from tui.config.screen import ConfigScreen
from tui.config.toml_editor import TomlEditor
from tui.shell import messages
from tui.shell.dialogs import ListDialog, Question
from tui.shell.help import help_for


@pytest.fixture(autouse=True)
def project(workplace: Path) -> Path:
    make_project(workplace)
    return workplace


def field(screen: ConfigScreen, key: str) -> FormField:
    return screen.query_one(f"#{field_id(key)}", FormField)


def section(screen: ConfigScreen, table: str) -> FormSection:
    return screen.form.sections[table]


def shown(screen: ConfigScreen, key: str) -> str:
    """What the form shows in a field, whether its section was unfolded or not."""
    for one in screen.query(FormField):
        if one.setting.key == key:
            return one.query_one(Input).value
    return state(screen, key).shown


def state(screen: ConfigScreen, key: str) -> FieldState:
    assert screen.state is not None
    return screen.state.fields[key]


def text_of(screen: ConfigScreen, selector: str) -> str:
    return str(screen.query_one(selector).render())


@SIZES
async def test_a_config_opens_with_its_estimate(size: tuple[int, int]) -> None:
    async with config_screen(size) as (_, screen):
        assert screen.document.path == PATH
        assert text_of(screen, "#title").strip() == str(PATH)
        figures = text_of(screen, "#figures" if size != SMALL else "#strip")
        assert "834,304" in figures
        assert "1,536" in figures
        assert "15.4" in figures  # epochs: 1,000 steps of 1,536 over 100,000 tokens
        assert screen.state is not None
        assert not screen.state.errors


async def test_typing_into_a_field_changes_text_estimate_and_marks(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_layer")
        await pilot.press("end", "backspace", "8")
        await settle(pilot)
        assert "n_layer = 8\n" in screen.document.text
        assert state(screen, "model.n_layer").changed
        assert "1.63 M" in text_of(screen, "#figures")
        assert "1 change" in text_of(screen, "#title")
        assert (project / PATH).read_text() == CONFIG  # nothing is written yet


async def test_an_error_is_shown_at_both_fields_and_found_by_its_count() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_head")
        await pilot.press("end", "backspace", "5")
        await settle(pilot)
        for key in ("model.n_head", "model.n_embd"):
            lines = str(field(screen, key).render()).splitlines()
            assert len(lines) > 1
            assert field(screen, key).region.height == len(lines)
        count = section(screen, "model").query_one(".errors")
        assert str(count.render()) == "✗ 1"
        screen.form.focus_title("")
        await pilot.click(count)
        await settle(pilot)
        assert screen.focused_key == "model.n_embd"
        panel = screen.query_one(EstimatePanel)
        assert panel.has_class("-outdated")
        assert "834,304" in text_of(screen, "#figures")  # the estimate from before the error


async def test_a_config_that_opens_with_errors_has_no_estimate_yet(project: Path) -> None:
    (project / PATH).write_text(CONFIG.replace("n_ctx = 64", "n_ctx = 0"))
    async with config_screen() as (pilot, screen):
        assert screen.estimate is None
        assert "834,304" not in text_of(screen, "#figures")
        await screen.go_to("model.n_ctx")
        await pilot.press("6", "4")
        await settle(pilot)
        assert "834,304" in text_of(screen, "#figures")


async def test_invalid_input_stays_and_ctrl_e_goes_from_error_to_error() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("data.seq_len")
        await pilot.press("x")
        await screen.go_to("trainer.max_steps")
        await pilot.press("home", "-")
        await settle(pilot)
        assert field(screen, "data.seq_len").query_one(Input).value.count("x") == 1
        screen.form.focus_title("")
        await pilot.press("ctrl+e")
        assert screen.focused_key == "data.seq_len"
        await pilot.press("ctrl+e")
        assert screen.focused_key == "trainer.max_steps"
        await pilot.press("ctrl+e")
        assert screen.focused_key == "data.seq_len"


async def test_missing_token_files_are_errors_of_their_fields(project: Path) -> None:
    (project / "data/val-char.bin").unlink()
    async with config_screen() as (_, screen):
        message = state(screen, "data.val_fpath").error
        assert "data/val-char.bin" in message
        assert "F3" in message


async def test_a_check_of_the_token_files_between_two_letters_loses_none() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        editor = field(screen, "trainer.max_steps").query_one(Input)
        editor.value = "77"  # typed, and not yet handled
        error = Problem(("trainer.max_steps",), "too few for these files")
        screen.token_files = TokenFiles(errors=(error,))
        assert state(screen, "trainer.max_steps").error
        assert editor.value == "77"
        await settle(pilot)
        assert "max_steps = 77\n" in screen.document.text
        assert shown(screen, "trainer.max_steps") == "77"


async def test_switches_and_lists_write_their_values() -> None:
    async with config_screen() as (pilot, screen):
        field(screen, "model.bias").query_one(Switch).toggle()
        await screen.go_to("torch_compile")
        field(screen, "torch_compile").query_one(Select).value = True
        await settle(pilot)
        assert "bias = false\n" in screen.document.text
        assert "torch_compile = true\n" in screen.document.text


async def test_arrow_keys_pass_a_drop_down_and_enter_opens_it() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.activation")
        drop_down = field(screen, "model.activation").query_one(Select)
        await pilot.press("down")
        await settle(pilot)
        assert not drop_down.expanded
        await pilot.press("up")
        assert drop_down.has_focus
        await pilot.press("enter")
        assert drop_down.expanded
        await pilot.press("down", "enter")
        await settle(pilot)
        assert 'activation = "gelu"\n' in screen.document.text


async def test_an_optional_table_is_switched_on_and_its_fields_then_act() -> None:
    async with config_screen() as (pilot, screen):
        part = section(screen, "early_stopping")
        part.query_one(".head Switch", Switch).toggle()
        await settle(pilot)
        assert "[early_stopping]\n" in screen.document.text
        assert not part.folded
        await screen.go_to("early_stopping.patience")
        await pilot.press("end", "0")
        await settle(pilot)
        assert "patience = 50\n" in screen.document.text
        part.query_one(".head Switch", Switch).toggle()
        await settle(pilot)
        assert screen.document.text == CONFIG


async def test_undo_redo_reset_and_unset() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("data.seq_len")
        await pilot.press("end", "backspace")
        await settle(pilot)
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert screen.document.text == CONFIG
        assert shown(screen, "data.seq_len") == "64"
        await pilot.press("ctrl+y")
        await settle(pilot)
        assert shown(screen, "data.seq_len") == "6"
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert screen.document.text == CONFIG
        await pilot.press("escape", "D")
        await screen.go_to("data.seq_len")
        await pilot.press("ctrl+d")
        await settle(pilot)
        assert state(screen, "data.seq_len").origin == "default"
        assert shown(screen, "data.seq_len") == "1024"


async def test_form_and_text_have_one_history() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_layer")
        await pilot.press("end", "2")
        await settle(pilot)
        in_form = screen.document.text
        await pilot.press("f8")
        editor = screen.query_one(TomlEditor)
        editor.move_cursor(editor.document.end)
        await pilot.press(*"# a", "enter", *"# b")
        await settle(pilot)
        for expected in ("# a", "", CONFIG):
            await pilot.press("ctrl+z")
            await settle(pilot)
            wanted = expected if expected == CONFIG else in_form + expected
            assert editor.text == screen.document.text == wanted
        await pilot.press("ctrl+z")
        assert editor.text == CONFIG
        for key in ("ctrl+y", "ctrl+shift+z", "ctrl+y"):
            await pilot.press(key)
            await settle(pilot)
        assert screen.document.text == in_form + "# a\n# b"


async def test_escape_leaves_the_text_too_and_the_letters_act(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("f8", "escape", "n")
        await settle(pilot)
        assert screen.document.text == CONFIG
        assert isinstance(screen.app.screen, ListDialog)


async def test_common_settings_come_first_and_search_finds_each_once() -> None:
    async with config_screen(LARGE, open_sections=(COMMON,)) as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("7")
        await settle(pilot)
        assert "max_steps = 7\n" in screen.document.text
        shown_fields = [one.setting.key for one in screen.query(FormField) if one.region.height]
        assert shown_fields == list(COMMON_SETTINGS)
        assert "1 change" in text_of(screen, "#title")
        await pilot.press("ctrl+f", *"max_steps")
        await settle(pilot)
        found = [one.setting.key for one in screen.query(FormField) if one.region.height]
        assert found.count("trainer.max_steps") == 1
        assert screen.query_one("#field-trainer-max_steps", FormField) is not None


async def test_search_finds_a_table_that_is_off_and_enter_switches_it_on() -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("ctrl+f", *"entity")
        await settle(pilot)
        assert "[wandb]" in text_of(screen, "#about")
        await pilot.press("enter", *"us")
        await settle(pilot)
        assert screen.focused_key == "wandb.entity"
        assert '[wandb]\nentity = "us"\n' in screen.document.text


async def test_a_burst_of_keys_is_handled_in_order() -> None:
    async with config_screen() as (pilot, screen):
        burst = ("ctrl+f", *"lr", "ctrl+u", *"n_layer", "enter", "8", "ctrl+f", *"max_st", "enter")
        for key in (*burst, "7", "ctrl+z", "9", "escape", "V"):
            screen.app.simulate_key(key)
        await until(pilot, lambda: screen.view == "file")
        await settle(pilot)
        assert "n_layer = 8\n" in screen.document.text
        assert "max_steps = 19_000\n" in screen.document.text  # undone to 1_000, then typed


async def test_the_first_letter_can_be_undone_at_once() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_layer")
        for key in ("7", "ctrl+z", "escape", "V"):
            screen.app.simulate_key(key)
        await until(pilot, lambda: screen.view == "file")
        assert screen.document.text == CONFIG
        assert screen.document.can_redo


async def test_search_shows_what_matches_and_escape_shows_all() -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("ctrl+f", *"nucleus")
        await settle(pilot)
        found = [one.setting.key for one in screen.query(FormField) if one.region.height]
        assert found == ["samples.top_p"]
        await pilot.press("escape")
        await settle(pilot)
        found = [one.setting.key for one in screen.query(FormField) if one.region.height]
        assert "samples.top_p" not in found  # folded as it was
        assert "model.n_embd" in found
        await pilot.press(*"zzz")
        await settle(pilot)
        assert screen.query_one("#nothing").display


async def test_the_unsaved_view_shows_only_what_was_changed() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_layer")
        await pilot.press("end", "2", "escape", "V")
        await settle(pilot)
        found = {one.setting.key for one in screen.query(FormField) if one.region.height}
        assert {"model.n_layer", "model.n_vocab", "trainer.max_steps"} <= found  # of this file
        assert "model.bias" not in found
        await pilot.press("V")
        await settle(pilot)
        found = {one.setting.key for one in screen.query(FormField) if one.region.height}
        assert found == {"model.n_layer"}


async def test_the_text_and_the_form_are_in_step_both_ways() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("data.seq_len")
        await pilot.press("f8")
        await settle(pilot)
        editor = screen.query_one(TomlEditor)
        assert editor.has_focus
        assert editor.document.get_line(editor.cursor_location[0]) == "seq_len = 64"
        await pilot.press("end", "backspace", "0")
        await settle(pilot)
        assert shown(screen, "data.seq_len") == "60"
        await pilot.press("f8")
        await settle(pilot)
        await screen.go_to("data.seq_len")
        await pilot.press("end", "backspace", "2")
        await settle(pilot)
        await pilot.press("f8")
        await settle(pilot)
        assert "seq_len = 62\n" in editor.text


async def test_a_syntax_error_is_marked_at_its_line_and_disables_the_form() -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("f8")
        editor = screen.query_one(TomlEditor)
        editor.move_cursor((3, 0))
        await pilot.press("=")
        await settle(pilot)
        assert list(editor.errors) == [4]
        assert "line 4" in text_of(screen, "#line-error")
        await pilot.press("f8")
        await settle(pilot)
        assert "line 4" in text_of(screen, "#general-error")
        assert field(screen, "model.n_vocab").query_one(Input).disabled
        await pilot.press("ctrl+e")
        await settle(pilot)
        assert editor.has_focus
        await pilot.press("ctrl+z")
        await settle(pilot)
        assert screen.document.text == CONFIG
        assert not field(screen, "model.n_vocab").query_one(Input).disabled


async def test_an_unknown_key_is_shown_above_the_form(project: Path) -> None:
    (project / PATH).write_text(CONFIG + "max_step = 3\n")
    async with config_screen() as (pilot, screen):
        error = text_of(screen, "#general-error")
        for part in ("line 20", "trainer.max_step", "'max_steps'"):
            assert part in error
        await pilot.press("f8")
        await settle(pilot)
        assert list(screen.query_one(TomlEditor).errors) == [20]
        assert not screen.query_one("#general-error").display  # it is below the editor now


async def test_saving_shows_the_changes_first(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f7")
        question = screen.app.screen
        assert isinstance(question, SaveDialog)
        assert [line for line in question.diff if line[:1] in "+-"] == [
            "-max_steps = 1_000",
            "+max_steps = 1_0000",
        ]
        assert (project / PATH).read_text() == CONFIG
        await pilot.pause()
        assert question.region.contains_region(question.query_one("#accept").region)
        await pilot.press("enter")
        await settle(pilot)
        assert (project / PATH).read_text() == CONFIG.replace("1_000", "1_0000")
        assert text_of(screen, "#title").strip() == str(PATH)
        assert (project / "configs/base.toml").read_text() == BASE


async def test_a_cancelled_save_writes_nothing(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f7", "escape")
        await settle(pilot)
        assert (project / PATH).read_text() == CONFIG
        assert screen.unsaved() == f"changes of {PATH}"


async def test_save_as_writes_another_file_and_continues_with_it(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("S")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        question = screen.app.screen
        question.query_one("#path", Input).value = "mine"
        await pilot.press("enter")
        await settle(pilot)
        assert (project / "mine.toml").read_text() == CONFIG.replace(
            '"base.toml"', '"configs/base.toml"'
        )
        assert screen.document.path == Path("mine.toml")
        assert screen.document.shown("model.n_embd") == "128"


async def test_an_impossible_name_is_refused_where_it_is_typed(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("S")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        question = screen.app.screen
        for typed in (".", "~no.such.user/x", "x" * 300):
            question.query_one("#path", Input).value = typed
            await pilot.press("enter")
            await until(pilot, lambda: bool(str(question.query_one("#note").render())))
            assert screen.app.screen is question
        await pilot.press("escape", "o")
        await until(pilot, lambda: isinstance(screen.app.screen, ListDialog))
        await pilot.press(*"~no.such.user/x", "enter")
        await until(pilot, lambda: "x" in str(screen.app.screen.query_one("#error").render()))


async def test_a_file_name_is_never_taken_as_markup(project: Path) -> None:
    async with ConfigWorkbench().run_test(size=SMALL, notifications=True) as pilot:
        screen = await on_config(pilot)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        screen.app.screen.query_one("#path", Input).value = "[/b].toml"
        await pilot.press("enter")
        await until(pilot, lambda: "[/b].toml" in toasts(screen.app))
        assert (project / "[/b].toml").is_file()


async def test_saving_a_new_config_from_a_template_asks_where(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(screen.app.screen, ListDialog))
        await pilot.press(*"gpt2_fine", "enter")
        await settle(pilot)
        assert screen.document.is_new
        assert screen.document.shown("init_from") == "gpt2"
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        await pilot.press("enter")
        await settle(pilot)
        assert (project / "configs/gpt2_finetune.toml").is_file()
        assert not screen.document.is_new


async def test_another_config_is_opened_from_the_list(project: Path) -> None:
    (project / "other.toml").write_text("# Another one.\nseed = 5\n")
    async with config_screen() as (pilot, screen):
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(screen.app.screen, ListDialog)
        await pilot.press(*"other", "enter")
        await settle(pilot)
        assert screen.document.path == Path("other.toml")
        assert shown(screen, "seed") == "5"


async def test_an_include_that_changed_on_disk_is_read_again(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        (project / "configs/base.toml").write_text(BASE.replace("n_layer = 4", "n_layer = 5"))
        screen.check_disk()
        await settle(pilot)
        assert shown(screen, "model.n_layer") == "5"
        assert not screen.document.is_changed
        assert "1.03 M" in text_of(screen, "#figures")


async def test_an_include_is_typed_and_read(project: Path) -> None:
    (project / "configs/other.toml").write_text("[model]\nn_embd = 64\nn_head = 4\n")
    async with config_screen(open_sections=("",)) as (pilot, screen):
        await screen.go_to("include")
        await pilot.press(*"other.toml")
        await settle(pilot)
        assert screen.state is not None
        assert not screen.state.errors
        assert screen.document.shown("model.n_embd") == "64"


async def test_a_file_that_changed_on_disk_is_read_again(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        (project / PATH).write_text(CONFIG.replace("seq_len = 64", "seq_len = 32"))
        screen.check_disk()
        await settle(pilot)
        assert shown(screen, "data.seq_len") == "32"
        assert not screen.document.is_changed


@pytest.mark.parametrize(
    ("key", "seq_len", "n_vocab"),
    [("merge", "32", "99"), ("ours", "64", "99"), ("theirs", "32", "256")],
)
async def test_changes_on_both_sides_are_merged_as_asked(
    project: Path, key: str, seq_len: str, n_vocab: str
) -> None:
    async with config_screen() as (pilot, screen):
        screen.document.type("model.n_vocab", "99")
        screen.refresh_state()
        (project / PATH).write_text(CONFIG.replace("seq_len = 64", "seq_len = 32"))
        screen.check_disk()
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.pause()  # until its buttons have their places
        await pilot.click(f"#{key}")
        await until(pilot, lambda: screen.app.screen is screen)
        await settle(pilot)
        assert screen.document.shown("data.seq_len") == seq_len
        assert screen.document.shown("model.n_vocab") == n_vocab
        screen.check_disk()
        await settle(pilot)
        assert screen.app.screen is screen  # nothing to ask any more


async def test_quitting_offers_to_save_and_quit(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f10")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.pause()
        await pilot.click("#save")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        await pilot.press("escape")
        await until(pilot, lambda: screen.app.screen is screen)
        assert (project / PATH).read_text() == CONFIG
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.pause()
        await pilot.click("#save")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        await quit_by(screen.app, lambda: screen.app.simulate_key("enter"))
        assert (project / PATH).read_text() == CONFIG.replace("1_000", "1_0000")


async def test_opening_another_config_asks_about_unsaved_changes(project: Path) -> None:
    (project / "other.toml").write_text("seed = 5\n")
    async with config_screen() as (pilot, screen):
        screen.document.type("model.n_vocab", "99")
        screen.open(Path("other.toml"), {})
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.press("escape")
        await settle(pilot)
        assert screen.document.path == PATH
        screen.open(Path("other.toml"), {})
        await pilot.pause()
        await pilot.click("#discard")
        await settle(pilot)
        assert screen.document.path == Path("other.toml")


async def test_values_from_elsewhere_are_applied_as_if_typed() -> None:
    async with config_screen() as (pilot, screen):
        screen.open(None, {"tokenizer_name": "char", "data.train_batch_size": 12})
        await settle(pilot)
        assert screen.document.changed_keys() == {"data.train_batch_size"}
        assert shown(screen, "data.train_batch_size") == "12"
        assert screen.unsaved() is None  # nobody typed anything yet
        screen.document.type("trainer.max_steps", "7")
        assert screen.unsaved() == f"changes of {PATH}"
        screen.open(None, {"data.train_batch_size": 6})
        await settle(pilot)
        assert screen.unsaved() == f"changes of {PATH}"


async def test_first_training_asks_only_for_a_name_which_is_proposed(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        asked = asked_of(pilot)
        values = {"trainer.max_steps": 5, "output_dir": "models/verse-char"}
        screen.open(PATH.absolute(), values, new_name="verse-char.toml")
        await settle(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        question = screen.app.screen
        assert question.query_one("#path", Input).value == "configs/verse-char.toml"
        assert not question.query_one("#diff").is_on_screen
        await pilot.press("enter")
        await settle(pilot)
        assert asked == [messages.StartTraining(Path("configs/verse-char.toml"))]
        assert "max_steps = 5" in (project / "configs/verse-char.toml").read_text()
        assert (project / PATH).read_text() == CONFIG  # it was only the start


async def test_training_is_queued_behind_a_live_run(project: Path) -> None:
    live = make_run(project / "models/live", Shape(steps=10))
    queued = RunDirectory(project / "models/letters")
    async with config_screen() as (pilot, screen):
        asked = asked_of(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.press("enter")
        await settle(pilot)
        status = queued.status()
        assert status is not None
        assert (status.state, status.waits_for) == ("queued", (str(live.path),))
        assert messages.Visit("runs") in asked
        queued.send("stop")  # or it would train when this process has ended
        await until(pilot, lambda: not queued.path.exists())


async def test_training_starts_from_a_saved_config() -> None:
    async with config_screen() as (pilot, _):
        asked = asked_of(pilot)
        await pilot.press("f9")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH)]


async def test_training_saves_first_what_was_changed(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        asked = asked_of(pilot)
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f9")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        assert asked == []
        await pilot.press("enter")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH)]
        assert "1_0000" in (project / PATH).read_text()


async def test_training_with_errors_lists_them_and_goes_to_the_chosen() -> None:
    async with config_screen() as (pilot, screen):
        asked = asked_of(pilot)
        screen.document.type("trainer.max_steps", "-7")
        screen.document.type("data.seq_len", "x")
        screen.refresh_state()
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, ListDialog))
        assert asked == []
        dialog = screen.app.screen
        assert isinstance(dialog, ListDialog)
        assert [entry.label for entry in dialog.shown] == ["data.seq_len", "trainer.max_steps"]
        await pilot.press("down", "enter")
        await settle(pilot)
        assert screen.focused_key == "trainer.max_steps"


async def test_training_beyond_the_memory_asks_with_advice() -> None:
    small = Machine(memory=2**28, cpu_memory=2**28, n_gpus=0)
    async with config_screen(machine=small) as (pilot, screen):
        asked = asked_of(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.press("enter")  # cancels
        await settle(pilot)
        assert asked == []
        screen.document.type("trainer.max_steps", "7")
        screen.refresh_state()
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, SaveDialog))
        warning = screen.app.screen.query_one("#warning")
        assert screen.estimate is not None
        assert str(warning.render()) == screen.estimate.memory_warning
        assert warning.styles.color == screen.app.screen.query_one(".error").styles.color


async def test_a_taken_directory_offers_another_or_the_resume(project: Path) -> None:
    make_run(project / "models/letters", Shape(steps=40, state="stopped"))
    async with config_screen() as (pilot, screen):
        asked = asked_of(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.press("enter")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH, ("--output_dir", "models/letters-2"))]
        asked.clear()
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(screen.app.screen, Question))
        await pilot.pause()
        await pilot.click("#resume")
        await settle(pilot)
        assert asked == [messages.ResumeTraining(RunDirectory("models/letters").path)]


async def test_a_config_that_does_not_fit_in_memory_is_marked() -> None:
    small = Machine(memory=2**28, cpu_memory=2**28, n_gpus=0)
    async with config_screen(machine=small) as (_, screen):
        for name in ("#figures", "#strip"):
            content = screen.query_one(name).render()
            assert isinstance(content, Content)
            assert any("error" in str(span.style) for span in content.spans)


async def test_the_estimated_time_names_the_run_that_it_comes_from() -> None:
    speed = MeasuredSpeed("near", 5_000_000, 8.2e9, "cpu")
    async with config_screen(machine=Machine(2**34, 2**34, 0, speeds=(speed,))) as (_, screen):
        assert "at the speed of near" in text_of(screen, "#figures")
        assert "17m 04s" in text_of(screen, "#figures")


async def test_the_palette_adds_the_time_on_another_gpu() -> None:
    async with config_screen() as (pilot, screen):
        (command,) = [c for c in screen.commands() if c.title == "Time on another GPU"]
        command.callback()
        await until(pilot, lambda: isinstance(screen.app.screen, ListDialog))
        await pilot.press(*"h100 nvl", "enter")
        await until(pilot, lambda: "1 × H100 NVL" in text_of(screen, "#figures"))
        assert "assuming 40% of 1 × 418 TFLOP/s" in text_of(screen, "#figures")


async def test_f1_describes_the_field(project: Path) -> None:
    async with config_screen() as (_, screen):
        await screen.go_to("optimization.betas")
        help_text = help_for(screen).markdown
        assert "## betas" in help_text
        assert settings()["optimization.betas"].allowed in help_text


@pytest.mark.parametrize("button", ["#tab-toml", "#view-file", "#open"])
async def test_buttons_do_what_the_keys_do(button: str) -> None:
    done: dict[str, Callable[[ConfigScreen], bool]] = {
        "#tab-toml": lambda screen: screen.query_one(TextArea).has_focus,
        "#view-file": lambda screen: screen.view == "file",
        "#open": lambda screen: isinstance(screen.app.screen, ListDialog),
    }
    async with config_screen(LARGE) as (pilot, screen):
        screen.query_one(button, Button).press()
        await until(pilot, lambda: done[button](screen))
        await settle(pilot)


async def test_titles_fold_their_section() -> None:
    async with config_screen() as (pilot, screen):
        part = section(screen, "model")
        part.query_one(SectionTitle).focus()
        await pilot.press("enter")
        assert part.folded
        await pilot.press("right")
        await settle(pilot)
        assert not part.folded
        assert screen.state is not None
        assert screen.state.sections["model"].n_errors == 0
