"""The prompts sent before: kept in a file, and stepped through in the editor."""

import json
from pathlib import Path

from simplegpt.files import append_line, text_lines

MAX_ENTRIES = 500


class PromptHistory:
    """Earlier prompts, and which of them is shown in place of the draft."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.entries: list[str] = []
        self._position = 0
        self._draft = ""

    @property
    def is_browsing(self) -> bool:
        """Whether an earlier prompt is shown, not the draft."""
        return self._position < len(self.entries)

    def read(self) -> list[str]:
        """The prompts in the file, oldest first. Blocks on the disk."""
        try:
            lines = text_lines(self.file.read_bytes())[-MAX_ENTRIES:]
        except OSError:
            return []
        prompts = []
        for line in lines:
            try:
                prompts.append(json.loads(line))
            except ValueError:
                continue
        return [prompt for prompt in prompts if isinstance(prompt, str)]

    def write(self, prompt: str) -> None:
        """Append a prompt to the file. Blocks on the disk; raises OSError."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.file, json.dumps(prompt), mode=0o600)

    def insert_earlier(self, prompts: list[str]) -> None:
        """Put prompts of earlier sessions before those of this one."""
        self.entries = [*prompts, *self.entries][-MAX_ENTRIES:]
        self._position = len(self.entries)

    def add(self, prompt: str) -> None:
        """Add a prompt, unless it is empty or repeats the last one; end browsing."""
        if prompt and self.entries[-1:] != [prompt]:
            self.entries = [*self.entries, prompt][-MAX_ENTRIES:]
        self._position = len(self.entries)

    def previous(self, text: str) -> str | None:
        """Return the prompt before the one shown, None at the first.

        `text` is the editor's text: the draft, which `next` returns after the last prompt.
        """
        if self._position == 0:
            return None
        if not self.is_browsing:
            self._draft = text
        self._position -= 1
        return self.entries[self._position]

    def next(self) -> str | None:
        """Return the prompt after the one shown, then the draft; None where the draft is shown."""
        if not self.is_browsing:
            return None
        self._position += 1
        return self.entries[self._position] if self.is_browsing else self._draft
