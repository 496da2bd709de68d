"""Dialogues in JSON lines become token files with marks, and windows of whole dialogues."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simplegpt.cli import UserError
from simplegpt.config.load import inspect
from simplegpt.data import corpus
from simplegpt.data.__main__ import main
from simplegpt.data.chat import BEGIN
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.data.tokens import check_config, open_tokens
from simplegpt.data.windows import IGNORED, DialogueWindows
from tests.simplegpt.models import train_tokenizer

TOKENIZER = "tokenizer.json"
SAID = ["I am fine.", "Hello! " * 9, "How are you?", "Thanks"]
EXCHANGES = [
    [
        {"role": "system", "content": f"Number {i}"},
        {"role": "user", "content": " Hello! "},
        {"role": "assistant", "content": f"{SAID[i % 4]} {i}"},
    ]
    * (1 + i % 3)
    for i in range(20)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with chat.jsonl and a tokenizer, as the working directory."""
    monkeypatch.chdir(tmp_path)
    train_tokenizer(tmp_path)
    write(Path("chat.jsonl"), EXCHANGES)
    return tmp_path


def write(path: Path, dialogues: list[list[dict[str, str]]]) -> None:
    lines = "".join(json.dumps({"messages": one, "id": 1}) + "\n" for one in dialogues)
    data = lines.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def encode(*words: str) -> None:
    main(["--tokenizer_name", TOKENIZER, *words])


def text_of(ids: np.ndarray) -> str:
    return load_tokenizer(TOKENIZER).decode(ids.tolist())


def test_answers_and_beginnings_are_marked() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    tokens = open_tokens("all.bin")
    assert tokens.chat_template == "simplegpt"
    ids, marks = tokens.slice(0, len(tokens)), tokens.marks()
    assert text_of(ids).startswith(
        "System:\nNumber 0<|endoftext|>User:\nHello!<|endoftext|>Assistant:\nI am fine. 0<|endof"
    )
    answers = [m["content"] for one in EXCHANGES for m in one if m["role"] == "assistant"]
    assert text_of(ids[marks == 1]) == "".join(f"{text}<|endoftext|>" for text in answers)
    begins = np.flatnonzero(marks == 2)
    documents = [text_of(part) for part in np.split(ids, begins[1:])]
    assert len(documents) == len(EXCHANGES)
    assert all(text.startswith(f"System:\nNumber {i}<") for i, text in enumerate(documents))
    assert set(marks.tolist()) == {0, 1, 2}


def test_a_split_is_by_dialogue_and_a_compressed_file_is_the_same() -> None:
    write(Path("chat.jsonl.gz"), EXCHANGES)
    for name, folder in (("chat.jsonl", "plain"), ("chat.jsonl.gz", "gz")):
        encode("--chat_file", name, "--output_dir", folder, "--val_fraction", "0.15")
    train, val = (open_tokens(f"plain/{split}-tokenizer.bin") for split in ("train", "val"))
    assert ((train.marks() == 2).sum(), (val.marks() == 2).sum()) == (17, 3)
    for path in Path("plain").glob("*.bin*"):
        if path.suffix != ".json":  # which names the source
            assert path.read_bytes() == Path("gz", path.name).read_bytes()
    assert len(open_tokens("plain/*")) == len(train) + len(val)
    held_out = [text.partition("<")[0] for text in text_of(val.slice(0, len(val))).split("Number ")]
    assert sorted(set(held_out[1:])) == ["13", "19", "6"]  # spread evenly, as documents are


def test_invalid_dialogues_are_left_out_of_both_parts_on_demand() -> None:
    with Path("chat.jsonl").open("a") as file:
        file.write('{"messages": []}\n{"messages": [{"role": "user", "content": "x"}]}\n')
    encode("--chat_file", "chat.jsonl", "--output_dir", "out", "--skip_invalid")
    train, val = (open_tokens(f"out/{split}-tokenizer.bin") for split in ("train", "val"))
    assert ((train.marks() == 2).sum(), (val.marks() == 2).sum()) == (18, 2)
    write(Path("one.jsonl"), EXCHANGES[:3])  # too few for a tenth: one is held out
    encode("--chat_file", "one.jsonl", "--output_dir", "one")
    assert (open_tokens("one/val-tokenizer.bin").marks() == 2).sum() == 1


def test_a_corpus_of_dialogues_is_encoded_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    known = corpus.CORPORA["python-questions"]
    small = replace(known, make=lambda path, on_progress: write(path, EXCHANGES))
    monkeypatch.setitem(corpus.CORPORA, "python-questions", small)
    monkeypatch.setenv("SIMPLEGPT_CACHE", "cache")
    encode("--dataset", "python-questions", "--output_file", "corpus.bin")
    encode("--chat_file", "chat.jsonl", "--output_file", "file.bin")
    assert Path("corpus.bin.marks").read_bytes() == Path("file.bin.marks").read_bytes()


def test_text_that_replaces_dialogues_has_no_marks() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    encode("--text_file", "text.txt", "--output_file", "all.bin", "--overwrite")
    assert open_tokens("all.bin").chat_template is None
    assert not Path("all.bin.marks").exists()
    assert not list(Path().glob("*.partial"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"messages": [{"role": "tool", "content": "x"}]}', "messages.0.role.*'assistant'"),
        ('{"messages": [{"role": "user", "content": null}]}', "messages.0.content"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "no message has the role assistant"),
        ('{"messages": []}', "messages"),
        ('{"text": "x"}', "messages: Field required"),
        ("[1", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
    ],
)
def test_an_invalid_dialogue_is_one_message_and_leaves_nothing(
    line: str | bytes, message: str
) -> None:
    with Path("chat.jsonl").open("ab") as file:
        file.write(line if isinstance(line, bytes) else line.encode())
    with pytest.raises(UserError, match=rf"chat.jsonl:21: .*{message}.*; --skip_invalid leaves it"):
        encode("--chat_file", "chat.jsonl", "--output_file", "out/all.bin")
    assert not Path("out").exists()


def test_misfits_of_options_and_files_are_one_message() -> None:
    Path("broken.jsonl.gz").write_bytes(gzip.compress(b'{"messages": []}' * 99)[:-9])
    for words, message in (
        (["--tokenizer_name", "char"], "'char' has no <|endoftext|>"),
        (["--separator", "0"], "is for text, not for dialogues"),
        (["--chat_file", "broken.jsonl.gz"], "broken.jsonl.gz"),
    ):
        with pytest.raises(UserError, match=message):
            encode("--chat_file", "chat.jsonl", "--output_file", "all.bin", *words)


def test_missing_or_damaged_marks_are_one_message() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    marks = Path("all.bin.marks").read_bytes()
    for damaged, message in ((marks[1:], "bytes, expected"), (None, "cannot be read")):
        Path("all.bin.marks").unlink()
        if damaged is not None:
            Path("all.bin.marks").write_bytes(damaged)
        with pytest.raises(UserError, match=rf"all\.bin\.marks.*{message}"):
            open_tokens("all.bin")
    Path("all.bin.marks").write_bytes(bytes(len(marks)))
    with pytest.raises(UserError, match="is damaged"):
        open_tokens("all.bin").marks()


def test_a_config_has_dialogues_or_text_but_not_both() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    encode("--text_file", "text.txt", "--output_file", "text.bin")
    settings = {"tokenizer_name": TOKENIZER, "model.n_vocab": "300", "data.seq_len": "64"}
    settings |= {"data.train_fpath": "all.bin", "data.val_fpath": "text.bin"}
    (problem,) = check_config(inspect("", settings), scan=True)
    assert problem.keys == ("data.train_fpath", "data.val_fpath")
    assert "train_fpath has dialogues and data.val_fpath has text" in problem.message
    assert check_config(inspect("", settings | {"data.val_fpath": "all.bin"}), scan=True) == []


@pytest.mark.parametrize("seq_len", [40, 100, 5000])
def test_windows_have_every_dialogue_that_fits_once_and_whole(seq_len: int) -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    tokens = open_tokens("all.bin")
    ids, marks = tokens.slice(0, len(tokens)), tokens.marks()
    windows = DialogueWindows(tokens, seq_len, seed=1)
    whole_windows = windows.validation()
    batch = windows.batch(whole_windows)
    assert batch.documents is not None
    found = []
    for inputs, targets, documents in zip(*batch, strict=True):
        for document in range(1, documents.max() + 1):
            inside = documents == document
            text = text_of(np.append(inputs[inside], targets[inside][-1:].clip(0)))
            found.append(text.split("\n")[1].partition("<")[0])
    whole = np.split(ids, np.flatnonzero(marks == 2)[1:])
    with_answer = [
        f"Number {i}"
        for i, (part, mark) in enumerate(
            zip(whole, np.split(marks, np.flatnonzero(marks == 2)[1:]), strict=True)
        )
        if (mark[: seq_len + 1] == 1).any()
    ]
    assert found == with_answer
    assert windows.n_cut == sum(len(part) > seq_len + 1 for part in whole)
    counts = [windows.n_targets([window]) for window in whole_windows]
    assert counts == (batch.targets != IGNORED).sum(axis=1).tolist()
    assert min(counts) > 0
    epochs = windows.training(range(2 * len(windows)))
    assert sorted(epochs[: len(windows)]) == sorted(epochs[len(windows) :]) == whole_windows


def test_window_is_filled_to_its_last_token() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    tokens = open_tokens("all.bin")
    third = np.flatnonzero(tokens.marks() & BEGIN)[2]  # where the third dialogue begins
    first, *_ = DialogueWindows(tokens, seq_len=int(third) - 1).validation()
    assert (first.start, first.stop) == (0, third)
    shorter, *_ = DialogueWindows(tokens, seq_len=int(third) - 2).validation()
    assert shorter.stop < third


def test_dialogues_without_an_answer_in_the_window_are_refused() -> None:
    encode("--chat_file", "chat.jsonl", "--output_file", "all.bin")
    with pytest.raises(UserError, match="no dialogue has an answer"):
        DialogueWindows(open_tokens("all.bin"), 8)
