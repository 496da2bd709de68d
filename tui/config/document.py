"""A config that is being edited: its text, what it means, and what was done to it.

The TOML text is the one truth: the form's fields are edits of it, so that form and text are in
step by nature, and undo is going back to an earlier text.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplegpt.cli import UserError
from simplegpt.config.edit import edit, literal, literal_changes, literal_for, literals
from simplegpt.config.load import Inspection, Origin, Problem, inspect
from simplegpt.config.schema import settings, tables
from simplegpt.files import write_atomically

HISTORY = 500


@dataclass(frozen=True)
class _Step:
    text: str
    what: str
    """The key or the kind of edit: following ones of the same kind are one step."""


class ConfigDocument:
    """The config at `path` (its include is relative to it), with `text` as it is now.

    `is_new`: nothing was saved at `path` yet, or it belongs to the installation; saving asks where.
    """

    def __init__(self, path: Path, text: str, *, is_new: bool = False) -> None:
        self.path = Path(short_path(path))
        self.is_new = is_new
        self.saved_text = text
        """What the file holds, as far as we know."""
        self.saved = inspect(text, path=self.path)
        self._understood = self.saved
        self._literals: dict[str, str] = {}
        self._changed: frozenset[str] | None = None
        """The keys that differ, once they were asked for."""
        self._past: list[_Step] = []
        self._future: list[_Step] = []
        self._what = ""
        self._set(text)

    @classmethod
    def open(cls, path: Path, *, is_new: bool = False) -> "ConfigDocument":
        """Raises `UserError` where the file cannot be read."""
        return cls(path, read_text(path), is_new=is_new)

    @property
    def name(self) -> str:
        """The path as short as it can be said; of a new one, what it is made from."""
        return f"new from {self.path.stem}" if self.is_new else str(self.path)

    @property
    def text(self) -> str:
        return self._text

    @property
    def inspection(self) -> Inspection:
        """What the text means now, the token files not looked at."""
        return self._inspection

    @property
    def understood(self) -> Inspection:
        """The last inspection that could read the text: what the fields show."""
        return self._understood

    @property
    def is_changed(self) -> bool:
        return self._text != self.saved_text

    @property
    def has_syntax_error(self) -> bool:
        """Then nothing can be edited but the text itself."""
        return any(not problem.keys for problem in self._own_problems())

    def _own_problems(self) -> Iterable[Problem]:
        return (one for one in self._inspection.problems if one.origin.kind == "file")

    # Editing

    def type(self, key: str, typed: str) -> None:
        """Set a key to what a person typed; an optional one to off where nothing is typed."""
        setting = settings()[key]
        is_off = setting.optional and not typed.strip()
        self.change({key: "false" if is_off else literal_for(setting, typed)}, what=key)

    def set_value(self, key: str, value: Any) -> None:
        """Set a key, or switch an optional table on (True) or off (False)."""
        if key in tables():
            self.change({key: self._switch(key, bool(value))}, what="")
        else:
            self.change({key: literal(value)}, what="")

    def _switch(self, table: str, on: bool) -> str | None:
        """The literal that switches a table; None where leaving it out does."""
        without = inspect(edit(self._text, {table: None}), path=self.path)
        if (table in without.tables_on) == on:
            return None
        return "{}" if on else "false"

    def lay_over(self, values: Mapping[str, Any]) -> None:
        """Set what differs in `values` (dotted keys), as one step."""
        wanted = {key: literal(value) for key, value in values.items() if key in settings()}
        now = self._inspection.values
        self.change({k: v for k, v in wanted.items() if v != literal(now[k])}, what="")

    def change(self, changes: Mapping[str, str | None], *, what: str) -> None:
        """Write literals, or remove keys (None).

        A key that the saved file does not have, and that says what holds without it, is left out.
        """
        text = edit(self._text, changes)
        saved = literals(self.saved_text)
        for key, value in changes.items():
            if value is None or key in saved or key not in settings():
                continue
            without = edit(text, {key: None})
            found = inspect(without, path=self.path)
            is_on = settings()[key].table in found.tables_on
            if is_on and literal(found.values[key]) == value:
                text = without
        self.set_text(text, what=what)

    def set_text(self, text: str, *, what: str) -> None:
        """Replace the text; edits that follow each other with the same `what` are one step."""
        if text == self._text:
            return
        if not what or what != self._what or not self._past:
            self._past = [*self._past[-HISTORY:], _Step(self._text, what)]
        self._what = what
        self._future.clear()
        self._set(text)

    def end_step(self) -> None:
        """The next edit is a step of its own, even to the same key."""
        self._what = ""

    def reset(self, key: str) -> None:
        """Put a key back to what the saved file says."""
        self.change({key: literals(self.saved_text).get(key)}, what="")

    def unset(self, key: str) -> None:
        """Take a key out of this file, so that the include or the default holds."""
        self.change({key: None}, what="")

    def reset_all(self) -> None:
        self.set_text(self.saved_text, what="")

    def undo(self) -> bool:
        return self._travel(self._past, self._future)

    def redo(self) -> bool:
        return self._travel(self._future, self._past)

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def _travel(self, source: list[_Step], target: list[_Step]) -> bool:
        if not source:
            return False
        step = source.pop()
        target.append(_Step(self._text, step.what))
        self._what = ""
        self._set(step.text)
        return True

    def _set(self, text: str) -> None:
        self._text = text
        found = inspect(text, path=self.path)
        self._inspection = found
        self._changed = None
        if not self.has_syntax_error:
            self._understood = found
            self._literals = literals(text)

    # Reading

    def shown(self, key: str) -> str:
        """The value of a key as a field shows it: as typed where this file has it."""
        setting, value = settings()[key], self._understood.values[key]
        if value is False and setting.optional:
            return ""
        if isinstance(value, str) and setting.item_kind != "text":
            return value
        typed = self._literals.get(key, "")
        return typed if typed and "\n" not in typed else literal(value)

    def changed_keys(self) -> frozenset[str]:
        """Settings and tables that differ from the saved file in what they mean."""
        if self._changed is None:
            self._changed = self._find_changed()
        return self._changed

    def _find_changed(self) -> frozenset[str]:
        now, then = self._understood, self.saved
        on = now.tables_on | then.tables_on
        keys = {
            key
            for key, setting in settings().items()
            if setting.table in on and literal(now.values[key]) != literal(then.values[key])
        }
        return frozenset(keys | (now.tables_on ^ then.tables_on))

    def keys_in_file(self) -> frozenset[str]:
        """Settings and tables that this file itself sets."""
        origins = self._understood.origins
        return frozenset(key for key, origin in origins.items() if origin.kind == "file")

    def origin(self, key: str) -> Origin:
        return self._understood.origins[key]

    # Files

    def diff(self, against: str | None = None) -> list[str]:
        """Unified diff from the saved text (or `against`) to the text, without file names."""
        before = self.saved_text if against is None else against
        lines = difflib.unified_diff(before.splitlines(), self._text.splitlines(), n=2, lineterm="")
        return list(lines)[2:]

    def text_for(self, path: Path) -> tuple[str, dict[Path, str]]:
        """The text to write at `path`, and files to write beside it.

        An include is relative to its file: in another folder it is written anew. What belongs to
        the installation is copied beside instead, where there is no such file yet.
        """
        target = self._inspection.values["include"]
        if path.parent.absolute() == self.path.parent.absolute() or not target:
            return self._text, {}
        included = Path(os.path.normpath(self.path.absolute().parent / target))
        beside = path.absolute().parent / included.name
        is_ours = included.is_relative_to(Path.cwd())
        if not is_ours and included.is_file():
            copy = read_text(included)
            if not beside.exists():
                return edit(self._text, {"include": literal(included.name)}), {beside: copy}
            if read_text(beside) == copy:
                return edit(self._text, {"include": literal(included.name)}), {}
        relative = os.path.relpath(included, path.absolute().parent)
        return edit(self._text, {"include": literal(relative)}), {}

    def write(self, path: Path) -> str:
        """Write the text to `path`; what is in the file then. Raises `UserError`.

        Changes nothing here, so that a thread can do it: `saved_at` has to follow.
        """
        text, beside = self.text_for(path)
        try:
            for target, content in {**beside, path: text}.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, content, sync=True)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}") from error
        return text

    def saved_at(self, path: Path, text: str, before: str) -> None:
        """The file at `path` holds `text` now, made from `before`; what was typed since stays."""
        now = self._text
        if now == before:
            now = text
        elif text != before:  # its include was written anew
            now = edit(text, literal_changes(before, now))
        self.path, self.is_new = Path(short_path(path)), False
        self.known_on_disk(text)
        self.end_step()
        self._set(now)

    def changed_on_disk(self) -> str | None:
        """What the file holds, if it is not what we know; None also where it cannot be read."""
        known, path = self.saved_text, self.path  # of now: it may be saved while a thread reads
        try:
            text = read_text(path)
        except UserError:
            return None
        return text if text != known else None

    def known_on_disk(self, text: str) -> None:
        """The file holds `text` now, and the next save shall replace it."""
        self.saved_text = text
        self.saved = inspect(text, path=self.path)
        self._changed = None

    def take_from_disk(self, text: str, *, merge: bool) -> None:
        """The file holds `text` now: take it, and with `merge` lay our changes over it.

        Ours are the keys whose literals differ from what we last knew the file to hold. Raises
        `ValueError` where there is something to merge and `text` is not TOML.
        """
        changes = literal_changes(self.saved_text, self._text)
        merged = edit(text, changes) if merge and changes else text
        self.known_on_disk(text)
        self.set_text(merged, what="")
        self._set(merged)


def read_text(path: Path) -> str:
    """Raises `UserError` where there is no text to read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"{path} cannot be read: {reason}") from None


def short_path(path: Path) -> str:
    """Relative to the working directory where it is below it."""
    absolute = path.absolute()
    cwd = Path.cwd()
    return str(absolute.relative_to(cwd)) if absolute.is_relative_to(cwd) else str(absolute)
