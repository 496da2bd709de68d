"""Options for loading a model and generating with it, and the progress of loading."""

import argparse
import math
from typing import TYPE_CHECKING, get_args

from simplegpt.config.options import add_options
from simplegpt.config.schema import PRETRAINED_NAMES, SamplingConfig, settings_of
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


def add_generation_options(parser: argparse.ArgumentParser, result: str, n_tokens: int) -> None:
    """Add the options for loading a model and generating with it; sampling's come from the schema.

    `result` names what has at most `n_tokens` by default.
    """
    parser.add_argument(
        "--n_tokens_to_generate",
        type=positive,
        default=n_tokens,
        metavar="N",
        help=f"maximum number of tokens per {result}; default {n_tokens}",
    )
    add_loading_options(parser)
    add_options(parser, "sampling", None, settings_of(SamplingConfig).values(), "sampling")


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
