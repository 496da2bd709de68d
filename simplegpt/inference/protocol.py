"""The engine's requests and answers: one JSON object a line, each way.

``python -m simplegpt.inference.engine`` reads requests on its standard input and writes answers on
its standard output. Every request carries an ``id`` of the caller's choosing, and every answer the
``id`` of the request it belongs to. What a request is answered with:

=================  ==================================================================
``load``           any number of ``loading``, then ``loaded`` or ``failed``
``generate``       any number of ``tokens``, then ``done`` or ``failed``
``alternatives``   ``alternatives`` or ``failed``
``unload``         ``unloaded``
``cancel``         nothing: the request it names ends at its next token with ``done``, whose
                   ``reason`` is ``cancelled``; one that still waits ends the same way without
                   having begun, and one that has ended already is left alone
=================  ==================================================================

Requests are served in their order, one at a time; only ``cancel`` jumps the queue. ``failed``
ends its request, never the process: a second model can be loaded after a first one failed (a
``load`` lets go of the model before it). A line that is no request is answered with ``failed``
and its ``id``, or an empty ``id`` where it has none. A load, or the reading of a long prompt, is
cancelled by ending the process, which also ends by itself when its input closes.

This module imports no torch. Readers skip fields that they do not know.
"""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from simplegpt.config.schema import ModelConfig, SamplingConfig

Precision = Literal["float32", "bfloat16", "float16", "int8"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Reason = Literal["length", "stop", "end_of_text", "cancelled"]


class Message(BaseModel):
    """One line of the protocol."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )

    id: str
    """Names the request; answers repeat it."""

    def line(self) -> str:
        """The message as a line of JSON, with its newline."""
        return self.model_dump_json() + "\n"


class LoadRequest(Message):
    """Load a model, in place of the one that is loaded."""

    type: Literal["load"] = "load"
    model: str = Field(min_length=1)
    """A checkpoint, a run's directory, a folder of Hugging Face's GPT-2, or a hub name (gpt2)."""
    device: Device = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    precision: Precision = "float32"
    """Number format of the weights."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; None leaves the choice to torch (one a core)."""


class GenerateRequest(Message):
    """Continue each prompt `batch_size` times.

    Results are numbered by prompt: result r continues prompt ``r // batch_size``. It draws from a
    generator of its own, made from ``sampling.seed`` and ``r % batch_size``: the same request
    repeats its results, and neither more results nor other prompts change them (exactly so in
    float32).
    """

    type: Literal["generate"] = "generate"
    prompts: list[str] = []
    """Texts to continue. An empty text begins at GPT-2's <|endoftext|>, or a newline."""
    prompt_ids: list[list[int]] = []
    """Token ids to continue, in place of `prompts`: what goes on from given tokens exactly."""
    n_tokens_to_generate: int = Field(30, ge=1)
    """The most tokens of each result."""
    batch_size: int = Field(1, ge=1)
    """Results of each prompt."""
    sampling: SamplingConfig = SamplingConfig()
    """How tokens are chosen, where a result stops, and the seed."""
    n_generated: int = Field(0, ge=0)
    """How many of the last prompt tokens count as generated, for the presence and frequency
    penalties: set it when an answer is continued."""
    logprobs: bool = False
    """Report each token's log-probability."""

    @model_validator(mode="after")
    def _has_one_kind_of_prompt(self) -> "GenerateRequest":
        if bool(self.prompts) == bool(self.prompt_ids):
            raise ValueError("give either prompts or prompt_ids")
        return self


class AlternativesRequest(Message):
    """The likeliest next tokens after a text, with and without the sampling settings."""

    type: Literal["alternatives"] = "alternatives"
    prompt: str = ""
    """The text before the position asked about."""
    prompt_ids: list[int] = []
    """The token ids before that position, in place of `prompt`: exact where a text is not."""
    k: int = Field(10, ge=1)
    """How many tokens to report."""
    sampling: SamplingConfig = SamplingConfig()
    """The settings that `probability_after` is for."""
    n_generated: int = Field(0, ge=0)
    """How many of the last tokens were generated, for the presence and frequency penalties."""


class CancelRequest(Message):
    """Stop a `generate` at its next token. Has no answer of its own."""

    type: Literal["cancel"] = "cancel"
    target: str
    """`id` of the request to stop."""


class UnloadRequest(Message):
    """Let go of the model and its memory."""

    type: Literal["unload"] = "unload"


class Loading(Message):
    """How far a load is."""

    type: Literal["loading"] = "loading"
    progress: float = Field(ge=0, le=1)
    """Share of the load that is done."""
    message: str
    """What is being done, in words."""


class Loaded(Message):
    """The model is ready."""

    type: Literal["loaded"] = "loaded"
    model: str
    """The name or path that was asked for."""
    source: str
    """The file or folder it was read from: a run's directory has turned into its checkpoint."""
    config: ModelConfig
    """The network's shape; its `n_ctx` is the context."""
    n_parameters: int
    """Parameters, the tied output counted once."""
    tokenizer_name: str | None
    """None: no tokenizer fits the vocabulary, and only `prompt_ids` can be continued."""
    device: str
    """Device it is on: cpu, cuda or mps."""
    precision: Precision
    """Number format of the weights."""
    memory_bytes: int
    """Bytes of the weights as loaded."""
    threads: int
    """CPU threads in use."""
    seconds: float
    """Time the load took."""
    step: int | None = None
    """Optimizer step of the checkpoint, where known."""
    val_loss: float | None = None
    """Validation loss of the checkpoint, where known."""


class Tokens(Message):
    """A few more tokens of one result.

    Token i is ``ids[i]`` with ``pieces[i]`` as its text and ``logprobs[i]``; the result's text is
    the pieces of all its messages joined. A piece never holds a part of a character: a token
    that ends inside one has what was complete before it (perhaps ""), and the character comes
    with the token that completes it. Text that may be the beginning of a stop string is held
    back with its tokens until that is settled, and a stop string is in no piece.
    """

    type: Literal["tokens"] = "tokens"
    result: int
    """Index of the result."""
    ids: list[int]
    """Token ids."""
    pieces: list[str]
    """Text of each token."""
    logprobs: list[float] | None = None
    """Natural log of each token's probability under the model itself (temperature 1, before the
    sampling settings). None where it was not asked for."""

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)


class FinishedResult(BaseModel):
    """How one result ended."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    reason: Reason
    """length: all tokens generated; stop: a stop string; end_of_text: the model ended the
    document (the token itself is not reported); cancelled."""
    n_tokens: int
    """Tokens generated."""
    n_prompt: int
    """Tokens of its prompt."""
    context_used: int
    """Tokens the model had in sight at the end, of the context's `n_ctx`."""
    context_slides: int
    """How often the context was full: then its last half was kept and read again."""


class Done(Message):
    """A `generate` has ended."""

    type: Literal["done"] = "done"
    reason: Reason
    """cancelled, or the first result's reason."""
    results: list[FinishedResult]
    """One for each result; empty where it was cancelled before it began."""
    n_tokens: int
    """Tokens generated, over all results."""
    seconds: float
    """Time from its beginning to its end."""
    time_to_first_token: float | None
    """Seconds until the first token was known; None where there was none."""
    tokens_per_second: float | None
    """Tokens after the first step, over the time after it; None where there were none."""
    seed: int
    """Seed that repeats the results."""


class Alternative(BaseModel):
    """A token that could come next."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    id: int
    """Token id."""
    text: str
    """Its text; bytes that are no whole character show as �."""
    probability: float
    """Under the model itself."""
    probability_after: float
    """With the sampling settings: 0 where they rule it out."""


class Alternatives(Message):
    """The likeliest next tokens, likeliest first under the model itself."""

    type: Literal["alternatives"] = "alternatives"
    alternatives: list[Alternative]
    """At most k of them."""
    prompt_ids: list[int]
    """The tokens before the position, so that a choice can be appended to them."""


class Unloaded(Message):
    """There is no model any more."""

    type: Literal["unloaded"] = "unloaded"


class Failed(Message):
    """The request could not be served; the process goes on."""

    type: Literal["failed"] = "failed"
    error: str
    """What happened and what to do, in a sentence."""


Request = LoadRequest | GenerateRequest | AlternativesRequest | CancelRequest | UnloadRequest
Answer = Loading | Loaded | Tokens | Done | Alternatives | Unloaded | Failed

_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")])


def parse_request(line: str | bytes) -> Request:
    """The request that `line` holds. Raises ValueError (pydantic's) where it holds none."""
    return _REQUEST.validate_json(line)


def parse_answer(line: str | bytes) -> Answer:
    """The answer that `line` holds. Raises ValueError (pydantic's) where it holds none."""
    return _ANSWER.validate_json(line)


def read_id(line: str | bytes) -> str:
    """The ``id`` of a line that may be no request at all; ``""`` where there is none."""
    try:
        value = json.loads(line)
    except ValueError:
        return ""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
