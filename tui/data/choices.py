"""What can be prepared, and what a config needs to train on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory
from tui.data.tokenizing import Work

if TYPE_CHECKING:
    from simplegpt.data.corpus import Corpus

TEXT_SUFFIXES = (".txt", ".md", ".text")
# A folder of ten thousand texts is for the file picker.
MOST_FILES = 20

# Texts that lie in many folders and that nobody means to train on.
NO_CORPORA = frozenset(
    {
        "readme.md",
        "license.txt",
        "license.md",
        "requirements.txt",
        "changelog.md",
        "constraints.txt",
    }
)


@dataclass(frozen=True)
class Choice:
    """A text that can be chosen: a named corpus, or a file."""

    name: str
    path: Path
    size: int
    """Bytes; of a corpus that is not here yet, about as many."""
    corpus: "Corpus | None" = None
    is_here: bool = True

    @property
    def folder(self) -> str:
        """Where its token files go unless something else is said: the configs' own place for the
        corpus that they are about, a folder of its own for every other text."""
        return "data" if self.name == "tinyshakespeare" else f"data/{Path(self.name).stem}"


def find_choices(root: Path, added: Iterable[Path] = ()) -> list[Choice]:
    """The named corpora, then the texts in `root` and its data folder, then those `added`.

    For a worker: it reads a corpus to see whether it is whole.
    """
    from simplegpt.data.corpus import CORPORA  # with urllib: not before the first paint

    named = [
        Choice(c.name, c.path, c.size, corpus=c, is_here=c.is_cached) for c in CORPORA.values()
    ]
    found: list[Path] = []
    for folder in (root / "data", root):
        if folder.is_dir():
            found += sorted(
                path
                for path in folder.iterdir()
                if path.suffix.lower() in TEXT_SUFFIXES
                and not path.name.startswith(".")
                and path.name.lower() not in NO_CORPORA
                and path.is_file()
            )
    paths = dict.fromkeys([*added, *found[:MOST_FILES]])
    return named + [of_file(path, root) for path in paths]


def of_file(path: Path, root: Path) -> Choice:
    """A file that was found or picked."""
    name = path.relative_to(root) if path.is_relative_to(root) else path
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return Choice(str(name), path, size)


def existing_outputs(work: Work) -> list[Path]:
    """Those of the files to write that are there already."""
    return [path for path in work.outputs if path.exists()]


def are_whole(work: Work) -> bool:
    """Whether all files to write are there, each with the sidecar of a finished one."""
    from simplegpt.data.tokens import sidecar_path  # with numpy: not before the first paint

    return all(path.exists() and sidecar_path(path).exists() for path in work.outputs)


@dataclass(frozen=True)
class Fitting:
    """A config to begin with, and what to change in it for the data."""

    template: Path
    values: Mapping[str, Any]


def fitting_config(root: Path, work: Work, n_vocab: int, *, has_gpu: bool) -> Fitting:
    """The config that suits the data and the machine. For a worker: it reads the template."""
    from simplegpt.config.load import config_folder, inspect  # not before the first paint

    if not has_gpu:
        name = "shakespeare_char_cpu.toml"
    else:
        name = "shakespeare_char.toml" if n_vocab <= 256 else "shakespeare.toml"
    own = root / "configs" / name
    template = own if own.is_file() else config_folder() / name
    known = inspect(template).values
    wanted: dict[str, Any] = {
        "tokenizer_name": work.tokenizer,
        "data.train_fpath": _relative(work.train_file, root),
        "data.val_fpath": _relative(work.val_file if work.val_fraction else work.train_file, root),
    }
    # GPT-2's vocabulary may be rounded up in the template, which is faster; a smaller one is a
    # mistake, and a far larger one only costs memory.
    if not n_vocab <= known["model.n_vocab"] <= n_vocab + 127:
        wanted["model.n_vocab"] = n_vocab
    wanted["output_dir"] = _free_folder(root, work, str(known["output_dir"]))
    return Fitting(template, {k: v for k, v in wanted.items() if known.get(k) != v})


def _free_folder(root: Path, work: Work, usual: str) -> str:
    """A folder without a run: the template's own for its own data, else one named for the text."""
    folder = _relative(work.output_dir, root)
    name = usual if folder == "data" else f"models/{Path(folder).name}-{work.tokenizer}"
    free = first_free_path(root / name, lambda path: RunDirectory(path).exists())
    return _relative(free, root)


def _relative(path: Path, root: Path) -> str:
    path = root / path
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
