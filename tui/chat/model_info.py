"""Shape, device and source of the loaded model."""

from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from simplegpt.cli import one_line
from simplegpt.inference.protocol import Loaded
from simplegpt.progress import format_bytes, format_count
from tui.chat.labels import MUTED


class ModelInfo(Static):
    """One property per line; hidden while no model is loaded."""

    BORDER_TITLE = "Model"

    loaded: reactive[Loaded | None] = reactive(None)

    def watch_loaded(self, loaded: Loaded | None) -> None:
        self.set_class(loaded is None, "-unknown")
        if loaded is None:
            return
        shape = loaded.config
        facts = (
            ("parameters", format_count(loaded.n_parameters)),
            ("layers × width", f"{shape.n_layer} × {shape.n_embd}, {shape.n_head} heads"),
            ("context", f"{shape.n_ctx:,} tokens"),
            ("vocabulary", f"{shape.n_vocab:,} ({one_line(loaded.tokenizer_name or 'unknown')})"),
            ("chat template", loaded.chat_template or "none"),
            ("weights", f"{format_bytes(loaded.memory_bytes)} {loaded.precision}"),
            ("device", f"{loaded.device}, {loaded.threads} threads"),
        )
        lines = [Content.assemble((f"{name:<15}", MUTED), value) for name, value in facts]
        self.update(Content("\n").join(lines))
        self.tooltip = Content(one_line(loaded.source))
