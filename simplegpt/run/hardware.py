"""Utilization and memory of the GPUs and the CPU, and peak speeds of GPUs. Imports no torch."""

import itertools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from simplegpt.run.events import GPU, System

# Dense peak of the tensor cores in TFLOP/s, by model: (bf16 or fp16, fp32 with the tf32 that
# torch's "high" matmul precision uses). From NVIDIA's data sheets.
PEAK_TFLOPS: dict[str, tuple[float, float]] = {
    "B200": (2250, 1125),
    "H200": (989, 495),
    "H100": (989, 495),
    "H100 PCIe": (756, 378),
    "H100 NVL": (835, 418),
    "A100": (312, 156),
    "L40S": (362, 183),
    "L40": (181, 91),
    "L4": (121, 60),
    "A40": (150, 75),
    "A30": (165, 82),
    "A10": (125, 62.5),
    "T4": (65, 8.1),
    "V100": (125, 15.7),
    "RTX 5090": (209, 105),
    "RTX 4090": (165, 83),
    "RTX 4080": (97, 49),
    "RTX 3090": (71, 36),
    "RTX 3080": (60, 30),
    "RTX A6000": (155, 77),
}
_MAKER = re.compile(r"^((NVIDIA|Tesla|GeForce) )*")
# Suffixes that do not change a model's peak. Any other does: Laptop, Ti, SUPER, a MIG slice.
_FORM = re.compile(r"[ -](SXM\d?|PCIE?|\d+GB|HBM\w+)$", re.IGNORECASE)


def peak_flops(device_name: str, precision: str) -> float | None:
    """Return the published peak in FLOP/s of a GPU by its full name; None if unknown."""
    models = {name.lower(): peak for name, peak in PEAK_TFLOPS.items()}
    model = _MAKER.sub("", device_name).lower()
    while model not in models and _FORM.search(model):
        model = _FORM.sub("", model)
    if model not in models:
        return None
    half, single = models[model]
    return (single if precision.startswith("32") else half) * 1e12


def is_peak_published(devices: str) -> bool:
    """Whether the peak of a run's devices is known, for example of ``8 x NVIDIA A100``."""
    return peak_flops(re.sub(r"^\d+ x ", "", devices), "bf16-true") is not None


class Hardware:
    """Reads the utilization of the machine; of NVIDIA GPUs through NVML, if available."""

    def __init__(self, gpus: Sequence[int] | None = None, nvml: Any = None) -> None:
        """`gpus`: CUDA indices of the GPUs to report; None is all visible ones.

        `nvml`: NVIDIA's management library; default `pynvml`.
        """
        self._process = psutil.Process()
        self._nvml = nvml if nvml is not None else _load_nvml()
        visible = _visible_gpus(self._nvml) if self._nvml is not None else []
        chosen = range(len(visible)) if gpus is None else gpus
        self._handles = [visible[i] for i in chosen if i < len(visible)]
        psutil.cpu_percent()  # the first call only starts the measurement

    def read(self) -> System:
        memory = psutil.virtual_memory()
        return System(
            gpus=self.read_gpus(),
            cpu_percent=psutil.cpu_percent(),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            process_memory=self._process.memory_info().rss,
        )

    def read_gpus(self) -> list[GPU]:
        return [_read_gpu(self._nvml, handle) for handle in self._handles]


def memory_total() -> int:
    """Return the total main memory in bytes."""
    return int(psutil.virtual_memory().total)


def memory_available() -> int:
    """Return the main memory, in bytes, that a new program can use without swapping."""
    return int(psutil.virtual_memory().available)


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[GPU]:
    """Return the NVIDIA GPUs visible to CUDA, in its order, with their current utilization."""
    return Hardware().read_gpus()


def _load_nvml() -> Any | None:
    """Load NVIDIA's management library; None without its driver or permission."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _visible_gpus(nvml: Any) -> list[Any]:
    """Return the handles of the GPUs visible to CUDA, in its order.

    CUDA_VISIBLE_DEVICES names them by index, by UUID or its prefix, or as MIG slices; as for CUDA,
    the first invalid entry ends the list. Its indices are NVML's if all GPUs are of one model, or
    with CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    try:
        every = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return []
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return every
    entries = (entry.strip() for entry in os.environ["CUDA_VISIBLE_DEVICES"].split(","))
    found = (_find_gpu(nvml, every, entry) for entry in entries)
    return list(itertools.takewhile(lambda handle: handle is not None, found))


def _find_gpu(nvml: Any, every: Sequence[Any], entry: str) -> Any | None:
    """Return the handle of the GPU that an entry of CUDA_VISIBLE_DEVICES names."""
    if entry.isdecimal():
        return every[int(entry)] if int(entry) < len(every) else None
    try:
        if entry.startswith("MIG-"):
            return nvml.nvmlDeviceGetHandleByUUID(entry)
        same = [one for one in every if entry and nvml.nvmlDeviceGetUUID(one).startswith(entry)]
    except nvml.NVMLError:
        return None
    return same[0] if len(same) == 1 else None


def _read_gpu(nvml: Any, handle: Any) -> GPU:
    """Read a GPU's figures; None for those that it does not report."""

    def figure(read: Callable[..., Any], *arguments: object) -> Any:
        try:
            return read(handle, *arguments)
        except nvml.NVMLError:
            return None

    memory = figure(nvml.nvmlDeviceGetMemoryInfo)
    utilization = figure(nvml.nvmlDeviceGetUtilizationRates)
    milliwatts = figure(nvml.nvmlDeviceGetPowerUsage)
    return GPU(
        name=figure(nvml.nvmlDeviceGetName) or "GPU",
        utilization=utilization and utilization.gpu,
        memory_used=memory and memory.used,
        memory_total=memory and memory.total,
        temperature=figure(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        power=None if milliwatts is None else milliwatts / 1000,
    )
