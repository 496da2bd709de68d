"""A model for use from Python: ``simplegpt.load("gpt2").generate("Hello")``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from simplegpt.cli import UserError, invalid_fields
from simplegpt.config.schema import SamplingConfig
from simplegpt.data.chat import ChatMessage
from simplegpt.data.tokenizer import Tokenizer
from simplegpt.inference.engine import Engine, load_engine
from simplegpt.inference.protocol import Device, GenerateRequest, LoadRequest, Precision, Tokens
from simplegpt.model import GPT

Prompt = str | Sequence[Mapping[str, Any]]
"""A text to continue, or the messages of a dialogue to answer, each with a role and content."""


class Model:
    """A GPT and its tokenizer, ready to generate."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def gpt(self) -> GPT:
        """The network, in eval mode."""
        return self._engine.gpt

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer; None if no known tokenizer has the model's vocabulary."""
        return self._engine.tokenizer

    def generate(
        self, prompt: Prompt = "", n_tokens_to_generate: int = 100, **sampling: Any
    ) -> str:
        """Return the continuation of a text, or the answer to the messages of a dialogue.

        `sampling` are settings of `simplegpt.config.schema.SamplingConfig`: temperature, top_k,
        stop, seed … Raises UserError, for an invalid setting too.
        """
        return "".join(self.stream(prompt, n_tokens_to_generate, **sampling))

    def stream(
        self, prompt: Prompt = "", n_tokens_to_generate: int = 100, **sampling: Any
    ) -> Iterator[str]:
        """Yield the continuation or the answer piece by piece; otherwise as `generate`."""
        try:
            settings = SamplingConfig(**sampling)
            request = GenerateRequest(
                id="python",
                prompts=[prompt] if isinstance(prompt, str) else [],
                messages=[] if isinstance(prompt, str) else [ChatMessage(**m) for m in prompt],
                n_tokens_to_generate=n_tokens_to_generate,
                sampling=settings,
            )
        except ValidationError as error:
            raise UserError(invalid_fields(error)) from None
        for answer in self._engine.generate(request):
            if isinstance(answer, Tokens):
                yield "".join(answer.pieces)


def load(name_or_path: str, *, device: Device = "auto", precision: Precision = "float32") -> Model:
    """Load a checkpoint, a run's directory, a folder of a GPT-2, or a GPT-2 by its name.

    `device` "auto" takes the best available; int8 is the fastest precision on a CPU, and slightly
    less accurate. Raises UserError.
    """
    request = LoadRequest(id="load", model=name_or_path, device=device, precision=precision)
    engine, _ = load_engine(request)
    return Model(engine)
