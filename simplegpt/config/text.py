"""A config file as text: where its keys stand, what a literal means.

tomllib reads values but not where they stand. A value is always written as the literal that a
person typed, so that ``5_000`` stays ``5_000``.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from simplegpt.config.settings import Setting

_KEY = r"(?:[A-Za-z0-9_-]+|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*')"
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)+")
_HEADER = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"({_DOTTED})[ \t]*=")
_VALUE_PART = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'  # strings first, so that brackets and # inside them do not count
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|[\[{]|[\]}]|\n|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """One ``[table]`` header or one ``key = value`` of a text; offsets are into that text."""

    keys: tuple[str, ...]
    """The whole path, the header's part included."""
    table: tuple[str, ...]
    """The header that it stands under."""
    line: int
    start: int
    """Where its first line begins."""
    value: tuple[int, int] | None
    """Begin and end of the value, without a comment behind it; None for a header."""
    end: int
    """Where the line after it begins."""

    @property
    def is_header(self) -> bool:
        return self.value is None


def statements(text: str) -> list[Statement]:
    """Headers and assignments of a TOML text that tomllib has accepted, in its order.

    Keys inside an inline table or an array are not entered: they stand where their parent does.
    """
    found: list[Statement] = []
    table: tuple[str, ...] = ()
    at = 0
    while at < len(text):
        if match := _BLANK.match(text, at):
            at = match.end()
            continue
        header, assignment = _HEADER.match(text, at), _ASSIGNMENT.match(text, at)
        value: tuple[int, int] | None = None
        if header:
            table = keys = split_key(header[1])
            end = header.end()
        elif assignment:
            keys = table + split_key(assignment[1])
            value, end = _value_span(text, assignment.end())
        else:  # not TOML; the parser says so in its own words
            break
        newline = text.find("\n", end)
        after = len(text) if newline < 0 else newline + 1
        start = text.rfind("\n", 0, at) + 1
        found.append(Statement(keys, table, text.count("\n", 0, at) + 1, start, value, after))
        at = end
    return found


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line (from 1) of every table and key of a TOML text that tomllib has accepted."""
    lines: dict[tuple[str, ...], int] = {}
    for statement in statements(text):
        lines.setdefault(statement.keys, statement.line)
    return lines


def split_key(dotted: str) -> tuple[str, ...]:
    """The parts of a key as TOML spells it: ``a."b.c"`` is ("a", "b.c")."""
    if "'" not in dotted and '"' not in dotted:
        return tuple(part.strip() for part in dotted.split("."))
    parts = []
    value: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(value, dict):
        (part, value), *_ = value.items()
        parts.append(part)
    return tuple(parts)


def _value_span(text: str, start: int) -> tuple[tuple[int, int], int]:
    """Begin and end of the value after an ``=``, and the end of its line's content."""
    depth, at, last = 0, start, start
    while at < len(text) and (match := _VALUE_PART.match(text, at)):
        part = match[0]
        if part == "\n" and depth == 0:
            break
        depth += (part in "[{") - (part in "]}")
        at = match.end()
        if part.strip() and not part.startswith("#"):
            last = match.start() + len(part.rstrip())
    begin = start + len(text[start:last]) - len(text[start:last].lstrip())
    return (begin, last), at


def literal(value: Any) -> str:
    """`value` as TOML writes it; None, which TOML does not have, as ``false``."""
    if value is None:
        return "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, Path):
        value = str(value)
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def parse_literal(text: str) -> Any:
    """The value of a TOML literal. Raises `ValueError` where it is none."""
    try:
        parsed = tomllib.loads(f"x = {text.strip()}")
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from error
    (begin, end), _ = _value_span(text, 0)
    if set(parsed) != {"x"} or text[begin:end] != text.strip():
        raise ValueError("more than one value")
    return parsed["x"]


def typed_value(setting: Setting | None, text: str) -> Any:
    """What `text`, typed on a command line or in a form, means for `setting`.

    A text setting takes it as it stands, quotes not needed (``123`` is a text there). Others take
    a TOML literal, a list also without its brackets. What is neither stays text, for the
    validation to judge.
    """
    plain = text.strip()
    if setting is not None and setting.kind in ("text", "path"):
        if plain == "false" and setting.optional:
            return False
        quoted = plain[:1] in ("'", '"')
        value = _try_literal(plain) if quoted else text
        return value if isinstance(value, str) else text
    value = _try_literal(plain)
    if setting is not None and setting.item_kind == "text":
        if value is None and plain[:1] in ("'", '"'):
            value = _try_literal(f"[{plain}]")
        if value is None and plain.startswith("["):
            return text  # a list with a slip in it, not a text
        return value if isinstance(value, list) else [value if isinstance(value, str) else text]
    if setting is not None and setting.item_kind is not None:
        is_one_item = setting.kind == "list" and not isinstance(value, list | bool)
        if value is None or is_one_item:
            value = _try_literal(f"[{plain}]")
    return text if value is None else value


def _try_literal(text: str) -> Any:
    try:
        return parse_literal(text)
    except ValueError:
        return None


def literal_for(setting: Setting | None, text: str) -> str:
    """The TOML literal to write for `text` as typed: digits such as ``5_000`` stay as they are."""
    value = typed_value(setting, text)
    try:
        if parse_literal(text) == value and type(parse_literal(text)) is type(value):
            return text.strip()
    except ValueError:
        pass
    return literal(value)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested tables."""
    values: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        table = values
        for parent in parents:
            table = table.setdefault(parent, {})
        table[name] = value
    return values
