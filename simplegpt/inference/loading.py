"""The options and the progress of loading a model, shared by the commands."""

import argparse
import math
from typing import TYPE_CHECKING, get_args

from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.inference import protocol
from simplegpt.progress import ProgressLine

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported first
    from simplegpt.inference.engine import Engine

MODEL_HELP = (
    "a checkpoint (nanoGPT's ckpt.pt too), a run's directory, a folder of a Hugging Face GPT-2, or "
    f"its name on the hub ({', '.join(PRETRAINED_NAMES)}, …)"
)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for loading a model."""
    parser.add_argument(
        "--device",
        choices=get_args(protocol.Device),
        default="auto",
        help="auto takes the best available",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(protocol.Precision),
        default="float32",
        help="number format of the weights; int8 is the fastest on a CPU, but less accurate",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads to use")


def positive(text: str) -> int:
    """Parse an integer ≥ 1, also written as ``1e9``, for argparse."""
    try:
        value = float(text) if "e" in text else int(text)
    except ValueError:
        value = 0
    if not 1 <= value < math.inf or value != int(value):
        raise argparse.ArgumentTypeError(f"expected an integer ≥ 1, got '{text}'")
    return int(value)


def model_name(text: str) -> str:
    """Check the name or path of a model, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("expected a checkpoint, a folder or a name, got ''")
    return text


def load_with_progress(model: str, options: argparse.Namespace) -> tuple["Engine", protocol.Loaded]:
    """Load `model` with `options` and show the progress. Raises UserError."""
    request = protocol.LoadRequest(
        id="load",
        model=model,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    with ProgressLine("loading", 100, "", summary=False) as line:
        line.update(0, "starting")
        from simplegpt.inference.engine import load_engine

        return load_engine(request, lambda share, text: line.update(round(100 * share), text))
