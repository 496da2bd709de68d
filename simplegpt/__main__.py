"""``simplegpt COMMAND …``, the same as ``python -m simplegpt.COMMAND …``."""

import importlib
import os
import sys
from collections.abc import Sequence

from simplegpt import __version__
from simplegpt.cli import UserError, nearest, run_command

COMMANDS = {
    "new": "create a folder with configs, data and a README",
    "data": "convert text to token files",
    "tokenizer": "train a tokenizer on a text",
    "train": "train a GPT on token files",
    "inference": "continue a text with a trained GPT",
    "chat": "chat with a GPT that was trained on dialogues",
    "evaluate": "measure GPTs on a text or on multiple-choice questions",
    "export": "export a GPT for transformers or llama.cpp",
}


def main(words: Sequence[str] | None = None) -> int | None:
    """Import and run the command that the first word names."""
    name, *rest = list(sys.argv[1:] if words is None else words) or ["--help"]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"simplegpt {__version__}")
        return 0
    if name == "tui":  # a package above this one
        os.execv(sys.executable, [sys.executable, "-m", "tui", *rest])
    if name not in COMMANDS:
        known = [*COMMANDS, "help", "tui"]
        raise UserError(
            f"unknown command {name}{nearest(name, known)}", f"commands: {', '.join(known)}"
        )
    module = importlib.import_module(f"simplegpt.{name}")
    if hasattr(module, "__path__"):  # a package: as python -m does, run its __main__
        module = importlib.import_module(f"simplegpt.{name}.__main__")
    code: int | None = module.main(rest)
    return code


def _help() -> str:
    lines = [f"  {name:10} {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            "usage: simplegpt COMMAND …",
            "",
            "Train small GPTs from a text file and a TOML config, and chat with them.",
            "",
            *lines,
            "",
            "simplegpt COMMAND --help lists its options. The workbench is simplegpt tui.",
        ]
    )


def command() -> None:
    """Entry point of the installed command ``simplegpt``."""
    run_command(main)


if __name__ == "__main__":
    command()
