"""The figures of the machine are plausible, with a GPU or without."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from simplegpt.progress import format_duration
from simplegpt.run import hardware


def test_figures_of_this_machine_are_plausible() -> None:
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
        ("NVIDIA L40", 181),
        ("NVIDIA GeForce RTX 3090", 71),
        ("Tesla V100-SXM2-16GB", 125),
    ],
)
def test_peak_is_found_by_name(name: str, tflops: float) -> None:
    assert hardware.peak_flops(name, "bf16-mixed") == tflops * 1e12


@pytest.mark.parametrize(
    "name",
    [
        "Voodoo 2",
        "NVIDIA RTX A1000",  # not an A100
        "NVIDIA A10G",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3080 Ti",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
    ],
)
def test_gpu_with_a_similar_name_has_no_peak(name: str) -> None:
    assert hardware.peak_flops(name, "bf16-mixed") is None


def fake_nvml() -> SimpleNamespace:
    """NVIDIA's management library on a machine with four GPUs, of which one has a MIG slice.

    A handle is the device's UUID. Only names and memory can be read.
    """

    class NVMLError(Exception):
        pass

    def refuse(*arguments: object) -> NoReturn:
        raise NVMLError

    uuids = ("GPU-a0", "GPU-b0", "GPU-b1", "GPU-c0")
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlDeviceGetCount=lambda: len(uuids),
        nvmlDeviceGetHandleByIndex=lambda index: uuids[index],
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid if uuid == "MIG-d0" else refuse(),
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetName=lambda handle: handle,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=1, total=2),
        nvmlDeviceGetUtilizationRates=refuse,
        nvmlDeviceGetPowerUsage=refuse,
        nvmlDeviceGetTemperature=refuse,
    )


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [
        (None, None, ["GPU-a0", "GPU-b0", "GPU-b1", "GPU-c0"]),
        (None, [1], ["GPU-b0"]),
        ("2", [0], ["GPU-b1"]),
        ("3, 0", None, ["GPU-c0", "GPU-a0"]),
        ("3,0", [1], ["GPU-a0"]),
        ("GPU-c0,GPU-a", None, ["GPU-c0", "GPU-a0"]),
        ("MIG-d0", [0], ["MIG-d0"]),
        ("MIG-d1", None, []),
        ("1,7,2", None, ["GPU-b0"]),  # CUDA stops at the first that is not there
        ("GPU-b", None, []),  # two begin so
        ("-1", None, []),
        ("", None, []),
        ("2", [], []),  # a run on the CPU
    ],
)
def test_figures_are_those_of_the_gpus_that_the_run_uses(
    visible: str | None,
    gpus: list[int] | None,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    read = hardware.Hardware(gpus, nvml=fake_nvml()).read().gpus
    assert [gpu.name for gpu in read] == expected
    assert {(gpu.memory_used, gpu.utilization, gpu.power) for gpu in read} <= {(1, None, None)}


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5s"), (185, "3m 05s"), (7_620, "2h 07m"), (442_800, "5d 03h")]
)
def test_durations_have_two_units(seconds: float, words: str) -> None:
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
