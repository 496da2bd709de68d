"""The braille plot: its dots, its range, its axes and its keys."""

from dataclasses import replace

import numpy as np
import pytest
from textual.app import App, ComposeResult

from tui.shared.braille import BrailleCanvas
from tui.shared.plot import Curve, CurvePlot
from tui.shared.plot_axes import count_ticks, log_ticks, time_ticks, value_ticks

STEPS = np.arange(1.0, 1_001.0)
FALLING = 2 + 6 * np.exp(-STEPS / 30)
"""Nearly all of the fall is in the first tenth."""


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield CurvePlot(id="plot")


def lines_of(plot: CurvePlot) -> list[str]:
    return [plot.render_line(y).text for y in range(plot.size.height)]


def curve_rows(plot: CurvePlot) -> list[str]:
    """What is right of the axis, above the ticks."""
    return [line[8:] for line in lines_of(plot)[:-2]]


def test_line_through_two_values_is_connected() -> None:
    canvas = BrailleCanvas(2, 2)
    canvas.draw(canvas.line(np.array([0.0, 7.0, 7.0, 0.0])), layer=0)
    assert canvas.lines() == [[("⡇⢸", 0)], [("⢹⡏", 0)]]


def test_curves_share_a_cell_and_push_a_background_out_of_it() -> None:
    canvas = BrailleCanvas(2, 1)
    top, bottom = np.zeros(4), np.full(4, 3.0)
    canvas.draw(canvas.band(top, bottom), layer=0, is_background=True)
    assert canvas.lines() == [[("⣿⣿", 0)]]
    canvas.draw(canvas.line(np.array([0.0, 0.0, np.nan, np.nan])), layer=1)
    canvas.draw(canvas.line(np.array([3.0, 3.0, np.nan, np.nan])), layer=2)
    assert canvas.lines() == [[("⣉", 2), ("⣿", 0)]]


async def test_first_drop_does_not_stretch_the_y_axis_and_zooming_fits_it() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(CurvePlot)
        plot.show([Curve("train", "$primary", STEPS, FALLING)], "step", logarithmic=False)
        plot.focus()
        await pilot.pause()
        tops = [float(line[:7]) for line in lines_of(plot) if line[:7].strip() and "┤" in line]
        assert max(tops) < 3
        assert "zoomed" not in lines_of(plot)[-2]
        plot.show_range((1.0, 50.0))
        tops = [float(line[:7]) for line in lines_of(plot) if line[:7].strip() and "┤" in line]
        assert max(tops) > 6
        assert "zoomed · 0 to follow" in lines_of(plot)[-2]
        await pilot.press("0")
        assert plot.zoomed is None


async def test_plot_follows_a_growing_curve_unless_it_is_zoomed() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(CurvePlot)
        curve = Curve("train", "$primary", STEPS[:100], FALLING[:100])
        plot.show([curve], "step", logarithmic=False)
        plot.focus()
        longer = replace(curve, x=STEPS, mean=FALLING)
        plot.show([longer], "step", logarithmic=False)
        assert plot.visible_range() == (1, 1_000)
        await pilot.press("+")
        zoomed = plot.visible_range()
        assert zoomed[1] - zoomed[0] == pytest.approx(999 / 2)
        plot.show([curve], "step", logarithmic=False)
        assert plot.visible_range() == zoomed
        await pilot.press("-", "-")
        assert plot.zoomed is None


async def test_curves_differ_without_colour_and_hide_no_other() -> None:
    """A marked and dashed line over a solid one: both can be told from their dots alone."""
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(CurvePlot)
        x, flat = np.array([0.0, 50.0, 100.0]), np.full(3, 2.0)
        above = np.full(3, 3.0)
        solid = Curve("train", "$primary", x, flat)
        marked = Curve("val", "$accent", x, above, dash=(4, 3), has_marks=True)
        plot.show([solid, marked], "step", logarithmic=False)
        await pilot.pause()
        drawn = [row for row in curve_rows(plot) if row.strip()]
        assert "".join(drawn[-1].split()) == drawn[-1][0] * len(drawn[-1])
        assert " " in drawn[0].strip()
        plot.show([solid, replace(marked, mean=flat)], "step", logarithmic=False)
        both = [row for row in curve_rows(plot) if row.strip()]
        assert all(row.strip() for row in both)
        assert len(max(both, key=lambda row: len(row.replace(" ", ""))).strip()) == 72
        assert solid.sign != marked.sign


async def test_values_at_the_cursor_are_those_of_the_curves_that_reach_it() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(CurvePlot)
        long = Curve("long", "$primary", STEPS, FALLING)
        short = Curve("short", "$accent", STEPS[:100], FALLING[:100])
        plot.show([long, short], "step", logarithmic=False)
        plot.focus()
        await pilot.press("c")
        assert plot.cursor == pytest.approx(500.5)
        values = {curve.name: value for curve, value in plot.read(500)}
        assert values == {"long": FALLING[499], "short": None}
        await pilot.press("left")
        assert plot.cursor < 500.5


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        (value_ticks(1.6, 3.5, 5), ["2.0", "2.5", "3.0", "3.5"]),
        (value_ticks(0.0, 1e-3, 5), ["0", "2e-4", "4e-4", "6e-4", "8e-4", "1e-3"]),
        (value_ticks(0, 250_000, 3), ["0", "1e5", "2e5"]),
        (value_ticks(1.0, 1.1, 4), ["1.000", "1.025", "1.050", "1.075", "1.100"]),
        (count_ticks(10, 1_200, 5), ["250", "500", "750", "1,000"]),
        (count_ticks(1, 3, 8), ["1", "2", "3"]),
        (time_ticks(0, 110, 3), ["0s", "1m 00s"]),
        (time_ticks(0, 110, 6), ["0s", "20s", "40s", "1m 00s", "1m 20s", "1m 40s"]),
        (time_ticks(0, 50_000, 5), ["0s", "3h 00m", "6h 00m", "9h 00m", "12h 00m"]),
        (log_ticks(-0.1, 1.1, 6), ["1", "2", "5", "10"]),
        (log_ticks(0.17, 0.65, 5), ["2", "3", "4"]),
    ],
)
def test_ticks_are_round_and_short(ticks: list[tuple[float, str]], labels: list[str]) -> None:
    assert [label for _, label in ticks] == labels
