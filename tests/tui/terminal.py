"""A real terminal for tests: tmux with a server of its own, a person's keys, what the screen says.

with Terminal(folder, 80, 24) as terminal:
    terminal.start("simplegpt-tui")
    terminal.wait_for("1 Text")
    terminal.press("Down", "Enter")
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pytest

TMUX = shutil.which("tmux")
NEEDS_TMUX = [
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
    pytest.mark.xdist_group("terminal"),
]
"""Marks of the tests in a real terminal."""
SECONDS = 60.0
"""How long a wait may take unless it says otherwise: patience for a busy machine."""
GLANCE = 0.05
"""Seconds between two looks at the screen."""
SETTINGS = """\
set -g remain-on-exit on
set -g status off
set -s escape-time 20
set -g default-terminal "tmux-256color"
"""


class Terminal:
    """One tmux server with one window. At the block's end it is gone, with all that ran in it."""

    def __init__(
        self,
        folder: Path,
        width: int = 80,
        height: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.width, self.height = folder.resolve(), width, height
        self._begun, self._starts = False, 0
        # A socket's path has to be short, and what the person's own tmux says stays out.
        self._sockets = Path(tempfile.mkdtemp(prefix="tmux-"))
        self._settings = self._sockets / "tmux.conf"
        self._settings.write_text(SETTINGS)
        own = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE", "NO_COLOR")}
        scripts = str(Path(sys.executable).parent)
        self._environment = {
            **own,
            "TMUX_TMPDIR": str(self._sockets),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([scripts, own.get("PATH", "")]),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill_server()
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)

    # What runs in it

    def start(self, *command: str) -> None:
        """Run a command in the window, from the folder, in place of what ran there before."""
        # tmux does not always reap what ran in its window: a shell does, and notes the exit code.
        self._code = self._sockets / f"exit-code-{self._starts}"
        self._starts += 1
        line = f"{shlex.join(command)}; echo $? > {shlex.quote(str(self._code))}"
        line = "exec " + shlex.join(["sh", "-c", line])
        if self._begun:
            self._tmux("respawn-pane", "-k", "-c", str(self.folder), line)
            self._tmux("clear-history")
            return
        size = ("-x", str(self.width), "-y", str(self.height))
        self._tmux("new-session", "-d", *size, "-c", str(self.folder), line)
        self._begun = True

    def pid(self) -> int:
        """The process in the window."""
        shell = psutil.Process(int(self._tmux("display-message", "-p", "#{pane_pid}")))
        [process] = shell.children()
        return process.pid

    def exit_code(self, seconds: float = SECONDS) -> int:
        """Wait until the process in the window has ended; what it ended with."""

        def status() -> str:
            return self._code.read_text().strip() if self._code.exists() else ""

        self.until(lambda: bool(status()), "the program ends", seconds)
        return int(status())

    def processes(self, word: str = "") -> list[psutil.Process]:
        """What else runs in the folder, detached or not; only those whose command has `word`."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid == os.getpid():  # a test may stand in the folder itself
                    continue
                inside = Path(process.cwd()).is_relative_to(self.folder)
                if inside and word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill_server(self) -> None:
        """As if the terminal had been torn away."""
        if self._begun:
            self._tmux("kill-server", check=False)
            self._begun = False

    # Keys

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Tab, BTab, Escape, F9, C-g, Up, a."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        self._tmux("send-keys", "-l", text)

    # The screen

    def screen(self) -> str:
        """What is on the screen, line by line."""
        return self._tmux("capture-pane", "-p")

    def styled(self) -> str:
        """The screen with its colours, as escape sequences."""
        return self._tmux("capture-pane", "-p", "-e")

    def shows(self, pattern: str) -> bool:
        return re.search(pattern, self.screen(), re.MULTILINE) is not None

    def wait_for(self, pattern: str, seconds: float = SECONDS) -> str:
        """Wait until a line of the screen matches the regular expression; the screen then."""
        self.until(lambda: self.shows(pattern), f"the screen shows {pattern!r}", seconds)
        return self.screen()

    def wait_until_gone(self, pattern: str, seconds: float = SECONDS) -> str:
        self.until(lambda: not self.shows(pattern), f"{pattern!r} is gone", seconds)
        return self.screen()

    def until(self, true: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Poll until `true()`; fails with the screen as it is after `seconds`."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s until {what}:\n{self.screen()}")
            time.sleep(GLANCE)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        assert TMUX is not None, "tmux is not installed"
        command = [TMUX, "-L", "test", "-f", str(self._settings), *arguments]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"tmux {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout
