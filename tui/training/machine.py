"""What the machine is doing: each GPU, the CPU, the memory."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from simplegpt.run.events import GPU, System
from tui.shared.history import History
from tui.shared.small_curve import block_curve
from tui.shared.text import one_line
from tui.training.words import GIB, MUTED, gpu_in_short, memory

_BAR = 12
FEW = 2
"""GPUs up to this number have three lines each, more have one."""


class MachinePanel(VerticalScroll):
    """Bars for GPUs, CPU and memory, as the training process last measured them."""

    HELP: ClassVar[str] = """\
## Machine
Utilisation, memory, temperature and power of each GPU, measured by the training process itself
about once a second. Without a GPU: how busy all CPU cores are together, and the memory.
"""
    DEFAULT_CSS: ClassVar[str] = """
    MachinePanel {
        padding: 0 1;
        Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._n_lines = 0

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, history: History) -> None:
        lines = self._lines(history.systems)
        # A new layout costs the training: only where there are more lines or fewer.
        self.query_one(Static).update(Content("\n").join(lines), layout=len(lines) != self._n_lines)
        self._n_lines = len(lines)

    def _lines(self, systems: Sequence[System]) -> list[Content]:
        if not systems:
            return [Content.styled("nothing measured yet", MUTED)]
        lines: list[Content] = []
        system = systems[-1]
        if len(system.gpus) > FEW:
            names = sorted({one_line(gpu.name) for gpu in system.gpus})
            lines.append(Content.styled(", ".join(names), "bold"))
        for i, gpu in enumerate(system.gpus):
            lines += gpu_lines(i, gpu) if len(system.gpus) <= FEW else [gpu_line(i, gpu)]
        if not system.gpus:
            lines.append(Content.styled("no GPU: trains on the CPU", MUTED))
        return lines + cpu_lines(system, [s.cpu_percent for s in systems])


def gpu_lines(index: int, gpu: GPU) -> list[Content]:
    """Two lines: how busy and how warm; memory."""
    name = Content.assemble((f"{index} ", MUTED), (one_line(gpu.name), "bold"))
    warm = [] if gpu.temperature is None else [f"{gpu.temperature:.0f}°C"]
    power = [] if gpu.power is None else [f"{gpu.power:.0f} W"]
    lines = [Content.assemble(name, ("  " + "  ".join([*warm, *power]), MUTED))]
    if gpu.utilization is not None:
        lines.append(bar("busy", gpu.utilization / 100, f"{gpu.utilization:.0f}%"))
    if gpu.memory_used is not None and gpu.memory_total:
        said = memory(gpu.memory_used, gpu.memory_total)
        lines.append(bar("memory", gpu.memory_used / gpu.memory_total, said))
    return lines


def gpu_line(index: int, gpu: GPU) -> Content:
    """One line: how busy, memory, how warm, power."""
    busy = min((gpu.utilization or 0.0) / 100, 1.0)
    full = round(busy * _BAR / 2)
    said = gpu_in_short(gpu).removeprefix("GPU ")
    return Content.assemble(
        (f"{index} ", MUTED),
        ("━" * full, "$primary"),
        ("━" * (_BAR // 2 - full), "$panel"),
        f" {said}",
    )


def cpu_lines(system: System, history: list[float]) -> list[Content]:
    lines = [
        bar(
            "CPU", system.cpu_percent / 100, f"{system.cpu_percent:.0f}%", block_curve(history, 16)
        ),
        bar(
            "memory",
            system.memory_used / max(system.memory_total, 1),
            memory(system.memory_used, system.memory_total),
        ),
    ]
    if system.process_memory is not None:
        said = f"the training itself {system.process_memory / GIB:.1f} GiB"
        lines.append(Content.styled(f"       {said}", MUTED))
    return lines


def bar(name: str, share: float, said: str, curve: str = "") -> Content:
    """A line with a bar that turns to warning colours towards its end."""
    share = min(max(share, 0.0), 1.0)
    full = round(share * _BAR)
    is_memory = name == "memory"
    tight = "$error" if share > 0.95 else "$warning" if share > 0.85 else "$primary"
    colour = tight if is_memory else "$primary"
    return Content.assemble(
        (f"{name:<7}", MUTED),
        ("━" * full, colour),
        ("━" * (_BAR - full), "$panel"),
        f" {said}",
        (f"  {curve}" if curve else "", "$primary 60%"),
    )
