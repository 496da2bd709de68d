"""Write the curves of runs to a CSV file and a picture: ``python -m tui.runs.export OUT.csv RUN…``.

A long history takes seconds to parse, which in a thread would hold the interpreter's lock against
the screen: so `export` runs this module in a process of its own.
"""

import csv
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt.cli import UserError
from simplegpt.run.directory import RunDirectory
from tui.shared.child_process import child_environment
from tui.shared.history import History
from tui.shared.history_reader import NICENESS, read_all, size_of
from tui.shared.plot_axes import count_ticks, value_ticks

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

HEADER = ("run", "kind", "step", "tokens", "seconds", "loss", "lr", "grad_norm")
_LINE_BYTES = 60  # of an event, at least
_SIZE, _MARGIN, _LINE_HEIGHT = (1600, 1000), 90, 26  # pixels
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_DROP = 0.05
"""Of the steps: the first ones, whose losses do not set the range of the picture."""


def export(runs: Sequence[Path], target: Path) -> list[Path]:
    """Write the curves to `target`, a new CSV file, and to a PNG file beside it.

    Return the files: without Pillow there is no PNG. Call it in a thread. Raises UserError.
    """
    command = [sys.executable, "-m", __name__, str(target), *map(str, runs)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=child_environment(), check=False
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"cannot write {target}: {lines[-1] if lines else done.returncode}")
    picture = target.with_suffix(".png")
    return [target, picture] if find_spec("PIL") else [target]


def read_whole(run: RunDirectory) -> History:
    """Return a history in which no events are merged."""
    found = read_all(run, lambda: False, capacity=size_of(run.events) // _LINE_BYTES + 2)
    assert found is not None  # it is never cancelled
    return found[0]


def write_csv(histories: Sequence[tuple[str, History]], target: Path) -> None:
    """Write a row for each training step and each validation that was logged."""
    with target.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for name, history in histories:
            for kind, series in (("train", history.train), ("validation", history.validation)):
                columns = [series[key] for key in ("step", "tokens", "time", "loss")]
                columns += [series["lr"], series["grad_norm"]]
                for step, tokens, seconds, *figures in zip(*columns, strict=True):
                    known = ["" if math.isnan(x) and kind == "validation" else x for x in figures]
                    writer.writerow([name, kind, int(step), int(tokens), round(seconds, 3), *known])


def write_picture(histories: Sequence[tuple[str, History]], target: Path) -> None:
    """Draw the training losses as thin lines and the validation losses as thick ones."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.font = ImageFont.load_default(20)
    curves = [
        (index, width, series["step"], series["loss"])
        for index, (_, history) in enumerate(histories)
        for width, series in ((2, history.train), (5, history.validation))
        if len(series)
    ]
    end = max((float(steps[-1]) for *_, steps, _ in curves), default=1.0)
    later = [
        float(loss)
        for *_, steps, losses in curves
        for step, loss in zip(steps, losses, strict=True)
        if step >= _DROP * end and math.isfinite(loss)
    ]
    low, high = min(later, default=0.0), max(later, default=1.0)
    high = high if high > low else low + 1.0
    _draw_axes(draw, end, low, high)
    for index, width, steps, losses in curves:
        points = [
            _place(float(step) / end, (float(loss) - low) / (high - low))
            for step, loss in zip(steps, losses, strict=True)
            if math.isfinite(loss) and low <= loss <= high
        ]
        draw.line(points, fill=_COLOURS[index % len(_COLOURS)], width=width, joint="curve")
    for index, (name, _) in enumerate(histories):
        top = _MARGIN + index * _LINE_HEIGHT
        colour = _COLOURS[index % len(_COLOURS)]
        draw.text((_SIZE[0] - _MARGIN, top), name, fill=colour, anchor="ra")
    image.save(target)


def _draw_axes(draw: "ImageDraw", end: float, low: float, high: float) -> None:
    draw.line([_place(0, 1), _place(0, 0), _place(1, 0)], fill="black", width=2)
    for value, label in count_ticks(0.0, end, 8):
        x, y = _place(value / end, 0)
        draw.text((x, y + 8), label, fill="black", anchor="ma")
    for value, label in value_ticks(low, high, 10):
        x, y = _place(0, (value - low) / (high - low))
        draw.line([(x, y), (_SIZE[0] - _MARGIN, y)], fill="#dddddd")
        draw.text((x - 8, y), label, fill="black", anchor="rm")
    draw.text((_SIZE[0] / 2, _SIZE[1] - 36), "step", fill="black", anchor="ma")
    draw.text((_MARGIN, 36), "loss: training thin, validation thick", fill="black")


def _place(x: float, y: float) -> tuple[float, float]:
    """Pixels of a place given in parts of the axes."""
    width, height = (size - 2 * _MARGIN for size in _SIZE)
    return _MARGIN + x * width, _SIZE[1] - _MARGIN - y * height


def main() -> None:
    os.nice(NICENESS)
    target, *runs = map(Path, sys.argv[1:])
    histories = [(run.name, read_whole(RunDirectory(run))) for run in runs]
    write_csv(histories, target)
    if find_spec("PIL"):
        write_picture(histories, target.with_suffix(".png"))


if __name__ == "__main__":
    main()
