"""The config to train on token files: a template, and the values that the data needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplegpt.files import first_free_path
from simplegpt.run.directory import RunDirectory
from tui.data.tokenizing import Job


@dataclass(frozen=True)
class FittedConfig:
    """A config file to begin with, and the values to change in it (dotted key -> value)."""

    template: Path
    values: Mapping[str, Any]


def fit_config(job: Job, n_vocab: int, *, has_gpu: bool) -> FittedConfig:
    """Return the config that fits the token files of `job` and the machine. Reads files."""
    from simplegpt.config.load import config_folder, inspect  # not before the first paint

    if not has_gpu:
        name = "shakespeare_char_cpu.toml"
    else:
        name = "shakespeare_char.toml" if n_vocab <= 256 else "shakespeare.toml"
    own = Path("configs", name)
    template = own.absolute() if own.is_file() else config_folder() / name
    current = inspect(template).values
    values: dict[str, Any] = {
        "tokenizer_name": job.tokenizer,
        "data.train_fpath": str(job.outputs[0]),
        "data.val_fpath": str(job.outputs[-1]),
        "output_dir": _free_output_dir(job, str(current["output_dir"])),
    }
    # A template may round GPT-2's vocabulary up, which is faster; a smaller one is an error, and a
    # much larger one only takes memory.
    if not n_vocab <= current["model.n_vocab"] <= n_vocab + 127:
        values["model.n_vocab"] = n_vocab
    return FittedConfig(template, {k: v for k, v in values.items() if current.get(k) != v})


def _free_output_dir(job: Job, usual: str) -> str:
    """Return a folder without a run: the template's own for its own data, or one named after the
    text."""
    is_usual = job.output_dir == Path("data")
    name = usual if is_usual else f"models/{job.output_dir.name}-{job.tokenizer}"
    return str(first_free_path(Path(name), lambda path: RunDirectory(path).exists()))
