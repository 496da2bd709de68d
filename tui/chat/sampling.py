"""Sampling settings of the next answer: their fields, presets, and how they are typed."""

import math
import random
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field, ValidationError

from simplegpt.config.edit import typed_value
from simplegpt.config.load import messages_of
from simplegpt.config.schema import SamplingConfig, settings_of


class GenerationSettings(SamplingConfig):
    """Settings that an answer is generated with."""

    n_tokens_to_generate: int = Field(200, ge=1)
    """Maximum number of new tokens per answer. Continue (Ctrl+G) adds up to as many again."""
    # The core's default, 0.25, makes small models repeat themselves.
    temperature: float = Field(0.8, ge=0)
    """Divides the logits: 0 is greedy, 1 samples from the unchanged distribution."""
    random_seed: bool = False
    """Draw a new seed for each answer. The seed is shown with the answer, so that it can be
    repeated."""

    @property
    def sampling(self) -> SamplingConfig:
        """The settings of the core."""
        return SamplingConfig(**self.model_dump(include=set(SamplingConfig.model_fields)))

    def drawn(self) -> "GenerationSettings":
        """The settings of the next answer: with another seed, if it is drawn at random."""
        return self.with_seed(random.randrange(2**31)) if self.random_seed else self

    def with_seed(self, seed: int) -> "GenerationSettings":
        """The same settings with another seed."""
        return self.model_copy(update={"seed": seed})

    def with_preset(self, preset: SamplingConfig) -> "GenerationSettings":
        """A preset's settings with the length and the seeds of these."""
        return self.model_copy(update={**dict(preset), "seed": self.seed})


PRESETS: Mapping[str, SamplingConfig] = {
    "Defaults": GenerationSettings().sampling,
    "Greedy": SamplingConfig(temperature=0),
    "Focused": SamplingConfig(temperature=0.25),
    "Balanced": SamplingConfig(temperature=0.8, top_p=0.95),
    "Creative": SamplingConfig(temperature=1.1, min_p=0.05),
    "Fewer repeats": SamplingConfig(temperature=0.8, top_k=50, repetition_penalty=1.15),
}
"""The built-in presets; the user's own follow them."""
_SETTINGS = settings_of(GenerationSettings)
FIELDS = {name: _SETTINGS[name] for name in ("n_tokens_to_generate", *_SETTINGS)}
"""Every setting by its name, in the order of the form."""
LABELS = {"n_tokens_to_generate": "max tokens", "random_seed": "random seed"}
STEPS = {
    "n_tokens_to_generate": Decimal(50),
    "temperature": Decimal("0.1"),
    "top_k": Decimal(10),
    "top_p": Decimal("0.05"),
    "min_p": Decimal("0.01"),
    "repetition_penalty": Decimal("0.05"),
    "presence_penalty": Decimal("0.1"),
    "frequency_penalty": Decimal("0.1"),
    "seed": Decimal(1),
}
"""What an arrow key adds to a setting."""


def label(name: str) -> str:
    """A setting's name as it is shown."""
    return LABELS.get(name, name)


def parse_settings(texts: Mapping[str, str]) -> tuple[GenerationSettings | None, dict[str, str]]:
    """Parse typed settings, by name: the settings, or None and an error for each invalid one."""
    values = {name: parse_value(name, text) for name, text in texts.items()}
    try:
        return GenerationSettings.model_validate(values), {}
    except ValidationError as error:
        return None, messages_of(error, FIELDS, values)


def parse_value(name: str, text: str) -> Any:
    """A typed value, for pydantic to check; an empty text is the default."""
    setting = FIELDS[name]
    if setting.kind == "list":
        parts = re.findall(r"(?:[^|\\]|\\.)+", text)
        return [re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], part) for part in parts]
    return typed_value(setting, text) if text.strip() else setting.default


def format_value(value: Any) -> str:
    """A setting as it is typed: texts are separated by ``|``, newlines are ``\\n``."""
    if isinstance(value, list):
        escaped = (t.replace("\\", "\\\\").replace("\n", "\\n").replace("|", "\\|") for t in value)
        return "|".join(escaped)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def format_settings(settings: GenerationSettings) -> dict[str, str]:
    """Every setting as it is typed, by name."""
    return {name: format_value(getattr(settings, name)) for name in FIELDS}


def stepped(name: str, text: str, direction: int) -> str | None:
    """A typed setting one step up (1) or down (-1), or switched; None if that is not possible."""
    if FIELDS[name].kind == "switch":
        return format_value(parse_value(name, text) is not True)
    step = STEPS.get(name)
    if step is None:
        return None
    try:
        count = Decimal(str(parse_value(name, text))) / step
        steps = math.floor(count) + 1 if direction > 0 else math.ceil(count) - 1
    except (ArithmeticError, ValueError):
        return None
    value = f"{(steps * step).normalize():f}"
    valid, _ = parse_settings({**format_settings(GenerationSettings()), name: value})
    return value if valid is not None else None


def describe_sampling(sampling: SamplingConfig) -> list[str]:
    """The temperature and what differs from the defaults, the seed aside."""
    changed = sampling.model_dump(exclude_defaults=True, exclude={"seed", "temperature"})
    return [
        f"{name} {format_value(value)}"
        for name, value in {"temperature": sampling.temperature, **changed}.items()
    ]


def describe_difference(settings: GenerationSettings, other: GenerationSettings) -> list[str]:
    """The settings that differ from `other`, the seed aside, such as ``temperature 0.7``."""
    return [
        f"{label(name)} {format_value(getattr(settings, name))}"
        for name in FIELDS
        if getattr(settings, name) != getattr(other, name) and name != "seed"
    ]
