"""Read, check and resolve config files with their includes and overrides.

`load` is for commands: it returns a `Config` or raises a `ConfigError` that lists every problem.
`inspect` is for forms: it never raises, and is quick enough to run at every keystroke.
"""

import datetime
import difflib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ValidationError

from simplegpt.cli import UserError, is_utf8, nearest, nearest_path
from simplegpt.config.edit import Keys, literal, parse_toml, statements, typed_value
from simplegpt.config.schema import (
    EXPLAINED,
    OWNED_TRAINER_KEYS,
    Config,
    Setting,
    broken_rules,
    flat,
    is_tokenizer_file,
    settings,
    tables,
)
from simplegpt.files import open_regular

Overrides = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Dotted keys and their values; texts are parsed by `edit.typed_value`."""
MAX_SHOWN = 60  # characters of an invalid value in a message
RANKS = ("override", "file", "init_from", "include", "default")


@dataclass(frozen=True)
class Origin:
    """The place in which a value is set."""

    kind: Literal["default", "include", "init_from", "file", "override"]
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return "command line" if self.kind == "override" else self.kind
        return f"{self.path}:{self.line}" if self.line else str(self.path)


DEFAULT, OVERRIDE, INIT_FROM = Origin("default"), Origin("override"), Origin("init_from")
NOT_SHOWN = object()


@dataclass(frozen=True)
class Problem:
    """An invalid value, an unknown key, or a violated rule across settings."""

    keys: tuple[str, ...]
    """Dotted keys; several for a rule across settings, empty for a whole file."""
    message: str
    """The expected value, or a suggestion for a misspelled name. Includes the keys if there are
    several."""
    origins: tuple[Origin, ...] = (DEFAULT,)
    """The places of the values, starting with the one that the user is most likely to edit."""
    value: Any = field(default=NOT_SHOWN, compare=False)
    hint: str = ""
    """How to fix it from the command line."""

    @property
    def origin(self) -> Origin:
        return self.origins[0]

    def __str__(self) -> str:
        """Return what is wrong, where, and how to fix it."""
        hint = f" ({self.hint})" if self.hint else ""
        shown = f" = {_shortened(self.value)}" if self.value is not NOT_SHOWN else ""
        subject = f"{self.keys[0]}{shown}: " if len(self.keys) == 1 else ""
        return f"{subject}{self.message}  {_format_places(self.origins)}{hint}"


class ConfigError(UserError):
    """Every problem of a config, one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_reading_order))
        lines = [str(problem) for problem in self.problems]
        head = [f"{len(lines)} invalid values in the config:"] if len(lines) > 1 else []
        super().__init__(*head, *lines)


@dataclass(frozen=True)
class Inspection:
    """The values, origins and problems of a config, valid or not."""

    values: Mapping[str, Any]
    """Every setting's value in its TOML form by dotted key, including defaults and unknown keys;
    under the name of an optional table, whether it is on."""
    origins: Mapping[str, Origin]
    """The origin of each value by dotted key, and by a table's name that of its switch."""
    problems: tuple[Problem, ...]
    config: Config | None
    """None if there are problems."""
    is_complete: bool
    """False if a file could not be read or parsed: its values are missing."""

    @property
    def tables_on(self) -> frozenset[str]:
        return frozenset(
            name for name, table in tables().items() if not table.optional or self.values[name]
        )

    @property
    def invalid_keys(self) -> frozenset[str]:
        """The keys of all problems, including every key of an invalid table."""
        return _invalid_keys(self.problems)

    def problem(self, keys: tuple[str, ...], message: str, hint: str = "") -> Problem:
        """Make a problem with `keys` that names their places."""
        value = self.values[keys[0]] if len(keys) == 1 else NOT_SHOWN
        return Problem(keys, message, _places(self.origins, keys), value, hint)


Check = Callable[[Inspection], list[Problem]]
"""Finds problems outside the config itself, such as `data.tokens.check_config`."""


@dataclass(frozen=True)
class FileText:
    """The content of a config file, or the reason why it cannot be read."""

    text: str = ""
    error: str = ""
    """Empty if the file could be read."""
    real_path: Path | None = None
    """The path without symbolic links: the same for all names of a file."""


Read = Callable[[Path], FileText]


def read_file(path: Path) -> FileText:
    """Read a config file, keeping line endings but no byte order mark; never raises."""
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8-sig")
        # Path.resolve raises RuntimeError for a symlink loop
        return FileText(text, real_path=Path(os.path.realpath(path)))
    except FileNotFoundError:
        return FileText(error=f"no such file{nearest_path(path)}")
    except IsADirectoryError:
        return FileText(error="a directory, not a TOML file")
    except UnicodeDecodeError as error:
        found = error.object[error.start]
        return FileText(error=f"not UTF-8 text: byte {error.start} is {found:#04x}")
    except OSError as error:
        return FileText(error=f"cannot be read: {error.strerror}")


def read_includes(text: str, path: Path) -> dict[Path, FileText]:
    """Read the files that the config `text` at `path` includes, and those that they include."""
    files: dict[Path, FileText] = {}

    def read(include: Path) -> FileText:
        return files.setdefault(include, read_file(include))

    _Layers(read).read_text(text, path)
    return files


def load(
    path: str | Path,
    overrides: Overrides = (),
    check: Check | None = None,
    *,
    initial: Mapping[str, Any] | None = None,
) -> Config:
    """Load the config at `path` with its includes and `overrides`.

    `initial` are the values by dotted key of the model that ``init_from`` names; they replace
    defaults and included values, but not those in the file itself or in `overrides`. Raises
    `ConfigError` with all problems, including those that `check` finds.
    """
    inspection = inspect(Path(path), overrides)
    if initial:
        given = {key for key, one in inspection.origins.items() if one.kind in ("file", "override")}
        adopted = {key: value for key, value in initial.items() if key not in given}
        inspection = inspect(Path(path), overrides, initial=adopted)
    found = check(inspection) if check else []
    if found or inspection.config is None:
        raise ConfigError([*inspection.problems, *found])
    return inspection.config


def inspect(
    source: str | Path,
    overrides: Overrides = (),
    *,
    path: Path | None = None,
    read: Read = read_file,
    initial: Mapping[str, Any] | None = None,
) -> Inspection:
    """Check a file, or the text (a `str`) of a file that is or will be at `path`; never raises.

    `read` is called with the path of each file needed. `initial` are the values by dotted key of
    the model that ``init_from`` names; they override those of the files.
    """
    layers = _Layers(read)
    if isinstance(source, Path):
        layers.read_file(source)
    else:
        layers.read_text(source, path or Path("config.toml"))
    layers.override(initial or {}, INIT_FROM)
    layers.override(overrides)
    values = _complete(layers.values)
    config, found = _validate(layers, values)
    problems = sorted([*layers.problems, *found], key=_reading_order)
    return Inspection(
        values=values,
        origins=dict.fromkeys(settings(), DEFAULT) | layers.origins,
        problems=tuple(problems),
        config=None if problems else config,
        is_complete=layers.is_complete,
    )


def flatten(config: Config) -> dict[str, Any]:
    """Return the values of `config` in the form of `Inspection.values`."""
    return _complete(_none_as_false(config.model_dump(mode="json")))


def resolved(config: Config) -> str:
    """Return the config as one TOML file without includes, with absolute paths.

    Disabled settings and tables are written as ``false``; loading it gives an equal config.
    """
    values = absolute(config).model_dump(mode="json", exclude={"include"})
    return tomli_w.dumps(_none_as_false(values))


def absolute(config: Config) -> Config:
    """Return `config` with absolute paths, which are valid in any working directory."""
    names = ("train_fpath", "val_fpath")
    files = {name: getattr(config.data, name).absolute() for name in names}
    changes = {
        "output_dir": config.output_dir.absolute(),
        "data": config.data.model_copy(update=files),
    }
    if is_tokenizer_file(config.tokenizer_name):
        changes["tokenizer_name"] = str(Path(config.tokenizer_name).absolute())
    if config.init_from is not None and os.path.exists(config.init_from):
        changes["init_from"] = str(Path(config.init_from).absolute())
    return config.model_copy(update=changes)


def config_folder() -> Path:
    """Return the folder of SimpleGPT's own configs: in the clone, or in the installed package."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def _none_as_false(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _none_as_false(value) if isinstance(value, dict) else value is not None and value
        for name, value in values.items()
    }


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted key with the defaults, and whether each optional table is on."""
    defaults = {key: setting.default for key, setting in settings().items()}
    switches = {
        name: isinstance(given.get(name), dict) for name, one in tables().items() if one.optional
    }
    return defaults | flat(given) | switches


# Reading


class _Layers:
    """The merged values of several files and the overrides; later ones take precedence."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.values: dict[str, Any] = {}
        """In the form of a TOML file, tables as dicts."""
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []
        self.is_complete = True

    def read_file(self, path: Path) -> None:
        file = self._read(path)
        if file.error:
            is_lost = file.error.startswith("no such file") and "did you mean" not in file.error
            hint = "; simplegpt new NAME creates a folder with configs" if is_lost else ""
            self._fail((), file.error + hint, Origin("file", path))
        else:
            self.read_text(file.text, path, file.real_path)

    def read_text(
        self,
        text: str,
        path: Path,
        real_path: Path | None = None,
        including: tuple[tuple[Path, Path], ...] = (),
    ) -> None:
        """Add the values of a file's text; `including` are the files that led to it.

        Each is given by its path and its path without symbolic links.
        """
        kind: Literal["file", "include"] = "include" if including else "file"
        try:
            values = parse_toml(text)
        except ValueError as error:
            line, message = _syntax_error(error, text)
            self._fail((), message, Origin(kind, path, line))
            return
        lines = _lines(text)
        here = Origin(kind, path, lines.get(("include",)))
        include = values.pop("include", False)
        if isinstance(include, str):
            real_path = real_path or Path(os.path.abspath(path))  # noqa: PTH100 - Path keeps ".."
            self._read_include(include, here, (*including, (path, real_path)))
        elif include is not False:
            self._fail(("include",), _expected(settings()["include"], include), here)
        for name, value in values.items():
            origin = Origin(kind, path, lines.get((name,)))
            self._set(name, value, origin)
            for key in value if isinstance(value, dict) else ():
                key_line = lines.get((name, key), origin.line)
                self.origins[f"{name}.{key}"] = Origin(kind, path, key_line)
        if kind == "file" and include is not False:
            self.values["include"], self.origins["include"] = include, here

    def override(self, overrides: Overrides, origin: Origin = OVERRIDE) -> None:
        for key, value in overrides.items() if isinstance(overrides, Mapping) else overrides:
            table, _, name = key.rpartition(".")
            if isinstance(value, str):
                value = typed_value(settings().get(key), value)
            elif isinstance(value, Path):
                value = str(value)
            if value is True and key in tables() and tables()[key].optional:
                value = {}  # on, with the values of the files or the defaults
            self._set(table or key, {name: value} if table else value, origin)
            self.origins[key] = origin

    def _set(self, name: str, value: Any, origin: Origin) -> None:
        """Set a top-level key; a table is merged into the one that is already set."""
        old = self.values.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            self.values[name] = old | value
            return
        for key in [key for key in self.origins if key.startswith(f"{name}.")]:
            del self.origins[key]
        self.values[name], self.origins[name] = value, origin

    def _read_include(
        self, include: str, origin: Origin, including: tuple[tuple[Path, Path], ...]
    ) -> None:
        if "\0" in include:
            self._fail(("include",), "must not contain null characters", origin, include)
            return
        target = Path(os.path.normpath(including[-1][0].parent / include))
        file = self._read(target)
        chain = [real_path for _, real_path in including]
        if file.error:
            self._fail(("include",), f"{target}: {file.error}", origin, include)
        elif file.real_path in chain:
            cycle = [path for path, _ in including[chain.index(file.real_path) :]]
            names = " → ".join(path.name for path in (*cycle, target))
            self._fail(("include",), f"files include each other: {names}", origin, include)
        else:
            self.read_text(file.text, target, file.real_path, including)

    def _fail(
        self, keys: tuple[str, ...], message: str, origin: Origin, value: Any = NOT_SHOWN
    ) -> None:
        """Add the problem of a file that could not be read."""
        self.is_complete = False
        self.problems.append(Problem(keys, message, (origin,), value))


def _lines(text: str) -> dict[Keys, int]:
    """Return the line, from 1, of the first occurrence of each key and table in a TOML text."""
    lines: dict[Keys, int] = {}
    for statement in statements(text):
        for n in range(1, len(statement.keys) + 1):
            lines.setdefault(statement.keys[:n], statement.line)
    return lines


def _syntax_error(error: ValueError, text: str) -> tuple[int | None, str]:
    """Return line and message, which tomllib gives as one text."""
    if not isinstance(error, tomllib.TOMLDecodeError):
        return None, str(error)
    message, _, place = str(error).rpartition(" (at ")
    numbers = [int(word) for word in place.rstrip(")").replace(",", "").split() if word.isdigit()]
    line, column = numbers if len(numbers) == 2 else (text.count("\n") + 1, 1)
    return line, f"column {column}: {_lowercased(message)}"


# Checking


def _validate(layers: _Layers, values: Mapping[str, Any]) -> tuple[Config | None, list[Problem]]:
    """Return the config, or None, and its problems; `values` are those of `layers` and defaults."""
    given = {name: value for name, value in layers.values.items() if name != "include"}
    problems = []
    config = None
    try:
        config = Config.model_validate_json(json.dumps(as_json(given)), strict=True)
    except ValidationError as error:
        for key, message in messages_of(error, settings(), given).items():
            problems.append(Problem((key,), message, _places(layers.origins, (key,))))
    for keys, message in broken_rules(values, _invalid_keys(problems)):
        problems.append(Problem(keys, message, _places(layers.origins, keys)))
    return config, problems


def messages_of(
    error: ValidationError, known: Mapping[str, Setting], values: Mapping[str, Any]
) -> dict[str, str]:
    """Return the error message of each key, such as ``expected an integer ≥ 1, got 0``.

    `known` are the settings that were validated, `values` the given ones, with tables as dicts.
    """
    found: dict[str, str] = {}
    for item in error.errors():
        if not item["loc"]:
            continue  # a broken rule
        name, *rest = map(str, item["loc"])
        key = f"{name}.{rest[0]}" if name in tables() and rest else name
        if item["type"] == "extra_forbidden":
            message = _unknown_key(key, isinstance(item["input"], dict))
        elif item["type"] == EXPLAINED:
            message = item["msg"]
        elif key in known:
            given = values[name][rest[0]] if name in tables() else values[name]
            message = _expected(known[key], given)
        else:
            off = f", or {key} = false" if key in tables() and tables()[key].optional else ""
            message = f"expected a table, [{key}]{off}"
        found.setdefault(key, message)
    return found


def _expected(setting: Setting, value: Any) -> str:
    """Return the message for a value that a setting does not allow."""
    near = nearest(value, map(str, setting.choices)) if isinstance(value, str) else ""
    return f"expected {setting.allowed}, got {_shortened(value)}{near}"


def _shortened(value: Any) -> str:
    text = literal(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _unknown_key(key: str, is_table: bool) -> str:
    """Return the message for a key that is not in the schema, with the nearest one that is."""
    table, _, name = key.rpartition(".")
    if table == "trainer" and name in OWNED_TRAINER_KEYS:
        return f"cannot be set: {OWNED_TRAINER_KEYS[name]}"
    if is_table:
        return "unknown table" + nearest(name, tables())
    elsewhere = [setting.table for setting in settings().values() if setting.name == name]
    places = [f"[{one}]" if one else "the top, above every [table]" for one in elsewhere]
    if name in tables():
        places.append(f"its own table, [{name}]")
    if places:
        return f"unknown key; {name} belongs to {' or '.join(places)}"
    siblings = [one.name for one in tables()[table].settings.values()]
    if near := nearest(name, siblings if table else [*siblings, *tables()]):
        return f"unknown key{near}"
    keys = {setting.name: key for key, setting in settings().items()}
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.8)
    return f"unknown key; did you mean '{keys[close[0]]}'?" if close else "unknown key"


def as_json(value: Any) -> Any:
    """Replace values that JSON cannot represent by an object, which no setting accepts."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    is_date = isinstance(value, datetime.date | datetime.time)
    is_broken_text = isinstance(value, str) and not is_utf8(value)
    return {} if is_date or is_broken_text else value


def _invalid_keys(problems: Iterable[Problem]) -> frozenset[str]:
    invalid = {key for problem in problems for key in problem.keys}
    return frozenset(invalid | {key for key, one in settings().items() if one.table in invalid})


def _places(origins: Mapping[str, Origin], keys: Iterable[str]) -> tuple[Origin, ...]:
    """Return where `keys` are set, starting with the place that the user will most likely edit."""
    found = dict.fromkeys(origins[key] for key in keys if key in origins)
    places = sorted(found, key=lambda one: RANKS.index(one.kind))
    return tuple(one for one in places if one != DEFAULT) or (DEFAULT,)


def _format_places(origins: Iterable[Origin]) -> str:
    """Format as ``run.toml:3,7, base.toml:2``, with each file once."""
    lines: dict[str, list[str]] = {}
    for origin in origins:
        place = str(origin if origin.path is None else origin.path)
        lines.setdefault(place, []).extend([str(origin.line)] if origin.line else [])
    return ", ".join(":".join([place, *([",".join(n)] if n else [])]) for place, n in lines.items())


def _reading_order(problem: Problem) -> tuple[int, str, int]:
    """Sort key: files first, each from top to bottom."""
    origin = problem.origin
    rank = ("file", "include", "override", "init_from", "default").index(origin.kind)
    return rank, str(origin.path), origin.line or 0


def _lowercased(message: str) -> str:
    return message[:1].lower() + message[1:]
