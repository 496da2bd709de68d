"""Documents in the Data screen: files, folders and datasets, from the preview to the config."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, ProgressBar

from simplegpt.data import __main__ as data
from simplegpt.data.shards import ShardWriter
from simplegpt.data.tokens import TokenSet, open_tokens
from simplegpt.progress import ProgressReport
from tests.tui.conftest import settle, until
from tests.tui.data.test_data_screen import choose, data_screen, error, labels, open_picker, shown
from tests.tui.data.test_data_screen import opened as opened_configs
from tui.data.choices import choice_of, find_choices
from tui.data.file_picker import find_entries
from tui.data.hub_dialog import HubDialog
from tui.data.text_sample import TextSample
from tui.shell.dialogs import Question

TEXTS = [f"Document {i} says that it has something to say." for i in range(50)]


@pytest.fixture
def stories(workplace: Path) -> Path:
    """Documents in the data folder."""
    path = workplace / "data" / "stories.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps({"id": "a", "text": text}) + "\n" for text in TEXTS))
    return path


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_corpora_of_dialogues_are_offered_as_such(workplace: Path) -> None:
    kinds = {choice.name: choice.kind for choice in find_choices().texts}
    assert kinds["python-stdlib"] == "text"
    assert kinds["python-questions"] == "dialogues"


async def prepare(pilot: Pilot[None]) -> None:
    await pilot.press("f9")
    await settle(pilot)


async def test_documents_lead_from_the_preview_to_a_config_on_their_shards(
    stories: Path, without_gpu: None
) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/stories.jsonl")
        assert "3.41 KiB · 50 documents" in shown(screen, "#facts")
        assert "Documents 50" in shown(screen, "#statistics")
        assert "length median 46, 95% ≤ 46, longest 46" in shown(screen, "#statistics")
        assert screen.tokenizer == "gpt2"
        pieces = screen.query_one("#tokens", TextSample).pieces
        assert pieces[pieces.index("<|endoftext|>") + 1] == "Document"
        assert not screen.query_one("#markers").display
        n_tokens = len(pieces)
        assert shown(screen, "#status").startswith(f"{n_tokens} tokens")
        await prepare(pilot)
        assert not screen.query_one("#columns").display
        assert "for training" in shown(screen, "#status")
        screen.panel.phase = "choosing"
        await prepare(pilot)
        assert isinstance(pilot.app.screen, Question)
        assert "2 shards already exist" in pilot.app.screen.text
        await pilot.press("enter")  # use them
        await settle(pilot)
        ((_, values),) = opened_configs(pilot)
        assert values["data.train_fpath"] == "data/stories/train-gpt2-*.bin"
        assert values["data.val_fpath"] == "data/stories/val-gpt2-*.bin"
        assert values["output_dir"] == "models/stories-gpt2"
        train, val = (len(open_tokens(values[f"data.{split}_fpath"])) for split in ("train", "val"))
        assert train + val == n_tokens


async def test_dialogues_lead_from_the_preview_to_a_config_for_a_chat(
    workplace: Path, without_gpu: None
) -> None:
    (workplace / "data").mkdir()
    exchanges = [
        [
            {"role": "user", "content": f"What is {n} + {n}?"},
            {"role": "assistant", "content": f"It is {2 * n}."},
        ]
        for n in range(20)
    ]
    lines = "".join(json.dumps({"messages": messages}) + "\n" for messages in exchanges)
    file = workplace / "data" / "sums.jsonl"
    file.write_text(lines)
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/sums.jsonl")
        assert screen.head is not None
        assert screen.head.text.startswith("User:\nWhat is 0 + 0?\n\nAssistant:\nIt is 0.\n")
        assert "20 dialogues" in shown(screen, "#facts")
        assert "Dialogues 20" in shown(screen, "#statistics")
        assert "of the tokens in answers" in shown(screen, "#statistics")
        assert screen.tokenizer == "gpt2"
        for id in ("#columns", "#markers", "#separators"):
            assert not screen.query_one(id).display
        n_tokens = len(screen.query_one("#tokens", TextSample).pieces)
        await prepare(pilot)
        assert "for training" in shown(screen, "#status")
        await pilot.press("enter")
        await settle(pilot)
        ((template, values),) = opened_configs(pilot)
        assert template.name == "chat_cpu.toml"
        tokens = {split: open_tokens(values[f"data.{split}_fpath"]) for split in ("train", "val")}
        assert sum(map(len, tokens.values())) == n_tokens
        assert {split.chat_template for split in tokens.values()} == {"simplegpt"}
        assert any(isinstance(item, TokenSet) for item in screen.listed)

        file.write_text(lines + '{"messages": [{"role": "tool", "content": "x"}]}\n')
        screen.choice = None
        screen.choose_text(choice_of(Path("data/sums.jsonl")))
        await settle(pilot)
        assert "data/sums.jsonl:21: messages.0.role" in error(screen)


async def test_column_is_chosen_where_the_text_has_another_name(workplace: Path) -> None:
    (workplace / "data").mkdir()
    pq.write_table(pa.table({"content": TEXTS}), workplace / "data" / "web.parquet")
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/web.parquet")
        assert "no column 'text' (columns: content)" in error(screen)
        screen.query_one("#column", Input).focus()
        screen.query_one("#column", Input).value = "content"
        await pilot.press("tab")
        await settle(pilot)
        assert not screen.query_one("#error").display
        assert "50 documents" in shown(screen, "#facts")
        screen.query_one("#column", Input).value = "contents"
        await prepare(pilot)
        assert "no column 'contents'; did you mean 'content'?" in error(screen)
    assert not (workplace / "data" / "web").exists()


async def test_folder_of_documents_is_picked(stories: Path, workplace: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), stories.with_name("more.parquet"))
    stories.with_name("model.bin").write_bytes(b"\0")
    async with data_screen() as (pilot, screen):
        picker = await open_picker(pilot)
        picker.query_one(Input).value = "data/"
        await until(pilot, lambda: labels(picker) == ["..", "*", "more.parquet", "stories.jsonl"])
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settle(pilot)
        assert screen.choice is not None
        assert screen.choice.name == "data"
        assert "100 documents" in shown(screen, "#facts")
    assert find_entries("")[0].group == "Recent"


async def test_dataset_of_the_hub_is_previewed_and_chosen(workplace: Path) -> None:
    (workplace / "set").mkdir()
    pq.write_table(pa.table({"text": TEXTS}), workplace / "set" / "train.parquet")
    async with data_screen() as (pilot, screen):
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, HubDialog))
        await pilot.press("enter")  # a name is needed
        assert isinstance(pilot.app.screen, HubDialog)
        pilot.app.screen.query_one("#name", Input).value = "./set"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settle(pilot)
        assert "50 documents" in shown(screen, "#facts")
        job = screen.planned_job()
    assert job.arguments()[:7] == [
        *("--hf_dataset", "./set", "--split", "train", "--text_column", "text", "--streaming"),
    ]
    assert job.output_dir == Path("data/set")


async def test_interrupted_conversion_is_resumed_after_a_question(
    stories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ShardWriter._commit

    def commit_and_end(*arguments: Any) -> None:
        commit(*arguments)
        raise KeyboardInterrupt

    words = ["--documents", "data/stories.jsonl", "--output_dir", "data/stories"]
    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "_commit", commit_and_end)
        with pytest.raises(KeyboardInterrupt):
            data.main(words)
    state = Path("data/stories/train-gpt2.resume.json")
    assert state.exists()
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/stories.jsonl")
        assert not screen.choices.token_sets, "these shards are not all there"
        await prepare(pilot)
        question = pilot.app.screen
        assert isinstance(question, Question)
        assert [button.id for button in question.query(Button)] == ["resume", "overwrite", "cancel"]
        await pilot.press("enter")
        await settle(pilot)
        assert "for training" in shown(screen, "#status")
        assert len(screen.choices.token_sets) == 1
    assert not state.exists()


async def test_progress_of_a_dataset_of_unknown_size_has_no_estimate(stories: Path) -> None:
    async with data_screen() as (pilot, screen):
        await choose(pilot, "data/stories.jsonl")
        screen.panel.start(0)
        report = ProgressReport(
            label="a", unit="documents", done=1500, total=0, rate=100, eta=None, counts={}
        )
        screen.panel.show_progress(report)
        assert shown(screen, "#status") == "100 documents/s"
        assert screen.query_one(ProgressBar).total is None
