"""The Data screen: from a text to token files to the config, and every error on the way."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import tiktoken
from textual.content import Content
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, Input, OptionList, ProgressBar, Static

import tui.config.screen
from simplegpt.data import corpus
from simplegpt.data.corpus import OnProgress
from simplegpt.data.tokens import open_tokens
from simplegpt.progress import ProgressReport
from simplegpt.tokenizer import main as train_tokenizer
from tests.tui.conftest import SMALL, settle, until
from tests.tui.permissions import binding_permissions
from tui.app import Workbench
from tui.config.screen import ConfigScreen
from tui.data.file_picker import FilePicker
from tui.data.screen import DataScreen
from tui.data.text_preview import TextPreview
from tui.data.text_sample import TextSample
from tui.data.tokenizing import Job, tokenize
from tui.shell.dialogs import Question, TextDialog

TOKENIZER_FILE = "data/my-tokenizer.json"
VERSE = "To be, or not to be, that is the question.\n"


@pytest.fixture
def text(workplace: Path) -> Path:
    """A text in the data folder: the third choice, after the named corpora."""
    path = workplace / "data" / "verse.txt"
    path.parent.mkdir()
    path.write_text(VERSE * 100)
    return path


class RecordingConfigScreen(ConfigScreen):
    """Records what it is asked to open."""

    CSS_PATH = Path(tui.config.screen.__file__).with_name("screen.tcss")

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[Path | None, Mapping[str, Any]]] = []

    def open(  # type: ignore[override]
        self, path: Path | None, values: Mapping[str, Any], key: str = "", new_name: str = ""
    ) -> None:
        self.opened.append((path, values))


class DataWorkbench(Workbench):
    """Its config editor only records."""

    MODES: ClassVar = {**Workbench.MODES, "config": RecordingConfigScreen}


def opened(pilot: Pilot[None]) -> list[tuple[Path | None, Mapping[str, Any]]]:
    """What the config editor was asked to open."""
    assert isinstance(pilot.app, DataWorkbench)
    config = pilot.app.visited["config"]
    assert isinstance(config, RecordingConfigScreen)
    return config.opened


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@asynccontextmanager
async def data_screen() -> AsyncIterator[tuple[Pilot[None], DataScreen]]:
    app = DataWorkbench()
    async with app.run_test(size=SMALL) as pilot:
        screen = await app.visit("data")
        assert isinstance(screen, DataScreen)
        await settle(pilot)
        yield pilot, screen


async def choose(pilot: Pilot[None], name: str) -> None:
    """Move the cursor to a text."""
    screen = pilot.app.screen
    assert isinstance(screen, DataScreen)
    names = [choice.name for choice in screen.choices.texts]
    corpora = screen.query_one("#corpora", OptionList)
    corpora.highlighted = corpora.get_option_index(str(names.index(name)))
    await settle(pilot)


def shown(screen: Screen[Any], where: str) -> str:
    return str(screen.query_one(where, Static).render())


def error(screen: DataScreen) -> str:
    assert screen.query_one("#error").display, "no error is shown"
    return shown(screen, "#error")


async def test_enter_leads_from_the_text_to_the_config(
    text: Path, without_gpu: None, workplace: Path
) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        assert "4.20 KiB · 100 lines" in shown(screen, "#facts")
        assert "4,300, 17 different: ↵ space , . T a b e h i n o q–u" in shown(
            screen, "#statistics"
        )
        await pilot.press("enter")  # this text
        await pilot.press("enter")  # with char
        assert shown(screen, "#status").startswith("4,300 tokens, 8.40 KiB on disk")
        await pilot.press("enter")  # prepare
        await settle(pilot)
        assert "3,870 tokens for training" in shown(screen, "#status")
        assert screen.focused is screen.query_one("#next")
        await pilot.press("enter")  # open the config
        await settle(pilot)
        assert pilot.app.current_mode == "config"
    assert len(open_tokens(workplace / "data/verse/train-char.bin")) == 3870
    ((template, values),) = opened(pilot)
    assert template is not None
    assert template.name == "shakespeare_char_cpu.toml"
    assert values == {
        "data.train_fpath": "data/verse/train-char.bin",
        "data.val_fpath": "data/verse/val-char.bin",
        "output_dir": "models/verse-char",
    }


async def test_config_is_fitted_to_another_vocabulary_and_a_free_folder(
    text: Path, without_gpu: None, workplace: Path
) -> None:
    (workplace / "models/verse-gpt2").mkdir(parents=True)
    (workplace / "models/verse-gpt2/config.toml").touch()
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("enter", "down", "down")
        await settle(pilot)
        assert screen.query_one("#tokens", TextSample).pieces[:3] == ("To", " be", ",")
        await pilot.press("f9")
        await settle(pilot)
        await pilot.press("f9")
        await settle(pilot)
    ((_, values),) = opened(pilot)
    assert values["model.n_vocab"] == 50_257
    assert values["tokenizer_name"] == "gpt2"
    assert values["output_dir"] == "models/verse-gpt2-2"


async def test_existing_files_are_replaced_only_after_a_question(
    text: Path, without_gpu: None, workplace: Path
) -> None:
    folder = workplace / "data/verse"
    folder.mkdir()
    (folder / "train-char.bin").write_bytes(b"mine")
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        question = pilot.app.screen
        # Not whole (no sidecar, no validation part): using it is not offered.
        assert [button.id for button in question.query(Button)] == ["overwrite", "cancel"]
        await pilot.press("enter")
        await settle(pilot)
        assert (folder / "train-char.bin").read_bytes() == b"mine"
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("right", "enter")
        await settle(pilot)
        assert len(open_tokens(folder / "train-char.bin")) == 3870
        # Now they are whole: the first answer uses them, and nothing is written again.
        written = (folder / "train-char.bin").stat().st_mtime_ns
        screen.query_one("#corpora").focus()
        screen.panel.phase = "choosing"
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, Question))
        await pilot.press("enter")
        await settle(pilot)
        assert (folder / "train-char.bin").stat().st_mtime_ns == written
    assert len(opened(pilot)) == 1


async def test_cancel_leaves_nothing(text: Path, workplace: Path) -> None:
    text.write_text(VERSE * 1_000_000)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("enter", "down", "down")  # gpt2 takes some seconds for it
        await settle(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: bool(list(workplace.glob("data/verse/*.partial"))), 60)
        assert screen.unsaved() == "token files that are being written"
        await pilot.press("enter")  # one too many: it does not cancel
        assert screen.panel.phase == "working"
        await pilot.press("escape")
        await until(pilot, lambda: screen.panel.phase == "choosing")
        assert shown(screen, "#status") == "Cancelled. Partial files were deleted."
        assert screen.unsaved() is None
    assert list((workplace / "data").iterdir()) == [text]


async def test_progress_counts_the_bytes_of_both_files(text: Path) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        screen.panel.start(2000)
        report = ProgressReport(
            label="train", unit="B", done=1500, total=1500, rate=100, eta=0, counts={"tokens": 400}
        )
        screen.panel.show_progress(report)
        assert shown(screen, "#status") == "100 B/s · ETA 5s · 400 tokens"
        screen.panel.show_progress(report.model_copy(update={"label": "val", "done": 300}))
        assert screen.query_one(ProgressBar).progress == 1800


async def test_nothing_else_is_chosen_while_it_works(text: Path) -> None:
    (text.parent / "other.txt").write_text(VERSE)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        screen.panel.start(100)
        chosen = screen.choice
        screen.query_one("#corpora").focus()
        await pilot.press("up", "enter")  # another text
        await pilot.press("end", "enter")  # another file
        await pilot.press("f7", "f9")
        await settle(pilot)
        assert pilot.app.screen is screen
        assert screen.choice is chosen
        assert screen.panel.phase == "working"
    assert not (text.parent / "verse").exists()


async def test_quitting_while_it_writes_leaves_neither_process_nor_half_files(
    text: Path, workplace: Path
) -> None:
    text.write_text(VERSE * 1_000_000)
    before = set(psutil.Process().children(recursive=True))
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("enter", "down", "down")
        await settle(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: bool(list(workplace.glob("data/verse/*.partial"))), 60)
        screen.leave()
        await until(pilot, lambda: set(psutil.Process().children(recursive=True)) <= before, 60)
        await until(pilot, lambda: not (text.parent / "verse").exists())
    assert list((workplace / "data").iterdir()) == [text]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "verse.txt: empty"),
        (b"\xff\xfe", "verse.txt:1: invalid UTF-8 at byte 0"),
        (b"x" * 20_000 + b"\n\xff", "verse.txt:2: invalid UTF-8 at byte 20,001"),
    ],
)
async def test_an_unsuitable_text_is_an_error_and_not_prepared(
    text: Path, workplace: Path, data: bytes, sentence: str
) -> None:
    text.write_bytes(data)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        assert sentence in error(screen)
        await pilot.press("f9")
        await settle(pilot)
        assert sentence in error(screen)
        assert screen.panel.phase == "choosing"
    assert list((workplace / "data").iterdir()) == [text]


async def test_text_beyond_char_gets_gpt2_and_char_says_why_not(text: Path) -> None:
    text.write_text("Übung\n" * 20 + "語\n")
    (text.parent / "ascii.txt").write_text(VERSE)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        assert screen.tokenizer == "gpt2"
        assert not screen.query_one("#error").display
        await choose(pilot, "data/ascii.txt")
        assert screen.tokenizer == "char"  # which was left for the other text's sake only
        await choose(pilot, "data/verse.txt")
        screen.query_one("#tokenizers").focus()
        await pilot.press("home")
        await settle(pilot)
        assert "the character '語'" in error(screen)
        await pilot.press("f9")
        await settle(pilot)
        assert "'byte' and 'gpt2' encode any text" in error(screen)
        await pilot.press("down")
        await settle(pilot)
        assert not screen.query_one("#error").display


async def test_character_far_down_the_text_is_known_before_the_writing_fails(text: Path) -> None:
    text.write_text(VERSE * 1_000 + "語\n")
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        screen.query_one("#tokenizers").focus()
        await pilot.press("home")
        await settle(pilot)
        assert screen.tokenizer == "char"
        assert "line 1001: the character '語'" in error(screen)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("#percent", "ten", "must be a percentage"),
        ("#percent", "100", "must be a percentage"),
        ("#folder", "data/verse.txt", "data/verse.txt is not a directory"),
    ],
)
async def test_invalid_settings_are_errors(
    text: Path, field: str, value: str, sentence: str
) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        screen.query_one(field, Input).value = value
        await pilot.press("f9")
        await settle(pilot)
        assert sentence in error(screen)


async def test_failure_of_the_command_is_shown(text: Path, workplace: Path) -> None:
    (workplace / "data/verse").mkdir()
    (workplace / "data/verse/train-char.bin.partial").mkdir()  # where it would write
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("f9")
        await settle(pilot)
        assert "cannot be written" in error(screen)
        assert screen.panel.phase == "choosing"


def replace_shakespeare(monkeypatch: pytest.MonkeyPatch, make: Any, text: str = VERSE * 10) -> None:
    """A corpus of that name which is made by `make`, without the network."""
    known = corpus.CORPORA["tinyshakespeare"]
    fake = replace(known, make=make, sha256=None, size=len(text))
    monkeypatch.setitem(corpus.CORPORA, "tinyshakespeare", fake)


async def test_enter_fetches_a_corpus_that_is_not_available(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(path: Path, on_progress: OnProgress) -> None:
        path.write_text(VERSE * 10)
        on_progress(len(VERSE) * 10)

    replace_shakespeare(monkeypatch, make)
    async with data_screen() as (pilot, screen):
        assert "not available yet: Enter to download it" in shown(screen, "#facts")
        await pilot.press("f9")
        assert "is not available yet" in error(screen)
        await pilot.press("enter")
        await settle(pilot)
        assert screen.choice is not None
        assert screen.choice.is_available
        assert "430 B · 10 lines" in shown(screen, "#facts")
        assert screen.focused is screen.query_one("#tokenizers")
        assert screen.panel.folder == Path("data")


async def test_fetch_can_be_cancelled_and_keeps_nothing(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(path: Path, on_progress: OnProgress) -> None:
        path.write_text("half")
        while True:
            on_progress(1)

    replace_shakespeare(monkeypatch, make)
    async with data_screen() as (pilot, screen):
        await pilot.press("enter")
        await until(pilot, lambda: screen.panel.phase == "working")
        await pilot.press("escape")
        await until(pilot, lambda: screen.panel.phase == "choosing")
        assert shown(screen, "#status") == "Cancelled. Partial files were deleted."
    assert not [path for path in corpus.cache_folder().rglob("*") if path.is_file()]


async def test_unavailable_corpus_is_an_error_that_names_another(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(path: Path, on_progress: OnProgress) -> None:
        raise corpus.CorpusUnavailableError("it could not be downloaded")

    replace_shakespeare(monkeypatch, make)
    async with data_screen() as (pilot, screen):
        await pilot.press("enter")
        await settle(pilot)
        assert error(screen) == "it could not be downloaded\npython-stdlib needs no network."


async def open_picker(pilot: Pilot[None]) -> FilePicker:
    await pilot.press("f7")
    await until(pilot, lambda: isinstance(pilot.app.screen, FilePicker))
    picker = pilot.app.screen
    assert isinstance(picker, FilePicker)
    await until(pilot, lambda: bool(picker.shown))
    return picker


def labels(picker: FilePicker) -> list[str]:
    return [entry.label for entry in picker.shown]


async def test_file_is_picked_from_a_filtered_list(text: Path, workplace: Path) -> None:
    books = workplace / "books"
    books.mkdir()
    for name in ("moby.txt", "emma.txt", ".hidden.txt"):
        (books / name).write_text(VERSE)
    async with data_screen() as (pilot, screen):
        picker = await open_picker(pilot)
        assert labels(picker) == ["..", "books/", "data/"]
        await pilot.press("down", "enter")  # opens books
        await until(pilot, lambda: labels(picker) == ["..", "*", "emma.txt", "moby.txt"])
        await pilot.press(*"mm")
        await until(pilot, lambda: labels(picker) == ["emma.txt"])
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settle(pilot)
        assert screen.choice is not None
        assert screen.choice.name == "books/emma.txt"
        assert screen.panel.folder == Path("data/emma")
        corpora = screen.query_one("#corpora", OptionList)
        assert corpora.highlighted_option is not None
        assert "books/emma.txt" in str(corpora.highlighted_option.prompt)


async def test_picker_opens_folders_and_shows_an_error_for_a_wrong_path(
    text: Path, workplace: Path
) -> None:
    async with data_screen() as (pilot, screen):
        picker = await open_picker(pilot)
        field = picker.query_one(Input)
        field.value = "data/vers.txt"
        await pilot.press("enter")
        await until(pilot, lambda: "did you mean 'verse.txt'" in shown(picker, "#error"))
        field.value = f"{workplace}/data/"
        await until(pilot, lambda: labels(picker) == ["..", "*", "verse.txt"])
        await pilot.press("home", "enter")  # the folder above
        await until(pilot, lambda: labels(picker) == ["..", "data/"])
        assert field.value == f"{workplace}/"
        field.value = f"{workplace}/data/verse.txt"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settle(pilot)
        assert screen.choice is not None
        assert screen.choice.name == "data/verse.txt"


async def test_nothing_in_a_text_reaches_the_terminal_as_a_command(text: Path) -> None:
    text.write_text("\x1b[31m[bold]red[/bold]\x07 [/oops]\n" * 3)
    hostile = text.with_name("\x1b[2Jevil[bold].txt")
    hostile.write_text(VERSE)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        for name in ("#text", "#tokens"):
            sample = screen.query_one(name, TextSample)
            lines = ["".join(s.text for s in sample.render_line(y)) for y in range(3)]
            assert "␛[31m[bold]red[/bold]␇ [/oops]" in lines[0]
            assert all(line.isprintable() for line in lines)
            await pilot.press("f8")
            await pilot.pause()
        await choose(pilot, "data/\x1b[2Jevil[bold].txt")
        assert "␛[2Jevil[bold].txt" in shown(screen, "#facts")


async def test_steps_show_text_tokens_or_statistics_where_there_is_room_for_one(text: Path) -> None:
    async with data_screen() as (pilot, screen):
        preview = screen.query_one(TextPreview)

        def displayed() -> list[str | None]:
            return [widget.id for widget in preview.children if widget.display][1:]

        assert displayed() == ["text"]
        await pilot.press("tab")  # the tokenizers
        await pilot.pause()
        assert displayed() == ["tokens"]
        await pilot.press("f8")
        await pilot.pause()
        assert displayed() == ["statistics"]


async def test_every_text_gets_its_own_folder_but_the_configs_own_corpus(text: Path) -> None:
    async with data_screen() as (pilot, screen):
        assert screen.panel.folder == Path("data")
        await choose(pilot, "python-stdlib")
        assert screen.panel.folder == Path("data/python-stdlib")
        await choose(pilot, "data/verse.txt")
        assert screen.panel.folder == Path("data/verse")


async def test_prepared_token_files_are_listed_and_trained_on(
    text: Path, without_gpu: None
) -> None:
    job = Job(text, "gpt2", Path("data/verse"), 0.1)
    async for _ in tokenize(job):
        pass
    async with data_screen() as (pilot, screen):
        await pilot.press("end")
        await settle(pilot)
        assert "verse · gpt2" in shown(screen, "#facts")
        sample = screen.query_one("#tokens", TextSample)
        assert sample.pieces[:2] == ("To", " be")
        segments = list(sample.render_line(0))[:4]  # To, a blank, be, the comma
        # Neighbours also differ where there are few colours or none.
        underlined = [bool(one.style and one.style.underline) for one in segments]
        assert underlined == [False, True, True, False]
        assert "1,260 tokens for training" in shown(screen, "#status")
        assert "12 token IDs used" in shown(screen, "#statistics")
        await pilot.press("enter")
        await settle(pilot)
    ((_, values),) = opened(pilot)
    assert values["data.train_fpath"] == "data/verse/train-gpt2.bin"
    assert values["model.n_vocab"] == 50_257


async def test_chosen_text_is_among_the_recent_ones_at_the_next_start(workplace: Path) -> None:
    elsewhere = workplace.parent / "elsewhere.txt"
    elsewhere.write_text(VERSE)
    async with data_screen() as (pilot, screen):
        picker = await open_picker(pilot)
        picker.query_one(Input).value = str(elsewhere)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settle(pilot)
    async with data_screen() as (_, screen):
        assert [choice.path for choice in screen.choices.recent] == [elsewhere]


async def test_documents_are_separated_at_the_marker(text: Path, workplace: Path) -> None:
    text.write_text("one\n<end>two\n<end>three\n")
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        for field, value in (("#marker", "<end>"), ("#separator", "0"), ("#percent", "0")):
            screen.query_one(field, Input).value = value
        await pilot.press("f9")
        await settle(pilot)
    tokens = open_tokens(workplace / "data/verse/train-char.bin")
    assert bytes(tokens.slice(0, len(tokens)).tolist()) == b"one\n\0two\n\0three\n"


async def test_only_enter_loads_a_tokenizer_that_may_be_downloaded(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(name: str) -> tiktoken.Encoding:
        loaded.append(name)
        raise ConnectionError("offline")

    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        monkeypatch.setattr(tiktoken, "get_encoding", load)
        screen.query_one("#tokenizers").focus()
        await pilot.press("end")
        await settle(pilot)
        assert "Enter to load o200k_harmony" in shown(screen, "#statistics")
        assert "3.45 MiB" in shown(screen, "#statistics")
        assert loaded == []
        await pilot.press("enter")
        await settle(pilot)
        assert loaded == ["o200k_harmony"]
        assert "(offline)" in error(screen)


async def test_unreadable_folder_is_left_out(text: Path) -> None:
    text.parent.chmod(0)
    with binding_permissions():
        async with data_screen() as (_, screen):
            assert screen.choices.texts
            assert all(choice.corpus for choice in screen.choices.texts)
    text.parent.chmod(0o755)


async def test_unknown_user_in_the_folder_is_an_error(text: Path) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        screen.query_one("#folder", Input).value = "~nobody-at-all/x"
        await pilot.press("f9")
        await settle(pilot)
        assert error(screen) == "Folder: ~nobody-at-all/x: no such user"


async def test_long_names_are_cut_by_cells(text: Path) -> None:
    (text.parent / f"{'学習' * 20}.txt").write_text(VERSE)
    async with data_screen() as (_, screen):
        corpora = screen.query_one("#corpora", OptionList)
        room = corpora.scrollable_content_region.width
        prompts = [Content(str(option.prompt)) for option in corpora.options]
        assert all(prompt.cell_length <= room for prompt in prompts)


async def test_tokenizer_file_is_listed_and_used(text: Path, without_gpu: None) -> None:
    train_tokenizer(
        ["--text_file", "data/verse.txt", "--n_vocab", "300", "--output_file", TOKENIZER_FILE]
    )
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("enter", "down", "down", "down")
        await settle(pilot)
        assert screen.tokenizer == TOKENIZER_FILE
        assert screen.query_one("#tokens", TextSample).pieces
        for _ in range(2):
            await pilot.press("f9")
            await settle(pilot)
        ((_, values),) = opened(pilot)
    assert values["tokenizer_name"] == TOKENIZER_FILE
    assert values["data.train_fpath"] == "data/verse/train-my-tokenizer.bin"
    assert values["output_dir"] == "models/verse-my-tokenizer"


async def test_tokenizer_is_trained_on_the_text_and_shows_its_pieces(
    text: Path, workplace: Path
) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/verse.txt")
        await pilot.press("enter", "down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextDialog))
        field = pilot.app.screen.query_one(Input)
        field.value = "256"
        await pilot.press("enter")
        assert "from 257 to 4,294,967,296" in shown(pilot.app.screen, "#error")
        field.value = "280"
        await pilot.press("enter")
        await until(pilot, lambda: screen.tokenizer == "data/verse-280-tokenizer.json", 60)
        await settle(pilot)
        pieces = screen.query_one("#tokens", TextSample).pieces
        assert "".join(pieces) == VERSE * 100
        assert len(pieces) < len(VERSE) * 70
        assert screen.focused is screen.query_one("#tokenizers")
    assert (workplace / "data/verse-280-tokenizer.json").exists()


async def test_tokenizer_is_trained_on_the_messages_of_dialogues(
    text: Path, workplace: Path
) -> None:
    exchange = [{"role": role, "content": "سلام، خوش آمدید"} for role in ("user", "assistant")]
    Path("data/talk.jsonl").write_text(f"{json.dumps({'messages': exchange * 9})}\n" * 9)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/talk.jsonl")
        await settle(pilot)
        screen.train_tokenizer()
        await until(pilot, lambda: isinstance(pilot.app.screen, TextDialog))
        pilot.app.screen.query_one(Input).value = "300"
        await pilot.press("enter")
        await until(pilot, lambda: screen.tokenizer == "data/talk-300-tokenizer.json", 60)
    vocabulary = json.loads(Path("data/talk-300-tokenizer.json").read_text())["model"]["vocab"]
    assert "Assistant" in vocabulary
    assert "content" not in vocabulary
