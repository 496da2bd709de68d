"""What the machine does is told in figures that can be so, with a GPU or without."""

import subprocess
import sys
from pathlib import Path

import pytest

from simplegpt.progress import format_duration
from simplegpt.run import hardware


def test_figures_of_this_machine_are_possible() -> None:
    system = hardware.Hardware().read()
    assert 0 < system.memory_used < system.memory_total == hardware.memory_total()
    assert 0 <= system.cpu_percent <= 100
    assert system.process_memory is not None
    assert 0 < system.process_memory < system.memory_total
    assert hardware.cpu_count() >= 1
    for gpu in system.gpus:
        assert gpu.name
        assert gpu.memory_total


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 3090", 71),
    ],
)
def test_peak_is_found_by_name(name: str, tflops: float) -> None:
    assert hardware.peak_flops(name, "bf16-mixed") == tflops * 1e12


def test_unknown_gpu_has_no_peak() -> None:
    assert hardware.peak_flops("Voodoo 2", "bf16-mixed") is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5s"), (185, "3m 05s"), (7_620, "2h 07m"), (442_800, "5d 03h")]
)
def test_time_is_told_in_two_units(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_log_has_what_python_and_c_printed(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from simplegpt.train.console import Console\n"
        "print('before')\n"
        "console = Console()\n"
        "console.copy_to(Path('train.log'))\n"
        "print('from python')\n"
        "os.write(1, b'from c\\n')\n"
        "print('an error', file=sys.stderr)\n"
        "os.system('echo from a child')\n"
        "console.close()\n"
        "print('after')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    log = (tmp_path / "train.log").read_text()
    assert sorted(log.splitlines()) == ["an error", "from a child", "from c", "from python"]
    assert done.stdout.splitlines() == ["before", "from python", "from c", "from a child", "after"]
    assert done.stderr == "an error\n"
