"""The list of deleted runs, with their sizes."""

from collections.abc import Sequence

from simplegpt.progress import format_bytes, plural
from tui.runs.trash import TrashedItem
from tui.shared.text import format_age
from tui.shell.dialogs import Entry, ListDialog


class TrashDialog(ListDialog[TrashedItem]):
    """Returns the run to restore."""

    def __init__(self, items: Sequence[TrashedItem], sizes: Sequence[int], now: float) -> None:
        """`sizes` are the bytes of `items`; `now` is in seconds since 1970."""
        entries = [
            Entry(
                item,
                item.original.name,
                [format_bytes(size), f"{format_age(now - item.time)} ago"],
                detail=str(item.original.parent),
            )
            for item, size in zip(items, sizes, strict=True)
        ]
        super().__init__(
            f"Trash: {plural(len(items), 'run')}, {format_bytes(sum(sizes))}",
            entries,
            placeholder="Filter the deleted runs",
            hint="Enter to restore · Esc to cancel",
        )
