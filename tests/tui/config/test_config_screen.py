"""The Config screen: a person's keys, what they do to the file, and what is said."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Button, Input, Select, Switch, TextArea

from simplegpt.run.directory import RunDirectory
from tests.tui.configs import BASE, CONFIG, MACHINE, PATH, config_screen, make_project
from tests.tui.conftest import LARGE, SIZES, SMALL, settle
from tests.tui.made_runs import Shape, make_run
from tui.config.dialogs import OpenQuestion, SaveQuestion
from tui.config.facts import Machine, Speed
from tui.config.form import ConfigForm
from tui.config.form_field import FormField, field_id
from tui.config.form_section import FormSection, MistakeCount, SectionTitle, section_id
from tui.config.screen import ConfigScreen
from tui.config.states import FieldState
from tui.config.toml_editor import TomlEditor
from tui.shell import messages
from tui.shell.dialogs import Question


@pytest.fixture(autouse=True)
def project(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tui.config.screen.look_at_machine", lambda root: MACHINE)
    monkeypatch.setattr("tui.config.files.hardware.gpus", list)
    # Fewer fields at the start: half of a test's time is making them.
    monkeypatch.setattr("tui.config.form.AT_ONCE", ("model",))
    monkeypatch.setattr("tui.config.form.OPEN_AT_FIRST", ("model",))
    make_project(workplace)
    return workplace


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the screen asked of the shell; none of it happens."""
    found: list[Message] = []
    real = ConfigScreen.post_message

    def record(self: ConfigScreen, message: Message) -> bool:
        if type(message).__module__ == messages.__name__:
            found.append(message)
            return True
        return real(self, message)

    monkeypatch.setattr(ConfigScreen, "post_message", record)
    return found


def field(screen: ConfigScreen, key: str) -> FormField:
    return screen.query_one(f"#{field_id(key)}", FormField)


def section(screen: ConfigScreen, table: str) -> FormSection:
    return screen.query_one(f"#{section_id(table)}", FormSection)


def shown(screen: ConfigScreen, key: str) -> str:
    """What the form shows in a field, whether its section was unfolded or not."""
    for one in screen.query(FormField):
        if one.setting.key == key:
            return one.query_one(Input).value
    return screen.form.fields[key].shown


def state(screen: ConfigScreen, key: str) -> FieldState:
    return screen.form.fields[key]


def said(screen: ConfigScreen, selector: str) -> str:
    return str(screen.query_one(selector).render())


@SIZES
async def test_the_usual_config_opens_with_what_it_costs(size: tuple[int, int]) -> None:
    async with config_screen(size) as (_, screen):
        assert screen.document.path == PATH
        assert said(screen, "#where").strip() == str(PATH)
        costs = said(screen, "#figures" if size != SMALL else "#strip")
        assert "834 k" in costs
        assert "1,536" in costs
        assert "15.4" in costs  # epochs: 1,000 steps of 1,536 over 100,000 tokens
        assert not screen.problems


async def test_typing_into_a_field_changes_text_costs_and_marks(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_layer")
        await pilot.press("end", "backspace", "8")
        await settle(pilot)
        assert "n_layer = 8\n" in screen.document.text
        assert state(screen, "model.n_layer").changed
        assert "1.63 M" in said(screen, "#figures")
        assert "1 change" in said(screen, "#where")
        assert (project / PATH).read_text() == CONFIG  # nothing is written yet


async def test_a_mistake_is_told_under_both_fields_and_found_by_its_count() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("model.n_head")
        await pilot.press("end", "backspace", "5")
        await settle(pilot)
        for key in ("model.n_head", "model.n_embd"):
            assert "must be divisible by n_head (5)" in str(field(screen, key).render())
        count = section(screen, "model").query_one(MistakeCount)
        assert str(count.render()) == "✗ 1"
        screen.form.focus_title(None)
        await pilot.click(count)
        await settle(pilot)
        assert screen.form.focused_key() == "model.n_embd"
        assert "before the mistakes" in str(screen.query_one("#consequences").border_subtitle)


async def test_invalid_input_stays_and_the_next_mistake_is_one_key_away() -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("data.seq_len")
        await pilot.press("x")
        await screen.go_to("trainer.max_steps")
        await pilot.press("home", "-")
        await settle(pilot)
        assert field(screen, "data.seq_len").query_one(Input).value.count("x") == 1
        screen.form.focus_title(None)
        await pilot.press("ctrl+g")
        assert screen.form.focused_key() == "data.seq_len"
        await pilot.press("ctrl+g")
        assert screen.form.focused_key() == "trainer.max_steps"
        await pilot.press("ctrl+g")
        assert screen.form.focused_key() == "data.seq_len"


async def test_missing_token_files_are_told_at_their_fields(project: Path) -> None:
    (project / "data/val-char.bin").unlink()
    async with config_screen() as (_, screen):
        message = state(screen, "data.val_fpath").problem
        assert message.startswith("token file data/val-char.bin does not exist")
        assert "F3" in message


async def test_switches_and_lists_write_their_values() -> None:
    async with config_screen() as (pilot, screen):
        field(screen, "model.bias").query_one(Switch).toggle()
        await screen.go_to("torch_compile")
        field(screen, "torch_compile").query_one(Select).value = True
        await settle(pilot)
        assert "bias = false\n" in screen.document.text
        assert "torch_compile = true\n" in screen.document.text


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
        await pilot.press("ctrl+b")
        await settle(pilot)
        assert screen.document.text == CONFIG
        assert shown(screen, "data.seq_len") == "64"
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert shown(screen, "data.seq_len") == "6"
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert screen.document.text == CONFIG
        await pilot.press("escape", "R")
        await screen.go_to("data.seq_len")
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert state(screen, "data.seq_len").origin == "default"
        assert shown(screen, "data.seq_len") == "1024"


async def test_search_shows_what_matches_and_escape_shows_all() -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("ctrl+l", *"nucleus")
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
        await pilot.press("end", "2", "escape", "v")
        await settle(pilot)
        found = {one.setting.key for one in screen.query(FormField) if one.region.height}
        assert {"model.n_layer", "model.n_vocab", "trainer.max_steps"} <= found  # of this file
        assert "model.bias" not in found
        await pilot.press("v")
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


async def test_a_syntax_error_is_told_at_its_line_and_the_form_waits() -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("f8")
        editor = screen.query_one(TomlEditor)
        editor.move_cursor((3, 0))
        await pilot.press("=")
        await settle(pilot)
        assert list(editor.marked) == [4]
        assert said(screen, "#text-problem").startswith("line 4: column 1:")
        await pilot.press("f8")
        await settle(pilot)
        assert said(screen, "#banner").startswith("✗ line 4: column 1:")
        assert field(screen, "model.n_vocab").query_one(Input).disabled
        await pilot.press("ctrl+g")
        await settle(pilot)
        assert editor.has_focus
        await pilot.press("ctrl+b")
        await settle(pilot)
        assert screen.document.text == CONFIG
        assert not field(screen, "model.n_vocab").query_one(Input).disabled


async def test_an_unknown_key_is_told_above_the_form(project: Path) -> None:
    (project / PATH).write_text(CONFIG + "max_step = 3\n")
    async with config_screen() as (_, screen):
        banner = said(screen, "#banner")
        assert banner == ("✗ line 20: trainer.max_step: unknown key; did you mean 'max_steps'?")


async def test_saving_shows_the_difference_first(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f7")
        question = screen.app.screen
        assert isinstance(question, SaveQuestion)
        assert [line for line in question.diff if line[:1] in "+-"] == [
            "-max_steps = 1_000",
            "+max_steps = 1_0000",
        ]
        assert (project / PATH).read_text() == CONFIG
        await pilot.press("enter")
        await settle(pilot)
        assert (project / PATH).read_text() == CONFIG.replace("1_000", "1_0000")
        assert said(screen, "#where").strip() == str(PATH)
        assert (project / "configs/base.toml").read_text() == BASE


async def test_a_save_that_is_left_writes_nothing(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f7", "escape")
        await settle(pilot)
        assert (project / PATH).read_text() == CONFIG
        assert screen.unsaved() == f"changes of {PATH}"


async def test_save_as_writes_another_file_and_goes_on_with_it(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("a")
        await pilot.pause()
        question = screen.app.screen
        assert isinstance(question, SaveQuestion)
        question.query_one("#path", Input).value = "mine"
        await pilot.press("enter")
        await settle(pilot)
        assert (project / "mine.toml").read_text() == CONFIG.replace(
            '"base.toml"', '"configs/base.toml"'
        )
        assert screen.document.path == Path("mine.toml")
        assert screen.document.shown("model.n_embd") == "128"


async def test_a_new_config_from_a_template_asks_where_it_goes(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(screen.app.screen, OpenQuestion)
        await pilot.press(*"gpt2_fine", "enter")
        await settle(pilot)
        assert screen.document.is_new
        assert screen.document.shown("init_from") == "gpt2"
        await pilot.press("f7")
        await pilot.pause()
        assert isinstance(screen.app.screen, SaveQuestion)
        await pilot.press("enter")
        await settle(pilot)
        assert (project / "configs/gpt2_finetune.toml").is_file()
        assert not screen.document.is_new


async def test_another_config_is_opened_from_the_list(project: Path) -> None:
    (project / "other.toml").write_text("# Another one.\nseed = 5\n")
    async with config_screen() as (pilot, screen):
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(screen.app.screen, OpenQuestion)
        await pilot.press(*"other", "enter")
        await settle(pilot)
        assert screen.document.path == Path("other.toml")
        assert shown(screen, "seed") == "5"


async def test_a_file_that_changed_on_disk_is_read_again(project: Path) -> None:
    async with config_screen() as (pilot, screen):
        (project / PATH).write_text(CONFIG.replace("seq_len = 64", "seq_len = 32"))
        screen.look_at_disk()
        await settle(pilot)
        assert shown(screen, "data.seq_len") == "32"
        assert not screen.document.is_changed


@pytest.mark.parametrize(
    ("key", "seq_len", "n_vocab"),
    [("merge", "32", "99"), ("mine", "64", "99"), ("theirs", "32", "256")],
)
async def test_where_both_changed_one_is_asked(
    project: Path, key: str, seq_len: str, n_vocab: str
) -> None:
    async with config_screen() as (pilot, screen):
        screen.document.type("model.n_vocab", "99")
        screen.refresh_document()
        (project / PATH).write_text(CONFIG.replace("seq_len = 64", "seq_len = 32"))
        screen.look_at_disk()
        await settle(pilot)
        question = screen.app.screen
        assert isinstance(question, Question)
        await pilot.click(f"#{key}")
        await settle(pilot)
        assert screen.document.shown("data.seq_len") == seq_len
        assert screen.document.shown("model.n_vocab") == n_vocab
        assert screen.document.changed_on_disk() is None


async def test_opening_another_config_asks_about_unsaved_changes(project: Path) -> None:
    (project / "other.toml").write_text("seed = 5\n")
    async with config_screen() as (pilot, screen):
        screen.document.type("model.n_vocab", "99")
        screen.open(Path("other.toml"), {})
        await pilot.pause()
        assert isinstance(screen.app.screen, Question)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.document.path == PATH
        screen.open(Path("other.toml"), {})
        await pilot.pause()
        await pilot.click("#discard")
        await settle(pilot)
        assert screen.document.path == Path("other.toml")


async def test_values_from_elsewhere_are_laid_over_as_if_typed() -> None:
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


async def test_training_starts_from_a_saved_config(asked: list[Message]) -> None:
    async with config_screen() as (pilot, _):
        await pilot.press("f9")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH)]


async def test_training_saves_first_what_was_changed(project: Path, asked: list[Message]) -> None:
    async with config_screen() as (pilot, screen):
        await screen.go_to("trainer.max_steps")
        await pilot.press("end", "0", "f9")
        await wait_for_question(pilot, screen, SaveQuestion)
        assert asked == []
        await pilot.press("enter")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH)]
        assert "1_0000" in (project / PATH).read_text()


async def test_with_mistakes_left_it_says_which_and_goes_there(asked: list[Message]) -> None:
    async with config_screen() as (pilot, screen):
        screen.document.type("trainer.max_steps", "-7")
        screen.document.type("data.seq_len", "x")
        screen.refresh_document()
        await pilot.press("f9")
        await settle(pilot)
        assert asked == []
        (notice,) = list(screen.app._notifications)
        assert notice.title == "2 mistakes are left"
        assert "data.seq_len: " in notice.message
        assert screen.form.focused_key() == "data.seq_len"


async def test_a_taken_directory_offers_another_or_the_resume(
    project: Path, asked: list[Message]
) -> None:
    make_run(project / "models/letters", Shape(steps=40, state="stopped"))
    async with config_screen() as (pilot, screen):
        await pilot.press("f9")
        await wait_for_question(pilot, screen, Question)
        await pilot.press("enter")
        await settle(pilot)
        assert asked == [messages.StartTraining(PATH, ("--output_dir", "models/letters-2"))]
        asked.clear()
        await pilot.press("f9")
        await wait_for_question(pilot, screen, Question)
        await pilot.click("#resume")
        await settle(pilot)
        assert asked == [messages.ResumeTraining(RunDirectory("models/letters").path)]


async def wait_for_question(pilot: Pilot[None], screen: ConfigScreen, kind: type) -> None:
    """Wait, in turns of the event loop, until a question of this kind is open."""
    for _ in range(500):
        if isinstance(screen.app.screen, kind):
            return
        await pilot.pause(0.01)
    raise AssertionError(f"no {kind.__name__} was asked")


async def test_memory_that_cannot_suffice_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = Machine(memory=2**29, cpu_memory=2**29, n_gpus=0)
    monkeypatch.setattr("tui.config.screen.look_at_machine", lambda root: small)
    async with config_screen() as (_, screen):
        assert "More than there is" in said(screen, "#figures")
        assert "it will not fit" in said(screen, "#strip")


async def test_the_time_is_estimated_from_an_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Speed("slow", 10**9, 1e9, "cpu")
    near = Speed("near", 5_000_000, 8.2e9, "cpu")
    gpu = Speed("gpu", 5_000_000, 1e14, "gpu")
    machine = Machine(2**34, 2**34, 0, speeds=(slow, near, gpu))
    monkeypatch.setattr("tui.config.screen.look_at_machine", lambda root: machine)
    async with config_screen() as (_, screen):
        assert "at the speed of near" in said(screen, "#figures")
        assert "≈ 16 min 51 s" in said(screen, "#figures")


async def test_f1_tells_of_the_field(project: Path) -> None:
    async with config_screen() as (_, screen):
        await screen.go_to("optimization.betas")
        help_text = screen.current_help()
        assert "## betas" in help_text
        assert "a list of 2 numbers ≥ 0 and < 1" in help_text


@pytest.mark.parametrize("button", ["#tab-toml", "#view-file", "#open"])
async def test_buttons_do_what_the_keys_do(button: str) -> None:
    done: dict[str, Callable[[ConfigScreen], bool]] = {
        "#tab-toml": lambda screen: screen.query_one(TextArea).has_focus,
        "#view-file": lambda screen: screen.view == "file",
        "#open": lambda screen: isinstance(screen.app.screen, OpenQuestion),
    }
    async with config_screen(LARGE) as (pilot, screen):
        screen.query_one(button, Button).press()
        for _ in range(500):
            if done[button](screen):
                await settle(pilot)  # what it unfolds is still being made
                return
            await pilot.pause(0.01)
        raise AssertionError(f"{button} did nothing")


async def test_titles_fold_their_section() -> None:
    async with config_screen() as (pilot, screen):
        part = section(screen, "model")
        part.query_one(SectionTitle).focus()
        await pilot.press("enter")
        assert part.folded
        await pilot.press("right")
        await settle(pilot)
        assert not part.folded
        assert screen.query_one(ConfigForm).sections["model"].mistakes == 0
