"""Export a model for transformers: ``python -m simplegpt.gpt2 export CHECKPOINT FOLDER``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from simplegpt.cli import CommandParser, one_line, run_command, show


def main(argv: Sequence[str] | None = None) -> int:
    """Export as the arguments in `argv` say. Raises UserError."""
    parser = CommandParser(description="Weights from and to Hugging Face's GPT-2.")
    parser.add_argument("command", choices=["export"], help="what to do")
    parser.add_argument("checkpoint", help="a checkpoint, a run's directory, or a GPT-2")
    parser.add_argument(
        "folder", type=Path, help="the new folder, with the tokenizer if it is gpt2, byte or char"
    )
    options = parser.parse_args(argv)
    from simplegpt.checkpoint import load_model  # imports torch: not for --help
    from simplegpt.gpt2.folder import export_folder

    loaded = load_model(options.checkpoint)
    export_folder(loaded.gpt, options.folder, loaded.tokenizer_name)
    show(one_line(f"saved to {options.folder}"), sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
