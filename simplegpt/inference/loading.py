"""The options and the progress of loading a model, for the commands that do so."""

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING, get_args

from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.inference.protocol import Device, LoadRequest, Precision

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported before
    from simplegpt.inference.engine import Engine

MODEL_HELP = (
    "a checkpoint, a run's directory, a folder of a Hugging Face GPT-2, or its name on the hub "
    f"({', '.join(PRETRAINED_NAMES)}, …)"
)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of how a model is loaded."""
    parser.add_argument(
        "--device", choices=get_args(Device), default="auto", help="auto takes the best available"
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="number format of the weights; int8 is the fastest on a CPU, and slightly inexact",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads to use")


def positive(text: str) -> int:
    """Parse an integer ≥ 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer ≥ 1, got '{text}'")
    return value


def model_name(text: str) -> str:
    """Check the name or path of a model, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("expected a checkpoint, a folder or a name, got ''")
    return text


def load_with_progress(model: str, options: argparse.Namespace) -> "Engine":
    """Load `model` as `options` say, with a progress line on a terminal. Raises UserError."""
    line = ProgressLine(delay=0.5)
    line.show(0.0, "starting")
    from simplegpt.inference.engine import load_engine

    request = LoadRequest(
        id="load",
        model=model,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    try:
        engine, _ = load_engine(request, line.show)
    finally:
        line.clear()
    return engine


class ProgressLine:
    """A line on stderr that is written over itself, if stderr is a terminal."""

    def __init__(self, delay: float = 0.0) -> None:
        """Show nothing in the first `delay` seconds."""
        self._starts = time.monotonic() + delay
        self._is_terminal = sys.stderr.isatty()

    def show(self, share: float, message: str) -> None:
        """Replace the line by the percentage and `message`, cut to the terminal's width."""
        if self._is_terminal and time.monotonic() >= self._starts:
            line = f"{share:4.0%} {message}"[: shutil.get_terminal_size().columns - 1]
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
