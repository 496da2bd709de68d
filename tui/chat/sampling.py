"""Sampling settings of the next answer: their fields, presets, and how they are typed."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simplegpt.config.schema import SamplingConfig

PRESETS: Mapping[str, SamplingConfig] = {
    "Defaults": SamplingConfig(),
    "Greedy": SamplingConfig(temperature=0),
    "Balanced": SamplingConfig(temperature=0.8, top_p=0.95),
    "Creative": SamplingConfig(temperature=1.1, min_p=0.05),
    "Fewer repeats": SamplingConfig(temperature=0.8, top_k=50, repetition_penalty=1.15),
}
"""The built-in presets; the user's own follow them."""


class GenerationSettings(BaseModel):
    """Settings that an answer is generated with."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    n_tokens_to_generate: int = Field(200, ge=1)
    """Maximum number of tokens of an answer. Continue (Ctrl+G) adds as many again."""
    sampling: SamplingConfig = SamplingConfig()

    def values(self) -> dict[str, Any]:
        """Every setting by its name, in the order of `FIELDS`."""
        return {"n_tokens_to_generate": self.n_tokens_to_generate, **dict(self.sampling)}

    def with_seed(self, seed: int) -> "GenerationSettings":
        """The same settings with another seed."""
        return self.with_sampling(self.sampling.model_copy(update={"seed": seed}))

    def with_sampling(self, sampling: SamplingConfig) -> "GenerationSettings":
        """The same length with other sampling settings."""
        return self.model_copy(update={"sampling": sampling})

    def with_preset(self, preset: SamplingConfig) -> "GenerationSettings":
        """A preset's settings with the length and the seed of these."""
        return self.with_sampling(preset).with_seed(self.sampling.seed)


FIELDS = {
    "n_tokens_to_generate": GenerationSettings.model_fields["n_tokens_to_generate"],
    **SamplingConfig.model_fields,
}
"""Every setting with its default and docstring, in the order of the form."""


def label(name: str) -> str:
    """A setting's name as it is shown."""
    return "max tokens" if name == "n_tokens_to_generate" else name


def parse_settings(texts: Mapping[str, str]) -> tuple[GenerationSettings | None, dict[str, str]]:
    """The settings in texts by name, or None and the error of each invalid one."""
    values = {name: parse_value(name, text) for name, text in texts.items()}
    tokens = values.pop("n_tokens_to_generate")
    try:
        return GenerationSettings(n_tokens_to_generate=tokens, sampling=values), {}
    except ValidationError as error:
        errors: dict[str, str] = {}
        for detail in error.errors():
            name = next(str(part) for part in reversed(detail["loc"]) if part in FIELDS)
            errors.setdefault(name, detail["msg"].replace("Input should be", "must be"))
        return None, errors


def parse_value(name: str, text: str) -> Any:
    """A typed value, for pydantic to check; an empty text is the default."""
    default = FIELDS[name].default
    if isinstance(default, list):
        parts = re.findall(r"(?:[^|\\]|\\.)+", text)
        return [re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], part) for part in parts]
    return text.strip() or default


def format_value(value: Any) -> str:
    """A setting as it is typed: texts are separated by ``|``, newlines are ``\\n``."""
    if isinstance(value, list):
        escaped = (t.replace("\\", "\\\\").replace("\n", "\\n").replace("|", "\\|") for t in value)
        return "|".join(escaped)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def format_settings(settings: GenerationSettings) -> dict[str, str]:
    """Every setting as it is typed, by name."""
    return {name: format_value(value) for name, value in settings.values().items()}


def changed_settings(sampling: SamplingConfig) -> list[str]:
    """Settings that differ from the defaults, the seed aside, such as ``temperature 0.7``."""
    changed = sampling.model_dump(exclude_defaults=True, exclude={"seed"})
    return [f"{name} {format_value(value)}" for name, value in changed.items()]
