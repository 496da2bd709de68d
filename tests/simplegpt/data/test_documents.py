"""Documents from files and datasets into shards: the same from every source, and resumable."""

import gzip
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simplegpt.cli import UserError
from simplegpt.data import __main__ as data
from simplegpt.data.documents import (
    Documents,
    FileDocuments,
    HeldOut,
    HubDocuments,
    find_files,
)
from simplegpt.data.shards import ShardWriter
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.data.tokens import find_token_sets, open_tokens
from simplegpt.progress import ProgressLine

END = 50256
WORDS = ["fox", "jumps", "over", "a", "lazy", "dog", "and", "then", "it", "sleeps"]
RANDOM = random.Random(0)
TEXTS = [" ".join(RANDOM.choices(WORDS, k=RANDOM.randint(1, 60))) for _ in range(300)]
TEXTS[7] = "A document that is longer than what is encoded at once. " * 5000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and caches that no other test uses."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_json(path: str, texts: list[str | None], **more: str) -> None:
    content = "".join(json.dumps({"id": 1, "text": text, **more}) + "\n" for text in texts)
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "wt") as file:
        file.write(content)


def write_parquet(
    path: str, texts: list[str | None], rows: int = 40, *, dictionary: bool = False
) -> None:
    column = pa.array(texts).dictionary_encode() if dictionary else pa.array(texts)
    table = pa.table({"id": list(range(len(texts))), "text": column})
    pq.write_table(table, path, row_group_size=rows)


def run(*words: str, output: str = "out", val_fraction: str = "0.1") -> None:
    data.main([*words, "--output_dir", output, "--val_fraction", val_fraction])


def documents_in(pattern: str) -> list[str]:
    """The documents of the shards that match, each of which must end with the end token."""
    ids = open_tokens(pattern).slice(0, len(open_tokens(pattern))).tolist()
    assert ids.pop() == END
    texts: list[list[int]] = [[]]
    for token in ids:
        if token == END:
            texts.append([])
        else:
            texts[-1].append(token)
    return list(map(load_tokenizer("gpt2").decode, texts))


def contents(folder: str) -> dict[str, bytes]:
    """The files of a folder; the sidecars without their source, which names the input."""
    result = {}
    for path in sorted(Path(folder).iterdir()):
        result[path.name] = path.read_bytes()
        if path.suffix == ".json":
            info = {**json.loads(result[path.name]), "source": ""}
            result[path.name] = json.dumps(info).encode()
    return result


def test_every_source_gives_the_same_shards() -> None:
    shards = ["--shard_tokens", "3000"]
    write_json("a.jsonl", TEXTS)
    write_json("a.jsonl.gz", TEXTS)
    write_parquet("a.parquet", TEXTS)
    write_parquet("categories.parquet", TEXTS, dictionary=True)
    Path("texts").mkdir()
    Path("texts/\udcff\x1b[2J.txt").touch()  # neither UTF-8 nor printable, and empty
    Path("texts/.hidden.txt").write_text("not read")
    for i, text in enumerate(TEXTS):
        Path(f"texts/{i:03}.txt").write_text(text)
    Path("set").mkdir()
    write_parquet("set/train.parquet", TEXTS)
    run("--documents", "a.jsonl", *shards)
    expected = contents("out")
    assert documents_in("out/val-gpt2-*.bin") == TEXTS[9::10]
    assert documents_in("out/train-gpt2-*.bin") == [
        text for i, text in enumerate(TEXTS, 1) if i % 10
    ]
    assert len(expected) > 8
    for name in ("a.jsonl.gz", "a.parquet", "categories.parquet", "texts"):
        run("--documents", name, "--output_dir", name, *shards, output=f"out-{name}")
        assert contents(f"out-{name}") == expected
    run("--hf_dataset", "./set", *shards, output="out-hf")
    assert contents("out-hf") == expected
    run("--hf_dataset", "./set", "--streaming", "--revision", "main", output="streamed")
    assert documents_in("streamed/val-gpt2-*.bin") == TEXTS[9::10]
    (tokens,) = (one for one in find_token_sets(Path()) if one.train.parent == Path("out"))
    assert tokens.train == Path("out/train-gpt2-*.bin")
    assert tokens.train_info.count == len(open_tokens("out/train-gpt2-*.bin"))


def test_half_of_a_surrogate_pair_in_json_is_replaced() -> None:
    Path("a.jsonl").write_text('{"text": "a\\ud83d"}\n')
    run("--documents", "a.jsonl")
    assert documents_in("out/train-gpt2-*.bin") == ["a?"]


class KilledError(Exception):
    """Ends a conversion as a kill does."""


class BreakingLine(ProgressLine):
    """Ends the conversion whose progress it shows, once that has `n_tokens`."""

    def __init__(self, n_tokens: float) -> None:
        super().__init__("tokenizing")
        self.n_tokens = n_tokens

    def update(self, done: int, detail: str = "", **counts: int) -> None:
        if counts["tokens"] >= self.n_tokens:
            raise KilledError


@pytest.mark.parametrize("source", ["a.jsonl", "a.jsonl.gz", "a.parquet", "texts", "hf", "stream"])
def test_killed_conversion_is_resumed_to_the_same_bytes(source: str) -> None:
    texts: list[str | None] = [*TEXTS[:3], None, "", *TEXTS[8:]]
    shard_tokens, kills = 900, (1_500, 4_000)
    marker = None
    if source == "texts":
        Path("texts").mkdir()
        marker = "<end>"
        for i in range(4):
            part = marker.join(text or "" for text in texts[i * 70 : (i + 1) * 70])
            Path(f"texts/{i}.txt").write_text(part)
    elif source in ("hf", "stream"):
        Path("set").mkdir()
        write_parquet("set/train.parquet", texts * 8)
        shard_tokens, kills = 9_000, (40_000, 66_000)  # a stream can be resumed every 1,000 rows
    elif source == "a.parquet":
        write_parquet(source, texts)
    else:
        write_json(source, texts)

    def write(folder: str, n_tokens: float = math.inf) -> None:
        documents: Documents
        if source in ("hf", "stream"):
            documents = HubDocuments("set", streaming=source == "stream")
        else:
            documents = FileDocuments(find_files([source]), marker=marker)
        shards = ShardWriter(Path(folder), load_tokenizer("gpt2"), {}, overwrite=False)
        shards.write(
            documents,
            separator=END,
            held_out=HeldOut(0.1),
            shard_tokens=shard_tokens,
            workers=2,
            progress=BreakingLine(n_tokens),
        )

    write("whole")
    n_shards = 0
    for n_tokens in kills:
        with pytest.raises(KilledError):
            write("killed", n_tokens)
        assert Path("killed/train-gpt2.resume.json").exists()
        before, n_shards = n_shards, len(list(Path("killed").glob("train*.bin")))
        assert n_shards > before
    write("killed")
    assert contents("killed") == contents("whole")


def test_killed_process_is_resumed_with_the_command_that_it_names() -> None:
    write_json("a.jsonl", TEXTS[8:] * 30)
    words = ["--documents", "a.jsonl", "--shard_tokens", "20000", "--json_progress"]
    run(*words[:-1], output="whole")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "simplegpt.data", *words, "--output_dir", "out"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background job, as the tests may be one, ignores Ctrl-C, and so would this
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        process = start()
        assert process.stdout is not None
        before = len(list(Path("out").glob("train*.bin")))
        for _ in process.stdout:
            if len(list(Path("out").glob("train*.bin"))) > before:
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, "the text is too short: it was done before"
    assert "resume with: simplegpt data --documents a.jsonl --shard_tokens 20000" in errors
    process = start()
    reports, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    first, *_, done = map(json.loads, reports.splitlines())
    assert first["done"] > 0
    assert first["total"] == Path("a.jsonl").stat().st_size
    assert len(done["files"]) == len(list(Path("out").glob("*.bin")))
    assert contents("out") == contents("whole")


def test_unfinished_conversion_takes_neither_other_settings_nor_other_files() -> None:
    write_json("a.jsonl", TEXTS * 3)
    Path("bad.txt").write_bytes(b"\xff")
    words = ["--documents", "a.jsonl", "bad.txt", "--shard_tokens", "900", "--workers", "1"]
    with pytest.raises(UserError, match=r"bad\.txt:1: invalid UTF-8") as error:
        run(*words)
    assert "kept; resume with: simplegpt data" in str(error.value)
    with pytest.raises(UserError, match="other settings: shard_tokens 900, now 800;"):
        run(*words, "--shard_tokens", "800")
    state = Path("out/train-gpt2.resume.json")
    good = json.loads(state.read_text())
    for damage in ("{", json.dumps({**good, "place": [0, 1]}), json.dumps({**good, "files": 1})):
        state.write_text(damage)
        with pytest.raises(UserError, match=r"resume\.json: .*; --overwrite starts again"):
            run(*words)
    state.write_text(json.dumps(good))
    write_json("a.jsonl", TEXTS)
    Path("bad.txt").write_text("good")
    with pytest.raises(UserError, match="other settings: files; --overwrite starts again"):
        run(*words)
    run(*words, "--overwrite")
    assert documents_in("out/val-gpt2-*.bin") == TEXTS[9::10]
    with pytest.raises(UserError, match=r"train-gpt2-00000\.bin already exists"):
        run(*words)
    n_shards = len(list(Path("out").glob("train*.bin")))
    run("--documents", "a.jsonl", "--overwrite")  # one shard: the others would be read too
    assert n_shards > len(list(Path("out").glob("train*.bin"))) == 1


def test_all_invalid_records_are_listed_before_anything_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_json("a.jsonl", ["a", 1, "b"])  # type: ignore[list-item]
    write_json("b.jsonl", ["c"])
    with Path("b.jsonl").open("a") as file:
        file.write('{"txt": "d"}\n{\n')
    with pytest.raises(UserError) as error:
        run("--documents", "a.jsonl", "b.jsonl")
    head, *lines = str(error.value).split("\n  ")
    assert head == "3 invalid records of 6; --skip_invalid leaves out:"
    assert [line.split(": ")[0] for line in lines] == ["a.jsonl:2", "b.jsonl:2", "b.jsonl:3"]
    assert not Path("out").exists()
    run("--documents", "a.jsonl", "b.jsonl", "--skip_invalid", val_fraction="0")
    assert documents_in("out/train-gpt2-*.bin") == ["a", "b", "c"]
    assert capsys.readouterr().err.startswith("warning: 3 invalid records of 6 left out:\n  a.json")


def test_a_marker_may_have_line_ends_and_must_occur() -> None:
    Path("fortunes").write_text("Few guests.\n%\nWho asks twice\nwalks once.\n%\nRain first.\n%\n")
    run("--documents", "fortunes", "--marker", r"\n%\n", val_fraction="0")
    texts = ["Few guests.", "Who asks twice\nwalks once.", "Rain first."]
    assert documents_in("out/train-gpt2-*.bin") == texts
    words = ["--marker", r"\n%%", "--tokenizer_name", "gpt2"]
    for source in ("--documents", "--text_file"):
        with pytest.raises(UserError, match=r"the marker '\\n%%' never occurs in fortunes"):
            run(source, "fortunes", *words, output="none")
    assert not Path("none").exists()


def test_a_folder_takes_the_files_that_its_glob_takes() -> None:
    Path("texts/deep").mkdir(parents=True)
    for name in ("a", "b.md", "c.txt", ".hidden", "d.bin", "d.bin.json", "deep/e.text"):
        Path("texts", name).write_text(name)
    run("--documents", "texts", output="folder", val_fraction="0")
    run("--documents", "texts/**", output="glob", val_fraction="0")
    assert documents_in("folder/*.bin") == ["a", "b.md", "c.txt", "deep/e.text"]
    assert contents("folder") == contents("glob")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("koi8-r", "Если бы строители строили здания так же, как программисты программы.\n"),
        ("cp1252", "Le café est fermé à Noël; l’élève déçu — «très bien».\n"),
        ("shift-jis", "吾輩は猫である。名前はまだ無い。どこで生れたか。\n"),
        ("utf-16", "hello\n"),
        ("utf-32", "hello\n"),
    ],
)
def test_a_text_in_another_encoding_names_the_option_that_reads_it(
    encoding: str, text: str
) -> None:
    text *= 40
    plain = "" if "utf" in encoding else "plain\n" * 10_000
    Path("a.txt").write_bytes((plain + text).encode(encoding))
    for source in ("--text_file", "--documents"):
        with pytest.raises(
            UserError, match=f"looks like {encoding}, which .* with --encoding {encoding}"
        ):
            run(source, "a.txt", "--tokenizer_name", "gpt2")
        words = [source, "a.txt", "--tokenizer_name", "gpt2", "--encoding", encoding]
        run(*words, output=f"out{source}", val_fraction="0")
        tokens = open_tokens(f"out{source}/train-*.bin")
        ids = [i for i in tokens.slice(0, len(tokens)).tolist() if i != END]
        assert load_tokenizer("gpt2").decode(ids) == plain + text
    run(*words[2:], "--text_file", "a.txt", output="split", val_fraction="0.1")
    train, val = (open_tokens(f"split/{name}-gpt2.bin") for name in ("train", "val"))
    assert len(train) + len(val) == len(open_tokens("out--text_file/train-gpt2.bin"))
    with pytest.raises(UserError, match="invalid ascii: ordinal not in range"):
        run("--text_file", "a.txt", "--encoding", "ascii", output="none")
    with pytest.raises(UserError, match="unknown encoding 'latin_11'; did you mean 'latin"):
        run("--text_file", "a.txt", "--encoding", "latin_11", output="none")


def test_dataset_that_was_changed_is_another_one() -> None:
    Path("set").mkdir()
    for streaming in (False, True):
        write_json("set/train.jsonl", TEXTS)
        before = HubDocuments("set", streaming=streaming).identity
        assert HubDocuments("set", streaming=streaming).identity == before
        write_json("set/train.jsonl", TEXTS * 2)
        assert HubDocuments("set", streaming=streaming).identity != before


def test_first_documents_are_held_out_by_their_number() -> None:
    write_parquet("a.parquet", TEXTS)
    data.main(["--documents", "a.parquet", "--output_dir", "out", "--val_documents", "20"])
    assert documents_in("out/val-gpt2-*.bin") == TEXTS[:20]
    assert documents_in("out/train-gpt2-*.bin") == TEXTS[20:]


@pytest.fixture
def hostile() -> Iterator[None]:
    """Files that cannot be read as documents."""
    write_json("good.jsonl", TEXTS)
    write_json("number.jsonl", [1])  # type: ignore[list-item]
    Path("chat.jsonl").write_text('{"messages": []}\n')
    Path("not.jsonl").write_text('{"text": "a"}\n[1]\n')
    Path("deep.jsonl").write_text("[" * 100_000)
    Path("bytes.jsonl").write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    write_json("cut.jsonl.gz", TEXTS)
    cut = Path("cut.jsonl.gz").read_bytes()
    Path("cut.jsonl.gz").write_bytes(cut[: len(cut) // 2])
    Path("plain.txt.gz").write_text("not compressed")
    write_parquet("good.parquet", TEXTS)
    whole = Path("good.parquet").read_bytes()
    Path("cut.parquet").write_bytes(whole[:-100])
    Path("flipped.parquet").write_bytes(whole[:500] + bytes(2000) + whole[2500:])
    Path("empty.parquet").touch()
    Path("nothing.jsonl").write_text('{"text": ""}\n{"text": null}\n')
    Path("folder").mkdir()
    Path("broken").mkdir()
    Path("broken/train.jsonl").write_text('{"text": ')
    os.mkfifo("fifo.jsonl")
    Path("taken").mkdir()
    write_json("taken/train-gpt2-00000.bin", TEXTS)
    Path("e\x1b[2J.jsonl").write_text("{")
    return


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--documents number.jsonl", "number.jsonl:1: column 'text' has no text but int"),
        ("--documents chat.jsonl", "(columns: messages); --chat_file takes dialogues"),
        ("--documents not.jsonl", "not.jsonl:2: not a JSON object"),
        ("--documents deep.jsonl", "deep.jsonl:1: not JSON"),
        ("--documents bytes.jsonl", "bytes.jsonl:2: invalid UTF-8; it looks like"),
        ("--documents cut.jsonl.gz", "cut.jsonl.gz: damaged gzip file"),
        ("--documents plain.txt.gz", "plain.txt.gz: damaged gzip file"),
        ("--documents cut.parquet", "cut.parquet: damaged Parquet file"),
        ("--documents flipped.parquet", "flipped.parquet: damaged Parquet file"),
        ("--documents empty.parquet", "empty.parquet: empty"),
        ("--documents nothing.jsonl", "nothing.jsonl: no documents with text"),
        ("--documents folder", "folder has no texts"),
        ("--documents fifo.jsonl", "fifo.jsonl: not a regular file"),
        ("--documents god.jsonl", "did you mean 'good.jsonl'?"),
        ("--documents *.nope", "no file matches *.nope"),
        ("--documents e*.jsonl", "e␛[2J.jsonl:1: not JSON"),
        (
            "--documents taken/train-gpt2-00000.bin --output_dir taken --overwrite",
            "both input and output",
        ),
        (
            "--documents good.jsonl --text_column txt",
            "good.jsonl:1: no column 'txt'; did you mean 'text'? (columns: id, text)",
        ),
        (
            "--documents good.parquet --text_column txt",
            "good.parquet: no column 'txt'; did you mean 'text'? (columns: id, text)",
        ),
        (
            "--documents good.parquet --text_column id",
            "column 'id' has no text but int64 (columns of text: text)",
        ),
        ("--documents good.jsonl --tokenizer_name char", "has no <|endoftext|>; give a token ID"),
        ("--documents good.jsonl --output_file o.bin", "use --output_dir, not --output_file"),
        ("--documents good.jsonl --shard_tokens 0", "--shard_tokens (0) must be ≥ 1"),
        (
            "--documents good.jsonl --val_documents 300 --shard_tokens 1000",
            "good.jsonl has 300 documents, all of which are held out for validation; hold out",
        ),
        ("--documents good.jsonl --val_documents -1", "--val_documents (-1) must be ≥ 0"),
        ("--text_file good.jsonl --val_documents 1", "--val_documents needs --documents"),
        ("--documents good.jsonl --split train", "--split needs --hf_dataset"),
        ("--text_file plain.txt.gz", "plain.txt.gz is compressed: use --documents"),
        ("--hf_dataset nowhere/nothing", "nowhere/nothing: "),
        ("--hf_dataset folder", "folder: "),
        ("--hf_dataset broken", "JSON parse error"),  # the cause, in datasets' own error's cause
    ],
)
def test_hostile_documents_are_one_message(words: str, message: str) -> None:
    output = [] if "--output_" in words else ["--output_dir", "out"]
    with pytest.raises(UserError) as error:
        data.main([*words.split(), *output])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(Path().glob("out/*"))
    assert Path("taken/train-gpt2-00000.bin").read_text() == Path("good.jsonl").read_text()


def test_datasets_parts_are_checked_with_the_nearest_name() -> None:
    Path("set").mkdir()
    write_json("set/train.jsonl", TEXTS)
    for options, message in (
        (["--split", "trian"], "set: no split 'trian'; did you mean 'train'? (available: train)"),
        (["--config_name", "defalt"], "set: no config 'defalt'; did you mean 'default'?"),
        (["--text_column", "txt"], "set: no column 'txt'; did you mean 'text'?"),
        (["--text_column", "txt", "--streaming"], "set: no column 'txt'; did you mean 'text'?"),
    ):
        with pytest.raises(UserError) as error:
            run("--hf_dataset", "set", *options)
        assert message in str(error.value)


@pytest.mark.parametrize("words", [["--documents", "a.parquet"], ["--hf_dataset", "set"]])
def test_missing_library_is_a_line_that_installs_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet("a.parquet", TEXTS)
    for name in ("datasets", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'simplegpt\[datasets\]'"):
        run(*words)


@pytest.mark.network
@pytest.mark.parametrize("streaming", [[], ["--streaming"]])
def test_dataset_of_the_hub_is_converted(
    streaming: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    run("--hf_dataset", "Salesforce/wikitext", "--config_name", "wikitext-2-raw-v1", *streaming)
    assert len(open_tokens("out/train-gpt2-*.bin")) > 1_000_000
