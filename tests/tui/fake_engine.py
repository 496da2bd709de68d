"""An engine without a model, for tests: a real process that speaks the protocol.

It continues any prompt with the words "one two three …", one token each. The name of the "model"
selects its behaviour: ``slow`` stops after two tokens until it is cancelled, ``missing`` fails to
load, ``forever`` never finishes loading, ``crash`` crashes while loading, ``mortal`` in an answer,
long after it has printed its last words. A name that ends in ``chat`` has a chat template.
"""

import math
import os
import queue
import sys
import threading
from collections.abc import Iterator

from simplegpt.config.schema import ModelConfig
from simplegpt.inference import protocol

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
N_CTX = 64


class FakeEngine:
    def __init__(self) -> None:
        self.model = ""
        self.requests: queue.Queue[protocol.Request | None] = queue.Queue()
        self.cancelled: set[str] = set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in sys.stdin:
            request = protocol.parse_request(line)
            if isinstance(request, protocol.CancelRequest):
                self.cancelled.add(request.target)
            else:
                self.requests.put(request)
        if self.model == "forever":
            os._exit(0)  # like the real one, it exits when its input closes
        self.requests.put(None)

    def say(self, answer: protocol.Message) -> None:
        sys.stdout.write(answer.line())
        sys.stdout.flush()

    def run(self) -> None:
        while (request := self.requests.get()) is not None:
            if isinstance(request, protocol.LoadRequest):
                self.load(request)
            elif isinstance(request, protocol.GenerateRequest):
                self.generate(request)
            elif isinstance(request, protocol.AlternativesRequest):
                self.alternatives(request)

    def load(self, request: protocol.LoadRequest) -> None:
        self.model = request.model
        self.say(protocol.Loading(id=request.id, progress=0.5, message="reading the weights"))
        if request.model == "missing":
            error = "There is no model named 'missing'; did you mean 'gpt2'?"
            self.say(protocol.Failed(id=request.id, error=error))
            return
        if request.model == "crash":
            print("cannot allocate 90 GB", file=sys.stderr)
            sys.exit(3)
        if request.model == "mortal":
            print("low memory", file=sys.stderr)
        if request.model == "forever":
            threading.Event().wait()
        self.say(
            protocol.Loaded(
                id=request.id,
                model=request.model,
                source=f"/models/{request.model}",
                config=ModelConfig(n_vocab=256, n_ctx=N_CTX, n_embd=64, n_head=4, n_layer=2),
                n_parameters=123_456,
                tokenizer_name="char",
                chat_template="simplegpt" if request.model.endswith("chat") else None,
                device="cpu",
                precision=request.precision,
                memory_bytes=493_824,
                threads=request.threads or 2,
                seconds=0.1,
                step=500,
                val_loss=1.88,
            )
        )

    def words(self, request: protocol.GenerateRequest) -> Iterator[str]:
        start = request.sampling.seed % 10
        for i in range(request.n_tokens_to_generate):
            yield " " + WORDS[(start + i) % 10]

    def generate(self, request: protocol.GenerateRequest) -> None:
        prompts = request.prompts or ["\n".join(each.content for each in request.messages)]
        prompt = (request.prompt_ids or [[ord(c) for c in prompts[0]]])[0]
        reason: protocol.Reason = "length"
        n = 0
        for i, word in enumerate(self.words(request)):
            if self.model == "slow":
                self.wait_for_cancel(request.id, i)
            if request.id in self.cancelled:
                reason = "cancelled"
                break
            if self.model == "mortal" and i == 3:
                sys.exit(9)
            n += 1
            logprob = math.log(0.9 if i % 3 else 0.04)
            self.say(
                protocol.Tokens(
                    id=request.id, result=0, ids=[1000 + i], pieces=[word], logprobs=[logprob]
                )
            )
        used = len(prompt) + n
        self.say(
            protocol.Done(
                id=request.id,
                reason=reason,
                results=[
                    protocol.FinishedResult(
                        reason=reason,
                        n_tokens=n,
                        n_prompt=len(prompt),
                        context_used=min(used, N_CTX),
                        context_slides=used // N_CTX,
                    )
                ],
                n_tokens=n,
                seconds=0.5,
                time_to_first_token=0.12,
                tokens_per_second=42.0,
                seed=request.sampling.seed,
            )
        )

    def wait_for_cancel(self, request_id: str, i: int) -> None:
        """Generate two tokens at once, the third only if nothing cancels it for a minute."""
        if i < 2:
            return
        tick = threading.Event()
        for _ in range(6000):
            if request_id in self.cancelled:
                return
            tick.wait(0.01)

    def alternatives(self, request: protocol.AlternativesRequest) -> None:
        ids = request.prompt_ids or [ord(c) for c in request.prompt]
        table = [(2000, " alpha", 0.5, 0.8), (2001, " beta", 0.3, 0.2), (2002, "\n", 0.1, 0.0)]
        self.say(
            protocol.Alternatives(
                id=request.id,
                alternatives=[
                    protocol.Alternative(id=i, text=t, probability=p, probability_after=q)
                    for i, t, p, q in table[: request.k]
                ],
                prompt_ids=ids,
            )
        )


if __name__ == "__main__":
    FakeEngine().run()
