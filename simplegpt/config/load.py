"""Config files: read with their includes and overrides, judged, resolved, edited, saved.

`load` is for a command: it gives a `Config` or raises a `ConfigError` that lists every mistake.
`inspect` is for a form: it never raises, and is quick enough for every key stroke.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from simplegpt.cli import UserError
from simplegpt.config.check import file_problems, reading_order, validated
from simplegpt.config.edit import edit
from simplegpt.config.layers import DEFAULT, Layers, Origin, Overrides, Problem
from simplegpt.config.schema import Config
from simplegpt.config.settings import toml_value

__all__ = [
    "DEFAULT",
    "ConfigError",
    "Inspection",
    "Origin",
    "Overrides",
    "Problem",
    "config_folder",
    "edit",
    "inspect",
    "load",
    "resolved",
]


class ConfigError(UserError):
    """Every mistake of a config, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        head = f"{len(lines)} mistakes in the config:\n  " if len(lines) > 1 else ""
        super().__init__(head + "\n  ".join(lines))


@dataclass(frozen=True)
class Inspection:
    """All that is known of a config file, right or wrong."""

    values: Mapping[str, Any]
    """Every setting's value as TOML holds it, by dotted key; defaults included."""
    origins: Mapping[str, Origin]
    """Where each value comes from; also, by its name, where a table is switched on or off."""
    tables_on: frozenset[str]
    problems: tuple[Problem, ...]
    config: Config | None
    """None while there are problems."""


def load(path: str | Path, overrides: Overrides = (), *, check_files: bool = True) -> Config:
    """The config of the file at `path` with its includes and `overrides`.

    Raises `ConfigError`. `check_files` also looks at the token files that it names, whole.
    """
    layers = Layers()
    layers.read_file(Path(path))
    layers.override(overrides)
    inspection = _judged(layers, check_files, scan=True)
    if inspection.config is None:
        raise ConfigError(inspection.problems)
    return inspection.config


def inspect(
    source: str | Path,
    edits: Overrides = (),
    *,
    path: Path | None = None,
    check_files: bool = True,
) -> Inspection:
    """Judge a file, or the text (a `str`) of a file that is or will be at `path`; never raises.

    Token files are judged by their sidecars, so that it stays quick.
    """
    layers = Layers()
    if isinstance(source, Path):
        layers.read_file(source)
    else:
        layers.read_text(source, path or Path("config.toml"))
    layers.override(edits)
    return _judged(layers, check_files, scan=False)


def _judged(layers: Layers, check_files: bool, *, scan: bool) -> Inspection:
    config, problems = validated(layers)
    problems = [*layers.problems, *problems]
    if check_files and not layers.unread:
        problems += file_problems(layers, problems, scan=scan)
    return Inspection(
        values=layers.flat(),
        origins=layers.all_origins(),
        tables_on=layers.tables_on(),
        problems=tuple(sorted(problems, key=reading_order)),
        config=None if problems else config,
    )


def resolved(config: Config) -> str:
    """The config as the text of one TOML file that needs no other, with absolute paths.

    What is switched off is written as ``false``; loading it gives an equal config.
    """
    values = config.model_dump(mode="json", exclude={"include"})
    values["output_dir"] = str(config.output_dir.absolute())
    for name in ("train_fpath", "val_fpath"):
        values["data"][name] = str(getattr(config.data, name).absolute())
    if config.init_from is not None and Path(config.init_from).exists():
        values["init_from"] = str(Path(config.init_from).absolute())
    return tomli_w.dumps(_none_as_false(values))


def _none_as_false(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _none_as_false(value) if isinstance(value, dict) else toml_value(value)
        for name, value in values.items()
    }


def config_folder() -> Path:
    """Where the configs that come with SimpleGPT are: in the clone, or in the installed package."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
