"""Utilization of the hardware that trains: GPUs, CPU and memory."""

from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import var
from textual.widgets import Static

from simplegpt.cli import one_line
from simplegpt.progress import format_bytes, format_duration
from simplegpt.run.events import GPU, System
from tui.shared.run_signs import MUTED
from tui.shared.small_curve import block_curve
from tui.training.view import RunView

_BAR_WIDTH = 12
_NARROW_BAR_WIDTH = 6
_DETAILED_GPUS = 2
"""Up to this many GPUs have three lines each, more have one."""


class HardwarePanel(VerticalScroll):
    """Bars for GPUs, CPU and memory, as the training process last measured them."""

    HELP: ClassVar[str] = """\
## Hardware
Utilization, memory, temperature and power of each GPU, measured by the training process every other
second; the utilization of all CPU cores together, main memory, and the process's share (RSS). Of a
run that has ended: means and peaks of its last minutes.
"""
    ALLOW_MAXIMIZE = True
    DEFAULT_CSS: ClassVar[str] = """
    HardwarePanel {
        padding: 0 1;
        Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    view: var[RunView | None] = var(None, init=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._n_lines = 0

    def compose(self) -> ComposeResult:
        yield Static()

    def watch_view(self, view: RunView | None) -> None:
        systems = view.history.systems if view is not None else ()
        is_live = view is not None and view.is_live
        lines = hardware_lines(systems) if is_live else usage_lines(systems)
        # A new layout costs CPU time: only where there are more lines or fewer.
        self.query_one(Static).update(Content("\n").join(lines), layout=len(lines) != self._n_lines)
        self._n_lines = len(lines)


def hardware_lines(systems: Sequence[System]) -> list[Content]:
    """All lines of the panel for a live run, from the measurements, oldest first."""
    if not systems:
        return [Content.styled("no measurements yet", MUTED)]
    system = systems[-1]
    lines: list[Content] = []
    if len(system.gpus) > _DETAILED_GPUS:
        names = sorted({one_line(gpu.name) for gpu in system.gpus})
        lines.append(Content.styled(", ".join(names), "bold"))
        lines += [gpu_line(i, gpu) for i, gpu in enumerate(system.gpus)]
    else:
        for i, gpu in enumerate(system.gpus):
            lines += gpu_lines(i, gpu)
    if not system.gpus:
        lines.append(Content.styled("no GPU: training on the CPU", MUTED))
    return lines + cpu_lines(system, [one.cpu_percent for one in systems])


def usage_lines(systems: Sequence[System]) -> list[Content]:
    """All lines of the panel for a run that has ended: means and peaks."""
    if not systems:
        return [Content.styled("no measurements", MUTED)]
    seconds = format_duration(systems[-1].time - systems[0].time)
    lines = [Content.styled(f"last {seconds} of the run", MUTED)]
    for i, gpu in enumerate(systems[-1].gpus):
        own = [system.gpus[i] for system in systems if i < len(system.gpus)]
        used = [one.utilization for one in own if one.utilization is not None]
        parts = [f"mean {fmean(used):.0f}%"] if used else []
        peak = max((one.memory_used for one in own if one.memory_used is not None), default=None)
        if peak is not None:
            parts.append(f"VRAM peak {format_bytes(peak)}")
        name = (one_line(gpu.name), "bold")
        lines.append(Content.assemble((f"{i} ", MUTED), name, f"  {' · '.join(parts)}"))
    cpu = fmean(system.cpu_percent for system in systems)
    lines.append(figure_line("CPU", f"mean {cpu:.0f}%"))
    memory = max(system.memory_used for system in systems)
    lines.append(figure_line("memory", f"peak {format_memory(memory, systems[-1].memory_total)}"))
    resident = [one.process_memory for one in systems if one.process_memory is not None]
    if resident:
        lines.append(figure_line("RSS", f"peak {format_bytes(max(resident))}"))
    return lines


def figure_line(name: str, text: str) -> Content:
    return Content.assemble((f"{name:<7}", MUTED), text)


def gpu_lines(index: int, gpu: GPU) -> list[Content]:
    """Name, temperature and power; utilization; memory."""
    sensors = [text for text in (format_temperature(gpu), format_power(gpu)) if text]
    name = (one_line(gpu.name), "bold")
    lines = [Content.assemble((f"{index} ", MUTED), name, ("  " + "  ".join(sensors), MUTED))]
    if gpu.utilization is not None:
        lines.append(bar_line("util", gpu.utilization / 100, f"{gpu.utilization:.0f}%"))
    if gpu.memory_used is not None and gpu.memory_total:
        lines.append(memory_line("VRAM", gpu.memory_used, gpu.memory_total))
    return lines


def gpu_line(index: int, gpu: GPU) -> Content:
    """Utilization, memory, temperature and power."""
    parts = bar((gpu.utilization or 0.0) / 100, _NARROW_BAR_WIDTH, "$primary")
    return Content.assemble((f"{index} ", MUTED), *parts, f" {gpu_summary(gpu)}")


def cpu_lines(system: System, cpu_percents: Sequence[float]) -> list[Content]:
    curve = (f"  {block_curve(cpu_percents, 16)}", "$primary 60%")
    cpu = bar_line("CPU", system.cpu_percent / 100, f"{system.cpu_percent:.0f}%")
    lines = [
        Content.assemble(cpu, curve),
        memory_line("memory", system.memory_used, system.memory_total),
    ]
    if system.process_memory is not None:
        lines.append(figure_line("RSS", format_bytes(system.process_memory)))
    return lines


def memory_line(name: str, used: int, total: int) -> Content:
    """A bar in a warning colour when little is left."""
    share = used / max(total, 1)
    colour = "$error" if share > 0.95 else "$warning" if share > 0.85 else "$primary"
    return bar_line(name, share, format_memory(used, total), colour)


def bar_line(name: str, share: float, text: str, colour: str = "$primary") -> Content:
    return Content.assemble((f"{name:<7}", MUTED), *bar(share, _BAR_WIDTH, colour), f" {text}")


def bar(share: float, width: int, colour: str) -> tuple[tuple[str, str], tuple[str, str]]:
    full = round(min(max(share, 0.0), 1.0) * width)
    return ("━" * full, colour), ("─" * (width - full), "$panel")


def hardware_summary(system: System) -> str:
    """The first GPU, or the CPU, in one line."""
    if system.gpus:
        more = f" +{len(system.gpus) - 1}" if len(system.gpus) > 1 else ""
        return f"GPU {gpu_summary(system.gpus[0])}{more}"
    memory = format_memory(system.memory_used, system.memory_total)
    return f"CPU {system.cpu_percent:.0f}% {memory}"


def gpu_summary(gpu: GPU) -> str:
    parts = [f"{gpu.utilization:.0f}%"] if gpu.utilization is not None else []
    if gpu.memory_used is not None and gpu.memory_total is not None:
        parts.append(format_memory(gpu.memory_used, gpu.memory_total))
    return " ".join([*parts, *filter(None, (format_temperature(gpu), format_power(gpu)))])


def format_memory(used: int, total: int) -> str:
    return f"{format_bytes(used)} / {format_bytes(total)}"


def format_temperature(gpu: GPU) -> str:
    return "" if gpu.temperature is None else f"{gpu.temperature:.0f}°C"


def format_power(gpu: GPU) -> str:
    return "" if gpu.power is None else f"{gpu.power:.0f} W"
