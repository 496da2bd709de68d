"""How the next answer is sampled: one row for each field of the core's `SamplingConfig`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.widgets import Button, Input, Label, Select, Static

from simplegpt.config.schema import SamplingConfig

DEFAULTS = "Defaults"
PRESETS: Mapping[str, SamplingConfig] = {
    DEFAULTS: SamplingConfig(),
    "Greedy": SamplingConfig(temperature=0),
    "Balanced": SamplingConfig(temperature=0.8, top_p=0.95),
    "Inventive": SamplingConfig(temperature=1.1, min_p=0.05),
    "Fewer repeats": SamplingConfig(temperature=0.8, top_k=50, repetition_penalty=1.15),
}
"""Settings with a name that are always there; a person's own stand after them."""


class GenerationSettings(BaseModel):
    """What an answer is generated with."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    n_tokens_to_generate: int = Field(200, ge=1)
    """The most tokens of an answer. Going on (Ctrl+G) adds as many again."""
    sampling: SamplingConfig = SamplingConfig()

    def values(self) -> dict[str, Any]:
        """Every setting by its name."""
        tokens = {"n_tokens_to_generate": self.n_tokens_to_generate}
        return tokens | {
            name: getattr(self.sampling, name) for name in FIELDS if name not in tokens
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "GenerationSettings":
        """From values by name. Raises ValidationError, its locations ending in the names."""
        rest = {name: value for name, value in values.items() if name != "n_tokens_to_generate"}
        tokens = values.get("n_tokens_to_generate", cls().n_tokens_to_generate)
        return cls.model_validate({"n_tokens_to_generate": tokens, "sampling": rest})

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, the seed apart."""
        mine, usual = self.values(), GenerationSettings().values()
        return {k: v for k, v in mine.items() if v != usual[k] and k != "seed"}


FIELDS = {
    "n_tokens_to_generate": GenerationSettings.model_fields["n_tokens_to_generate"],
    **SamplingConfig.model_fields,
}
"""Every setting with its default and docstring, in the order of the form."""
LABELS = {"n_tokens_to_generate": "tokens"}


class SamplingForm(VerticalScroll):
    """The settings of the next generation, checked as they are typed."""

    HELP = """\
## Sampling

How the next token is chosen. A change acts on the next answer. **●** marks what differs from the
default; rest the mouse on a name for what it does. A preset sets everything but the seed: the same
seed, text and settings give the same answer.
"""

    @dataclass
    class Changed(Message):
        """All fields are valid, and something is different from before."""

        settings: GenerationSettings
        form: "SamplingForm" = field(repr=False)

    @dataclass
    class PresetSaveAsked(Message):
        """The settings are to be kept under a name."""

    @dataclass
    class PresetDeleteAsked(Message):
        """A preset of the person's own is to be removed."""

        name: str

    BINDINGS: ClassVar = []

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, can_focus=False)
        self.settings = GenerationSettings()
        """The last valid ones."""
        self.own_presets: Mapping[str, SamplingConfig] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(id="preset-row"):
            yield Select[str](
                [(name, name) for name in PRESETS],
                prompt="Preset",
                id="preset",
                compact=True,
                tooltip="Settings with a name. Sets everything but the seed.",
            )
            yield Button(
                "Save", id="save-preset", compact=True, tooltip="Keep these settings under a name"
            )
            yield Button(
                "✕", id="delete-preset", compact=True, tooltip="Remove this preset of yours"
            )
        for name, info in FIELDS.items():
            with Horizontal(classes="setting", id=f"row-{name}"):
                yield Label(LABELS.get(name, name), classes="name").with_tooltip(
                    Content(f"{info.description}\n\nDefault: {as_text(info.default) or 'none'}")
                )
                yield Input(as_text(self.settings.values()[name]), id=f"set-{name}", compact=True)
            yield Static(id=f"error-{name}", classes="problem", markup=False)
        yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#delete-preset").display = False
        self._mark()

    def show(self, settings: GenerationSettings) -> None:
        """Put settings into the form; posts nothing."""
        self.settings = settings
        with self.prevent(Input.Changed):
            for name, value in settings.values().items():
                self.query_one(f"#set-{name}", Input).value = as_text(value)
                self._complain(name, "")
        self._mark()

    def show_presets(self, own: Mapping[str, SamplingConfig], chosen: str | None = None) -> None:
        """Offer a person's own presets beside the built-in ones."""
        self.own_presets = own
        select = self.query_one("#preset", Select)
        with self.prevent(Select.Changed):
            select.set_options([(name, name) for name in (*PRESETS, *own)])
            if chosen is not None:
                select.value = chosen
        self.query_one("#delete-preset").display = chosen in own

    def preset(self, name: str) -> GenerationSettings:
        """The settings of a preset, with the seed and length of now. Raises KeyError."""
        sampling = {**PRESETS, **self.own_presets}[name]
        seeded = sampling.model_copy(update={"seed": self.settings.sampling.seed})
        return self.settings.model_copy(update={"sampling": seeded})

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        self._read()

    @on(DescendantFocus)
    def _explain(self, event: DescendantFocus) -> None:
        """Say below the form what the field in focus does."""
        name = (event.widget.id or "").removeprefix("set-")
        self.query_one("#about", Static).update(
            FIELDS[name].description or "" if name in FIELDS else ""
        )

    @on(DescendantBlur)
    def _explain_nothing(self) -> None:
        self.query_one("#about", Static).update("")

    @on(Select.Changed, "#preset")
    def _chosen(self, event: Select.Changed) -> None:
        event.stop()
        name = event.value
        self.query_one("#delete-preset").display = name in self.own_presets
        if isinstance(name, str):
            self.show(self.preset(name))
            self.post_message(self.Changed(self.settings, self))

    @on(Button.Pressed)
    def _asked(self, event: Button.Pressed) -> None:
        event.stop()
        name = self.query_one("#preset", Select).value
        if event.button.id == "save-preset":
            self.post_message(self.PresetSaveAsked())
        elif isinstance(name, str):
            self.post_message(self.PresetDeleteAsked(name))

    def _read(self) -> None:
        """Check all fields; say what is wrong under the field it is wrong in."""
        texts = {name: self.query_one(f"#set-{name}", Input).value for name in FIELDS}
        problems: dict[str, str] = {}
        try:
            settings = GenerationSettings.of({k: from_text(k, v) for k, v in texts.items()})
        except ValidationError as error:
            for detail in error.errors():
                name = next(str(part) for part in reversed(detail["loc"]) if part in FIELDS)
                problems.setdefault(name, in_words(detail["msg"]))
        for name in FIELDS:
            self._complain(name, problems.get(name, ""))
        if not problems and settings != self.settings:
            self.settings = settings
            self.post_message(self.Changed(settings, self))
        self._mark()

    def _complain(self, name: str, problem: str) -> None:
        message = self.query_one(f"#error-{name}", Static)
        message.update(problem)
        message.display = bool(problem)
        self.query_one(f"#row-{name}").set_class(bool(problem), "-invalid")

    def _mark(self) -> None:
        usual = GenerationSettings().values()
        for name, value in self.settings.values().items():
            differs = value != usual[name]
            self.query_one(f"#row-{name}").set_class(differs, "-changed")
            mark = "●" if differs else " "
            self.query_one(f"#row-{name} .name", Label).update(f"{mark} {LABELS.get(name, name)}")


def as_text(value: Any) -> str:
    """A setting as it is typed: several texts are parted by ``|``, newlines are ``\\n``."""
    if isinstance(value, list):
        escaped = (t.replace("\\", "\\\\").replace("\n", "\\n").replace("|", "\\|") for t in value)
        return "|".join(escaped)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def from_text(name: str, text: str) -> Any:
    """What was typed, for pydantic to check; an empty field is the default."""
    default = FIELDS[name].default
    if isinstance(default, list):
        parts = re.findall(r"(?:[^|\\]|\\.)+", text)
        return [re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], part) for part in parts]
    return text.strip() or default


def in_words(message: str) -> str:
    """pydantic's message, shorter."""
    for theirs, ours in (
        ("Input should be", "must be"),
        ("a valid integer", "an integer"),
        ("a valid number", "a number"),
        ("greater than or equal to", "at least"),
        ("less than or equal to", "at most"),
        ("greater than", "more than"),
    ):
        message = message.replace(theirs, ours)
    return message.split(", unable to")[0]
