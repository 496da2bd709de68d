"""Options, messages and exit codes, shared by all commands."""

import argparse
import contextlib
import difflib
import functools
import io
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from pydantic import ValidationError

# Exit codes, the same for every command.
DONE, FAILED, INVALID_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class UserError(Exception):
    """An error that the user can fix: what, where, what is allowed, how to fix it.

    Each argument is a line. Names and values in it may contain any characters: line breaks and
    control characters are replaced.
    """

    def __str__(self) -> str:
        return "\n  ".join(one_line(str(line)) for line in self.args)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the candidate closest to `name`; ``""`` if none is."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def nearest_path(path: Path) -> str:
    """Return ``"; did you mean 'x'?"`` for the missing `path`: the nearest name in its directory.

    If the directory is missing too, it is that which is corrected. ``""`` if nothing is near.
    """
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        names = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return ""
    if missing == path:
        return nearest(path.name, names)
    if matches := difflib.get_close_matches(missing.name, names, n=1):
        return f"; did you mean '{missing.parent / matches[0]}'?"
    return f"; no such directory: {path.parent}"


def invalid_fields(error: "ValidationError") -> str:
    """Describe at most three invalid fields: ``config.n_embd: Input should …; …``.

    For data that no person typed. Errors in a config come from `config.load`, with lines and hints.
    """
    fields = [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()[:3]]
    return "; ".join(f"{name}: {message}" if name else message for name, message in fields)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's `main` and exit with its exit code.

    A `UserError`, or a file that cannot be read or written, is printed to stderr with exit code 2;
    Ctrl-C gives exit code 130. A closed standard stream or pipe (``| head``) is not a failure.
    """
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may not have every character
    try:
        code = main() or DONE
        sys.stdout.flush()
    except UserError as error:
        code = _refuse(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes it again at exit
        code = DONE
    except OSError as error:
        if error.filename is None:
            raise
        code = _refuse(UserError(f"{os.fsdecode(error.filename)}: {error.strerror}"))
    sys.exit(code)


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Make a SIGTERM unwind the stack as Ctrl-C does, so that partial files are removed."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Yield a check for Ctrl-C; a second Ctrl-C raises KeyboardInterrupt."""
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


def _refuse(error: UserError) -> int:
    text = f"error: {error}"
    if sys.stderr.isatty():
        width = max(shutil.get_terminal_size().columns - 1, 40)
        wrapper = textwrap.TextWrapper(
            width, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
        )
        text = "\n".join(map(wrapper.fill, text.split("\n")))
    show(text, sys.stderr)
    return INVALID_INPUT


def _open_standard_streams() -> None:
    """Open closed standard streams (``>&-``) on the null device.

    Otherwise the next file to be opened gets the stream's number, and output is printed into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[descriptor]
        stream = open(descriptor, "w" if descriptor else "r", encoding="utf-8")  # noqa: SIM115, PTH123
        setattr(sys, name, stream)
    os.close(descriptor)


# Text from files and models may contain any characters. Unsafe are C0 and C1 controls except the
# newline, bidirectional controls, line and paragraph separators, and lone surrogates, which cannot
# be encoded.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
_TAB = "    "


def show(text: str, stream: TextIO | None = None, *, end: str = "\n") -> None:
    """Print `text` to `stream` (default stdout), with control characters replaced, and flush."""
    print(printable(text), end=end, file=stream or sys.stdout, flush=True)


def write(text: str, end: str = "\n") -> None:
    """Print `text`, on a terminal with control characters replaced, otherwise unchanged."""
    if sys.stdout.isatty():
        show(text, end=end)
    else:
        print(text, end=end, flush=True)


def printable(text: str) -> str:
    """Return `text` with control characters replaced by visible ones."""
    return _UNSAFE.sub(_visible, text)


def one_line(text: str) -> str:
    """Return `text` as one printable line."""
    return printable(text).replace("\n", "↵")


def is_utf8(text: str) -> bool:
    """Whether `text` has no lone surrogate, which Python has for a byte that is not UTF-8."""
    return text.encode(errors="ignore").decode() == text


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x09:
        return _TAB
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures of Unicode
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are `UserError`s with the nearest option.

    Options are declared with underscores and accepted with dashes too. They cannot be abbreviated:
    a typo must not become another option.
    """

    def __init__(self, command: str, **kwargs: Any) -> None:
        """`command`: its name, as in ``simplegpt train``."""
        width = min(shutil.get_terminal_size().columns, 100) - 2
        formatter = functools.partial(argparse.HelpFormatter, max_help_position=8, width=width)
        prog = f"simplegpt {command}"
        super().__init__(prog=prog, allow_abbrev=False, formatter_class=formatter, **kwargs)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        words = list(sys.argv[1:] if args is None else args)
        for word in words:
            if not is_utf8(word):  # it could not be written to a config or a run's files
                raise UserError(f"the argument {word!r} is not UTF-8")
        parsed, unknown = self.parse_known_args(_normalized(words), namespace)
        if unknown:
            self.error(*self._describe_unknown(unknown))
        return parsed

    def error(self, message: str, *more: str) -> NoReturn:
        message = message.removeprefix("argument ")
        raise UserError(message, *more, f"{self.prog} --help lists the options")

    def _describe_unknown(self, words: Sequence[str]) -> list[str]:
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            return [f"unexpected argument: {' '.join(words)}"]
        known = [name for name in self._option_string_actions if name.startswith("--")]
        lines = []
        for option in options:
            near = nearest(option, known)
            if not near:  # --n_embd for --model.n_embd
                same = [name for name in known if name.rpartition(".")[2] == option.lstrip("-")]
                near = f"; did you mean '{same[0]}'?" if same else ""
            lines.append(f"unknown option {option}{near}")
        return lines


_NEGATIVE_NUMBER = re.compile(r"-(\d|\.\d|inf$)[\d._eE+-]*")


def _normalized(words: Sequence[str]) -> list[str]:
    """Spell options with underscores, and join negative numbers to them: -1e-3 is not an option."""
    result: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*result, *words[index:]]
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            result.append(name.replace("-", "_").replace("__", "--", 1) + equals + value)
        elif _NEGATIVE_NUMBER.fullmatch(word) and result and result[-1].startswith("--"):
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result
