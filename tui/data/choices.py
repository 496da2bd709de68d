"""The texts to choose from: the named corpora, and the text files in the working directory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simplegpt.data.corpus import Corpus

TEXT_SUFFIXES = (".txt", ".md", ".text")
MOST_FILES = 20  # of a folder with more, the file dialog shows the rest

# Texts that lie in many folders and that nobody trains on.
IGNORED_NAMES = frozenset(
    {
        *("readme.md", "license.txt", "license.md", "requirements.txt", "changelog.md"),
        "constraints.txt",
    }
)


@dataclass(frozen=True)
class Choice:
    """A text that can be chosen: a named corpus, or a file."""

    path: Path
    """Relative to the working directory if it is in there."""
    size: int
    """Bytes; approximate for a corpus that is not available yet."""
    corpus: "Corpus | None" = None
    is_available: bool = True
    """False for a corpus that is not downloaded or built yet."""

    @property
    def name(self) -> str:
        return self.corpus.name if self.corpus else str(self.path)

    @property
    def output_dir(self) -> str:
        """The proposed folder of its token files: ``data`` for the corpus that the example configs
        train on, and a folder of its own for any other text."""
        return "data" if self.name == "tinyshakespeare" else f"data/{Path(self.name).stem}"


def find_choices(picked: Iterable[Path] = ()) -> list[Choice]:
    """Find the named corpora, then the `picked` files, then those in ``data`` and here.

    It reads whole corpora to check them, so it is for a thread.
    """
    from simplegpt.data.corpus import CORPORA  # urllib: not before the first paint

    corpora = [Choice(c.path, c.size, corpus=c, is_available=c.is_cached) for c in CORPORA.values()]
    found = [*_text_files(Path("data")), *_text_files(Path())][:MOST_FILES]
    return corpora + [choice_of(path) for path in dict.fromkeys([*picked, *found])]


def relative(path: Path) -> Path:
    """Return `path` relative to the working directory if it is in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def choice_of(path: Path) -> Choice:
    """Return the choice of a file, which may have been deleted meanwhile."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return Choice(path, size)


def _text_files(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        path
        for path in paths
        if path.suffix.lower() in TEXT_SUFFIXES
        and not path.name.startswith(".")
        and path.name.lower() not in IGNORED_NAMES
        and path.is_file()
    ]
