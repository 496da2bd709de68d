"""How a command ends: its exit code, and standard streams that are closed or go away."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from simplegpt.cli import UserError, run_command

def main():
    with open("file", "w") as file:
        print("printed", flush=True)
        print("told", file=sys.stderr, flush=True)
        file.write("written" + sys.stdin.read())
    {end}

run_command(main)
"""


def run(end: str, redirections: str, folder: Path) -> subprocess.CompletedProcess[str]:
    Path(folder, "program.py").write_text(PROGRAM.format(end=end))
    command = f"exec {sys.executable} program.py {redirections}"
    return subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("return None", 0),
        ("return 1", 1),
        ("raise UserError('no such thing')", 2),
        ("raise KeyboardInterrupt", 130),
        ("raise BrokenPipeError", 0),
    ],
)
def test_every_end_has_its_exit_code(end: str, code: int, tmp_path: Path) -> None:
    ended = run(end, "< /dev/null", tmp_path)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert ("error: no such thing" in ended.stderr) == (code == 2)


def test_closed_streams_neither_fail_nor_write_into_a_file(tmp_path: Path) -> None:
    ended = run("return None", "<&- >&- 2>&-", tmp_path)
    assert ended.returncode == 0
    assert Path(tmp_path, "file").read_text() == "written"
