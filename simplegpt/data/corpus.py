"""Named corpora.

`CORPORA` lists them; `fetch` returns the path of a corpus's text, which it downloads or builds in
`cache_folder` the first time. Nothing here imports torch.
"""

import ast
import contextlib
import hashlib
import http.client
import json
import os
import platform
import random
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import platformdirs

from simplegpt.cli import UserError, nearest

OnProgress = Callable[[int], object]
"""Called with the number of bytes so far."""

_TIMEOUT = 10.0  # seconds without an answer: the user is waiting
_READ = 1 << 16
_SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_HELLASWAG_URL = (
    "https://raw.githubusercontent.com/rowanz/hellaswag/master/data/hellaswag_val.jsonl"
)
_HELLASWAG_SHA256 = "0aa3b88843990f3f10a97b9575c94d7b71fb2205240ba04ae4884d9e9c992588"
# Tests are long, repetitive and full of data; installed packages are not the standard library.
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


class CorpusUnavailableError(UserError):
    """The error of a corpus that cannot be fetched now; another one may be available."""


class _DownloadError(Exception):
    """The reason why a download failed."""


@dataclass(frozen=True)
class Corpus:
    """A named text."""

    name: str
    description: str
    licence: str
    size: int
    """Bytes; approximate if the text depends on the machine."""
    needs_network: bool
    """Whether it is downloaded when it is not cached."""
    make: Callable[[Path, OnProgress], None]
    """Writes the text to a path."""
    sha256: str | None = None
    file_name: str = "input.txt"
    is_chat: bool = False
    """Whether it is dialogues, in JSON lines, instead of a text."""

    @property
    def path(self) -> Path:
        """The path of its text in the cache; the user can also put a copy there."""
        version = "" if self.needs_network else f"-{platform.python_version()}"
        return cache_folder() / f"{self.name}{version}" / self.file_name

    @property
    def is_cached(self) -> bool:
        """Whether `fetch` has nothing to do."""
        try:
            return self.path.is_file() and self.sha256 in (None, _sha256(self.path))
        except OSError:  # unreadable
            return False


def fetch(name: str, on_progress: OnProgress | None = None) -> Path:
    """Return the path of a named corpus's text; raise UserError for an unknown name. See `get`."""
    check_name(name)
    return get(CORPORA[name], on_progress)


def get(corpus: Corpus, on_progress: OnProgress | None = None) -> Path:
    """Return the path of a corpus's text (UTF-8), after downloading or building it if needed.

    Raises CorpusUnavailableError if that is not possible.
    """
    name = corpus.name
    download = corpus.path.with_name(f"{corpus.file_name}.{os.getpid()}.partial")
    try:
        if corpus.is_cached:
            return corpus.path
        download.parent.mkdir(parents=True, exist_ok=True)
        corpus.make(download, on_progress or (lambda done: None))
        if corpus.sha256 not in (None, _sha256(download)):
            raise CorpusUnavailableError(f"{name}: the download has the wrong sha256")
        download.replace(corpus.path)
    except _DownloadError as error:
        raise CorpusUnavailableError(
            f"{name} could not be downloaded ({error}); put a copy at {corpus.path} instead"
        ) from None
    except OSError as error:
        raise CorpusUnavailableError(
            f"{name} cannot be stored in {download.parent}: {error.strerror or error}; "
            "set SIMPLEGPT_CACHE to another directory"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            download.unlink(missing_ok=True)
    return corpus.path


def check_name(name: str) -> None:
    """Raise UserError if no corpus has that name."""
    if name not in CORPORA:
        raise UserError(
            f"unknown dataset '{name}'{nearest(name, CORPORA)} (available: {', '.join(CORPORA)})"
        )


def cache_folder() -> Path:
    """Return ``$SIMPLEGPT_CACHE`` if set, otherwise the user's cache folder."""
    if folder := os.environ.get("SIMPLEGPT_CACHE"):
        return Path(folder)
    return Path(platformdirs.user_cache_dir("simplegpt"))


def _download(url: str, path: Path, on_progress: OnProgress) -> None:
    try:
        answer = urllib.request.urlopen(url, timeout=_TIMEOUT)
        with answer, path.open("wb") as file:
            while data := answer.read(_READ):
                file.write(data)
                on_progress(file.tell())
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as e:
        raise _DownloadError(str(getattr(e, "reason", None) or e)) from None


def _write_standard_library(path: Path, on_progress: OnProgress) -> None:
    """Write the pure-ASCII modules of Python's standard library, sorted by path."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    size = CORPORA["python-stdlib"].size
    with path.open("wb") as file:
        for module in python_files(folder):
            text = module.read_bytes()
            if text.isascii():
                # Line endings as Python reads them, and a blank line between modules.
                file.write(text.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n\n")
                on_progress(min(file.tell(), size))
        empty = file.tell() == 0
    if empty:
        raise CorpusUnavailableError(f"python-stdlib: no Python sources in {folder}")


def _write_questions(path: Path, on_progress: OnProgress) -> None:
    """Write dialogues about Python's standard library, in which docstrings answer questions.

    A dialogue has one to three questions about functions and classes of one module; the dialogues
    are in random order, the same every time.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    draws = random.Random(0)
    dialogues = []
    for module in python_files(folder):
        text = module.read_bytes()
        if text.isascii():
            name = ".".join(module.relative_to(folder).with_suffix("").parts)
            exchanges = list(_questions(ast.parse(text), name.removesuffix(".__init__")))
            draws.shuffle(exchanges)
            while exchanges:
                n = draws.randint(1, 3)
                dialogues.append([m for exchange in exchanges[:n] for m in exchange])
                exchanges = exchanges[n:]
            on_progress(min(len(dialogues) * 300, CORPORA["python-questions"].size))
    if not dialogues:
        raise CorpusUnavailableError(f"python-questions: no Python sources in {folder}")
    draws.shuffle(dialogues)
    lines = [json.dumps({"messages": messages}) + "\n" for messages in dialogues]
    path.write_text("".join(lines), encoding="ascii")


def _questions(node: ast.AST, name: str) -> Iterator[list[dict[str, str]]]:
    """Yield a question and its answer for each documented function and class in `node`."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if child.name.startswith("_"):
            continue
        own, is_class = f"{name}.{child.name}", isinstance(child, ast.ClassDef)
        if docstring := ast.get_docstring(child):
            question = f"What is {own}?" if is_class else f"What does {own} do?"
            answer = " ".join(docstring.partition("\n\n")[0].split())
            yield [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        if is_class:
            yield from _questions(child, own)


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the modules below `folder` in order, without tests and installed packages."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(files):
            path = Path(here, name)
            if path.suffix == ".py" and path.is_file() and os.access(path, os.R_OK):
                yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="tinyshakespeare",
            description="40,000 lines of Shakespeare's plays, as used by char-rnn",
            licence="public domain",
            size=1_115_394,
            needs_network=True,
            make=partial(_download, _SHAKESPEARE_URL),
            sha256=_SHAKESPEARE_SHA256,
        ),
        Corpus(
            name="python-stdlib",
            description="the pure-ASCII source files of this Python's standard library",
            licence="PSF License",
            size=10_900_000,
            needs_network=False,
            make=_write_standard_library,
        ),
        Corpus(
            name="python-questions",
            description="dialogues about Python's standard library, answered by its docstrings",
            licence="PSF License",
            size=1_100_000,
            needs_network=False,
            make=_write_questions,
            file_name="chat.jsonl",
            is_chat=True,
        ),
    )
}

HELLASWAG = Corpus(
    name="hellaswag",
    description="HellaSwag's validation set: 10,042 contexts with four endings each",
    licence="MIT",
    size=12_246_618,
    needs_network=True,
    make=partial(_download, _HELLASWAG_URL),
    sha256=_HELLASWAG_SHA256,
    file_name="hellaswag_val.jsonl",
)
