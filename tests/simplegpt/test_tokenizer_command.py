"""A tokenizer that is trained here goes through data, training, inference and export."""

import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import simplegpt
from simplegpt.cli import UserError
from simplegpt.data.__main__ import main as make_data
from simplegpt.data.encode import Source, read_chunks
from simplegpt.data.tokenizer import END_OF_TEXT, load_tokenizer
from simplegpt.data.tokens import open_tokens
from simplegpt.export import main as export
from simplegpt.tokenizer import main
from simplegpt.train.__main__ import main as train

TEXT = (
    "It's the wintér of our discontent, made glorious summer.\n\nAnd all the clouds\tlow'r'd.\n"
    * 40
)
HOSTILE = f"  two  blanks\n\n\nit's {END_OF_TEXT} 12345 \U0001f600 wörld\r\n \x00 end "
RUN = """
output_dir = "run"
tokenizer_name = "data/tokenizer.json"
[model]
n_vocab = 300
n_ctx = 16
n_embd = 16
n_head = 2
n_layer = 1
[data]
train_fpath = "data/train-tokenizer.bin"
val_fpath = "data/val-tokenizer.bin"
seq_len = 16
train_batch_size = 2
val_batch_size = 2
[trainer]
accelerator = "cpu"
max_steps = 2
"""


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a tokenizer of at most 300 tokens, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    assert main(["--text_file", "text.txt", "--n_vocab", "300"]) == 0
    return "data/tokenizer.json"


def test_any_text_is_encoded_as_the_library_does_and_decoded_again(tokenizer: str) -> None:
    own, theirs = load_tokenizer(tokenizer), Tokenizer.from_file(tokenizer)
    theirs.encode_special_tokens = True
    for text in (TEXT, HOSTILE, ""):
        ids = own.encode(text)
        assert ids == theirs.encode(text, add_special_tokens=False).ids
        assert own.decode(ids) == text
    assert own.n_vocab == theirs.get_vocab_size() == 300
    assert own.end_of_text not in own.encode(END_OF_TEXT)
    assert own.decode([own.end_of_text or -1]) == own.decode([10**6]) or own.end_of_text == 0


def test_a_text_is_cut_where_it_changes_no_token(tokenizer: str) -> None:
    own = load_tokenizer(tokenizer)
    chunks = list(read_chunks([Source(Path("text.txt"))], own, size=50))
    assert len(chunks) > 10
    assert [i for chunk in chunks for i in own.encode(chunk.text)] == own.encode(TEXT)


def test_its_path_is_a_tokenizer_name_for_every_command(tokenizer: str) -> None:
    command = ["--text_file", "text.txt", "--tokenizer_name", tokenizer, "--output_dir", "data"]
    assert make_data(command) == 0
    tokens = open_tokens("data/train-tokenizer.bin")
    whole = load_tokenizer(tokenizer).encode(TEXT)
    assert np.array_equal(tokens.slice(0, len(tokens)), whole[: len(tokens)])
    Path("run.toml").write_text(RUN)
    assert train(["run.toml"]) == 0
    Path(tokenizer).unlink()  # the run has a copy
    model = simplegpt.load("run", device="cpu")
    assert model.tokenizer is not None
    assert model.tokenizer.encode(TEXT) == whole
    assert export(["run", "exported"]) == 0
    theirs = AutoTokenizer.from_pretrained("exported")
    assert theirs(TEXT)["input_ids"] == whole
    again = simplegpt.load("exported", device="cpu")
    assert again.tokenizer is not None
    assert again.tokenizer.encode(TEXT) == whole
    assert again.generate("It's", 5, seed=1) == model.generate("It's", 5, seed=1)


def vocabulary(*words: str) -> set[str]:
    """The tokens that a tokenizer learns from a source."""
    assert main([*words, "--n_vocab", "400", "--overwrite"]) == 0
    return set(Tokenizer.from_file("data/tokenizer.json").get_vocab())


def test_the_text_is_learned_and_not_how_a_file_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = ["سلام، خوش آمدید", "نام شما چیست؟", "من یک برنامه‌ام"] * 30
    exchange = [{"role": role, "content": text} for text in said for role in ("user", "assistant")]
    lines = [json.dumps({"messages": exchange}), json.dumps({"messages": [], "id": "x"})]
    Path("chat.jsonl").write_text("\n".join(lines), encoding="ascii")
    Path("documents.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in said))
    pq.write_table(pa.table({"text": said}), "documents.parquet")
    Path("text.txt").write_text("\n".join(said), encoding="utf-16")
    learned = vocabulary("--documents", "documents.jsonl")
    assert learned == vocabulary("--documents", "documents.parquet")
    assert not {"Ġ:", "text", "06", "\\u"} & learned
    chat = vocabulary("--chat_file", "chat.jsonl", "--skip_invalid")
    assert not {"content", "role", "\\u", "06"} & chat
    assert {"User", "Assistant"} <= chat
    assert len(chat & learned) > 290  # of about 310
    assert len(vocabulary("--text_file", "text.txt", "--encoding", "utf-16") & learned) > 290


def test_a_long_line_takes_no_longer_than_many_short_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for separator in (" ", ""):
        words = [f"{number:x}{separator}" for number in range(0, 4_000_000, 31)]
        Path("lines.txt").write_text("".join(f"{word}\n" for word in words))
        Path("line.txt").write_text("".join(words))
        seconds = []
        for name in ("lines.txt", "line.txt"):
            began = time.process_time()
            vocabulary("--text_file", name)
            seconds.append(time.process_time() - began)
        assert seconds[1] < 5 * seconds[0] + 1


@pytest.mark.parametrize("text", ["", "\ufeff"])
def test_an_empty_text_makes_no_tokenizer(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(text, encoding="utf-8")
    Path("documents.jsonl").write_text('{"text": ""}\n')
    for source in (["--text_file", "text.txt"], ["--documents", "documents.jsonl"]):
        with pytest.raises(UserError, match="no text"):
            main(source)
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n_vocab", "256"], "≥ 257"),
        (["--output_file", "data/tokenizer.json"], "already exists"),
        (["--output_file", "other.txt"], r"must end with \.json"),
    ],
)
def test_invalid_options_are_one_message(tokenizer: str, options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(["--text_file", "text.txt", *options])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "cannot read"),
        ("[]", "cannot read"),
        ('{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}', "byte-level"),
    ],
)
def test_another_kind_of_file_is_one_message(tmp_path: Path, contents: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(contents)
    with pytest.raises(UserError, match=message):
        load_tokenizer(str(path))
    with pytest.raises(UserError, match=r"did you mean 'other\.json'"):
        load_tokenizer(str(tmp_path / "othr.json"))
