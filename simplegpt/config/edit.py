"""Edits of a config file's text that leave every other byte as it was.

tomlkit would put a new key behind the comments that introduce the next table, so the places are
found here: beside the key that precedes it in the schema.
"""

import re
import tomllib
from collections.abc import Mapping

from simplegpt.config.settings import settings, tables
from simplegpt.config.text import Statement, literal, parse_literal, statements

Path = tuple[str, ...]


def edit(text: str, changes: Mapping[str, str | None]) -> str:
    """`text` with each dotted key set to a TOML literal as typed, or removed for None.

    A table's name takes ``"{}"`` (an empty table: on, with defaults), ``"false"`` and None too.
    Comments, order and how other values are spelled are kept. Raises `ValueError` where `text` or
    a literal is not TOML.
    """
    tomllib.loads(text)
    for key, value in changes.items():
        path = tuple(key.split("."))
        if value is None:
            text = _removed(text, path)
        else:
            wanted = parse_literal(value)
            text = _set(text, path, value.strip())
            found = _value_at(text, path)
            if literal(found) != literal(wanted) and (found is None or wanted != {}):
                raise ValueError(f"{key} cannot be set to {value} in this file")
    tomllib.loads(text)
    return text


def _set(text: str, path: Path, value: str) -> str:
    found = statements(text)
    if path[0] in tables() and len(path) == 1:
        if value == "{}" and any(one.is_header and one.keys == path for one in found):
            return text
        text = _removed(text, path)
        return _with_table(text, path, []) if value == "{}" else _with_key(text, path, value)
    for one in found:
        if one.keys == path and one.value:
            return text[: one.value[0]] + value + text[one.value[1] :]
        if len(path) > 1 and one.keys == path[:1] and one.value:
            inline = parse_literal(text[slice(*one.value)])
            if isinstance(inline, dict):
                inline[path[1]] = parse_literal(value)
                return text[: one.value[0]] + literal(inline) + text[one.value[1] :]
            return _with_key(_removed(text, path[:1]), path, value)  # it was switched off
    return _with_key(text, path, value)


def _with_key(text: str, path: Path, value: str) -> str:
    """`text` with a key that it does not have yet."""
    found = statements(text)
    table, name = path[:-1], path[-1]
    line = f"{_spelled(name)} = {value}"
    siblings = [one for one in found if one.value and one.table == table and one.keys[:-1] == table]
    dotted = [one for one in found if one.value and not one.table and one.keys[:1] == table]
    headers = [one for one in found if one.is_header and one.keys == table]
    if table and not headers and not dotted:
        return _with_table(text, table, [line])
    if table and not headers:
        return _inserted(text, dotted[-1].end, f"{'.'.join(path)} = {value}")
    before = _preceding(siblings, path)
    if before is not None:
        indent = re.match(r"[ \t]*", text[before.start :])
        return _inserted(text, before.end, (indent[0] if indent else "") + line)
    if headers:
        return _inserted(text, headers[0].end, line)
    if siblings:
        return _inserted(text, _with_comments_above(text, siblings[0].start), line)
    first = min((one.start for one in found), default=None)
    if first is None:
        return _inserted(text, len(text), line)
    return _inserted(text, _with_comments_above(text, first), line, blank_after=True)


def _with_table(text: str, table: Path, lines: list[str]) -> str:
    """`text` with a new table, before the first one that follows it in the schema."""
    later = list(tables())[list(tables()).index(table[0]) + 1 :] if table[0] in tables() else []
    header = f"[{'.'.join(map(_spelled, table))}]"
    for one in statements(text):
        if one.is_header and one.keys[0] in later:
            at = _with_comments_above(text, one.start)
            return _inserted(text, at, "\n".join([header, *lines]), blank_after=True)
    gap = "" if not text.strip() or text.endswith("\n\n") else "\n"
    body = text if not text or text.endswith("\n") else f"{text}\n"
    return _inserted(body + gap, len(body + gap), "\n".join([header, *lines]))


def _removed(text: str, path: Path) -> str:
    found = statements(text)
    for index, one in reversed(list(enumerate(found))):
        if one.is_header and one.keys[: len(path)] == path:
            rest = [other.start for other in found[index + 1 :] if other.is_header]
            end = _with_comments_above(text, rest[0]) if rest else len(text)
            text = _joined(text[: one.start], text[end:])
        elif one.value and (one.keys == path or (one.keys[:1] == path and not one.table)):
            text = text[: one.start] + text[one.end :]
        elif one.value and one.keys == path[: len(one.keys)]:
            inline = parse_literal(text[slice(*one.value)])
            if isinstance(inline, dict) and path[-1] in inline:
                del inline[path[-1]]
                text = text[: one.value[0]] + literal(inline) + text[one.value[1] :]
    text = _without_bare_header(text, path[:-1])
    return text if text.strip() else ""


def _without_bare_header(text: str, table: Path) -> str:
    """Without a header that no longer heads anything; of an optional table it says "on"."""
    if not table or table[0] not in tables() or tables()[table[0]].optional:
        return text
    found = statements(text)
    for index, one in enumerate(found):
        if not one.is_header or one.keys != table:
            continue
        end = found[index + 1].start if index + 1 < len(found) else len(text)
        is_bare = not text[one.end : end].strip() and "#" not in text[one.start : one.end]
        has_keys = index + 1 < len(found) and not found[index + 1].is_header
        if is_bare and not has_keys and _with_comments_above(text, one.start) == one.start:
            return _joined(text[: one.start], text[end:])
    return text


def _joined(head: str, tail: str) -> str:
    """`head` and `tail`, without blank lines at the end where nothing follows."""
    if tail:
        return head + tail
    newline = "\r\n" if head.endswith("\r\n") else "\n"
    return head.rstrip() + (newline if head.strip() else "")


def _preceding(siblings: list[Statement], path: Path) -> Statement | None:
    """Of the keys already there, the last that comes before `path` in the schema."""
    order = {tuple(key.split(".")): index for index, key in enumerate(settings())}
    if path not in order:
        return siblings[-1] if siblings else None
    earlier = [one for one in siblings if order.get(one.keys, len(order)) < order[path]]
    return max(earlier, key=lambda one: order[one.keys], default=None)


def _with_comments_above(text: str, start: int) -> int:
    """Where the comment lines directly above the line at `start` begin."""
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


def _value_at(text: str, path: Path) -> object:
    value: object = tomllib.loads(text)
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def _spelled(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else literal(name)
