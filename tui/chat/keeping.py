"""Keeps what is said in the chat: conversations as they grow, and the prompts sent."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from simplegpt.files import append_line
from tui.chat.conversations import Conversation, ConversationStore
from tui.chat.prompt_area import HISTORY_LENGTH


class Keeper:
    """Writes in a thread, one file at a time and each in its latest state."""

    def __init__(self, folder: Path, complain: Callable[[str], None]) -> None:
        """`complain` is told a sentence where something cannot be kept."""
        self.store = ConversationStore(folder / "conversations")
        self.prompts = folder / "prompts.jsonl"
        self._complain = complain
        self._waiting: dict[str, Conversation] = {}
        self._is_writing = False

    def add(self, conversation: Conversation) -> bool:
        """Note a conversation's state; True where `write` has to be run for it."""
        if not conversation.turns:
            return False
        # Turns are frozen: a shallow copy is a state, and is turned into lines in the thread.
        self._waiting[conversation.id] = Conversation(
            conversation.header, conversation.turns.values()
        )
        return not self._is_writing

    async def write(self) -> None:
        """Write what waits."""
        self._is_writing = True
        try:
            while self._waiting:
                _, state = self._waiting.popitem()
                try:
                    await asyncio.to_thread(self.store.save, state)
                except OSError as error:
                    self._complain(f"The conversation cannot be kept: {error}.")
        finally:
            self._is_writing = False

    def write_now(self) -> None:
        """Write what waits before the workbench quits."""
        while self._waiting:
            _, state = self._waiting.popitem()
            try:
                self.store.save(state)
            except OSError as error:
                self._complain(f"The conversation cannot be kept: {error}.")

    def read_prompts(self) -> list[str]:
        """The prompts sent before, the latest last. Reads a file."""
        try:
            lines = self.prompts.read_bytes().splitlines()[-HISTORY_LENGTH:]
        except OSError:
            return []
        found: list[str] = []
        for line in lines:
            try:
                text = json.loads(line)
            except ValueError:
                continue
            if isinstance(text, str):
                found.append(text)
        return found

    def keep_prompt(self, text: str) -> None:
        """Add a prompt to those sent. Writes a file."""
        try:
            self.prompts.parent.mkdir(parents=True, exist_ok=True)
            append_line(self.prompts, json.dumps(text), mode=0o600)
        except OSError as error:
            self._complain(f"The prompt cannot be kept: {error}.")
