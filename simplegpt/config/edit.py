"""Edit the text of a config file without changing any other byte.

tomllib does not report positions; tomlkit does not keep literals as typed, and inserts a new key
after the comments that introduce the next table. So this module splits the text into statements,
and inserts a new key after the one that precedes it in the schema.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli_w

from simplegpt.config.schema import Setting, settings, tables

Keys = tuple[str, ...]
"""The parts of a dotted key."""
MAX_DEPTH = 20  # nesting of tables and lists; no setting needs more than 3
_TOO_DEEP = f"tables or lists are nested deeper than {MAX_DEPTH} levels"


def edit(text: str, changes: Mapping[str, str | None]) -> str:
    """Set each dotted key in `text` to a TOML literal as typed, or remove it if None.

    A table's name takes ``"{}"`` (an empty table: on, with defaults), ``"false"`` and None too.
    Comments, the order and the spelling of other values are kept. Raises `ValueError` if `text` or
    a literal is not TOML.
    """
    parse_toml(text)
    split = {tuple(key.split(".")): value for key, value in changes.items()}
    for keys, value in split.items():
        text = _removed(text, keys) if value is None else _set(text, keys, value.strip())
    values = parse_toml(text)
    for keys, value in split.items():
        if value is not None:
            _check(values, keys, parse_literal(value))
    return text


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML text. Raises `ValueError` if it is invalid or nested too deep."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return values
    raise ValueError(_TOO_DEEP)


def literals(text: str) -> dict[str, str]:
    """Return the literals that a TOML text sets, by dotted key.

    An optional table is ``{}``.
    """
    found = statements(text)
    on = {one.keys[0] for one in found if one.is_table and len(one.keys) == 1}
    values = {
        ".".join(one.keys): text[slice(*one.value)]
        for one in found
        if one.value and not one.is_table
    }
    return values | {
        name: "{}" for name, table in tables().items() if table.optional and name in on
    }


def literal_changes(before: str, after: str) -> dict[str, str | None]:
    """Return the changes with which `edit` gives `before` the values of `after`."""
    old, new = literals(before), literals(after)
    return {key: new.get(key) for key in new | old if new.get(key) != old.get(key)}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys in which two configs differ, in the schema's order, with both values.

    The configs are values by dotted key, as from `load.inspect` and `load.flatten`. Tables that
    are off in both are ignored.
    """
    off = {name for name, table in tables().items() if table.optional}
    off = {name for name in off if not before.get(name) and not after.get(name)}
    keys = dict.fromkeys([*tables(), *settings(), *before, *after])
    return {
        key: (before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key) and key.rpartition(".")[0] not in off
    }


# Literals


def literal(value: Any) -> str:
    """Return `value` as a TOML literal; None, which TOML does not have, is ``false``."""
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
    """Return the value of a TOML literal. Raises `ValueError` if `text` is not one."""
    parsed = parse_toml(f"x = {text.strip()}")
    (start, end), _ = _value_span(text, 0)
    if set(parsed) != {"x"} or text[start:end] != text.strip():
        raise ValueError("more than one value")
    return parsed["x"]


def typed_value(setting: Setting | None, text: str) -> Any:
    """Parse `text`, typed on a command line or in a form, as a value of `setting`.

    Texts need no quotes (``123`` is then a text), lists no brackets, and a number may be written
    as ``.5``. Invalid text is returned unchanged: the validation rejects it.
    """
    plain = text.strip()
    if setting is not None and setting.kind in ("text", "path"):
        if plain == "false" and setting.optional:
            return False
        value = _try_literal(plain)
        return value if isinstance(value, str) else text
    value = _try_literal(plain)
    if setting is not None and setting.item_kind == "text":
        return _typed_texts(plain, text, value)
    if value is None and setting is not None and setting.kind == "number":
        value = _try_float(plain)
    is_item = setting is not None and setting.kind == "list" and not isinstance(value, list | bool)
    if is_item or (value is None and setting is not None and setting.item_kind):
        value = _try_literal(f"[{plain}]")
    return text if value is None else value


def _typed_texts(plain: str, text: str, value: Any) -> Any:
    """Parse a list of texts: a TOML list, quoted texts without brackets, or one plain text."""
    if isinstance(value, list):
        return value
    if plain[:1] in ("'", '"'):
        return _try_literal(f"[{plain}]") or [text]
    is_broken_list = plain[:2] in ("['", '["')
    return text if is_broken_list else [text]


def _try_literal(text: str) -> Any:
    try:
        return parse_literal(text)
    except ValueError:
        return None


def _try_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def literal_for(setting: Setting | None, text: str) -> str:
    """Return the TOML literal for `text` as typed; digits such as ``5_000`` are kept."""
    value, typed = typed_value(setting, text), _try_literal(text)
    is_same = typed == value and type(typed) is type(value)
    return text.strip() if is_same else literal(value)


# Statements

_KEY = r"(?:[A-Za-z0-9_-]+|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*')"
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)+")
_COMMA = re.compile(",")
_HEADER = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"({_DOTTED})[ \t]*=")
_VALUE_PART = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'  # strings first, so that brackets and # inside them do not count
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|[\[{]|[\]}]|[,\n]|[^\"'#\[\]{},\n]+",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """A ``[table]`` header or a ``key = value`` in a text; positions are offsets in that text."""

    keys: Keys
    """The whole path, including the header's part."""
    table: Keys
    """The header above it, or the inline table around it."""
    line: int
    start: int
    """Start of its first line; in an inline table, of its key."""
    value: tuple[int, int] | None
    """Start and end of the value, without a comment after it; None for a header."""
    end: int
    """Start of the line after it; in an inline table, end of its value."""
    is_table: bool = False
    """Whether it is a header or its value is an inline table."""
    is_inline: bool = False
    """Whether it is in an inline table."""


@lru_cache(maxsize=8)  # an edit reads the same texts several times
def statements(text: str) -> tuple[Statement, ...]:
    """Return the headers and assignments of a TOML text that tomllib has accepted, in order.

    Those in an inline table follow it; arrays are values.
    """
    found: list[Statement] = []
    table: Keys = ()
    at = 0
    while at < len(text):
        if match := _BLANK.match(text, at):
            at = match.end()
            continue
        header, assignment = _HEADER.match(text, at), _ASSIGNMENT.match(text, at)
        value: tuple[int, int] | None = None
        if header:
            table = keys = _split_key(header[1])
            end = header.end()
        elif assignment:
            keys = table + _split_key(assignment[1])
            value, end = _value_span(text, assignment.end())
        else:  # not TOML; the parser reports it
            break
        newline = text.find("\n", end)
        after = len(text) if newline < 0 else newline + 1
        start = text.rfind("\n", 0, at) + 1
        line = text.count("\n", 0, at) + 1
        is_table = value is None or text[value[0]] == "{"
        found.append(Statement(keys, table, line, start, value, after, is_table))
        if value and is_table:
            found += _inline_statements(text, keys, value[0] + 1)
        at = end
    return tuple(found)


def _inline_statements(text: str, table: Keys, at: int) -> Iterator[Statement]:
    """Yield the assignments of the inline table whose content begins at `at`."""
    while True:
        while match := _BLANK.match(text, at) or _COMMA.match(text, at):
            at = match.end()
        assignment = _ASSIGNMENT.match(text, at)
        if not assignment:
            return
        keys = table + _split_key(assignment[1])
        value, end = _value_span(text, assignment.end())
        is_table = text[value[0]] == "{"
        line = text.count("\n", 0, at) + 1
        yield Statement(keys, table, line, at, value, value[1], is_table, is_inline=True)
        if is_table:
            yield from _inline_statements(text, keys, value[0] + 1)
        at = end


@lru_cache(maxsize=1024)
def _split_key(dotted: str) -> Keys:
    """Split a dotted TOML key: ``a."b.c"`` is ("a", "b.c")."""
    parts = []
    value: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)


def _value_span(text: str, start: int) -> tuple[tuple[int, int], int]:
    """Return start and end of the value after an ``=``, and the end of its line's content.

    In an inline table, that is the comma or the bracket after it.
    """
    depth, at, last = 0, start, start
    while at < len(text) and (match := _VALUE_PART.match(text, at)):
        part = match[0]
        if part in ("\n", ",", "}") and depth == 0:
            break
        depth += (part in "[{") - (part in "]}")
        at = match.end()
        if part.strip() and not part.startswith("#"):
            last = match.start() + len(part.rstrip())
    first = start + len(text[start:last]) - len(text[start:last].lstrip())
    return (first, last), at


# Setting and removing


def _set(text: str, keys: Keys, value: str) -> str:
    found = statements(text)
    if len(keys) == 1 and keys[0] in tables():
        if value != "{}":
            return _with_key(_removed(text, keys), keys, value)
        is_on = any(one.keys == keys and one.is_table for one in found)
        return text if is_on else _with_table(_removed(text, keys), keys, [])
    for one in found:
        if one.value and one.keys == keys:
            start, end = one.value
            return text[:start] + value + text[end:]
    for one in found:
        if one.value and one.keys == keys[:-1]:
            if one.is_table:
                return _with_inline(text, one, keys, value)
            text = _removed(text, one.keys)  # the table was false
    return _with_key(text, keys, value)


def _check(values: Mapping[str, Any], keys: Keys, wanted: Any) -> None:
    """Raise `ValueError` if the value at `keys` did not become `wanted`."""
    found: Any = values
    for name in keys:
        found = found.get(name) if isinstance(found, dict) else None
    is_on = wanted == {} and found is not None
    if not is_on and literal(found) != literal(wanted):
        raise ValueError(f"{'.'.join(keys)} cannot be set to {literal(wanted)} in this file")


def _with_inline(text: str, table: Statement, keys: Keys, value: str) -> str:
    """Add a key to an inline table."""
    assert table.value is not None
    siblings = [one for one in statements(text) if one.is_inline and one.table == table.keys]
    before = _preceding(siblings, keys)
    added = f"{_spelled(keys[-1:])} = {value}"
    if before is not None:
        at, added = before.end, f", {added}"
    elif siblings:
        at, added = siblings[0].start, f"{added}, "
    else:
        at = table.value[0] + 1
    return text[:at] + added + text[at:]


def _without_inline(text: str, one: Statement) -> str:
    """Remove a key from its inline table."""
    siblings = [s for s in statements(text) if s.is_inline and s.table == one.table]
    at = siblings.index(one)
    start = siblings[at - 1].end if at else one.start
    is_first = at == 0 and len(siblings) > 1
    return text[:start] + text[siblings[1].start if is_first else one.end :]


def _with_key(text: str, keys: Keys, value: str) -> str:
    """Add a key that `text` does not have yet."""
    found = statements(text)
    table = keys[:-1]
    line = f"{_spelled(keys[-1:])} = {value}"
    headers = [one for one in found if one.keys == table and not one.value]
    siblings = [
        one
        for one in found
        if one.value and one.table == table == one.keys[:-1] and not one.is_inline
    ]
    dotted = [one for one in found if one.value and not one.table and one.keys[:-1] == table]
    if table and not headers:
        if not dotted:
            return _with_table(text, table, [line])
        return _inserted(text, dotted[-1].end, f"{_spelled(keys)} = {value}")
    before = _preceding(siblings, keys)
    if before is not None:
        indent = re.match(r"[ \t]*", text[before.start :])
        return _inserted(text, before.end, (indent[0] if indent else "") + line)
    if headers:
        return _inserted(text, headers[0].end, line)
    if siblings:
        return _inserted(text, _start_of_comments(text, siblings[0].start), line)
    if found:
        return _inserted(text, _start_of_comments(text, found[0].start), line, blank_after=True)
    return _inserted(text, len(text), line)


def _with_table(text: str, table: Keys, lines: list[str]) -> str:
    """Add a table to `text`, before the first one that follows it in the schema."""
    names = list(tables())
    later = names[names.index(table[0]) + 1 :] if table[0] in names else []
    block = "\n".join([f"[{_spelled(table)}]", *lines])
    for one in statements(text):
        if not one.value and one.keys[0] in later:
            return _inserted(text, _start_of_comments(text, one.start), block, blank_after=True)
    body = text if not text or text.endswith("\n") else f"{text}\n"
    if body.strip() and not body.endswith("\n\n"):
        body += "\n"
    return _inserted(body, len(body), block)


def _removed(text: str, keys: Keys) -> str:
    found = statements(text)
    for index, one in reversed(list(enumerate(found))):
        if not one.value and one.keys[: len(keys)] == keys:
            headers = [other.start for other in found[index + 1 :] if not other.value]
            end = _start_of_comments(text, headers[0]) if headers else len(text)
            text = _joined(text[: one.start], text[end:])
        elif one.is_inline and one.keys == keys:
            text = _without_inline(text, one)
        elif one.value and (one.keys == keys or (one.keys[:1] == keys and not one.table)):
            text = text[: one.start] + text[one.end :]
    text = _without_empty_table(text, keys[:-1])
    return text if text.strip() else ""


def _without_empty_table(text: str, table: Keys) -> str:
    """Remove the header of an empty table, unless it is optional: there the header means "on"."""
    if not table or table[0] not in tables() or tables()[table[0]].optional:
        return text
    found = statements(text)
    for index, one in enumerate(found):
        if one.value or one.keys != table:
            continue
        following = found[index + 1] if index + 1 < len(found) else None
        end = following.start if following else len(text)
        has_comment = bool(text[one.end : end].strip()) or "#" in text[one.start : one.end]
        is_introduced = _start_of_comments(text, one.start) != one.start
        if not has_comment and not is_introduced and (following is None or not following.value):
            return _joined(text[: one.start], text[end:])
    return text


def _joined(head: str, tail: str) -> str:
    """Join `head` and `tail`; without a tail, remove blank lines at the end."""
    if tail:
        return head + tail
    newline = "\r\n" if head.endswith("\r\n") else "\n"
    return head.rstrip() + (newline if head.strip() else "")


def _preceding(siblings: list[Statement], keys: Keys) -> Statement | None:
    """Return the last sibling that comes before `keys` in the schema."""
    order = {tuple(key.split(".")): index for index, key in enumerate(settings())}
    if keys not in order:
        return siblings[-1] if siblings else None
    earlier = [one for one in siblings if order.get(one.keys, len(order)) < order[keys]]
    return max(earlier, key=lambda one: order[one.keys], default=None)


def _start_of_comments(text: str, start: int) -> int:
    """Return the start of the comment lines directly above the line at `start`."""
    while start > 0:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start


def _inserted(text: str, at: int, lines: str, *, blank_after: bool = False) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    head, tail = text[:at], text[at:]
    if head and not head.endswith("\n"):
        head += newline
    added = lines.replace("\n", newline) + newline + (newline if blank_after else "")
    return head + added + tail


def _spelled(keys: Keys) -> str:
    """Spell a dotted key in TOML."""
    return ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else literal(key) for key in keys)
