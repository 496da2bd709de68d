"""What a training process prints: a copy of it in train.log, and a live line on a terminal."""

import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO


class Console:
    """Standard output and error, copied to a log file once there is one.

    The copy is made at the level of file descriptors, so that what a library prints from C, or
    Python itself when it crashes, is in the log too. The live line goes to the terminal only.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._live_length = 0
        self._terminal: IO[str] = sys.stdout
        self._saved: list[tuple[int, int]] = []
        self._copiers: list[threading.Thread] = []

    def copy_to(self, log: Path) -> None:
        """Append all that is printed from now on to `log` as well."""
        sys.stdout.flush()
        sys.stderr.flush()
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._terminal = os.fdopen(os.dup(1), "w", encoding="utf-8")
        for descriptor in (1, 2):
            original = os.dup(descriptor)
            read_end, write_end = os.pipe()
            os.dup2(write_end, descriptor)
            os.close(write_end)
            self._saved.append((descriptor, original))
            arguments = (read_end, original, target)
            self._copiers.append(threading.Thread(target=self._copy, args=arguments, daemon=True))
        for copier in self._copiers:
            copier.start()
        # Python buffers what it writes to a pipe
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)

    def _copy(self, source: int, original: int, log: int) -> None:
        partial_line = b""  # the log gets whole lines: the two streams must not mix in one
        while data := os.read(source, 65536):
            lines, newline, partial_line = (partial_line + data).rpartition(b"\n")
            with suppress(OSError):  # a full disk
                os.write(log, lines + newline)
            with suppress(OSError):  # the terminal is gone, the run is not
                self._erase_live()
                os.write(original, data)
        with suppress(OSError):
            os.write(log, partial_line)
        os.close(source)

    def show_live(self, text: str) -> None:
        """Replace the live line by `text`; do nothing where there is no terminal."""
        if not self.is_terminal:
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        with suppress(OSError):
            self._terminal.write("\r" + text.ljust(self._live_length))
            self._terminal.flush()
        self._live_length = len(text)

    def _erase_live(self) -> None:
        if self._live_length:
            self._terminal.write("\r" + " " * self._live_length + "\r")
            self._terminal.flush()
            self._live_length = 0

    def close(self) -> None:
        """Print straight to the terminal again, once the log has everything."""
        sys.stdout.flush()
        sys.stderr.flush()
        with suppress(OSError):
            self._erase_live()
        for descriptor, original in self._saved:
            os.dup2(original, descriptor)  # closes the pipe's last write end: its copier ends
        for copier in self._copiers:
            copier.join(timeout=2.0)  # a loader's worker may still hold the pipe open
        self._saved, self._copiers = [], []
        if self._terminal is not sys.stdout:
            self._terminal.close()
            self._terminal = sys.stdout
