"""What the GPUs, the CPU and the memory are doing, and how fast they could be. Without torch."""

import os
from collections.abc import Sequence

import psutil

from simplegpt.run.events import GPU, System

# Dense peak of the tensor cores in TFLOP/s, by a part of the device's name: (bf16 or fp16, fp32
# with the tf32 that torch's "high" matmul precision uses). From NVIDIA's data sheets.
PEAK_TFLOPS: dict[str, tuple[float, float]] = {
    "B200": (2250, 1125),
    "H200": (989, 495),
    "H100 PCIe": (756, 378),
    "H100": (989, 495),
    "A100": (312, 156),
    "L40S": (362, 183),
    "L4": (121, 60),
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


def peak_flops(device_name: str, precision: str) -> float | None:
    """The published peak in FLOP/s of a GPU by its name, or None for one we do not know."""
    # the longest name first: "L40S" contains "L4"
    for name in sorted(PEAK_TFLOPS, key=len, reverse=True):
        if name.lower() in device_name.lower():
            half, single = PEAK_TFLOPS[name]
            return (single if precision.startswith("32") else half) * 1e12
    return None


class Hardware:
    """Reads the machine's figures; NVIDIA's through its management library, where there is one."""

    def __init__(self, gpu_indices: Sequence[int] | None = None) -> None:
        """`gpu_indices`: the GPUs to report; None is all of them."""
        self._process = psutil.Process()
        self._handles = _open_gpus(gpu_indices)
        psutil.cpu_percent()  # the first call only starts the measurement

    def read(self) -> System:
        memory = psutil.virtual_memory()
        return System(
            gpus=[_read_gpu(handle) for handle in self._handles],
            cpu_percent=psutil.cpu_percent(),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            process_memory=self._process.memory_info().rss,
        )


def memory_total() -> int:
    """Bytes of main memory."""
    return int(psutil.virtual_memory().total)


def memory_available() -> int:
    """Bytes of main memory that a new program could use without swapping."""
    return int(psutil.virtual_memory().available)


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[GPU]:
    """The NVIDIA GPUs of this machine, with what they are doing now."""
    return [_read_gpu(handle) for handle in _open_gpus(None)]


def _open_gpus(indices: Sequence[int] | None) -> list[object]:
    try:
        import pynvml

        pynvml.nvmlInit()
        chosen = range(pynvml.nvmlDeviceGetCount()) if indices is None else indices
        return [pynvml.nvmlDeviceGetHandleByIndex(_physical_index(i)) for i in chosen]
    except Exception:  # no driver, no library, or no permission: all of them mean no figures
        return []


def _physical_index(index: int) -> int:
    """NVML counts all GPUs, CUDA only those in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return int(visible[index]) if index < len(visible) and visible[index].isdigit() else index


def _read_gpu(handle: object) -> GPU:
    import pynvml

    def figure(read: object, *arguments: object) -> float | None:
        try:
            return float(read(handle, *arguments))  # type: ignore[operator]
        except pynvml.NVMLError:  # this card does not tell
            return None

    name = pynvml.nvmlDeviceGetName(handle)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    milliwatts = figure(pynvml.nvmlDeviceGetPowerUsage)
    return GPU(
        name=name.decode() if isinstance(name, bytes) else name,
        utilization=figure(lambda h: pynvml.nvmlDeviceGetUtilizationRates(h).gpu),
        memory_used=memory.used,
        memory_total=memory.total,
        temperature=figure(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
        power=None if milliwatts is None else milliwatts / 1000,
    )
