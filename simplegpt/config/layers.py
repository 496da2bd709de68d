"""The values of a config from all that gives them: files, their includes, overrides.

`Layers` merges them, the later over the earlier, and remembers for each value where it comes from.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simplegpt.cli import nearest
from simplegpt.config.settings import settings, tables, toml_value
from simplegpt.config.text import key_lines, literal, typed_value

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
            return {"override": "command line", "default": "default value"}.get(
                self.kind, self.kind
            )
        return f"{self.path}:{self.line}" if self.line else str(self.path)


DEFAULT, OVERRIDE = Origin("default"), Origin("override")
MISSING = object()


@dataclass(frozen=True)
class Problem:
    """One mistake: where, in which keys, and what would be right."""

    keys: tuple[str, ...]
    """Dotted; several for a rule over several fields, none for a file as a whole."""
    message: str
    """What is allowed, with the nearest right name where one is near."""
    value: Any = field(default=MISSING, compare=False)
    origin: Origin = DEFAULT
    hint: str = ""
    """How to fix it on a command line."""

    @property
    def has_value(self) -> bool:
        return self.value is not MISSING

    def __str__(self) -> str:
        given = f" = {_shortened(literal(self.value))}" if self.has_value else ""
        subject = f"{', '.join(self.keys)}{given}: " if self.keys else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.origin}: {subject}{self.message}{hint}"


class Layers:
    """Values of several files and of the overrides, the later over the earlier."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []
        self.unread = False
        """Whether a file could not be read or parsed, so that the values are not all there."""

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
            self.unread = True
            return
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.unread = True
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
        self.unread = True  # until it is read
        chain = [one.resolve() for one in including]
        if target.resolve() in chain:
            names = [one.name for one in including[chain.index(target.resolve()) :]]
            cycle = " includes ".join([*names, target.name])
            message = f"files must not include each other in a circle: {cycle}"
            self.problems.append(Problem(("include",), message, include, origin))
        elif not target.is_file():
            is_folder = target.is_dir()
            missing = f"no such file: {target}{nearest_file(target)}"
            message = "is a folder, where a TOML file is needed" if is_folder else missing
            self.problems.append(Problem(("include",), message, include, origin))
        else:
            self.unread = False
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
        """Nested values, with defaults in place of what is not given or in `wrong`.

        Tables that are switched off are filled too.
        """
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


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
