"""Named texts: from the cache, by download, or built on the machine."""

import ast
import hashlib
import io
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from simplegpt.cli import UserError
from simplegpt.data import corpus
from simplegpt.data.corpus import CORPORA, CorpusUnavailableError, fetch

TEXT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMPLEGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shakespeare(monkeypatch):
    """TEXT in the place of tiny Shakespeare."""
    small = replace(
        CORPORA["tinyshakespeare"], sha256=hashlib.sha256(TEXT).hexdigest(), size=len(TEXT)
    )
    monkeypatch.setitem(CORPORA, "tinyshakespeare", small)


def answer_with(monkeypatch, answer):
    calls = []

    def urlopen(url, timeout):
        calls.append((url, timeout))
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return calls


@pytest.mark.usefixtures("shakespeare")
def test_a_download_is_checked_kept_and_not_repeated(cache, monkeypatch):
    calls = answer_with(monkeypatch, TEXT)
    progress: list[int] = []
    path = fetch("tinyshakespeare", progress.append)
    assert path == cache / "tinyshakespeare" / "input.txt"
    assert path.read_bytes() == TEXT
    assert progress == [len(TEXT)]
    assert fetch("tinyshakespeare") == path
    assert len(calls) == 1
    assert calls[0][1] <= 10, "the user waits for the time-out"


@pytest.mark.usefixtures("shakespeare")
def test_a_file_put_there_by_hand_needs_no_network(cache, monkeypatch):
    answer_with(monkeypatch, AssertionError("the network was used"))
    (cache / "tinyshakespeare").mkdir(parents=True)
    (cache / "tinyshakespeare" / "input.txt").write_bytes(TEXT)
    assert fetch("tinyshakespeare").read_bytes() == TEXT


@pytest.mark.usefixtures("shakespeare")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (urllib.error.URLError("no route"), r"could not be downloaded \(no route\)"),
        (TimeoutError("timed out"), r"could not be downloaded \(timed out\)"),
        (b"<html>", "wrong sha256"),
    ],
)
def test_a_failed_download_is_one_message_and_leaves_nothing(cache, monkeypatch, answer, message):
    answer_with(monkeypatch, answer)
    with pytest.raises(CorpusUnavailableError, match=message) as error:
        fetch("tinyshakespeare")
    assert "\n" not in str(error.value)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("shakespeare")
def test_a_damaged_copy_is_fetched_again(cache, monkeypatch):
    answer_with(monkeypatch, TEXT)
    (cache / "tinyshakespeare").mkdir(parents=True)
    (cache / "tinyshakespeare" / "input.txt").write_bytes(TEXT[:9])
    assert not CORPORA["tinyshakespeare"].is_cached
    assert fetch("tinyshakespeare").read_bytes() == TEXT


def test_the_standard_library_is_plain_ascii_sources_the_same_each_time(cache):
    path = fetch("python-stdlib")
    text = path.read_bytes()
    assert text.isascii()
    assert len(text) > 3_000_000
    assert b"class JSONDecoder" in text
    assert b"site-packages" not in path.name.encode()
    path.unlink()
    assert fetch("python-stdlib").read_bytes() == text


def test_modules_are_sorted_and_leave_out_tests_and_installed_packages(tmp_path):
    names = ["b.py", "a.py", "pkg/m.py", "pkg/tests/t.py", "test/t.py", "site-packages/s.py"]
    for name in [*names, "pkg/data.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [str(path.relative_to(tmp_path)) for path in corpus.python_files(tmp_path)]
    assert found == ["a.py", "b.py", "pkg/m.py"]


def test_docstrings_answer_questions_about_their_function_or_class():
    source = (
        'class Pipe:\n    """A pipe\n    of bytes.\n\n    More."""\n'
        '    def read(self):\n        """Read."""\n    def _own(self):\n        """No."""\n'
        "def undocumented(): pass"
    )
    exchanges = list(corpus._questions(ast.parse(source), "os.pipes"))
    assert [[message["content"] for message in exchange] for exchange in exchanges] == [
        ["What is os.pipes.Pipe?", "A pipe of bytes."],
        ["What does os.pipes.Pipe.read do?", "Read."],
    ]


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIMPLEGPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set SIMPLEGPT_CACHE to another"):
        fetch("python-stdlib")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UserError, match="did you mean 'tinyshakespeare'"):
        fetch("tiny-shakespeare")


def test_every_corpus_says_what_it_is():
    for name, item in CORPORA.items():
        assert item.name == name
        assert item.licence
        assert item.description
        assert item.size > 0
