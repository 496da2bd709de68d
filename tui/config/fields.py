"""The state of a document as the config editor shows it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from simplegpt.config.load import Origin, Problem
from simplegpt.config.schema import Config, Setting, Table, settings, tables
from tui.config.document import ConfigDocument

View = Literal["all", "file", "unsaved"]
COMMON = "common"
"""The section above those of the tables."""
COMMON_SETTINGS = (
    "trainer.max_steps",
    "data.train_batch_size",
    "data.seq_len",
    "model.n_ctx",
    "model.n_layer",
    "model.n_head",
    "model.n_embd",
    "optimization.peak_lr",
    "optimization.dropout_p",
    "output_dir",
)
"""What most runs change; each is also in the section of its table."""


@cache
def sections() -> Mapping[str, Table]:
    """The sections of the form by name."""
    common = {key: settings()[key] for key in COMMON_SETTINGS}
    return {COMMON: Table(COMMON, "What most runs change.", common), **tables()}


@dataclass(frozen=True)
class FieldState:
    """One field."""

    shown: str = ""
    """The text of an input; empty for switched off."""
    value: Any = None
    enabled: bool = True
    changed: bool = False
    """Whether it differs from the saved file."""
    origin: str = ""
    """Where the value comes from: ``this file:3``, ``base.toml:12`` or ``default``."""
    is_own: bool = False
    """Whether this file sets it."""
    error: str = ""


@dataclass(frozen=True)
class SectionState:
    """One section of the form."""

    on: bool
    n_changes: int
    n_errors: int


@dataclass(frozen=True, eq=False)
class ConfigState:
    """All of it. Compared by identity: each edit makes a new one."""

    name: str
    text: str
    is_changed: bool
    n_changes: int
    """Values that differ from the saved file; 0 while the text is not TOML."""
    has_syntax_error: bool
    can_undo: bool
    can_redo: bool
    config: Config | None
    """None while there are errors."""
    errors: Sequence[Problem]
    """Those of the text, and those that the token files show."""
    fields: Mapping[str, FieldState]
    """By dotted key."""
    sections: Mapping[str, SectionState]
    """By name."""

    @classmethod
    def of(cls, document: ConfigDocument, data_errors: Sequence[Problem] = ()) -> "ConfigState":
        """Take a document's state; `data_errors` are those that its token files show."""
        errors = list(document.inspection.problems)
        invalid = {key for error in errors for key in error.keys}
        if not document.has_syntax_error:
            errors += [error for error in data_errors if invalid.isdisjoint(error.keys)]
        return cls(
            name=document.name,
            text=document.text,
            is_changed=document.is_changed,
            n_changes=0 if document.has_syntax_error else len(document.changed_keys()),
            has_syntax_error=document.has_syntax_error,
            can_undo=document.can_undo,
            can_redo=document.can_redo,
            config=document.inspection.config,
            errors=errors,
            fields=_field_states(document, errors),
            sections=_section_states(document, errors),
        )

    @property
    def general_errors(self) -> list[Problem]:
        """Errors that belong to no field: a syntax error, an unknown key or table."""
        return [one for one in self.errors if not any(key in self.fields for key in one.keys)]

    @property
    def invalid_keys(self) -> list[str]:
        """The first field of each error."""
        return [one.keys[0] for one in self.errors if one.keys and one.keys[0] in self.fields]

    def matching_keys(self, search: str, view: View) -> frozenset[str]:
        """Return the fields that match a search over names and descriptions, and a view."""
        words = search.lower().split()
        return frozenset(
            key
            for key, field in self.fields.items()
            if (view == "all" or field.error or (field.is_own if view == "file" else field.changed))
            and all(word in searched_text(settings()[key]) for word in words)
        )


def _field_states(document: ConfigDocument, errors: Sequence[Problem]) -> Mapping[str, FieldState]:
    parsed, changed = document.parsed, document.changed_keys()
    messages: dict[str, str] = {}
    for error in errors:
        for key in error.keys:
            hint = " (F3 Data makes one)" if error.hint else ""
            messages.setdefault(key, error.message + hint)
    editable = not document.has_syntax_error
    return {
        key: FieldState(
            shown=document.shown(key),
            value=parsed.values[key],
            enabled=editable and setting.table in parsed.tables_on,
            changed=key in changed,
            origin=format_origin(parsed.origins[key]),
            is_own=parsed.origins[key].kind == "file",
            error=messages.get(key, ""),
        )
        for key, setting in settings().items()
    }


def _section_states(
    document: ConfigDocument, errors: Sequence[Problem]
) -> Mapping[str, SectionState]:
    changes = _count(document.changed_keys())
    invalid = _count(key for error in errors for key in error.keys[:1])
    on = document.parsed.tables_on | {COMMON}
    return {name: SectionState(name in on, changes[name], invalid[name]) for name in sections()}


def _count(keys: Iterable[str]) -> Counter[str]:
    """Count keys by section."""
    keys = list(keys)
    return Counter([*map(table_of, keys), *(COMMON for key in keys if key in COMMON_SETTINGS)])


def table_of(key: str) -> str:
    """Return the table of a setting, or a table itself."""
    return key if key in tables() else key.rpartition(".")[0]


def format_origin(origin: Origin) -> str:
    name = "this file" if origin.kind == "file" else origin.path.name if origin.path else "default"
    return f"{name}:{origin.line}" if origin.line else name


def searched_text(setting: Setting) -> str:
    """Return what a search looks through."""
    return f"[{setting.table}] {setting.key} {setting.description}".lower()
