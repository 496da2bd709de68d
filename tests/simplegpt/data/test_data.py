"""The command that turns text into token files, as a person types it."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simplegpt.cli import UserError
from simplegpt.data import __main__ as data
from simplegpt.data import corpus
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.data.tokens import open_tokens

LINES = [f"Line {i}, it's so.\n" for i in range(100)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory with a text of 100 lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMPLEGPT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("".join(LINES))
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simplegpt.data", *words], capture_output=True, text=True
    )


def text_of(path: str) -> str:
    tokens = open_tokens(path)
    assert tokens.tokenizer is not None
    return load_tokenizer(tokens.tokenizer).decode(tokens.slice(0, len(tokens)).tolist())


def test_the_originals_command_prints_the_count_and_the_path():
    text = Path("text.txt").read_text()
    result = run(
        *("--text_file", "text.txt", "--output_file", "data/train-char.bin"),
        *("--tokenizer_name", "char"),
    )
    assert result.returncode == 0
    assert result.stdout == f"number of tokens = {len(text)}\nsaving to data/train-char.bin\n"
    assert "tokenizing train-char.bin" in result.stderr
    assert Path("data/train-char.bin").read_bytes() == text.encode("utf-16-le")


def test_both_spellings_and_equal_signs_are_understood(capsys):
    data.main(["--text-file=text.txt", "--output-file=a.bin", "--tokenizer-name", "byte"])
    data.main(["--text_file", "text.txt", "--output_file", "b.bin", "--tokenizer_name=byte"])
    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()


def test_a_split_is_by_line():
    data.main(["--text_file", "text.txt", "--output_dir", "out", "--tokenizer_name", "gpt2"])
    assert text_of("out/train-gpt2.bin") == "".join(LINES[:90])
    assert text_of("out/val-gpt2.bin") == "".join(LINES[90:])
    data.main(["--text_file", "text.txt", "--output_dir", "out", "--val_fraction", "0.25"])
    assert text_of("out/train-char.bin") == "".join(LINES[:75])


def test_no_split_makes_one_file():
    data.main(["--text_file", "text.txt", "--output_dir", "out", "--val_fraction", "0"])
    assert [p.name for p in sorted(Path("out").iterdir())] == [
        *("train-char.bin", "train-char.bin.json"),
    ]


def test_a_dataset_is_fetched_split_and_tokenized_in_one_command(monkeypatch):
    def make(path, on_progress):
        path.write_text("".join(LINES))

    small = corpus.Corpus("lines", "a hundred lines", "none", 1000, True, make)
    monkeypatch.setitem(corpus.CORPORA, "lines", small)
    data.main(["--dataset", "lines"])
    assert text_of("data/train-char.bin") == "".join(LINES[:90])
    assert text_of("data/val-char.bin") == "".join(LINES[90:])


def test_several_files_and_globs_are_documents_with_the_separator_between():
    for name in "ab":
        Path(f"{name}.doc").write_text(f"{name} <|endoftext|>")
    data.main(
        [
            *("--text_file", "*.doc", "text.txt", "--output_file", "out.bin"),
            *("--tokenizer_name", "gpt2", "--separator", "<|endoftext|>"),
        ]
    )
    gpt2 = load_tokenizer("gpt2")
    tokens = open_tokens("out.bin")
    a, b, text = (
        gpt2.encode(part) for part in ("a <|endoftext|>", "b <|endoftext|>", "".join(LINES))
    )
    assert tokens.slice(0, len(tokens)).tolist() == [*a, 50256, *b, 50256, *text]


def test_a_marker_ends_a_document():
    Path("docs.txt").write_text("one\n---\ntwo\n---\nthree")
    data.main(
        [
            *("--text_file", "docs.txt", "--output_file", "out.bin", "--marker=---\n"),
            *("--tokenizer_name", "char", "--separator", "0"),
        ]
    )
    assert text_of("out.bin") == "one\n\0two\n\0three"


def test_the_text_is_taken_as_it_is_but_for_a_byte_order_mark():
    Path("odd.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\x00 \xef\xbb\xbf")
    data.main(["--text_file", "odd.txt", "--output_file", "o.bin", "--tokenizer_name", "byte"])
    assert text_of("o.bin") == "a\r\nb\rc\x00 \ufeff"


def test_json_progress_is_one_object_a_line():
    result = run("--text_file", "text.txt", "--output_dir", "out", "--json-progress")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"progress"}
    step = lines[0]
    assert step["done"] == step["total"] == sum(map(len, LINES[:90]))
    assert step["counts"] == {"tokens": step["done"]}
    done = data.Done.model_validate(lines[-1])
    assert [file.path for file in done.files] == ["out/train-char.bin", "out/val-char.bin"]
    assert done.files[1].tokens == sum(map(len, LINES[90:]))


def test_existing_output_is_kept_without_overwrite():
    words = ["--text_file", "text.txt", "--output_dir", "out"]
    data.main(words)
    before = Path("out/train-char.bin").stat().st_mtime_ns
    Path("out/val-char.bin").unlink()
    result = run(*words)
    assert result.returncode == 2
    assert "out/train-char.bin already exists; --overwrite replaces it" in result.stderr
    assert Path("out/train-char.bin").stat().st_mtime_ns == before
    assert not Path("out/val-char.bin").exists()
    data.main([*words, "--overwrite"])
    assert Path("out/val-char.bin").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bad.txt: empty"),
        (b"ok\nok \xff", "bad.txt:2: invalid UTF-8 at byte 6"),
        (b"ok\nok \xe2\x82", "bad.txt:2: invalid UTF-8 at byte 6"),
        (
            ("hello\n" * 9).encode("utf-16"),
            "at byte 0; it looks like utf-16, which simplegpt data reads with --encoding utf-16",
        ),
        ("a\nb\n\u2026".encode(), "bad.txt:3: the character '…' (code 8230)"),
        (b"one line", "bad.txt: too few lines (1)"),
    ],
)
def test_a_bad_text_is_one_message_and_leaves_nothing(content, message):
    Path("bad.txt").write_bytes(content)
    with pytest.raises(UserError) as error:
        data.main(["--text_file", "bad.txt", "--output_dir", "out"])
    assert message in str(error.value)
    assert not Path("out").exists() or not list(Path("out").iterdir())


def test_invalid_utf8_far_into_a_file_is_found_at_its_byte_and_line():
    Path("bad.txt").write_bytes("é\n".encode() * 200_000 + b"ab\xffcd")
    with pytest.raises(UserError, match=r"bad\.txt:200001: invalid UTF-8 at byte 600,002"):
        data.main(["--text_file", "bad.txt", "--output_file", "o.bin", "--tokenizer_name", "byte"])


def test_a_character_beyond_latin_1_is_found_at_its_line_deep_in_a_file():
    Path("bad.txt").write_text("abc\n" * 100_000 + "ab–c\n")
    with pytest.raises(UserError, match=r"bad\.txt:100001: the character '–'"):
        data.main(["--text_file", "bad.txt", "--output_file", "o.bin"])


@pytest.mark.parametrize("suffix", ["", ".json", ".partial"])
def test_no_input_is_overwritten_whatever_its_name(suffix: str) -> None:
    text = "".join(LINES)
    given = Path(f"corpus{suffix}")
    given.write_text(text)
    Path("link.txt").symlink_to(given)
    for name in (str(given), "link.txt"):
        words = ["--text_file", name, "--output_file", "corpus", "--overwrite"]
        with pytest.raises(UserError, match="both input and output"):
            data.main(words)
    assert given.read_text() == text


def test_names_of_texts_that_are_not_utf8_or_hold_escapes_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("b\udcff\n.txt").write_text("ab")
    Path("b\x1b[2J.txt").write_text("ab")
    assert data.main(["--text_file", "b*.txt", "--output_file", "o\n\x1b[2J.bin"]) == 0
    printed = "".join(capsys.readouterr())
    assert "o↵␛[2J.bin" in printed
    assert "\x1b" not in printed
    info = json.loads(Path("o\n\x1b[2J.bin.json").read_text())
    assert info["source"] == "b␛[2J.txt, b\ufffd↵.txt"


def test_a_fifo_is_not_a_text_file() -> None:
    os.mkfifo("fifo")
    with pytest.raises(UserError, match="fifo: not a regular file"):
        data.main(["--text_file", "fifo", *OUT])


TEXT = ["--text_file", "text.txt"]
OUT = ["--output_file", "o.bin"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--text_file", "test.txt", *OUT],
            "no such text file: test.txt; did you mean 'text",
        ),
        (["--text_file", ".", *OUT], ". is a directory"),
        (["--text_file", "*.nope", *OUT], "no file matches *.nope"),
        ([*TEXT, "--output_file", "."], ". is a directory"),
        (
            [*TEXT, "--output_file", "text.txt", "--overwrite"],
            "text.txt is both input",
        ),
        (
            [*TEXT, "--output_file", "/dev/null", "--overwrite"],
            "not a regular file",
        ),
        (
            [*TEXT, "--output_file", "text.txt/o.bin"],
            "text.txt is not a directory",
        ),
        (TEXT, "no output"),
        (OUT, "--dataset --documents --hf_dataset is required"),
        (["--dataset", "tinyshakespeare", "--text_file", "text.txt", *OUT], "not allowed with"),
        (["--dataset", "tinyshakspeare"], "did you mean 'tinyshakespeare'?"),
        ([*TEXT, *OUT, "--tokenizer_name", "chr"], "did you mean 'char'?"),
        ([*TEXT, *OUT, "--tokeniser_name", "x"], "mean '--tokenizer_name'?"),
        ([*TEXT, *OUT, "--val_fraction", "0.2"], "--output_file takes all"),
        (
            [*TEXT, "--output_dir", "o", "--val_fraction", "1"],
            "--val_fraction (1.0) must be",
        ),
        ([*TEXT, *OUT, "--separator", "<|endoftext|>"], "has no <|endoftext"),
        (
            [*TEXT, *OUT, "--separator", "256"],
            "--separator (256) must be < 256",
        ),
        ([*TEXT, *OUT, "--separator", "x"], "--separator (x) must be"),
        ([*TEXT, *OUT, "--workers", "0"], "--workers (0) must be ≥ 1"),
    ],
)
def test_an_invalid_command_is_an_error(words, message):
    with pytest.raises(UserError) as error:
        data.main(words)
    assert message in str(error.value)
    assert not Path("o.bin").exists()
    assert Path("text.txt").read_text() == "".join(LINES)


def test_an_error_exits_with_2_and_no_traceback():
    result = run("--text_file", "test.txt", *OUT)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: no such text file: test.txt; did you mean 'text.txt'?\n"


def test_an_output_that_the_system_refuses_is_an_error():
    result = run("--text_file", "text.txt", "--output_file", "x" * 300)
    assert result.returncode == 2
    assert result.stderr == f"error: {'x' * 300}: File name too long\n"


def test_a_write_that_fails_at_the_second_file_leaves_no_first():
    limit = 2000  # bytes a file: enough for the 25 training lines alone
    result = subprocess.run(
        [
            *(sys.executable, "-m", "simplegpt.data", "--text_file", "text.txt"),
            *("--output_dir", "out", "--val_fraction", "0.75", "--tokenizer_name", "byte"),
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 2
    assert "out/val-byte.bin cannot be written: File too large" in result.stderr
    assert list(Path("out").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(number, code):
    Path("long.txt").write_bytes(b"It's a line of a long text.\n" * 3_000_000)
    words = ["--text_file", "long.txt", "--output_file", "out/o.bin", "--tokenizer_name", "gpt2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "simplegpt.data", *words, "--json_progress"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job, as the tests may be one, ignores Ctrl-C, and so would this
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "progress"  # under way
    assert Path("out/o.bin.partial").exists()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert list(Path("out").iterdir()) == []
    assert "Traceback" not in errors


def test_memory_does_not_grow_with_the_input():
    # One line each, the hardest case: there is no line end to stop at.
    peaks = []
    for megabytes in (4, 24):
        with Path("long.txt").open("w") as file:
            for i in range(megabytes * 10):
                file.write(f"{i} it's a line that does not end, " * 3000)
        script = (
            "import resource, simplegpt.data.__main__ as data\n"
            "data.main(['--text_file', 'long.txt', '--output_file', 'o.bin', '--overwrite',"
            " '--tokenizer_name', 'gpt2', '--workers', '2'])\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        unit = 1 if sys.platform == "darwin" else 1024
        peaks.append(int(result.stdout.splitlines()[-1]) * unit / 1e6)
    assert peaks[1] - peaks[0] < 20 / 2, f"peaks of {peaks} MB"  # of 20 MB more of text
