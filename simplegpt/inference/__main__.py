"""Continue a text with a GPT: ``simplegpt inference "The lady doth protest"``.

The first result is printed as it is generated, the others after it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt.cli import (
    DONE,
    INTERRUPTED,
    CommandParser,
    UserError,
    interruption,
    is_utf8,
    run_command,
    show,
    write,
)
from simplegpt.config.options import parse_section
from simplegpt.config.schema import SamplingConfig
from simplegpt.files import read_regular, text_lines
from simplegpt.inference.loading import (
    MODEL_HELP,
    add_generation_options,
    load_with_progress,
    model_name,
    positive,
)
from simplegpt.inference.protocol import Done, GenerateRequest
from simplegpt.progress import format_rate

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported before
    from simplegpt.inference.engine import Engine


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
    engine, _ = load_with_progress(options.model_name_or_ckpt_path, options)
    return print_results(engine, request)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the sampling options come from the schema."""
    parser = CommandParser("inference", description="Continue a text with a GPT.")
    parser.add_argument(
        "prompts",
        nargs="*",
        metavar="PROMPT",
        help='text to continue; several form one batch; "-" reads standard input (without the '
        "final newline)",
    )
    parser.add_argument(
        "--prompt_file", type=Path, metavar="PATH", help="file with more prompts, one per line"
    )
    parser.add_argument(
        "--model_name_or_ckpt_path",
        type=model_name,
        default="gpt2",
        metavar="MODEL",
        help=f"{MODEL_HELP}; default gpt2",
    )
    parser.add_argument(
        "--batch_size",
        type=positive,
        default=4,
        metavar="N",
        help="results per prompt; default 4",
    )
    add_generation_options(parser, "result", n_tokens=30)
    return parser


def read_prompts(words: Sequence[str], file: Path | None) -> list[str]:
    """Return the prompts from the command line, standard input ("-") and `file`.

    Raises UserError.
    """
    source = "standard input"
    try:
        prompts = [_read_stdin() if word == "-" else word for word in words]
        if file is not None:
            source = str(file)
            prompts += [line.decode() for line in text_lines(read_regular(file)) if line]
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror}") from None
    for prompt in prompts:
        if not is_utf8(prompt):
            raise UserError(f"the prompt {prompt!r} is not UTF-8")
    if not prompts:
        raise UserError('no prompt: give a text to continue, or "-" for standard input')
    return prompts


def _read_stdin() -> str:
    return sys.stdin.read().removeprefix("\ufeff").removesuffix("\n")


def print_results(engine: "Engine", request: GenerateRequest) -> int:
    """Generate and print; return the exit code. Ctrl-C stops after the current token."""
    with interruption() as interrupted:
        answers = engine.generate(request, interrupted)
        texts = [""] * (len(request.prompts) * request.batch_size)
        write(heading(request, 0))
        for answer in answers:
            if isinstance(answer, Done):
                done = answer
                break
            texts[answer.result] += answer.text
            if answer.result == 0:
                write(answer.text, end="")
    write("\n")
    for result in range(1, len(texts)):
        write(f"{heading(request, result)}\n{texts[result]}\n")
    n_ctx = engine.gpt.config.n_ctx
    for number, first in enumerate(done.results[:: request.batch_size], start=1):
        if first.n_prompt > n_ctx:
            show(
                f"warning: prompt {number} has {first.n_prompt:,} tokens: only the last {n_ctx:,} "
                "(n_ctx) were read",
                sys.stderr,
            )
    if sys.stderr.isatty():
        print(summary(done), file=sys.stderr)
    return INTERRUPTED if done.reason == "cancelled" else DONE


def heading(request: GenerateRequest, result: int) -> str:
    """Return ``==== Result 1 ====``; of several prompts, each precedes its first result."""
    prompt, copy = divmod(result, request.batch_size)
    line = f"==== Result {result + 1} ===="
    if len(request.prompts) > 1 and copy == 0:
        return f"==== Prompt {prompt + 1}: {request.prompts[prompt]} ====\n{line}"
    return line


def summary(done: Done) -> str:
    """Return the last line: counts, speed and seed."""
    parts = [f"{done.n_tokens} tokens"]
    if done.tokens_per_second is not None:
        parts.append(format_rate(done.tokens_per_second))
    if done.time_to_first_token is not None:
        parts.append(f"TTFT {done.time_to_first_token:.2f} s")
    slides = max(result.context_slides for result in done.results)
    if slides:
        parts.append(f"context shifted {slides}×")
    return " · ".join([*parts, f"seed {done.seed}"])


if __name__ == "__main__":
    run_command(main)
