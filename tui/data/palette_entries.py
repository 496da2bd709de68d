"""The texts and token files in the command palette."""

from collections.abc import Iterator
from pathlib import Path

from simplegpt.progress import format_bytes, format_count
from tui.data.choices import find_choices
from tui.shared.paths import short_path
from tui.shell import messages, settings
from tui.shell.dialogs import Entry
from tui.shell.palette import Command, modified


def data_entries() -> Iterator[Entry[Command]]:
    """The texts, those chosen last first, and the token files, each newest first. Blocks."""
    choices = find_choices()
    recent = [short_path(path) for path in settings.Settings.load().recent_texts]
    order = {path: index for index, path in enumerate(recent)}
    texts = (*choices.texts, *choices.recent)
    for text in sorted(texts, key=lambda t: (order.get(t.path, len(order)), -modified(t.path))):
        size = format_bytes(text.size)
        yield _entry(text.path, text.name, size if text.is_available else f"↓ {size}", "Texts")
    for tokens in sorted(choices.token_sets, key=lambda found: -_written(found.train)):
        count = f"{format_count(tokens.train_info.count)} tokens"
        yield _entry(tokens.train, str(tokens.train), count, "Token files")


def _entry(path: Path, label: str, size: str, group: str) -> Entry[Command]:
    return Entry(Command(request=messages.OpenData(path)), label, (size,), group=group)


def _written(train: Path) -> float:
    """When a token file, or the last of its shards, was written; seconds since 1970."""
    return max(map(modified, train.parent.glob(train.name)), default=0.0)
