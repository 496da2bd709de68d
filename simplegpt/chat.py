"""Chat with a model that was trained on dialogues: ``simplegpt chat MODEL``.

Each line of the standard input is a message, which the model answers; the next one sees the whole
dialogue. With ``--messages FILE``, each dialogue of the file gets one answer, as JSON lines.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
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
from simplegpt.data.chat import ChatMessage, Role
from simplegpt.data.dialogues import Dialogue, DialogueFiles
from simplegpt.inference.loading import (
    MODEL_HELP,
    add_generation_options,
    load_with_progress,
    model_name,
)
from simplegpt.inference.protocol import Done, GenerateRequest
from simplegpt.progress import plural

if TYPE_CHECKING:  # imports torch, which takes seconds: invalid options are reported before
    from simplegpt.inference.engine import Engine


def main(argv: Sequence[str] | None = None) -> int:
    """Chat as the options in `argv` say. Raises UserError."""
    options = build_parser().parse_args(argv)
    system = [] if options.system is None else [message("system", options.system)]
    request = GenerateRequest(
        id="chat",
        messages=[message("user", "")],  # replaced for each answer
        n_tokens_to_generate=options.n_tokens_to_generate,
        sampling=parse_section(SamplingConfig, options.sampling),
    )
    dialogues = None
    if options.messages is not None:
        dialogues = [[*system, *messages] for _, messages in DialogueFiles([options.messages])]
    engine, _ = load_with_progress(options.model, options)
    engine.check_chat()
    if dialogues is None:
        return converse(engine, request, system)
    return complete(engine, request, dialogues)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the sampling options come from the schema."""
    parser = CommandParser("chat", description="Chat with a GPT that was trained on dialogues.")
    parser.add_argument("model", type=model_name, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--system", metavar="TEXT", help="system prompt, the first message")
    parser.add_argument(
        "--messages",
        type=Path,
        metavar="FILE",
        help='answer the dialogues of this file, JSON lines with "messages", and print them',
    )
    add_generation_options(parser, "answer", n_tokens=256)
    return parser


def converse(engine: "Engine", request: GenerateRequest, dialogue: list[ChatMessage]) -> int:
    """Answer the lines of the standard input. Ctrl-C stops an answer, and ends the chat before."""
    for line in user_lines():
        dialogue.append(message("user", line))
        text, _ = answer(engine, request, dialogue, lambda piece: write(piece, end=""))
        write("\n")
        dialogue.append(message("assistant", text))
    return DONE


def complete(
    engine: "Engine", request: GenerateRequest, dialogues: Sequence[list[ChatMessage]]
) -> int:
    """Print each dialogue with an answer, or with the rest of its last one, as a line of JSON."""
    for messages in dialogues:
        text, is_complete = answer(engine, request, messages, lambda piece: None)
        if not is_complete:
            return INTERRUPTED
        begun = messages.pop().content.lstrip() if messages[-1].role == "assistant" else ""
        whole = Dialogue(messages=[*messages, message("assistant", begun + text)])
        write(whole.model_dump_json())
    return DONE


def answer(
    engine: "Engine",
    request: GenerateRequest,
    messages: Sequence[ChatMessage],
    on_text: Callable[[str], object],
) -> tuple[str, bool]:
    """Return the answer to `messages`, and whether it was not stopped by Ctrl-C."""
    text, is_complete = "", True
    with interruption() as interrupted:
        asked = request.model_copy(update={"messages": list(messages)})
        for part in engine.generate(asked, interrupted):
            if isinstance(part, Done):
                is_complete = part.reason != "cancelled"
                n_dropped = part.n_dropped
            else:
                text += part.text
                on_text(part.text)
    if n_dropped:
        what = f"the oldest {plural(n_dropped, 'message')} of the dialogue"
        n_ctx = engine.gpt.config.n_ctx
        show(f"warning: {what} not read: the context is {n_ctx:,} tokens", sys.stderr)
    return text, is_complete


def user_lines() -> Iterator[str]:
    """Yield the lines of the standard input that are not blank; a terminal asks for each."""
    while True:
        try:
            line = input("> ") if sys.stdin.isatty() else next(sys.stdin)
        except StopIteration:
            return
        except EOFError:  # Ctrl-D
            print()
            return
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not UTF-8 at byte {error.start}") from None
        if line.strip():
            yield line


def message(role: Role, text: str) -> ChatMessage:
    """Return a message. Raises UserError if `text` is not UTF-8."""
    if not is_utf8(text):
        raise UserError(f"the message {text!r} is not UTF-8")
    return ChatMessage(role=role, content=text)


if __name__ == "__main__":
    run_command(main)
