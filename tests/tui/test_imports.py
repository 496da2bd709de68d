"""What the workbench has imported when it starts, and after every screen was visited."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "lightning", "transformers")

VISIT_ALL = """
import asyncio, sys
from tui.app import Workbench
from tui.shell.modes import TABS

async def main():
    app = Workbench()
    async with app.run_test(size=(120, 40)) as pilot:
        for mode, _, key in TABS:
            await pilot.press(key)
            await pilot.pause()
            assert app.current_mode == mode, mode
        await pilot.press("f1")
        await pilot.pause()
        app.exit()

asyncio.run(main())
print([name for name in sys.argv[1:] if name in sys.modules])
"""


def run_python(code: str, *arguments: str, cwd: Path) -> str:
    completed = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={
            "PYTHONPATH": str(REPOSITORY),
            "SIMPLEGPT_TUI_HOME": str(cwd / "home"),
            "HOME": str(cwd),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def test_workbench_never_imports_torch_whatever_is_visited(workplace: Path) -> None:
    assert run_python(VISIT_ALL, *HEAVY, cwd=workplace) == "[]"


def test_start_imports_no_heavy_library_of_ours(workplace: Path) -> None:
    """The first paint waits for these imports: numpy, tokenizers and plots come later."""
    code = "import sys, tui.app; print([n for n in sys.argv[1:] if n in sys.modules])"
    late = ("numpy", "tiktoken", "tomlkit", *HEAVY)
    assert run_python(code, *late, cwd=workplace) == "[]"
