"""Read regular files only, write files atomically, and find free names."""

import contextlib
import errno
import itertools
import os
import re
import secrets
import stat
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without waiting; see `check_regular_file`."""
    check_regular_file(path)
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; see `check_regular_file`."""
    with open_regular(path) as file:
        return file.read()


def text_lines(data: bytes) -> list[bytes]:
    """Return the lines of a UTF-8 text without their ends and without a byte order mark.

    A line ends with a newline, which may follow a carriage return. ``splitlines`` also splits at
    characters that are part of a text, such as a form feed or U+2028.
    """
    lines = data.removeprefix(BOM_UTF8).split(b"\n")
    return [line.removesuffix(b"\r") for line in (lines if lines[-1] else lines[:-1])]


def check_regular_file(path: Path) -> None:
    """Raise OSError unless `path` is a regular file: a pipe may block, a device may never end."""
    _check_mode(path, path.stat().st_mode)


def _check_mode(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def append_line(path: Path, line: str, mode: int = 0o644) -> None:
    """Append one line in a single write, so that lines of several processes do not mix.

    If the last writer was killed within a line, that line is ended first. Raises OSError if the new
    line was not written completely (a full disk), and for anything but a regular file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        status = os.fstat(descriptor)
        _check_mode(path, status.st_mode)
        size = status.st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line.encode() + b"\n"
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str, *, sync: bool = False) -> None:
    """Replace a file's whole content: a reader sees the old text or the new, never half.

    The file keeps its mode, and a link stays a link. `sync` waits until the text is on the disk, so
    that it survives a power failure. Raises OSError if the path is anything but a regular file.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a loop of links
    if target.exists():
        check_regular_file(target)
    temporary = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        error.filename = str(path)  # not the temporary file, which nobody knows
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def first_free_path(path: Path, is_taken: Callable[[Path], bool] = os.path.lexists) -> Path:
    """Return `path` if it is free, otherwise the first free of ``NAME-2``, ``NAME-3`` …

    A number at the end of the name is incremented: ``NAME-2`` becomes ``NAME-3``. A file keeps its
    suffix: ``NAME-2.toml``.
    """
    if not is_taken(path):
        return path
    suffix = "" if path.is_dir() else path.suffix
    name = path.name.removesuffix(suffix)
    match = re.fullmatch(r"(.+)-(\d+)", name)
    stem, number = (match[1], int(match[2])) if match else (name, 1)
    candidates = (path.with_name(f"{stem}-{n}{suffix}") for n in itertools.count(number + 1))
    return next(candidate for candidate in candidates if not is_taken(candidate))
