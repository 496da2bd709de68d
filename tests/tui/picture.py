"""A picture of a real screen, to look at: ``python -m tests.tui.picture SCREEN 80x24 out.png``.

SCREEN is runs, data, config, train, chat, or a path as `simplegpt-tui` takes it. The workbench
opens in a temporary folder with a few made runs, or in ``--cwd``. ``--press`` presses keys
(``--press f9 enter a``), ``--theme paper`` takes another theme. OUT may end in .png or .svg.
"""

import argparse
import asyncio
import html
import os
import re
import tempfile
from pathlib import Path
from typing import Any, get_args

from tests.tui.made_runs import NOBODY, Shape, make_run


def make_workplace(folder: Path) -> None:
    """A few runs of every kind below `folder`."""
    models = folder / "models"
    make_run(models / "shakespeare-char", Shape(steps=1_200))
    make_run(models / "baby-muon", Shape(steps=2_000, state="finished", best_loss=1.51))
    make_run(
        models / "too-large",
        Shape(steps=40, state="failed", error="out of memory: 9.1 GiB asked for, 1.2 GiB free"),
    )
    make_run(models / "left-alone", Shape(steps=640), pid=NOBODY)


async def take(arguments: argparse.Namespace) -> None:
    from tests.tui.conftest import settle
    from tui.__main__ import kind_of, start_for
    from tui.app import Workbench
    from tui.shell.modes import Mode

    is_mode = arguments.screen in get_args(Mode)
    start = None if is_mode else start_for(kind_of(arguments.screen), arguments.screen)
    app = Workbench(start)
    width, height = map(int, arguments.size.split("x"))
    async with app.run_test(size=(width, height)) as pilot:
        if arguments.theme:
            app.theme = arguments.theme
        if is_mode:
            await app.visit(arguments.screen)
        await settle(pilot)
        for key in arguments.press:
            await pilot.press(key)
            await settle(pilot)
        write_picture(app, arguments.out)
        app.exit()


def write_picture(app: Any, out: Path) -> None:
    """Write what is on the screen to `out` (.svg or .png)."""
    svg = app.export_screenshot()
    if out.suffix == ".svg":
        out.write_text(svg)
        return
    import cairosvg

    svg = draw_braille(svg)
    cairosvg.svg2png(
        bytestring=svg.replace("Fira Code", "DejaVu Sans Mono").encode(), write_to=str(out)
    )


BRAILLE = re.compile(
    r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*[⠁-⣿][^<]*)</text>'
)
# Where each bit's dot stands in a cell, in halves of its width and quarters of its height.
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
CELL_WIDTH, CELL_HEIGHT, ASCENT = 12.2, 24.4, 18.5


def draw_braille(svg: str) -> str:
    """Braille as dots: few monospaced fonts have it."""

    def dots(match: re.Match[str]) -> str:
        style, x, y, escaped = match[1], float(match[2]), float(match[3]), match[4]
        circles, kept = [], []
        for i, character in enumerate(html.unescape(escaped)):
            bits = ord(character) - 0x2800
            if not 0 < bits < 256:
                kept.append(character)
                continue
            kept.append("\u00a0")
            for bit, (column, row) in enumerate(DOTS):
                if bits >> bit & 1:
                    cx = x + CELL_WIDTH * (i + 0.25 + column / 2)
                    cy = y - ASCENT + CELL_HEIGHT * (row + 0.5) / 4
                    circles.append(f'<circle class="{style}" cx="{cx:.1f}" cy="{cy:.1f}" r="2"/>')
        return match[0].replace(escaped, html.escape("".join(kept))) + "".join(circles)

    return BRAILLE.sub(dots, svg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("screen")
    parser.add_argument("size")
    parser.add_argument("out", type=Path)
    parser.add_argument("--press", nargs="*", default=[])
    parser.add_argument("--theme")
    parser.add_argument("--cwd", type=Path)
    arguments = parser.parse_args()
    arguments.out = arguments.out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIMPLEGPT_TUI_HOME"] = str(Path(folder) / "settings")
        os.environ["COLORTERM"] = "truecolor"
        place = arguments.cwd or Path(folder) / "work"
        if arguments.cwd is None:
            make_workplace(place)
        os.chdir(place)
        asyncio.run(take(arguments))


if __name__ == "__main__":
    main()
