"""Curves in a line or a few lines of blocks."""

import math

from textual.app import App, ComposeResult
from textual.widgets import Sparkline, Static

from tui.shared.small_curve import SmallCurve, block_curve


def test_blocks_go_from_the_highest_to_the_lowest() -> None:
    assert block_curve([4, 3, 2, 1], 4) == "█▆▃▁"
    assert block_curve([4, 4, 1, 1], 2) == "█▁"  # means of what falls together
    assert block_curve([2, 2], 8) == "▁▁"
    assert block_curve([], 8) == ""


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield SmallCurve()


async def test_panel_leaves_out_what_is_not_finite() -> None:
    app = Host()
    async with app.run_test() as pilot:
        curve = app.query_one(SmallCurve)
        curve.show([4.0, math.nan, 2.0, math.inf])
        await pilot.pause()
        assert app.query_one(Sparkline).data == [4.0, 2.0]
        assert str(app.query_one("#first", Static).render()) == "4.0000"
        assert str(app.query_one("#last", Static).render()) == "2.0000"
        curve.show([])
        assert not app.query_one(Sparkline).visible
