"""Config files: read with their includes and overrides, judged, resolved, edited, saved.

`load` is for a command: it gives a `Config` or raises a `ConfigError` that lists every mistake.
`inspect` is for a form: it never raises, and is quick enough for every key stroke.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from simplegpt.cli import UserError
from simplegpt.config.check import invalid_keys, reading_order, validated
from simplegpt.config.edit import edit
from simplegpt.config.layers import DEFAULT, MISSING, Layers, Origin, Overrides, Problem
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
    is_complete: bool
    """False where a file could not be read or parsed: its values are not here."""

    @property
    def invalid_keys(self) -> frozenset[str]:
        """The keys that the problems are about, and those of a table that is wrong as a whole."""
        return invalid_keys(self.problems)

    def problem(self, keys: tuple[str, ...], message: str, hint: str = "") -> Problem:
        """A problem with `keys`, in the place that the user is most likely to edit."""
        origins = [self.origins[key] for key in keys]
        ranks = ("override", "file", "include", "default")
        origin = min(origins, key=lambda one: ranks.index(one.kind))
        value = self.values[keys[0]] if len(keys) == 1 else MISSING
        return Problem(keys, message, value, origin, hint)


Check = Callable[[Inspection], list[Problem]]
"""Finds problems that do not show in the config alone, such as `data.tokens.check_config`."""


def load(path: str | Path, overrides: Overrides = (), check: Check | None = None) -> Config:
    """The config of the file at `path` with its includes and `overrides`.

    Raises `ConfigError` with all problems, those that `check` finds included.
    """
    inspection = inspect(Path(path), overrides)
    found = check(inspection) if check else []
    problems = sorted([*inspection.problems, *found], key=reading_order)
    if problems or inspection.config is None:
        raise ConfigError(problems)
    return inspection.config


def inspect(
    source: str | Path,
    edits: Overrides = (),
    *,
    path: Path | None = None,
) -> Inspection:
    """Judge a file, or the text (a `str`) of a file that is or will be at `path`; never raises."""
    layers = Layers()
    if isinstance(source, Path):
        layers.read_file(source)
    else:
        layers.read_text(source, path or Path("config.toml"))
    layers.override(edits)
    config, problems = validated(layers)
    problems = [*layers.problems, *problems]
    return Inspection(
        values=layers.flat(),
        origins=layers.all_origins(),
        tables_on=layers.tables_on(),
        problems=tuple(sorted(problems, key=reading_order)),
        config=None if problems else config,
        is_complete=not layers.unread,
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
