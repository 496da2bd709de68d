"""What a training process prints: a live line on a terminal, and a copy of all text in a log."""

import os
import shutil
import sys
import threading
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
        """From now on, all that is printed is appended to `log` as well."""
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
            copier = threading.Thread(
                target=self._copy, args=(read_end, original, target), daemon=True
            )
            copier.start()
            self._copiers.append(copier)
        # a pipe is no terminal, so Python would hold lines back until a buffer is full
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)

    def _copy(self, source: int, original: int, log: int) -> None:
        while data := os.read(source, 65536):
            os.write(log, data)
            try:
                if self._live_length:
                    self._erase_live()
                os.write(original, data)
            except OSError:  # the terminal is gone, the run is not
                continue
        os.close(source)

    def close(self) -> None:
        """Print straight to the terminal again, once the log has everything."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._erase_live()
        for descriptor, original in self._saved:
            os.dup2(original, descriptor)  # closes the pipe's last write end: its copier ends
        for copier in self._copiers:
            # a child process may still hold the pipe open: do not wait for it
            copier.join(timeout=2.0)
        self._saved, self._copiers = [], []
        if self._terminal is not sys.stdout:
            self._terminal.close()
            self._terminal = sys.stdout

    def live(self, text: str) -> None:
        """Show `text` in place of the last live line; nothing where there is no terminal."""
        if not self.is_terminal:
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        try:
            self._terminal.write("\r" + text.ljust(self._live_length))
            self._terminal.flush()
        except OSError:
            self.is_terminal = False
        self._live_length = len(text)

    def _erase_live(self) -> None:
        if self._live_length:
            self._terminal.write("\r" + " " * self._live_length + "\r")
            self._terminal.flush()
            self._live_length = 0
