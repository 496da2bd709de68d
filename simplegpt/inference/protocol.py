"""The engine's requests and answers: one JSON object per line in each direction.

``python -m simplegpt.inference.engine`` reads requests on its standard input and writes answers to
its standard output. Every request has an ``id`` of the caller's choosing, and every answer the
``id`` of its request. The answers to each request:

=================  ==================================================================
``load``           any number of ``loading``, then ``loaded`` or ``failed``
``generate``       any number of ``tokens``, then ``done`` or ``failed``
``alternatives``   ``alternatives`` or ``failed``
``unload``         ``unloaded``
``cancel``         none: the ``generate`` that it names ends at its next token with ``done``, whose
                   ``reason`` is ``cancelled``; if it is still waiting, it ends the same way
                   without starting; if it has ended, nothing happens
=================  ==================================================================

Requests are served in order, one at a time; only ``cancel`` is handled at once. ``failed`` ends
its request, never the process. A ``load`` frees the previous model first; if it fails, no model is
loaded. An invalid line is answered with ``failed`` and its ``id``, or an empty ``id`` if it has
none. To cancel a load or the reading of a long prompt, end the process; it also exits when its
input closes.

This module does not import torch. Readers ignore unknown fields.
"""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from simplegpt.config.schema import ModelConfig, SamplingConfig
from simplegpt.data.chat import ChatMessage, ChatTemplate

Precision = Literal["float32", "bfloat16", "float16", "int8"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Reason = Literal["length", "stop", "end_of_text", "cancelled"]


class Record(BaseModel):
    """An object of the protocol."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )


class Message(Record):
    """A line of the protocol."""

    id: str
    """Names the request; answers repeat it."""

    def line(self) -> str:
        """Return the message as a line of JSON, newline included."""
        return self.model_dump_json() + "\n"


class LoadRequest(Message):
    """Load a model, replacing the current one."""

    type: Literal["load"] = "load"
    model: str = Field(min_length=1)
    """A checkpoint, a run's directory, a folder of a Hugging Face GPT-2, or a hub name (gpt2)."""
    device: Device = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    precision: Precision = "float32"
    """Number format of the weights."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; None is torch's default (one per core)."""


class GenerateRequest(Message):
    """Continue each prompt, or answer a dialogue, `batch_size` times.

    Result r continues prompt ``r // batch_size`` and has its own random generator, seeded with
    ``sampling.seed`` and ``r % batch_size``: the same request gives the same results, and neither
    more results nor other prompts change them (exactly so in float32).
    """

    type: Literal["generate"] = "generate"
    prompts: list[str] = []
    """Texts to continue. For an empty text, <|endoftext|> or else a newline is continued."""
    prompt_ids: list[list[int]] = []
    """Token IDs to continue, in place of `prompts`."""
    messages: list[ChatMessage] = []
    """A dialogue to answer, in place of `prompts`, by a model with a chat template. If its last
    message is the assistant's, that message is continued."""
    n_tokens_to_generate: int = Field(30, ge=1)
    """Maximum number of tokens in each result; an answer in a dialogue also ends when the context
    is full."""
    batch_size: int = Field(1, ge=1)
    """Results for each prompt."""
    sampling: SamplingConfig = SamplingConfig()
    """Sampling settings, stop strings and seed."""
    n_generated: int = Field(0, ge=0)
    """Number of last prompt tokens that the presence and frequency penalties count as generated:
    set it to continue an answer."""
    logprobs: bool = False
    """Report each token's log-probability."""

    @model_validator(mode="after")
    def _has_one_kind_of_prompt(self) -> "GenerateRequest":
        if bool(self.prompts) + bool(self.prompt_ids) + bool(self.messages) != 1:
            raise ValueError("expected either prompts, prompt_ids or messages")
        return self


class AlternativesRequest(Message):
    """Report the most probable next tokens after a text, with and without sampling settings."""

    type: Literal["alternatives"] = "alternatives"
    prompt: str = ""
    """The text."""
    prompt_ids: list[int] = []
    """The text as token IDs, in place of `prompt`."""
    messages: list[ChatMessage] = []
    """A dialogue up to the answer, as for `generate`, in place of `prompt`."""
    k: int = Field(10, ge=1)
    """Number of tokens to report."""
    sampling: SamplingConfig = SamplingConfig()
    """Settings for `probability_after`."""
    n_generated: int = Field(0, ge=0)
    """Number of last tokens that the presence and frequency penalties count as generated."""
    n_answer: int = Field(0, ge=0)
    """Number of last tokens from one `generate`, whose context is then reproduced."""


class CancelRequest(Message):
    """Stop a `generate` at its next token. Has no answer of its own."""

    type: Literal["cancel"] = "cancel"
    target: str
    """`id` of the request to stop."""


class UnloadRequest(Message):
    """Free the model and its memory."""

    type: Literal["unload"] = "unload"


class Loading(Message):
    """Progress of a load."""

    type: Literal["loading"] = "loading"
    progress: float = Field(ge=0, le=1)
    """Share of the load that is done."""
    message: str
    """Current activity."""


class Loaded(Message):
    """The model is ready."""

    type: Literal["loaded"] = "loaded"
    model: str
    """The name or path in the request."""
    source: str
    """The file or folder that was read: for a run's directory, its checkpoint."""
    config: ModelConfig
    """The network's shape; its `n_ctx` is the context."""
    n_parameters: int
    """Number of parameters, the tied output layer counted once."""
    tokenizer_name: str | None
    """None: no known tokenizer has the model's vocabulary, and only `prompt_ids` are accepted."""
    chat_template: ChatTemplate | None = None
    """Name of the template of the dialogues that the model was trained on, which then answers
    `messages`; None: it only continues text."""
    device: str
    """cpu, cuda or mps."""
    precision: Precision
    """Number format of the weights."""
    memory_bytes: int
    """Size of the weights in memory."""
    threads: int
    """CPU threads in use."""
    seconds: float
    """Duration of the load."""
    step: int | None = None
    """Optimizer step of the checkpoint, if known."""
    val_loss: float | None = None
    """Validation loss of the checkpoint, if known."""


class Tokens(Message):
    """The next tokens of one result.

    Token i has the ID ``ids[i]``, the text ``pieces[i]`` and ``logprobs[i]``; the result's text is
    all its pieces joined. A piece has whole characters only: the text of a character that spans
    tokens comes with the last of them. Text that may be the start of a stop string is held back,
    with its tokens, until that is decided, and a stop string is in no piece.
    """

    type: Literal["tokens"] = "tokens"
    result: int
    """Index of the result."""
    ids: list[int]
    """Token IDs."""
    pieces: list[str]
    """Text of each token."""
    logprobs: list[float] | None = None
    """Natural log of each token's probability before the sampling settings (temperature 1). None
    if not requested."""

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)


class FinishedResult(Record):
    """A result that has ended."""

    reason: Reason
    """length: all tokens were generated, or the context is full (of a dialogue); stop: a stop
    string; end_of_text: the model ended the document or its message (that token is not reported);
    cancelled."""
    n_tokens: int
    """Tokens generated."""
    n_prompt: int
    """Tokens in its prompt."""
    context_used: int
    """Tokens in the context at the end, at most `n_ctx`."""
    context_slides: int
    """Number of times that the context was full and reduced to its last half."""


class Done(Message):
    """A `generate` has ended."""

    type: Literal["done"] = "done"
    reason: Reason
    """cancelled, or the first result's reason."""
    results: list[FinishedResult] = []
    """All results; none if it was cancelled before it started."""
    n_tokens: int = 0
    """Tokens generated in all results."""
    seconds: float = 0.0
    """Duration."""
    time_to_first_token: float | None = None
    """Seconds until the first token; None if there was none."""
    tokens_per_second: float | None = None
    """Rate after the first token of each result; None if there were no more."""
    seed: int
    """Seed that reproduces the results."""
    prompt_ids: list[int] = []
    """Token IDs of the dialogue as it was read, up to the answer; empty for other prompts."""
    n_dropped: int = 0
    """Number of the oldest messages that were left out because the dialogue is longer than three
    quarters of the context; a system prompt is kept."""


class Alternative(Record):
    """A candidate for the next token."""

    id: int
    """Token ID."""
    text: str
    """Its text; incomplete characters are shown as �."""
    probability: float
    """Probability before the sampling settings."""
    probability_after: float
    """Probability with the sampling settings: 0 if they exclude it."""


class Alternatives(Message):
    """The most probable next tokens, in the order of their `probability`."""

    type: Literal["alternatives"] = "alternatives"
    alternatives: list[Alternative]
    """At most k of them."""
    prompt_ids: list[int]
    """The text as token IDs, to which an alternative can be appended."""


class Unloaded(Message):
    """The model has been unloaded."""

    type: Literal["unloaded"] = "unloaded"


class Failed(Message):
    """The request failed; the process continues."""

    type: Literal["failed"] = "failed"
    error: str
    """The cause, and how to fix it."""


Request = LoadRequest | GenerateRequest | AlternativesRequest | CancelRequest | UnloadRequest
Answer = Loading | Loaded | Tokens | Done | Alternatives | Unloaded | Failed

_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")])


def parse_request(line: str | bytes) -> Request:
    """Parse a request. Raises pydantic's ValidationError, a ValueError, if `line` is invalid."""
    return _REQUEST.validate_json(line)


def parse_answer(line: str | bytes) -> Answer:
    """Parse an answer. Raises pydantic's ValidationError, a ValueError, if `line` is invalid."""
    return _ANSWER.validate_json(line)


def read_id(line: str | bytes) -> str:
    """Return the ``id`` of a line that may be invalid; ``""`` if it has none."""
    try:
        value = json.loads(line)
    except ValueError:
        return ""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
