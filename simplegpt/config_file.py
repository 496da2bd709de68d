"""Config files: read with their includes and overrides, judged, resolved, edited, saved.

`load` is for a command: it gives a `Config` or raises a `ConfigError` that lists every mistake.
`inspect` is for a form: it never raises, and is quick enough for every key stroke.
"""

import datetime
import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ValidationError

from simplegpt.config import OWNED_TRAINER_KEYS, Config, broken_rules
from simplegpt.config_text import key_lines, literal, typed_value
from simplegpt.errors import UserError, nearest
from simplegpt.schema import settings, tables, toml_value

Overrides = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Dotted keys and their values; a text is taken as `config_text.typed_value` does."""


@dataclass(frozen=True)
class Origin:
    """Where a value comes from."""

    kind: Literal["default", "include", "file", "override"]
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return {"override": "command line"}.get(self.kind, self.kind)
        return f"{self.path}:{self.line}" if self.line else str(self.path)


DEFAULT, OVERRIDE = Origin("default"), Origin("override")
_MISSING = object()


@dataclass(frozen=True)
class Problem:
    """One mistake: where, in which keys, and what would be right."""

    keys: tuple[str, ...]
    """Dotted; several for a rule over several fields, none for a file as a whole."""
    message: str
    """What is allowed, with the nearest right name where one is near."""
    value: Any = field(default=_MISSING, compare=False)
    origin: Origin = DEFAULT

    @property
    def has_value(self) -> bool:
        return self.value is not _MISSING

    def __str__(self) -> str:
        given = f" = {_shortened(literal(self.value))}" if self.has_value else ""
        subject = f"{', '.join(self.keys)}{given}: " if self.keys else ""
        return f"{self.origin}: {subject}{self.message}"


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

    Raises `ConfigError`. `check_files` also looks at the token files that it names.
    """
    inspection = inspect(Path(path), overrides, check_files=check_files)
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
    """Judge a file, or the text (a `str`) of a file that is or will be at `path`; never raises."""
    merged = _Merged()
    if isinstance(source, Path):
        merged.read_file(source)
    else:
        merged.read_text(source, path or Path("config.toml"))
    merged.override(edits)
    config, problems = _validated(merged)
    problems = [*merged.problems, *problems]
    if check_files and not any(problem.origin.kind == "file" for problem in merged.problems):
        from simplegpt.config_data import data_problems

        wrong = {key for problem in problems for key in problem.keys}
        problems += [
            Problem(keys, message, merged.flat().get(keys[0]), merged.origin_of(keys))
            for keys, message in data_problems(merged.filled(wrong), wrong)
        ]
    return Inspection(
        values=merged.flat(),
        origins=merged.all_origins(),
        tables_on=merged.tables_on(),
        problems=tuple(sorted(problems, key=_reading_order)),
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


class _Merged:
    """Values of several files and of the overrides, the later over the earlier."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []

    def read_file(self, path: Path, kind: Literal["file", "include"] = "file") -> None:
        self._read(path, _read_text(path, Origin(kind, path), self.problems), kind, ())

    def read_text(self, text: str, path: Path) -> None:
        self._read(path, text, "file", ())

    def _read(
        self,
        path: Path,
        text: str | None,
        kind: Literal["file", "include"],
        including: tuple[Path, ...],
    ) -> None:
        if text is None:
            return
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(_syntax_problem(error, text, path, kind))
            return
        lines = key_lines(text)
        here = Origin(kind, path, lines.get(("include",)))
        include = values.pop("include", False)
        if isinstance(include, str):
            self._read_include(path, include, here, (*including, path))
        elif include is not False:
            self.problems.append(Problem(("include",), "must be a path in quotes", include, here))
        for name, value in values.items():
            table_origin = Origin(kind, path, lines.get((name,)) or _first_line(lines, name))
            self._set(name, value, table_origin)
            if isinstance(value, dict):
                for key in value:
                    line = lines.get((name, key)) or _first_line(lines, name, key)
                    self.origins[f"{name}.{key}"] = Origin(kind, path, line or table_origin.line)
        if kind == "file" and include is not False:
            self.values["include"], self.origins["include"] = include, here

    def _read_include(
        self, path: Path, include: str, origin: Origin, including: tuple[Path, ...]
    ) -> None:
        target = Path(os.path.normpath(path.parent / include))
        chain = [one.resolve() for one in including]
        if target.resolve() in chain:
            names = [one.name for one in including[chain.index(target.resolve()) :]]
            cycle = " includes ".join([*names, target.name])
            message = f"files must not include each other in a circle: {cycle}"
            self.problems.append(Problem(("include",), message, include, origin))
        elif not target.is_file():
            message = f"no such file: {target}{nearest_file(target)}"
            self.problems.append(Problem(("include",), message, include, origin))
        else:
            text = _read_text(target, Origin("include", target), self.problems)
            self._read(target, text, "include", including)

    def override(self, edits: Overrides) -> None:
        pairs = edits.items() if isinstance(edits, Mapping) else edits
        for key, value in pairs:
            table, _, name = key.rpartition(".")
            if isinstance(value, str):
                value = typed_value(settings().get(key), value)
            if value is True and key in tables() and tables()[key].optional:
                value = {}  # switched on, with what the files say or the defaults
            self._set(table or key, {name: value} if table else toml_value(value), OVERRIDE)
            self.origins[key] = OVERRIDE

    def _set(self, name: str, value: Any, origin: Origin) -> None:
        old = self.values.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            old.update({key: toml_value(item) for key, item in value.items()})
            return
        for key in [key for key in self.origins if key.startswith(f"{name}.")]:
            del self.origins[key]
        is_table = isinstance(value, dict)
        self.values[name] = {k: toml_value(v) for k, v in value.items()} if is_table else value
        self.origins[name] = origin

    def flat(self) -> dict[str, Any]:
        """Every setting's value by dotted key, the default where none is given."""
        values = {}
        for key, setting in settings().items():
            holder = self.values.get(setting.table) if setting.table else self.values
            given = isinstance(holder, dict) and setting.name in holder
            values[key] = holder[setting.name] if given else setting.default  # type: ignore[index]
        return values

    def filled(self, wrong: Iterable[str]) -> dict[str, Any]:
        """Nested values with defaults in place of what is not given or in `wrong`."""
        wrong, flat = set(wrong), self.flat()
        filled: dict[str, Any] = {name: {} for name in tables() if name}
        for key, setting in settings().items():
            usable = key not in wrong and setting.table not in wrong
            value = flat[key] if usable else setting.default
            (filled[setting.table] if setting.table else filled)[setting.name] = value
        return filled

    def tables_on(self) -> frozenset[str]:
        return frozenset(
            name
            for name, table in tables().items()
            if not table.optional or isinstance(self.values.get(name), dict)
        )

    def all_origins(self) -> dict[str, Origin]:
        return {key: self.origins.get(key, DEFAULT) for key in settings()} | self.origins

    def origin_of(self, keys: Iterable[str]) -> Origin:
        """The origin to name for a rule over `keys`: the one nearest to the user's hand."""
        found = [self.origins.get(key, DEFAULT) for key in keys]
        return min(
            found, key=lambda one: ("override", "file", "include", "default").index(one.kind)
        )


def _validated(merged: _Merged) -> tuple[Config | None, list[Problem]]:
    values = {name: value for name, value in merged.values.items() if name != "include"}
    problems = [
        problem for key, value in _leaves(values) if (problem := _date_problem(key, value, merged))
    ]
    for problem in problems:
        _remove(values, problem.keys[0])
    try:
        config = Config.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        config = None
        locations = {_key_of(item["loc"]): item["type"] for item in error.errors() if item["loc"]}
        problems += [_field_problem(key, kind, merged) for key, kind in locations.items()]
    wrong = frozenset(key for problem in problems for key in problem.keys)
    wrong |= {key for key, setting in settings().items() if setting.table in wrong}
    for broken in broken_rules(merged.filled(wrong), wrong):
        elsewhere = _others(broken.keys, merged)
        message = broken.message + elsewhere
        problems.append(Problem(broken.keys, message, origin=merged.origin_of(broken.keys)))
    return config, problems


def _reading_order(problem: Problem) -> tuple[int, str, int]:
    origin = problem.origin
    rank = ("file", "include", "override", "default").index(origin.kind)
    return rank, str(origin.path), origin.line or 0


def _others(keys: tuple[str, ...], merged: _Merged) -> str:
    """Where the values of a rule stand, if not all at the place named first."""
    named = merged.origin_of(keys)
    others = {key: merged.origins.get(key, DEFAULT) for key in keys}
    told = [f"{key}: {origin}" for key, origin in others.items() if origin != named]
    return f" ({'; '.join(told)})" if told else ""


def _key_of(location: tuple[str | int, ...]) -> str:
    """The dotted key of a pydantic error, without the list item or union member it ends in."""
    name = str(location[0])
    return f"{name}.{location[1]}" if name in tables() and len(location) > 1 else name


def _field_problem(key: str, kind: str, merged: _Merged) -> Problem:
    origin = merged.origins.get(key, DEFAULT)
    table, _, name = key.rpartition(".")
    holder = merged.values.get(table, {}) if table else merged.values
    value = holder.get(name, _MISSING) if isinstance(holder, dict) else _MISSING
    if kind == "extra_forbidden":
        message = unknown_key(key, isinstance(value, dict))
        return Problem((key,), message, _MISSING if isinstance(value, dict) else value, origin)
    if key in tables():
        off = f", or {key} = false" if tables()[key].optional else ""
        return Problem((key,), f"must be a table: [{key}]{off}", value, origin)
    setting = settings()[key]
    near = ""
    if isinstance(value, str) and setting.choices:
        near = nearest(value, [str(choice) for choice in setting.choices])
    quotes = ", in quotes" if setting.kind in ("text", "path") and origin.path is not None else ""
    return Problem((key,), f"must be {setting.allowed}{quotes}{near}", value, origin)


def unknown_key(key: str, is_table: bool = False) -> str:
    """What to say of a key that the schema does not know, and the nearest that it does."""
    table, _, name = key.rpartition(".")
    if table == "trainer" and name in OWNED_TRAINER_KEYS:
        return f"is set by simplegpt itself: {OWNED_TRAINER_KEYS[name]}"
    if is_table:
        return "unknown table" + nearest(name, [one for one in tables() if one])
    elsewhere = [other for other, setting in settings().items() if setting.name == name]
    if elsewhere:
        places = [f"[{settings()[other].table}]" for other in elsewhere if "." in other]
        top = ["the top of the file, above every [table]"] if name in elsewhere else []
        return f"unknown here; {name} belongs to {' or '.join(top + places)}"
    if name in tables():
        return f"unknown here; {name} is a table of its own, [{name}]"
    candidates = (
        [one.name for one in tables()[table].settings.values()] if table in tables() else []
    )
    near = nearest(name, candidates if table else [*candidates, *tables()])
    if not near:  # the right name of another table, with a slip in it
        names = {setting.name: other for other, setting in settings().items()}
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        near = f"; did you mean '{names[close[0]]}'?" if close else ""
    return f"unknown key{near}"


def nearest_file(path: Path) -> str:
    """``"; did you mean 'x.toml'?"`` from the files beside the one that is not there."""
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return f"; there is no folder {path.parent}"
    return nearest(path.name, names)


def _read_text(path: Path, origin: Origin, problems: list[Problem]) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        message = f"no such file{nearest_file(path)}"
    except IsADirectoryError:
        message = "is a folder, where a TOML file is needed"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    problems.append(Problem((), message, origin=origin))
    return None


def _syntax_problem(
    error: tomllib.TOMLDecodeError, text: str, path: Path, kind: Literal["file", "include"]
) -> Problem:
    """tomllib tells line and column only inside its message."""
    message, _, place = str(error).rpartition(" (at ")
    numbers = [int(word) for word in place.rstrip(")").replace(",", "").split() if word.isdigit()]
    line, column = numbers if len(numbers) == 2 else (text.count("\n") + 1, 1)
    head = message[:1].lower() + message[1:]
    return Problem((), f"column {column}: {head}", origin=Origin(kind, path, line))


def _first_line(lines: Mapping[tuple[str, ...], int], *start: str) -> int | None:
    found = [line for keys, line in lines.items() if keys[: len(start)] == start]
    return min(found, default=None)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _date_problem(key: str, value: Any, merged: _Merged) -> Problem | None:
    """TOML has dates, which no setting takes and JSON does not know."""
    items = value if isinstance(value, list) else [value]
    if not any(isinstance(one, datetime.date | datetime.time) for one in items):
        return None
    setting = settings().get(key)
    message = f"must be {setting.allowed}, not a date" if setting else unknown_key(key)
    return Problem((key,), message, value, merged.origins.get(key, DEFAULT))


def _remove(values: dict[str, Any], key: str) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        values = values[parent]
    del values[name]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
