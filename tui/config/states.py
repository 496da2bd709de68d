"""What the config form shows of each field: functions of the document, without widgets."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simplegpt.config.load import Origin, Problem
from simplegpt.config.schema import Setting, settings, tables
from tui.config.document import ConfigDocument

View = Literal["all", "file", "unsaved"]


@dataclass(frozen=True)
class FieldState:
    """One field, as it is to be shown."""

    shown: str
    """The text of an input; empty for switched off."""
    value: Any
    enabled: bool
    changed: bool
    """Whether it differs from the saved file."""
    origin: str
    """Where the value comes from, in a word or two."""
    own: bool
    """Whether this file sets it."""
    problem: str


@dataclass(frozen=True)
class SectionState:
    """One table."""

    on: bool
    optional: bool
    changed: int
    """Fields that differ from the saved file."""
    mistakes: int


def field_states(document: ConfigDocument, problems: Iterable[Problem]) -> Mapping[str, FieldState]:
    """By dotted key."""
    found = document.understood
    changed = document.changed_keys()
    told: dict[str, str] = {}
    for problem in problems:
        for key in problem.keys:
            hint = " (F3 Data makes one)" if problem.hint else ""
            told.setdefault(key, problem.message + hint)
    enabled = not document.has_syntax_error
    return {
        key: FieldState(
            shown=document.shown(key),
            value=found.values[key],
            enabled=enabled and setting.table in found.tables_on,
            changed=key in changed,
            origin=origin_in_words(found.origins[key], document),
            own=found.origins[key].kind == "file",
            problem=told.get(key, ""),
        )
        for key, setting in settings().items()
    }


def section_states(
    document: ConfigDocument, problems: Sequence[Problem]
) -> Mapping[str, SectionState]:
    """By the table's name."""
    changed = Counter(key if key in tables() else _table(key) for key in document.changed_keys())
    mistakes = Counter(_table(key) for problem in problems for key in problem.keys[:1])
    return {
        name: SectionState(
            on=name in document.understood.tables_on,
            optional=table.optional,
            changed=changed[name],
            mistakes=mistakes[name],
        )
        for name, table in tables().items()
    }


def _table(key: str) -> str:
    return key if key in tables() else key.rpartition(".")[0]


def loose_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Those that belong to no field: a syntax error, an unknown key or table."""
    fields = settings()
    return [one for one in problems if not any(key in fields for key in one.keys)]


def origin_in_words(origin: Origin, document: ConfigDocument) -> str:
    """``this file``, ``base.toml:12``, ``default``."""
    if origin.kind == "file":
        return f"this file:{origin.line}" if origin.line else "this file"
    if origin.path is not None:
        return f"{origin.path.name}:{origin.line}" if origin.line else origin.path.name
    return "default"


def visible_keys(states: Mapping[str, FieldState], search: str, view: View) -> frozenset[str]:
    """The fields that a search over names and descriptions, and a view, leave."""
    words = search.lower().split()
    return frozenset(
        key
        for key, state in states.items()
        if (view == "all" or (state.own if view == "file" else state.changed) or state.problem)
        and all(word in searched(settings()[key]) for word in words)
    )


def searched(setting: Setting) -> str:
    """What a search looks through."""
    return f"[{setting.table}] {setting.key} {setting.description}".lower()


def help_of(setting: Setting) -> str:
    """Markdown for F1."""
    where = f"`[{setting.table}]`" if setting.table else "the top of the file"
    default = "off" if setting.default is False and setting.optional else setting.default
    off = "\n\nLeave it empty to switch it **off**." if setting.optional else ""
    return (
        f"## {setting.name}\n\n{setting.description}\n\n"
        f"Must be {setting.allowed}. Default: `{default!s}`. In {where}.{off}"
    )
