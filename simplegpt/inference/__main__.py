"""Let a GPT continue a text: ``python -m simplegpt.inference "The lady doth protest"``.

At batch 1 the text streams as it comes; of several results the first streams, and the others
print whole after it.
"""

import argparse
import io
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, get_args

from simplegpt.cli import DONE, INTERRUPTED, UserError, run_command
from simplegpt.config.options import CommandParser, add_section_options, parse_section
from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import (
    Device,
    Done,
    GenerateRequest,
    LoadRequest,
    Precision,
    Tokens,
)

if TYPE_CHECKING:  # it imports torch: a slip in the options should not wait for that
    from simplegpt.inference.engine import Engine

# On a terminal a model's stray escape codes would be obeyed: only newlines and tabs are.
CONTROLS = {*range(32), *range(127, 160)} - {ord("\n"), ord("\t")}
SHOWN = dict.fromkeys(CONTROLS, "\N{REPLACEMENT CHARACTER}")


def main(argv: Sequence[str] | None = None) -> int:
    """Generate as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    request = GenerateRequest(
        id="inference",
        prompts=read_prompts(options.prompts, options.prompt_file),
        n_tokens_to_generate=options.n_tokens_to_generate,
        batch_size=options.batch_size,
        sampling=parse_section(SamplingConfig, options.sampling),
    )
    load = LoadRequest(
        id="inference",
        model=options.model_name_or_ckpt_path,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    engine = load_with_progress(load)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return print_results(engine, request)


def build_parser() -> argparse.ArgumentParser:
    """The options; those of the sampling come from its schema."""
    parser = CommandParser(description="Let a GPT continue a text.")
    parser.add_argument(
        "prompts",
        nargs="*",
        metavar="PROMPT",
        help='the text to continue; several make one batch; "-" reads it from standard input '
        "(without its last newline)",
    )
    parser.add_argument(
        "--prompt_file", type=Path, metavar="PATH", help="more prompts, one on each line"
    )
    parser.add_argument(
        "--model_name_or_ckpt_path",
        type=model_name,
        default="gpt2",
        metavar="MODEL",
        help="a checkpoint, a run's directory, a folder of Hugging Face's GPT-2, or its name on "
        "the hub (gpt2, gpt2-medium, gpt2-large, gpt2-xl, …); default gpt2",
    )
    for name, default, purpose in (
        ("n_tokens_to_generate", 30, "the most tokens of each result"),
        ("batch_size", 4, "results of each prompt"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{purpose}; default {default}",
        )
    add_loading_options(parser)
    add_section_options(parser, SamplingConfig, "sampling", "sampling")
    return parser


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """How a model is loaded: the same for every command that loads one."""
    parser.add_argument(
        "--device", choices=get_args(Device), default="auto", help="auto takes the best there is"
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="number format of the weights; int8 is the fastest on a CPU, and not quite exact",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads to use")


def positive(text: str) -> int:
    """A whole number, at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not '{text}'")
    return value


def model_name(text: str) -> str:
    """A name or path of a model, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("must be a checkpoint, a folder or a name, not empty")
    return text


def read_prompts(words: Sequence[str], file: Path | None) -> list[str]:
    """The prompts given as words, on standard input ("-") and in `file`. Raises UserError."""
    prompts = [sys.stdin.read().removesuffix("\n") if word == "-" else word for word in words]
    for prompt in prompts:
        if prompt.encode(errors="ignore").decode() != prompt:
            raise UserError(f"the prompt {prompt!r} is no UTF-8")
    if file is not None:
        try:
            prompts += [line for line in file.read_text(encoding="utf-8").splitlines() if line]
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is no UTF-8 at byte {error.start}") from error
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
    if not prompts:
        raise UserError('there is no prompt: give a text to continue, or "-" for standard input')
    return prompts


def load_with_progress(request: LoadRequest) -> "Engine":
    """The engine; on a terminal, how far it is, where that takes a moment. Raises UserError."""
    report = progress_line() if sys.stderr.isatty() else lambda share, message: None
    report(0.0, "starting")
    from simplegpt.inference.engine import load_engine

    try:
        engine, _ = load_engine(request, report)
    finally:
        report(1.0, "")
    return engine


def progress_line(patience: float = 0.5) -> Callable[[float, str], None]:
    """Writes a line to stderr and over itself, once `patience` seconds have passed."""
    began = time.monotonic()

    def report(share: float, message: str) -> None:
        if share >= 1:
            sys.stderr.write("\r\x1b[K")
        elif time.monotonic() - began >= patience:
            line = f"{share:4.0%} {message}"
            sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()

    return report


def print_results(engine: "Engine", request: GenerateRequest) -> int:
    """Generate and print; the exit code. A Ctrl-C ends it at the next token with what there is."""
    texts = [""] * (len(request.prompts) * request.batch_size)
    done = None
    with interruption() as interrupted:
        answers = engine.generate(request, interrupted)
        print(heading(request, 0))
        for answer in answers:
            if isinstance(answer, Done):
                done = answer
            else:
                take(answer, texts)
    print("\n")
    for result in range(1, len(texts)):
        print(heading(request, result))
        print(shown(texts[result]) + "\n")
    if done is not None and sys.stderr.isatty():
        print(summary(done), file=sys.stderr)
    return INTERRUPTED if done is not None and done.reason == "cancelled" else DONE


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, in place of its exception; a second one raises it after all."""
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def take(answer: Tokens, texts: list[str]) -> None:
    """Keep what has come; the first result is printed at once."""
    texts[answer.result] += answer.text
    if answer.result == 0:
        print(shown(answer.text), end="", flush=True)


def heading(request: GenerateRequest, result: int) -> str:
    """``==== Result 1 ====``, and above it the prompt where a new one of several begins."""
    prompt, index = divmod(result, request.batch_size)
    line = f"==== Result {result + 1} ===="
    if len(request.prompts) > 1 and index == 0:
        return f"==== Prompt {prompt + 1}: {shown(request.prompts[prompt])} ====\n{line}"
    return line


def shown(text: str) -> str:
    """`text` as it may be printed: on a terminal without control characters."""
    return text.translate(SHOWN) if sys.stdout.isatty() else text


def summary(done: Done) -> str:
    """The closing line."""
    parts = [f"{done.n_tokens} tokens"]
    if done.tokens_per_second is not None:
        parts.append(f"{done.tokens_per_second:.0f} tokens/s")
    if done.time_to_first_token is not None:
        parts.append(f"first token after {done.time_to_first_token:.2f} s")
    slides = max(result.context_slides for result in done.results)
    if slides:
        parts.append(f"the context was full {slides} times, and its last half kept")
    return " · ".join([*parts, f"seed {done.seed}"])


if __name__ == "__main__":
    run_command(main)
