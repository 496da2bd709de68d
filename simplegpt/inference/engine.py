"""The engine: a loaded model that answers the requests of `protocol`.

`Engine` serves within a process. ``python -m simplegpt.inference.engine`` is a process of its own
that speaks the protocol on its standard streams, so that nobody who talks to a model has to hold
one: see `serve`. What happens when the context is full is in `generation`.
"""

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import BinaryIO

import torch
from pydantic import ValidationError

from simplegpt.checkpoint import LoadedModel, load_model
from simplegpt.cli import UserError, run_command
from simplegpt.data.tokenizer import Tokenizer, load_tokenizer
from simplegpt.gpt2.folder import Progress
from simplegpt.inference import protocol
from simplegpt.inference.cpu import memory_bytes, pack
from simplegpt.inference.generation import Generation, check_ids
from simplegpt.inference.sampling import Penalties, probabilities
from simplegpt.inference.streaming import Answers

# An int8 model keeps fp32 for what is not a linear layer.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.float32,
}


class Engine:
    """A model that generates."""

    def __init__(self, loaded: LoadedModel, tokenizer: Tokenizer | None) -> None:
        self.gpt, self.tokenizer = loaded.gpt, tokenizer
        own = self.gpt.config.n_vocab
        self.n_vocab = own if tokenizer is None else min(own, tokenizer.n_vocab)
        end = None if tokenizer is None else tokenizer.end_of_text
        self.end_of_text = end if end is not None and end < self.n_vocab else None

    def generate(
        self, request: protocol.GenerateRequest, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[protocol.Tokens | protocol.Done]:
        """The answers to `request`; `cancelled` is asked at each token. Raises UserError."""
        prompts = request.prompt_ids or [self.encode(prompt) for prompt in request.prompts]
        generation = Generation(
            self.gpt,
            prompts,
            request.n_tokens_to_generate,
            request.batch_size,
            request.sampling,
            self.n_vocab,
            request.n_generated,
            request.logprobs,
        )
        return Answers(request, generation, self.tokenizer, self.end_of_text).stream(cancelled)

    @torch.inference_mode()
    def alternatives(self, request: protocol.AlternativesRequest) -> protocol.Alternatives:
        """The likeliest next tokens. Raises UserError."""
        ids = request.prompt_ids or self.encode(request.prompt)
        check_ids([ids], self.gpt.config.n_vocab)
        seen = torch.tensor([ids[-self.gpt.config.n_ctx :]], device=self.gpt.wte.weight.device)
        logits = self.gpt.next_logits(seen)[:, : self.n_vocab].float().cpu()
        n_generated = min(request.n_generated, len(ids))
        penalties = Penalties(request.sampling, [ids], [n_generated], self.n_vocab)
        after = probabilities(penalties(logits), request.sampling)[0]
        chances, best = logits.softmax(dim=-1)[0].topk(min(request.k, self.n_vocab))
        alternatives = [
            protocol.Alternative(
                id=token,
                text=self.tokenizer.decode([token]) if self.tokenizer else "",
                probability=chance,
                probability_after=after[token].item(),
            )
            for token, chance in zip(best.tolist(), chances.tolist(), strict=True)
        ]
        return protocol.Alternatives(id=request.id, alternatives=alternatives, prompt_ids=ids)

    def encode(self, prompt: str) -> list[int]:
        """`prompt`'s ids; an empty one begins a document. Raises UserError."""
        if self.tokenizer is None:
            raise UserError(
                f"no tokenizer is known for this model's vocabulary of {self.n_vocab}: it can "
                "only continue token ids"
            )
        if not prompt and self.end_of_text is not None:
            return [self.end_of_text]
        ids = self.tokenizer.encode(prompt or "\n")
        unknown = [token for token in ids if token >= self.n_vocab]
        if unknown:
            text = self.tokenizer.decode(unknown[:1])
            raise UserError(
                f"the prompt's {text!r} (id {unknown[0]}) is beyond the model's vocabulary of "
                f"{self.n_vocab}"
            )
        return ids


def load_engine(
    request: protocol.LoadRequest, progress: Progress = lambda share, message: None
) -> tuple[Engine, protocol.Loaded]:
    """The engine that `request` asks for, and the answer that describes it. Raises UserError."""
    began = time.perf_counter()
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    device = choose_device(request.device, request.precision)
    loaded = load_model(request.model, device, DTYPES[request.precision], progress)
    n_parameters = loaded.gpt.n_parameters
    if device == "cpu":
        progress(0.9, "laying out the weights for this CPU")
        pack(loaded.gpt, int8=request.precision == "int8")
    tokenizer = None if loaded.tokenizer_name is None else load_tokenizer(loaded.tokenizer_name)
    progress(1.0, "ready")
    return Engine(loaded, tokenizer), protocol.Loaded(
        id=request.id,
        model=request.model,
        source=str(loaded.source),
        config=loaded.config,
        n_parameters=n_parameters,
        tokenizer_name=loaded.tokenizer_name,
        device=device,
        precision=request.precision,
        memory_bytes=memory_bytes(loaded.gpt),
        threads=torch.get_num_threads(),
        seconds=time.perf_counter() - began,
        step=loaded.step,
        val_loss=loaded.val_loss,
    )


def choose_device(device: protocol.Device, precision: protocol.Precision = "float32") -> str:
    """The device that `device` means here. Raises UserError where there is none of it."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if precision == "int8":
        if device not in ("auto", "cpu"):
            raise UserError(f"int8 runs on the CPU only: use bfloat16 on {device}")
        return "cpu"
    if device == "auto":
        return next(name for name, available in there.items() if available)
    if not there[device]:
        usable = ", ".join(name for name, available in there.items() if available)
        raise UserError(f"there is no {device} device here (there is: {usable})")
    return device


def serve(requests: int, answers: BinaryIO) -> None:
    """Answer the requests that come on the file descriptor `requests`, until the process ends.

    A thread reads them, so that a `cancel` acts at the next token; when its input closes, it ends
    the process at once, whatever is being done.
    """
    waiting: queue.SimpleQueue[protocol.Request | protocol.Failed] = queue.SimpleQueue()
    cancelled: set[str] = set()
    threading.Thread(
        target=_read_requests, args=(requests, waiting, cancelled), daemon=True
    ).start()

    def send(answer: protocol.Answer) -> None:
        answers.write(answer.line().encode())
        answers.flush()

    engine: Engine | None = None
    while True:
        request = waiting.get()
        try:
            if isinstance(request, protocol.Failed):
                send(request)
            elif isinstance(request, protocol.LoadRequest):
                engine = None  # lets go of its memory before the next model needs some
                engine, loaded = load_engine(request, _sender_of_progress(request.id, send))
                send(loaded)
            elif isinstance(request, protocol.UnloadRequest):
                engine = None
                send(protocol.Unloaded(id=request.id))
            elif isinstance(request, protocol.GenerateRequest | protocol.AlternativesRequest):
                if engine is None:
                    raise UserError("no model is loaded")
                _answer(engine, request, cancelled, send)
        except BrokenPipeError:
            return
        except Exception as error:
            send(protocol.Failed(id=request.id, error=explain(error)))
        cancelled.discard(request.id)


def explain(error: Exception) -> str:
    """What went wrong, in a sentence; what was not foreseen is also told to stderr."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate" in str(error):
        return (
            "there is not enough memory: try a smaller model, fewer results at once, or a smaller "
            "precision"
        )
    traceback.print_exception(error, file=sys.stderr)
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


Send = Callable[[protocol.Answer], None]


def _answer(
    engine: Engine,
    request: protocol.GenerateRequest | protocol.AlternativesRequest,
    cancelled: set[str],
    send: Send,
) -> None:
    if isinstance(request, protocol.AlternativesRequest):
        send(engine.alternatives(request))
        return
    if request.id in cancelled:
        seed = request.sampling.seed
        send(
            protocol.Done(
                id=request.id,
                reason="cancelled",
                results=[],
                n_tokens=0,
                seconds=0.0,
                time_to_first_token=None,
                tokens_per_second=None,
                seed=seed,
            )
        )
        return
    for answer in engine.generate(request, lambda: request.id in cancelled):
        send(answer)


def _sender_of_progress(request_id: str, send: Send) -> Progress:
    return lambda share, message: send(
        protocol.Loading(id=request_id, progress=share, message=message)
    )


def _read_requests(
    descriptor: int,
    waiting: "queue.SimpleQueue[protocol.Request | protocol.Failed]",
    cancelled: set[str],
) -> None:
    with open(descriptor, "rb") as lines:
        for line in lines:
            try:
                request = protocol.parse_request(line)
            except ValidationError as error:
                wrong = [".".join(map(str, e["loc"])) + f": {e['msg']}" for e in error.errors()]
                told = "this is no request of the protocol (" + "; ".join(wrong).strip(": ") + ")"
                waiting.put(protocol.Failed(id=protocol.read_id(line), error=told))
                continue
            if isinstance(request, protocol.CancelRequest):
                cancelled.add(request.target)
            else:
                waiting.put(request)
    os._exit(0)  # a load or a long prompt would not see anything gentler


def main() -> int:
    """Speak the protocol on the standard streams."""
    # What libraries print would break the stream: from here on it goes to stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(0, answers)
    return 0


if __name__ == "__main__":
    run_command(main)
