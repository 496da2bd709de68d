"""What each setting of `config` allows, in words and in parts.

Made from the pydantic fields, and used wherever a setting is spoken of: a mistake's message,
``--help``, and the workbench's form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from simplegpt.config.schema import Config, Section

Kind = Literal["switch", "choice", "integer", "number", "text", "path", "list", "mixed"]


@dataclass(frozen=True)
class Setting:
    """One key of the config file."""

    key: str
    """Dotted: ``model.n_embd``; without a dot at the top level."""
    kind: Kind
    """How it is typed; ``mixed`` is none of the others alone (``"auto"``, a number or a list)."""
    default: Any
    """As TOML would hold it: text for a path, a list for a tuple, False for switched off."""
    description: str
    """The field's docstring on one line."""
    allowed: str
    """In words, to follow "must be"."""
    optional: bool = False
    """``false`` switches it off."""
    choices: tuple[Any, ...] = ()
    """All values there are, where they can be listed."""
    item_kind: Kind | None = None
    """What a list holds."""

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def table(self) -> str:
        return self.key.rpartition(".")[0]


@dataclass(frozen=True)
class Table:
    """A table of the config file; the one named "" is its top level."""

    name: str
    description: str
    settings: Mapping[str, Setting]
    """By dotted key, in the schema's order."""
    optional: bool = False
    """``name = false`` switches it off, which is also its default."""


@cache
def tables() -> Mapping[str, Table]:
    """Every table by name, the top level first."""
    found = {"": Table("", "The run as a whole.", settings_of(Config, ""))}
    for name, field in Config.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            optional = NoneType in get_args(field.annotation)
            description = " ".join(cleandoc(section.__doc__ or "").split())
            found[name] = Table(name, description, settings_of(section, f"{name}."), optional)
    return found


@cache
def settings() -> Mapping[str, Setting]:
    """Every setting by its dotted key."""
    return {key: one for table in tables().values() for key, one in table.settings.items()}


def settings_of(section: type[Section], prefix: str = "") -> Mapping[str, Setting]:
    """The settings of one pydantic section, its tables left out; `prefix` goes before each key."""
    return {
        prefix + name: _setting(prefix + name, field)
        for name, field in section.model_fields.items()
        if _section(field.annotation) is None
    }


def toml_value(value: Any) -> Any:
    """A field's value as TOML holds it: None is False, a path is text, a tuple is a list."""
    if value is None:
        return False
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [toml_value(item) for item in value]
    return value


def _section(annotation: Any) -> type[Section] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None


def _setting(key: str, field: FieldInfo) -> Setting:
    parts, optional = _alternatives(field.annotation, field.metadata)
    kinds = [_kind(annotation) for annotation, _ in parts]
    choices = tuple(value for annotation, _ in parts for value in _choices(annotation))
    if len(parts) == 1:
        kind = kinds[0]
    else:
        kind = "choice" if set(kinds) <= {"choice", "switch"} else "mixed"
    words = [_words(annotation, metadata) for annotation, metadata in parts]
    if optional and kind != "switch":
        words.append("false")
    return Setting(
        key=key,
        kind=kind,
        default=toml_value(field.get_default(call_default_factory=True)),
        description=" ".join(cleandoc(field.description or "").split()),
        allowed=(", or " if any("," in one for one in words) else " or ").join(words),
        optional=optional,
        choices=choices if kind in ("choice", "switch") else (),
        item_kind=next((_item_kind(a) for a, _ in parts if _kind(a) == "list"), None),
    )


Part = tuple[Any, list[Any]]  # an annotation and its constraints


def _alternatives(annotation: Any, metadata: list[Any]) -> tuple[list[Part], bool]:
    """The members of a union, each with its constraints, and whether None is one of them."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _alternatives(inner, [*metadata, *more])
    if get_origin(annotation) in (Union, UnionType):
        members = [_alternatives(member, metadata) for member in get_args(annotation)]
        parts = [part for found, _ in members for part in found]
        return parts, any(optional for _, optional in members)
    if annotation is NoneType:
        return [], True
    return [(annotation, metadata)], False


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) in (list, tuple):
        return "list"
    if get_origin(annotation) is Literal:
        return "choice"
    kinds: dict[Any, Kind] = {bool: "switch", int: "integer", float: "number", Path: "path"}
    return kinds.get(annotation, "text")


def _choices(annotation: Any) -> tuple[Any, ...]:
    if annotation is bool:
        return (True, False)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _item_kind(annotation: Any) -> Kind:
    parts, _ = _alternatives(get_args(annotation)[0], [])
    return _kind(parts[0][0])


def _words(annotation: Any, metadata: list[Any]) -> str:
    """ "a whole number, at least 1" and the like."""
    kind = _kind(annotation)
    if kind == "choice":
        quoted = [f'"{choice}"' for choice in get_args(annotation)]
        return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
    if kind == "list":
        members = get_args(annotation)
        (item, constraints), *_ = _alternatives(members[0], [])[0]
        each = _words(item, constraints).removeprefix("a ")
        if get_origin(annotation) is tuple:
            plural = each.replace("number", "numbers", 1).replace(", ", ", each ", 1)
            return f"a list of {len(members)} {plural}"
        least = "one or more " if _bound(metadata, "min_length") else ""
        head, comma, rest = each.partition(", ")
        return f"a list of {least}{head}s{comma and ', each '}{rest}"
    names = {
        "switch": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "path": "a path",
        "text": "a text",
    }
    return names[kind] + _bounds(kind, metadata)


def _bounds(kind: Kind, metadata: list[Any]) -> str:
    phrases = []
    for name, phrase in (
        ("ge", "at least"),
        ("gt", "above"),
        ("le", "at most"),
        ("lt", "below"),
    ):
        bound = _bound(metadata, name)
        if bound is not None:
            phrases.append(f"{phrase} {_number(bound)}")
    if _bound(metadata, "min_length"):
        phrases.append("not empty")
    pattern = _bound(metadata, "pattern")
    if pattern is not None:
        phrases.append(_PATTERNS.get(pattern, f"matching {pattern}"))
    return (", " + " and ".join(phrases)) if phrases else ""


_PATTERNS = {r"^\d+:\d\d:\d\d:\d\d$": "as DD:HH:MM:SS"}


def _bound(metadata: list[Any], name: str) -> Any:
    """A constraint by name, from annotated_types, from pydantic, or from a nested Field."""
    for constraint in metadata:
        if isinstance(constraint, FieldInfo):
            value = _bound(constraint.metadata, name)
        else:
            value = getattr(constraint, name, None)
        if value is not None:
            return value
    return None


def _number(bound: float) -> str:
    is_power = isinstance(bound, int) and bound > 2**20 and bound & (bound - 1) == 0
    return f"2**{int(bound).bit_length() - 1}" if is_power else f"{bound:g}"
