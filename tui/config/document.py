"""A config being edited: its text, what the text means, and its history.

The TOML text is the only truth: a field of the form edits it, so form and text cannot disagree,
and undo returns to an earlier text.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplegpt.config.edit import differences, edit, literal, literal_changes, literal_for, literals
from simplegpt.config.load import FileText, Inspection, inspect, read_includes
from simplegpt.config.schema import settings, tables
from tui.config.files import read_text, text_on_disk
from tui.shared.paths import short_path

MAX_UNDO_STEPS = 500
NOT_READ_YET = FileText(error="not read yet")


@dataclass(frozen=True)
class _Step:
    text: str
    kind: str


@dataclass(frozen=True)
class OnDisk:
    """A document's files as they are on disk now."""

    text: str | None
    """The config's own file; None where it was never saved, is gone or is not text."""
    includes: Mapping[Path, FileText]


class ConfigDocument:
    """The config at `path`, with its text as it is now.

    `is_new`: nothing was saved at `path` yet, or it belongs to the installation; saving asks where.
    Only `open` and `read_disk` read files; all else is quick enough for each keystroke.
    """

    def __init__(
        self,
        path: Path,
        text: str,
        includes: Mapping[Path, FileText] | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.path = short_path(path)
        self.is_new = is_new
        self.text = text
        self.saved_text = text
        """The content of the file when it was last read or written."""
        self.includes = includes or {}
        """The included files when they were last read."""
        self.needs_includes = False
        """Whether the text includes a file that was not read yet."""
        self.inspection = self._inspect(text)
        """What the text means now."""
        self.parsed = self.inspection
        """The last inspection of a text that is TOML with known includes: what the fields show."""
        self._literals = literals(text)
        self._saved = self.inspection
        self._saved_literals = self._literals
        self._changed: frozenset[str] | None = None
        """Cache of `changed_keys`."""
        self._inherited: tuple[str, Inspection] | None = None
        """Cache of `_inherits`: the literal of the include, and what that alone gives."""
        self._past: list[_Step] = []
        self._future: list[_Step] = []
        self._kind = ""
        """Of the last edit; the next one of the same kind joins its undo step."""
        self._applied_text = text
        """The text after values from elsewhere were applied to one without work."""

    @classmethod
    def open(cls, path: Path, *, is_new: bool = False) -> "ConfigDocument":
        """Read the file and its includes. Raises `UserError` where it cannot be read."""
        text = read_text(path)
        return cls(path, text, read_includes(text, short_path(path)), is_new=is_new)

    @property
    def name(self) -> str:
        """The path; of a new config, the one it is made from."""
        return f"new from {self.path.stem}" if self.is_new else str(self.path)

    @property
    def is_changed(self) -> bool:
        return self.text != self.saved_text

    @property
    def has_work(self) -> bool:
        """Whether closing it would lose something that a person typed."""
        return self.is_changed and self.text != self._applied_text

    @property
    def has_syntax_error(self) -> bool:
        """Whether only the text itself can be edited."""
        return any(
            not problem.keys and problem.origin.kind == "file"
            for problem in self.inspection.problems
        )

    # Editing

    def type(self, key: str, typed: str) -> None:
        """Set a key to what a person typed; nothing typed switches an optional key off."""
        setting = settings()[key]
        is_off = setting.optional and not typed.strip()
        self.change({key: "false" if is_off else literal_for(setting, typed)}, kind=key)

    def set_value(self, key: str, value: Any) -> None:
        """Set a key, or switch an optional table on (True) or off (False)."""
        self.change({key: self._switch(key, on=value) if key in tables() else literal(value)})

    def _switch(self, table: str, *, on: bool) -> str | None:
        """Return the literal that switches a table; None where leaving it out does."""
        without = self._inspect(edit(self.text, {table: None}))
        if (table in without.tables_on) == on:
            return None
        return "{}" if on else "false"

    def apply(self, values: Mapping[str, Any]) -> None:
        """Set the `values` (by dotted key) that differ, as one step."""
        wanted = {key: literal(value) for key, value in values.items() if key in settings()}
        now = self.inspection.values
        had_work = self.has_work
        self.change({key: new for key, new in wanted.items() if new != literal(now[key])})
        if not had_work:
            self._applied_text = self.text

    def change(self, changes: Mapping[str, str | None], *, kind: str = "") -> None:
        """Write literals, or remove keys (None).

        A key that the saved file does not have is left out where its value holds without it.
        """
        text = edit(self.text, changes)
        for key, value in changes.items():
            if value is None or key in self._saved_literals or key not in settings():
                continue
            if self._inherits(key, value):
                without = edit(text, {key: None})
                found = self._inspect(without)
                is_on = settings()[key].table in found.tables_on
                if is_on and literal(found.values[key]) == value:
                    text = without
        self.set_text(text, kind=kind)

    def _inherits(self, key: str, value: str) -> bool:
        """Whether the include or the default gives a setting this literal."""
        if key == "include":
            return value == "false"
        include = self._literals.get("include", "false")
        if self._inherited is None or self._inherited[0] != include:
            self._inherited = include, self._inspect(f"include = {include}\n")
        return literal(self._inherited[1].values[key]) == value

    def reset(self, key: str) -> None:
        """Set a key back to what the saved file says."""
        self.change({key: self._saved_literals.get(key)})

    def unset(self, key: str) -> None:
        """Remove a key from this file, so that the include or the default applies."""
        self.change({key: None})

    def discard(self) -> None:
        """Discard all changes."""
        self.set_text(self.saved_text)

    # History

    def set_text(self, text: str, *, kind: str = "") -> None:
        """Replace the text; edits of one `kind` that follow each other are one undo step."""
        if text == self.text:
            return
        if not kind or kind != self._kind or not self._past:
            self._past = [*self._past[-MAX_UNDO_STEPS:], _Step(self.text, kind)]
        self._kind = kind
        self._future.clear()
        self._set(text)

    def end_step(self) -> None:
        """Make the next edit an undo step of its own, even to the same key."""
        self._kind = ""

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def undo(self) -> None:
        self._move(self._past, self._future)

    def redo(self) -> None:
        self._move(self._future, self._past)

    def _move(self, source: list[_Step], target: list[_Step]) -> None:
        if source:
            step = source.pop()
            target.append(_Step(self.text, step.kind))
            self.end_step()
            self._set(step.text)

    def _set(self, text: str) -> None:
        self.text = text
        self.needs_includes = False
        self.inspection = self._inspect(text)
        self._changed = None
        if not self.has_syntax_error and not self.needs_includes:
            self.parsed = self.inspection
            self._literals = literals(text)

    def _inspect(self, text: str) -> Inspection:
        """Return what a text means with the includes as they were last read."""

        def read(path: Path) -> FileText:
            if path not in self.includes:
                self.needs_includes = True
            return self.includes.get(path, NOT_READ_YET)

        return inspect(text, path=self.path, read=read)

    # Reading

    def shown(self, key: str) -> str:
        """Return the value of a key as a field shows it: as typed where this file has it."""
        setting, value = settings()[key], self.parsed.values[key]
        if value is False and setting.optional:
            return ""
        if isinstance(value, str) and setting.item_kind != "text":
            return value
        typed = self._literals.get(key, "")
        return typed if typed and "\n" not in typed else literal(value)

    def changed_keys(self) -> frozenset[str]:
        """Return the settings and tables whose value differs from the saved file's."""
        if self._changed is None:
            self._changed = frozenset(differences(self._saved.values, self.parsed.values))
        return self._changed

    def diff(self) -> list[str]:
        """Return a unified diff from the saved text, without the lines that name the files."""
        before, after = self.saved_text.splitlines(), self.text.splitlines()
        return list(difflib.unified_diff(before, after, n=2, lineterm=""))[2:]

    # The disk

    def read_disk(self) -> OnDisk:
        """Read the file, and all that it or the text includes. Call it in a thread."""
        path, text = self.path, self.text
        saved = None if self.is_new else text_on_disk(path)
        includes = read_includes(text, path)
        if saved is not None:
            includes |= read_includes(saved, path)
        return OnDisk(saved, includes)

    def take_includes(self, includes: Mapping[Path, FileText]) -> list[Path]:
        """Take over what the included files hold; return those that have changed."""
        known = self.includes
        changed = [path for path in known if path in includes and includes[path] != known[path]]
        if includes != known:
            self.includes, self._inherited = includes, None
            self._saved = self._inspect(self.saved_text)
            self._set(self.text)
        return changed

    def mark_saved(
        self, path: Path, written: str, before: str, includes: Mapping[Path, FileText]
    ) -> None:
        """Take over that `before` was saved as `written` at `path`; what was typed since stays.

        `includes`: those of `written`.
        """
        now = self.text
        if now == before:
            now = written
        elif written != before:  # its include was adapted to the new place
            now = edit(written, literal_changes(before, now))
        self.path, self.is_new = short_path(path), False
        self.includes, self._inherited = {**self.includes, **includes}, None
        self.mark_on_disk(written)
        self.end_step()
        self._set(now)

    def mark_on_disk(self, text: str) -> None:
        """Take over that the file holds `text`, and keep our own."""
        self.saved_text = text
        self._saved = self._inspect(text)
        self._saved_literals = literals(text)
        self._changed = None

    def take_from_disk(self, text: str, *, merge: bool = False) -> None:
        """Take over `text`, which the file holds now; `merge` keeps the keys that we changed.

        Raises `ValueError` where there is something to merge and `text` is not TOML.
        """
        ours = literal_changes(self.saved_text, self.text) if merge else {}
        merged = edit(text, ours) if ours else text
        self.mark_on_disk(text)
        self.set_text(merged)
