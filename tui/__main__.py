"""`simplegpt-tui [PATH]`: opens the workbench, or serves it to a browser.

The path is checked before the interface is imported, so that an invalid one is reported at once.
"""

import argparse
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt import __version__
from simplegpt.cli import CommandParser, UserError, nearest, run_command
from simplegpt.config.schema import PRETRAINED_NAMES
from simplegpt.run.directory import RunDirectory

if TYPE_CHECKING:
    from tui.app import Start


DEFAULT_PORT = 8000
SAVING_SECONDS = 3.0  # that the workbench has to save what is open, once its terminal is gone


def command() -> None:
    """The command `simplegpt-tui`."""
    run_command(main)


def main(arguments: Sequence[str] | None = None) -> int | None:
    options = make_parser().parse_args(arguments)
    kind = kind_of(options.path)
    if options.serve is not None:
        _serve([] if options.path is None else [options.path], options.host, options.serve)
        return 0
    has_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not has_terminal and "TEXTUAL_DRIVER" not in os.environ:  # which textual-serve sets
        raise UserError(
            "the workbench needs a terminal; without one, use simplegpt train and the like"
        )
    from tui.app import Workbench

    if has_terminal:
        threading.Thread(target=_end_with_terminal, daemon=True).start()
    app = Workbench(start_for(kind, options.path))
    app.run()
    return app.return_code


def _end_with_terminal() -> None:
    """Wait until the terminal has hung up, and end the process as SIGHUP does.

    The signal reaches a program that another one has started, such as make or `sh -c`, only if that
    one passes it on. Without it, Textual would read the end of the input over and over and take a
    whole core from the training.
    """
    poll = select.poll()
    poll.register(sys.stdin, 0)  # only POLLHUP and errors, which are always reported
    if any(event & select.POLLHUP for _, event in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(SAVING_SECONDS)
        os._exit(128 + signal.SIGHUP)


def _serve(arguments: Sequence[str], host: str, port: int) -> None:
    try:
        from tui.serve import serve
    except ImportError:
        raise UserError("--serve needs textual-serve: pip install 'simplegpt[serve]'") from None
    try:
        serve(arguments, host, port)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot serve on {host}:{port}: {error}") from None


def make_parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "tui",
        description="Prepare data, edit a config, train and chat with models, in the terminal.",
    )
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a config (opens in the editor), a run's directory (in the dashboard), "
        "a checkpoint or a name such as gpt2 (in the chat)",
    )
    parser.add_argument(
        "--serve",
        nargs="?",
        type=int,
        const=DEFAULT_PORT,
        metavar="PORT",
        help=f"serve the workbench to a browser (port {DEFAULT_PORT} by default)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address for --serve; one that other machines can reach requires a token, which "
        "is in the address that is printed (default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"simplegpt {__version__}")
    return parser


def kind_of(path: str | None) -> str:
    """What `path` names: nothing, config, run or model. Raises UserError if none of these."""
    if path is None:
        return "nothing"
    if not path:
        raise UserError("PATH is empty; leave it out, or name a config, a run or a checkpoint")
    place = Path(path)
    if place.is_dir():
        if RunDirectory(place).exists():
            return "run"
        if (place / "config.json").exists() or any(place.glob("*.safetensors")):
            return "model"
        raise UserError(
            f"{path}: not a run's directory (no status.json, events.jsonl or config.toml)"
        )
    if place.is_file():
        if place.suffix == ".toml":
            return "config"
        if place.suffix == ".ckpt":
            return "model"
        raise UserError(f"{path}: neither a config (.toml) nor a checkpoint (.ckpt)")
    if path in PRETRAINED_NAMES:
        return "model"
    siblings = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = nearest(place.name, [*siblings, *PRETRAINED_NAMES])
    raise UserError(
        f"{path}: no such file; expected a config (.toml), a run's directory, a checkpoint (.ckpt) "
        f"or one of {', '.join(PRETRAINED_NAMES)}{hint}"
    )


def start_for(kind: str, path: str | None) -> "Start":
    """The message that opens `path`."""
    from tui.shell import messages

    if path is None:
        return None
    if kind == "config":
        return messages.OpenConfig(Path(path).absolute())
    if kind == "run":
        return messages.OpenRun(Path(path).absolute())
    return messages.OpenChat(path if path in PRETRAINED_NAMES else str(Path(path).absolute()))


if __name__ == "__main__":
    command()
