"""Text areas survive what Textual's own does not."""

import pytest
from textual import events
from textual.app import App, ComposeResult

from tui.shell.text_area import StableTextArea


class Growing(App[None]):
    CSS = "StableTextArea { height: auto; max-height: 8; }"

    def compose(self) -> ComposeResult:
        yield StableTextArea(soft_wrap=True, compact=True)


@pytest.mark.parametrize("n_lines", [8, 12, 48, 200])
async def test_paste_is_undone_and_redone(n_lines: int) -> None:
    text = "".join(f"line {i}\n" for i in range(n_lines))
    app = Growing()
    async with app.run_test(size=(80, 24)) as pilot:
        area = app.query_one(StableTextArea)
        await pilot.press("a")
        app.post_message(events.Paste(text))
        await pilot.pause()
        assert area.text == f"a{text}"
        await pilot.press("ctrl+z")
        assert area.text == "a"
        await pilot.press("ctrl+y")
        assert area.text == f"a{text}"
