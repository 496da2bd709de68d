"""Measure a GPT on a token file: ``python -m simplegpt.evaluate MODEL --tokens FILE``.

Prints the loss (mean cross-entropy in nats a token), its perplexity, and the bits per byte of
text, which compares models of different vocabularies. Every token of the file but the first is
predicted exactly once, in the same fixed windows as a training's validation: side by side, each
of seq_len tokens (the whole context, unless told otherwise); the last one is moved back to full
length, and what the one before it has predicted does not count again.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from simplegpt.cli import UserError, run_command
from simplegpt.config.options import CommandParser
from simplegpt.data.tokenizer import Tokenizer, is_same_vocabulary
from simplegpt.data.tokens import Tokens, open_tokens
from simplegpt.data.windows import ValidationWindows
from simplegpt.inference.__main__ import (
    add_loading_options,
    load_with_progress,
    model_name,
    positive,
    progress_line,
)
from simplegpt.inference.protocol import LoadRequest, Precision
from simplegpt.progress import format_duration

if TYPE_CHECKING:
    from simplegpt.inference.engine import Engine

# fp32 logits that a batch may have: 256 MB. It is no slower than more, from 2,000 tokens on.
MOST_LOGITS = 2**26


class Evaluation(BaseModel):
    """What was measured."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    model: str
    tokens: str
    loss: float
    """Mean cross-entropy, nats a token."""
    perplexity: float
    bits_per_byte: float | None
    """None where no tokenizer is known, or the text has no bytes."""
    n_predicted: int
    """Tokens predicted: all but the first."""
    n_bytes: int | None
    """UTF-8 bytes of the text of the predicted tokens."""
    seq_len: int
    precision: Precision
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    tokens = open_tokens(options.tokens)
    load = LoadRequest(
        id="evaluate",
        model=options.model,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    engine = load_with_progress(load)
    began = time.monotonic()
    report = progress_line(0) if sys.stderr.isatty() else lambda share, message: None
    try:
        seq_len = check(engine, tokens, options.seq_len)
        loss = mean_loss(engine, tokens, seq_len, report)
    finally:
        report(1.0, "")
    n_bytes = None if engine.tokenizer is None else text_bytes(engine.tokenizer, tokens)
    n_predicted = len(tokens) - 1
    evaluation = Evaluation(
        model=options.model,
        tokens=options.tokens,
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_byte=loss * n_predicted / math.log(2) / n_bytes if n_bytes else None,
        n_predicted=n_predicted,
        n_bytes=n_bytes,
        seq_len=seq_len,
        precision=options.precision,
        seconds=time.monotonic() - began,
    )
    print(evaluation.model_dump_json() if options.json else told(evaluation))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = CommandParser(description="Measure a GPT on a token file, over every token once.")
    parser.add_argument(
        "model",
        type=model_name,
        metavar="MODEL",
        help="a checkpoint, a run's directory, a folder of Hugging Face's GPT-2, or its hub name",
    )
    parser.add_argument(
        "--tokens", required=True, metavar="FILE", help="a token file, a folder of them, or a glob"
    )
    parser.add_argument(
        "--seq_len", type=positive, metavar="N", help="tokens a window predicts; default: n_ctx"
    )
    add_loading_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def check(engine: "Engine", tokens: Tokens, seq_len: int | None) -> int:
    """The length of the windows. Raises UserError where model and tokens do not fit together."""
    n_ctx, n_vocab = engine.gpt.config.n_ctx, engine.gpt.config.n_vocab
    own = engine.tokenizer.name if engine.tokenizer else None
    if own and tokens.tokenizer and not is_same_vocabulary(own, tokens.tokenizer):
        raise UserError(
            f"the tokens were made by the tokenizer '{tokens.tokenizer}', and the model speaks "
            f"'{own}': make a token file of the text with --tokenizer_name {own}"
        )
    if tokens.max_id() >= n_vocab:
        raise UserError(
            f"the tokens' largest id is {tokens.max_id()}, beyond the model's vocabulary of "
            f"{n_vocab}: they are of another tokenizer"
        )
    if len(tokens) < 2:
        raise UserError("the token file has one token: there is nothing to predict")
    if seq_len is not None and seq_len > n_ctx:
        raise UserError(f"--seq_len {seq_len}: must be at most the model's context, {n_ctx}")
    return min(seq_len or n_ctx, len(tokens) - 1)


def mean_loss(
    engine: "Engine",
    tokens: Tokens,
    seq_len: int,
    report: Callable[[float, str], None] = lambda share, message: None,
) -> float:
    """Mean cross-entropy of every token but the first, in nats."""
    n_predicted = len(tokens) - 1
    began, total, done = time.monotonic(), 0.0, 0
    for losses in token_losses(engine, tokens, seq_len):
        total += float(losses.sum())
        done += len(losses)
        seconds = time.monotonic() - began
        left = format_duration(seconds / done * (n_predicted - done))
        report(
            min(done / n_predicted, 0.999),
            f"loss {total / done:.4f} · {done / seconds:,.0f} tokens/s · {left} left",
        )
    return total / n_predicted


def token_losses(
    engine: "Engine", tokens: Tokens, seq_len: int
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The cross-entropy of every token but the first, in order, some windows at a time."""
    import torch
    import torch.nn.functional as F

    gpt, device = engine.gpt, engine.gpt.wte.weight.device
    windows = ValidationWindows(len(tokens), seq_len)
    batch_size = min(max(1, MOST_LOGITS // (seq_len * gpt.config.n_vocab)), len(windows))
    for first in range(0, len(windows), batch_size):
        batch = [windows[i] for i in range(first, min(first + batch_size, len(windows)))]
        texts = [tokens.slice(window.start, window.start + seq_len + 1) for window in batch]
        ids = torch.from_numpy(np.stack(texts)).to(device)
        with torch.inference_mode():
            logits = gpt(ids[:, :-1]).float()
            losses = F.cross_entropy(logits.mT, ids[:, 1:], reduction="none").cpu().numpy()
        rows = [row[window.skip :] for row, window in zip(losses, batch, strict=True)]
        yield np.concatenate(rows).astype(np.float64)


def text_bytes(tokenizer: Tokenizer, tokens: Tokens, piece: int = 2**20) -> int:
    """UTF-8 bytes of the text of every token but the first; a document's end has none."""
    lengths = np.array([len(tokenizer.decode_bytes([i])) for i in range(tokens.max_id() + 1)])
    if tokenizer.end_of_text is not None and tokenizer.end_of_text < len(lengths):
        lengths[tokenizer.end_of_text] = 0
    return sum(
        int(lengths[tokens.slice(start, min(start + piece, len(tokens)))].sum())
        for start in range(1, len(tokens), piece)
    )


def told(evaluation: Evaluation) -> str:
    """The figures, for people."""
    bits = evaluation.bits_per_byte
    lines = [
        f"loss           {evaluation.loss:.4f}",
        f"perplexity     {evaluation.perplexity:.2f}",
        f"bits per byte  {'unknown: no tokenizer' if bits is None else f'{bits:.4f}'}",
        f"over {evaluation.n_predicted:,} tokens in windows of {evaluation.seq_len}, "
        f"{format_duration(evaluation.seconds)}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
