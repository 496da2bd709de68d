"""What to train on: corpora, texts, documents, dialogues, and token files that are prepared."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from simplegpt.cli import UserError
from tui.shared.paths import short_path
from tui.shell import settings

if TYPE_CHECKING:
    from simplegpt.data.corpus import Corpus
    from simplegpt.data.tokens import TokenSet

TEXT_SUFFIXES = (".txt", ".md", ".text")
MAX_FILES = 20  # of a folder with more, the file dialog shows the rest
MAX_RECENT = 5
FIRST_LINE_BYTES = 1 << 20  # of a file, to see whether it has dialogues

Kind = Literal["text", "documents", "dialogues"]
"""One text; many documents, which are written in shards; dialogues to fine-tune a chat on."""

# Common files that are not training data.
IGNORED_NAMES = frozenset(
    {
        *("readme.md", "license.txt", "license.md", "requirements.txt", "changelog.md"),
        "constraints.txt",
    }
)


@dataclass(frozen=True)
class HubDataset:
    """A part of a dataset of the Hugging Face Hub."""

    name: str
    config: str = ""
    """Empty for the dataset's default."""
    split: str = "train"


@dataclass(frozen=True)
class Choice:
    """What can be chosen: a named corpus, a file, a folder, or a dataset."""

    path: Path
    """Relative to the working directory if it is in there."""
    size: int
    """Bytes; approximate for a corpus that is not available yet."""
    corpus: "Corpus | None" = None
    is_available: bool = True
    """False for a corpus that is not downloaded or built yet."""
    kind: Kind = "text"
    dataset: HubDataset | None = None

    @property
    def name(self) -> str:
        if self.dataset:
            return self.dataset.name
        return self.corpus.name if self.corpus else str(self.path)

    @property
    def output_dir(self) -> str:
        """The default folder for its token files: ``data`` for the corpus of the example configs, a
        separate folder for any other text."""
        name = Path(self.name.removesuffix(".gz"))
        return "data" if self.name == "tinyshakespeare" else f"data/{name.stem}"


@dataclass(frozen=True)
class Choices:
    """All that can be chosen."""

    texts: tuple[Choice, ...] = ()
    """The corpora, the files in ``data`` and here, the corpora of dialogues."""
    recent: tuple[Choice, ...] = ()
    """Other files and folders, the last chosen first."""
    token_sets: "tuple[TokenSet, ...]" = ()


def find_choices() -> Choices:
    """Find the texts and the token files. Reads whole corpora to verify them: call in a thread."""
    from simplegpt.data.corpus import CORPORA  # urllib: not before the first paint
    from simplegpt.data.tokens import find_token_sets

    corpora = [
        Choice(
            corpus.path,
            corpus.size,
            corpus=corpus,
            is_available=corpus.is_cached,
            kind="dialogues" if corpus.is_chat else "text",
        )
        for corpus in CORPORA.values()
    ]
    found = [*_text_files(Path("data")), *_text_files(Path())][:MAX_FILES]
    recent = [short_path(path) for path in settings.Settings.load().recent_texts]
    return Choices(
        texts=(
            *(corpus for corpus in corpora if corpus.kind == "text"),
            *map(choice_of, found),
            *(corpus for corpus in corpora if corpus.kind == "dialogues"),
        ),
        recent=tuple(choice_of(p) for p in recent if p not in found and os.path.exists(p)),
        token_sets=tuple(find_token_sets(Path())),
    )


def remember(path: Path) -> None:
    """Put a text first in the recent ones. Raises OSError if the settings cannot be written."""
    recent = dict.fromkeys([path.absolute(), *settings.Settings.load().recent_texts])
    settings.change(recent_texts=tuple(recent)[:MAX_RECENT])


def choice_of(path: Path) -> Choice:
    """Return the choice of a file or folder, which may have been deleted meanwhile."""
    from simplegpt.data.documents import find_files

    try:
        size = sum(file.stat().st_size for file in find_files([str(path)]))
    except (OSError, UserError):
        size = 0
    return Choice(path, size, kind=kind_of(path))


def choice_of_dataset(dataset: HubDataset) -> Choice:
    """Return the choice of a dataset of the Hugging Face Hub."""
    return Choice(Path(dataset.name), 0, kind="documents", dataset=dataset)


def kind_of(path: Path) -> Kind:
    """Return the kind of what is at `path`, by its name and the first line of JSON Lines."""
    from simplegpt.data.documents import JSON_SUFFIXES, SUFFIXES

    if os.path.isdir(path):
        return "documents"
    if path.name.endswith(JSON_SUFFIXES) and _has_dialogues(path):
        return "dialogues"
    is_documents = path.name.endswith(SUFFIXES) and path.suffix not in TEXT_SUFFIXES
    return "documents" if is_documents else "text"


def _has_dialogues(path: Path) -> bool:
    """Whether the first record has messages, and no text."""
    from simplegpt.data.encode import open_text

    try:
        with open_text(path) as (file, _):
            record = json.loads(file.readline(FIRST_LINE_BYTES).removeprefix(b"\xef\xbb\xbf"))
    except (UserError, OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and "messages" in record and "text" not in record


def _text_files(folder: Path) -> list[Path]:
    """Return the files to train on in a folder, sorted; none where it cannot be read."""
    from simplegpt.data.documents import SUFFIXES

    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path
        for path in paths
        if (path.suffix.lower() in TEXT_SUFFIXES or path.name.endswith(SUFFIXES))
        and not path.name.startswith(".")
        and path.name.lower() not in IGNORED_NAMES
        and os.path.isfile(path)
    ]
