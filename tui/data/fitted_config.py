"""The config to train on token files: a template, and the values that the data needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplegpt.cli import UserError
from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory
from tui.shared.paths import short_path

if TYPE_CHECKING:
    from simplegpt.data.tokens import TokenSet


@dataclass(frozen=True)
class FittedConfig:
    """A config file to begin with, and the values to change in it (dotted key -> value)."""

    template: Path
    values: Mapping[str, Any]
    new_name: str
    """Of the file to save it in, that of its run: ``verse-char.toml``; empty for the template."""


def fit_config(tokens: "TokenSet", *, has_gpu: bool) -> FittedConfig:
    """Return the config that fits the token files and the machine. Reads files."""
    from simplegpt.config.load import config_folder, inspect  # not before the first paint

    n_vocab = vocabulary_size(tokens)
    if tokens.train_info.chat_template is not None:
        name = "chat_cpu.toml"
    elif not has_gpu:
        name = "shakespeare_char_cpu.toml"
    else:
        name = "shakespeare_char.toml" if n_vocab <= 256 else "shakespeare.toml"
    own = Path("configs", name)
    template = own.absolute() if own.is_file() else config_folder() / name
    current = inspect(template).values
    values: dict[str, Any] = {
        "tokenizer_name": _tokenizer_name(tokens),
        "data.train_fpath": str(tokens.train),
        "data.val_fpath": str(tokens.val or tokens.train),
        "output_dir": _free_output_dir(tokens, str(current["output_dir"])),
    }
    # A template may round GPT-2's vocabulary up, which is faster; a smaller one is an error, and a
    # much larger one only takes memory.
    if not n_vocab <= current["model.n_vocab"] <= n_vocab + 127:
        values["model.n_vocab"] = n_vocab
    changes = {key: value for key, value in values.items() if current.get(key) != value}
    name = f"{Path(values['output_dir']).name}.toml" if changes else ""
    return FittedConfig(template, changes, name)


def _tokenizer_name(tokens: "TokenSet") -> str:
    """Return the tokenizer; the path of a file relative to the working directory if it is there."""
    from simplegpt.config.schema import is_tokenizer_file

    name = tokens.train_info.tokenizer
    return str(short_path(Path(name))) if is_tokenizer_file(name) else name


def vocabulary_size(tokens: "TokenSet") -> int:
    """Return that of the tokenizer, or what the token files use if it cannot be loaded."""
    from simplegpt.data.tokenizer import load_tokenizer

    try:
        return load_tokenizer(tokens.train_info.tokenizer).n_vocab
    except UserError:
        infos = [info for info in (tokens.train_info, tokens.val_info) if info is not None]
        return max(info.max_id for info in infos) + 1


def _free_output_dir(tokens: "TokenSet", usual: str) -> str:
    """Return a folder without a run: the template's own for its own data, or one named after the
    text."""
    from simplegpt.data.tokenizer import short_name

    folder, tokenizer = tokens.train.parent, short_name(tokens.train_info.tokenizer)
    is_usual = folder == Path("data")
    name = usual if is_usual else f"models/{folder.name}-{tokenizer}"
    return str(first_free_path(Path(name), lambda path: RunDirectory(path).exists()))
