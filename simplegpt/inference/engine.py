"""The engine: a loaded model that answers the requests of `protocol`.

`Engine` is for use within a process. ``python -m simplegpt.inference.engine`` serves the protocol
on its standard streams, so that other programs need not import torch.
"""

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import contains
from typing import BinaryIO

import torch
from pydantic import ValidationError

from simplegpt.checkpoint import load_model
from simplegpt.cli import UserError, first_line, invalid_fields, run_command
from simplegpt.data.chat import ChatMessage, ChatPrompt, ChatTemplate, encode_prompt
from simplegpt.data.tokenizer import Tokenizer, load_tokenizer
from simplegpt.device import choose_device, device_memory
from simplegpt.inference import protocol
from simplegpt.inference.cpu import memory_bytes, pack
from simplegpt.inference.generation import (
    Generation,
    Piece,
    TextStream,
    check_ids,
    context_length,
)
from simplegpt.inference.sampling import Penalties, probabilities
from simplegpt.model import GPT
from simplegpt.progress import OnProgress, format_bytes, no_progress

# An int8 model computes in fp32 outside its linear layers.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.float32,
}
# A screen draws at most 30 frames per second: more messages would only take time.
SECONDS_BETWEEN_MESSAGES = 0.03


class Engine:
    """A model that generates text; without a tokenizer, token IDs only."""

    def __init__(
        self, gpt: GPT, tokenizer: Tokenizer | None, chat_template: ChatTemplate | None = None
    ) -> None:
        self.gpt, self.tokenizer, self.chat_template = gpt, tokenizer, chat_template
        size = gpt.config.n_vocab
        self.n_vocab = size if tokenizer is None else min(size, tokenizer.n_vocab)
        end = None if tokenizer is None else tokenizer.end_of_text
        self.end_of_text = end if end is not None and end < self.n_vocab else None

    def generate(
        self, request: protocol.GenerateRequest, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[protocol.Tokens | protocol.Done]:
        """Answer `request`; `cancelled` is called after each token. Raises UserError."""
        n_tokens = request.n_tokens_to_generate
        dialogue: ChatPrompt | None = None
        if request.messages:
            dialogue = self.encode_messages(request.messages)
            prompts = [dialogue.ids]
            n_tokens = min(n_tokens, self.gpt.config.n_ctx - len(dialogue.ids))
        else:
            prompts = request.prompt_ids or [self.encode(prompt) for prompt in request.prompts]
        self._check_memory(len(prompts) * request.batch_size, max(map(len, prompts)), request)
        generation = Generation(
            self.gpt,
            prompts,
            n_tokens,
            request.batch_size,
            request.sampling,
            self.n_vocab,
            request.n_generated,
            request.logprobs,
        )
        return self._stream(request, generation, dialogue, cancelled)

    def _stream(
        self,
        request: protocol.GenerateRequest,
        generation: Generation,
        dialogue: ChatPrompt | None,
        cancelled: Callable[[], bool],
    ) -> Iterator[protocol.Tokens | protocol.Done]:
        results = generation.results
        texts = [TextStream(self.tokenizer, request.sampling.stop) for _ in results]
        unsent: list[list[Piece]] = [[] for _ in results]
        began = time.perf_counter()
        first_token, last_message = None, -SECONDS_BETWEEN_MESSAGES
        for tokens in generation:
            seconds = time.perf_counter() - began
            first_token = seconds if first_token is None else first_token
            for token in tokens:
                result, text = results[token.result], texts[token.result]
                if token.id == self.end_of_text:
                    result.reason = "end_of_text"
                    continue
                unsent[token.result] += text.push(token)
                if text.stopped:
                    result.reason = "stop"
            if seconds - last_message >= SECONDS_BETWEEN_MESSAGES:
                last_message = seconds
                yield from messages(request, unsent)
            if cancelled():
                break
        for pieces, text in zip(unsent, texts, strict=True):
            pieces += text.flush()
        yield from messages(request, unsent)
        done = summary(request, generation, time.perf_counter() - began, first_token)
        if dialogue is not None:
            read = {"prompt_ids": dialogue.ids, "n_dropped": dialogue.n_dropped}
            done = done.model_copy(update=read)
        yield done

    def _check_memory(
        self, n_results: int, n_prompt: int, request: protocol.GenerateRequest
    ) -> None:
        """Raise UserError if the key/value cache alone does not fit into the device's memory."""
        config, weight = self.gpt.config, self.gpt.wte.weight
        length = min(n_prompt + request.n_tokens_to_generate, config.n_ctx)
        values = 2 * config.n_layer * config.n_embd * length * n_results
        needed, present = values * weight.element_size(), device_memory(weight.device)
        if needed > present:
            raise UserError(
                f"{n_results:,} results need {format_bytes(needed)} of memory, the device has "
                f"{format_bytes(present)}: lower --batch_size or give fewer prompts"
            )

    @torch.inference_mode()
    def alternatives(self, request: protocol.AlternativesRequest) -> protocol.Alternatives:
        """Answer `request`. Raises UserError."""
        if request.messages:
            ids = self.encode_messages(request.messages).ids
        else:
            ids = request.prompt_ids or self.encode(request.prompt)
        check_ids([ids], self.gpt.config.n_vocab)
        length = context_length(
            len(ids) - request.n_answer, request.n_answer, self.gpt.config.n_ctx
        )
        context = torch.tensor([ids[-length:]], device=self.gpt.wte.weight.device)
        logits = self.gpt.next_logits(context)[:, : self.n_vocab].float().cpu()
        penalties = Penalties(request.sampling, [ids], request.n_generated, self.n_vocab)
        after = probabilities(penalties(logits), request.sampling)[0]
        best = logits.softmax(dim=-1)[0].topk(min(request.k, self.n_vocab))
        alternatives = [
            protocol.Alternative(
                id=token,
                text=self.tokenizer.decode([token]) if self.tokenizer else "",
                probability=probability,
                probability_after=after[token].item(),
            )
            for token, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        return protocol.Alternatives(id=request.id, alternatives=alternatives, prompt_ids=ids)

    def encode(self, prompt: str) -> list[int]:
        """Encode `prompt`; an empty one is the start of a document. Raises UserError."""
        tokenizer = self._known_tokenizer()
        if not prompt and self.end_of_text is not None:
            return [self.end_of_text]
        ids = tokenizer.encode(prompt or "\n")
        self._check_vocabulary(ids, tokenizer)
        return ids

    def encode_messages(self, messages: Sequence[ChatMessage]) -> ChatPrompt:
        """Encode a dialogue up to the answer. Raises UserError if the model has no template."""
        self.check_chat()
        tokenizer = self._known_tokenizer()
        prompt = encode_prompt(messages, tokenizer, self.gpt.config.n_ctx)
        self._check_vocabulary(prompt.ids, tokenizer)
        return prompt

    def check_chat(self) -> None:
        """Raise UserError if the model has no chat template."""
        if self.chat_template is None:
            raise UserError(
                "this model was not trained on dialogues and has no chat template: it can only "
                "continue a text"
            )

    def _known_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise UserError(
                f"no known tokenizer has this model's vocabulary of {self.n_vocab}: "
                "it can only continue token IDs"
            )
        return self.tokenizer

    def _check_vocabulary(self, ids: Sequence[int], tokenizer: Tokenizer) -> None:
        unknown = next((token for token in ids if token >= self.n_vocab), None)
        if unknown is not None:
            raise UserError(
                f"{tokenizer.decode([unknown])!r} in the prompt (ID {unknown}) is not in the "
                f"model's vocabulary of {self.n_vocab}"
            )


def messages(
    request: protocol.GenerateRequest, unsent: list[list[Piece]]
) -> Iterator[protocol.Tokens]:
    """Yield a message for each result with `unsent` pieces, and clear them."""
    for result, pieces in enumerate(unsent):
        if not pieces:
            continue
        logprobs = [piece.token.logprob for piece in pieces if piece.token.logprob is not None]
        yield protocol.Tokens(
            id=request.id,
            result=result,
            ids=[piece.token.id for piece in pieces],
            pieces=[piece.text for piece in pieces],
            logprobs=logprobs if request.logprobs else None,
        )
        pieces.clear()


def summary(
    request: protocol.GenerateRequest,
    generation: Generation,
    seconds: float,
    first_token: float | None,
) -> protocol.Done:
    """Return the final answer to `request`."""
    results = [
        protocol.FinishedResult(
            reason=result.reason or "cancelled",
            n_tokens=result.n_generated,
            n_prompt=result.n_prompt,
            context_used=min(len(result.ids), generation.gpt.config.n_ctx),
            context_slides=result.n_slides,
        )
        for result in generation.results
    ]
    n_tokens = sum(result.n_tokens for result in results)
    n_rest = n_tokens - len(results)  # after the first token of each
    rate = n_rest / (seconds - first_token) if first_token is not None and n_rest > 0 else None
    reasons: list[protocol.Reason] = [result.reason for result in results]
    return protocol.Done(
        id=request.id,
        reason="cancelled" if "cancelled" in reasons else reasons[0],
        results=results,
        n_tokens=n_tokens,
        seconds=seconds,
        time_to_first_token=first_token,
        tokens_per_second=rate,
        seed=request.sampling.seed,
    )


def load_engine(
    request: protocol.LoadRequest, progress: OnProgress = no_progress
) -> tuple[Engine, protocol.Loaded]:
    """Load the engine of `request`; return it and the answer. Raises UserError."""
    began = time.perf_counter()
    if request.threads is not None:
        n_cores = os.cpu_count() or 1
        if request.threads > n_cores:
            raise UserError(f"threads ({request.threads}) must be ≤ {n_cores}, the number of cores")
        torch.set_num_threads(request.threads)
    device = choose_device(request.device, request.precision)
    loaded = load_model(request.model, device, DTYPES[request.precision], progress)
    n_parameters = loaded.gpt.n_parameters
    if device == "cpu":
        progress(0.9, "optimizing the weights for this CPU")
        pack(loaded.gpt, int8=request.precision == "int8")
    tokenizer = None if loaded.tokenizer_name is None else load_tokenizer(loaded.tokenizer_name)
    progress(1.0, "ready")
    return Engine(loaded.gpt, tokenizer, loaded.chat_template), protocol.Loaded(
        id=request.id,
        model=request.model,
        source=str(loaded.source),
        config=loaded.config,
        n_parameters=n_parameters,
        tokenizer_name=loaded.tokenizer_name,
        chat_template=loaded.chat_template,
        device=device,
        precision=request.precision,
        memory_bytes=memory_bytes(loaded.gpt),
        threads=torch.get_num_threads(),
        seconds=time.perf_counter() - began,
        step=loaded.step,
        val_loss=loaded.val_loss,
    )


# The queue of requests; an invalid line is queued as its answer.
ServedRequest = (
    protocol.LoadRequest
    | protocol.GenerateRequest
    | protocol.AlternativesRequest
    | protocol.UnloadRequest
)
Waiting = queue.SimpleQueue[ServedRequest | protocol.Failed]


def serve(requests: int, answers: BinaryIO) -> None:
    """Answer the requests on the file descriptor `requests` until it closes.

    A thread reads them, so that `cancel` takes effect at the next token. When they end, it exits
    the process at once, even during a load.
    """
    waiting: Waiting = queue.SimpleQueue()
    cancelled: set[str] = set()
    reader = threading.Thread(target=read_requests, args=(requests, waiting, cancelled))
    reader.daemon = True
    reader.start()

    def send(answer: protocol.Answer) -> None:
        answers.write(answer.line().encode())
        answers.flush()

    def report(request_id: str, share: float, message: str) -> None:
        send(protocol.Loading(id=request_id, progress=share, message=message))

    engine: Engine | None = None
    while True:
        request = waiting.get()
        try:
            if isinstance(request, protocol.Failed):
                send(request)
            elif isinstance(request, protocol.LoadRequest):
                engine = None  # frees its memory before the next model is read
                engine, loaded = load_engine(request, partial(report, request.id))
                send(loaded)
            elif isinstance(request, protocol.UnloadRequest):
                engine = None
                send(protocol.Unloaded(id=request.id))
            elif isinstance(request, protocol.GenerateRequest) and request.id in cancelled:
                seed = request.sampling.seed
                send(protocol.Done(id=request.id, reason="cancelled", seed=seed))
            elif engine is None:
                raise UserError("no model is loaded")
            elif isinstance(request, protocol.AlternativesRequest):
                send(engine.alternatives(request))
            else:
                for answer in engine.generate(request, partial(contains, cancelled, request.id)):
                    send(answer)
        except BrokenPipeError:
            return
        except Exception as error:
            send(protocol.Failed(id=request.id, error=explain(error)))
        cancelled.discard(request.id)


def read_requests(descriptor: int, waiting: Waiting, cancelled: set[str]) -> None:
    """Put the requests on the file descriptor into `waiting`, and cancelled IDs into `cancelled`.

    Exits the process at the end.
    """
    with open(descriptor, "rb") as lines:
        for line in lines:
            try:
                request = protocol.parse_request(line)
            except ValidationError as error:
                message = f"invalid request: {invalid_fields(error)}"
                waiting.put(protocol.Failed(id=protocol.read_id(line), error=message))
                continue
            if isinstance(request, protocol.CancelRequest):
                cancelled.add(request.target)
            else:
                waiting.put(request)
    os._exit(0)  # also during a load or a long prompt


def explain(error: Exception) -> str:
    """Return the error message; print the traceback of unexpected errors to stderr."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate" in str(error):
        return "out of memory: use a smaller model, fewer results, or a lower precision"
    traceback.print_exception(error, file=sys.stderr)
    name, line = type(error).__name__, first_line(error)
    return line if line == name else f"{name}: {line}"


def main() -> int:
    """Serve the protocol on the standard streams."""
    # Output of libraries would corrupt the stream: from here on it goes to stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(0, answers)
    return 0


if __name__ == "__main__":
    run_command(main)
