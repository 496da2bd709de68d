"""The base of every text area of the workbench."""

from textual.geometry import Offset
from textual.widgets import TextArea


class StableTextArea(TextArea):
    """A `TextArea` that survives the undo of a long paste.

    Textual 8.2.8 resizes a text area that grows with its text before it moves the cursor back into
    a text that has become shorter, and raises ValueError for the cursor's line.
    """

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()  # the cursor is about to be moved, and comes into view then
        return super().scroll_cursor_visible(center, animate)
