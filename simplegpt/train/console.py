"""The output of a training process: a copy in train.log, and a progress line on a terminal."""

import codecs
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from simplegpt.cli import printable
from simplegpt.progress import LiveLine, takes_live_line


class Console:
    """Standard output and error, copied to a log file once there is one.

    The copy is made at the level of file descriptors, so that the log also has output from C
    libraries and crashes of Python. The progress line is shown on the terminal only. Neither a
    full disk nor a closed terminal ends or blocks a run.
    """

    def __init__(self) -> None:
        self.line = LiveLine(sys.stdout) if takes_live_line(sys.stdout) else None
        """The progress line; None without a terminal that can show it."""
        self._log: int | None = None
        self._originals: dict[int, int] = {}  # descriptors of stdout and stderr during the copy
        self._copiers: list[threading.Thread] = []

    def copy_to(self, log: Path) -> None:
        """Also append all output from now on to `log`; later calls change the log."""
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if self._log is not None:
            os.dup2(opened, self._log, inheritable=False)
            os.close(opened)
            return
        self._log = opened
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            original = os.dup(descriptor)
            read_end, write_end = os.pipe()
            os.dup2(write_end, descriptor)
            os.close(write_end)
            self._originals[descriptor] = original
            arguments = (read_end, original, opened)
            self._copiers.append(threading.Thread(target=self._copy, args=arguments, daemon=True))
        if self.line is not None:
            terminal = open(self._originals[1], "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            self.line = LiveLine(terminal)
        for copier in self._copiers:
            copier.start()
        # Python buffers what it writes to a pipe
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)

    def _copy(self, source: int, original: int, log: int) -> None:
        partial_line = b""  # the log gets whole lines: the two streams must not mix within one
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := os.read(source, 65536):
            # libraries print names as they are; a progress bar of theirs needs the \r
            parts = decoder.decode(data).split("\r")
            data = "\r".join(map(printable, parts)).encode()
            lines, newline, partial_line = (partial_line + data).rpartition(b"\n")
            _write(log, lines + newline)
            self._erase_line()
            _write(original, data)
        _write(log, partial_line)
        os.close(source)

    def _erase_line(self) -> None:
        if self.line is not None:
            self.line.erase()

    def close(self) -> None:
        """Print directly to the terminal again, once the log is complete."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._erase_line()
        for descriptor, original in self._originals.items():
            os.dup2(original, descriptor)  # closes the pipe's last write end: its copier ends
        for copier in self._copiers:
            copier.join(timeout=2.0)  # a loader's worker may still hold the pipe open
        self._originals, self._copiers = {}, []


def _write(descriptor: int, data: bytes) -> None:
    """Write as much of `data` as the file or terminal accepts."""
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
