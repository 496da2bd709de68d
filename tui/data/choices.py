"""What to train on: corpora, texts, documents, and token files that are prepared already."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt.cli import UserError
from tui.shell import settings

if TYPE_CHECKING:
    from simplegpt.data.corpus import Corpus
    from simplegpt.data.tokens import TokenSet

TEXT_SUFFIXES = (".txt", ".md", ".text")
MAX_FILES = 20  # of a folder with more, the file dialog shows the rest
MAX_RECENT = 5

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
    """What can be chosen: a named corpus, a text file, documents in files, or a dataset."""

    path: Path
    """Relative to the working directory if it is in there."""
    size: int
    """Bytes; approximate for a corpus that is not available yet."""
    corpus: "Corpus | None" = None
    is_available: bool = True
    """False for a corpus that is not downloaded or built yet."""
    has_documents: bool = False
    """Whether it is many documents, which are written in shards, and not one text."""
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
    """The corpora, then the files in ``data`` and here."""
    recent: tuple[Choice, ...] = ()
    """Other files and folders, the last chosen first."""
    token_sets: "tuple[TokenSet, ...]" = ()


def find_choices() -> Choices:
    """Find the texts and the token files. Reads whole corpora to verify them: call in a thread."""
    from simplegpt.data.corpus import CORPORA  # urllib: not before the first paint
    from simplegpt.data.tokens import find_token_sets

    texts = [corpus for corpus in CORPORA.values() if not corpus.is_chat]
    corpora = [Choice(c.path, c.size, corpus=c, is_available=c.is_cached) for c in texts]
    found = [*_text_files(Path("data")), *_text_files(Path())][:MAX_FILES]
    recent = [relative(path) for path in settings.Settings.load().recent_texts]
    return Choices(
        texts=(*corpora, *map(choice_of, found)),
        recent=tuple(choice_of(p) for p in recent if p not in found and _exists(p)),
        token_sets=tuple(find_token_sets(Path())),
    )


def remember(path: Path) -> None:
    """Put a text first in the recent ones. Raises OSError if the settings cannot be written."""
    recent = dict.fromkeys([path.absolute(), *settings.Settings.load().recent_texts])
    settings.change(recent_texts=tuple(recent)[:MAX_RECENT])


def relative(path: Path) -> Path:
    """Return `path` relative to the working directory if it is in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def choice_of(path: Path) -> Choice:
    """Return the choice of a file or folder, which may have been deleted meanwhile."""
    from simplegpt.data.documents import find_files

    try:
        size = sum(file.stat().st_size for file in find_files([str(path)]))
    except (OSError, UserError):
        size = 0
    return Choice(path, size, has_documents=has_documents(path))


def choice_of_dataset(dataset: HubDataset) -> Choice:
    """Return the choice of a dataset of the Hugging Face Hub."""
    return Choice(Path(dataset.name), 0, has_documents=True, dataset=dataset)


def has_documents(path: Path) -> bool:
    """Whether there are many documents at `path`: a folder, JSON Lines, Parquet."""
    from simplegpt.data.documents import SUFFIXES

    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where it may not look
    return is_folder or (path.name.endswith(SUFFIXES) and path.suffix not in TEXT_SUFFIXES)


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
        and _is_file(path)
    ]


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where it may not look


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where it may not look
