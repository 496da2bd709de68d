"""The text of results as their tokens come: whole characters only, and no stop strings.

A stop string may straddle tokens, so text that could be the beginning of one is held back, with
its tokens, until what follows settles it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from simplegpt.data.tokenizer import StreamDecoder, Tokenizer
from simplegpt.inference import protocol
from simplegpt.inference.generation import Generation

# A screen shows 30 pictures a second at most: more messages than that only cost time.
SECONDS_BETWEEN_MESSAGES = 0.03


class Answers:
    """The answers to one `generate`: its tokens as messages, and how it ended."""

    def __init__(
        self,
        request: protocol.GenerateRequest,
        generation: Generation,
        tokenizer: Tokenizer | None,
        end_of_text: int | None,
    ) -> None:
        self.request, self.generation, self.end_of_text = request, generation, end_of_text
        stop = request.sampling.stop
        self.texts = [TextStream(tokenizer, stop) for _ in generation.rows]
        self.waiting: list[list[Piece]] = [[] for _ in generation.rows]
        self.reasons: list[protocol.Reason | None] = [None] * len(generation.rows)

    def stream(self, cancelled: Callable[[], bool]) -> Iterator[protocol.Tokens | protocol.Done]:
        """Generate; `cancelled` is asked at each token."""
        began = time.perf_counter()
        first_token = last_message = None
        n_first = 0
        for tokens in self.generation:
            now = time.perf_counter()
            for token in tokens:
                self._take(token.result, token.id, token.logprob)
            if first_token is None:
                first_token, n_first = now - began, len(tokens)
            if last_message is None or now - last_message >= SECONDS_BETWEEN_MESSAGES:
                last_message = now
                yield from self._messages()
            if cancelled():
                break
        self._end("cancelled" if cancelled() else "length")
        yield from self._messages()
        yield self._done(began, first_token, n_first)

    def _take(self, result: int, token: int, logprob: float | None) -> None:
        text = self.texts[result]
        if token == self.end_of_text:
            self.reasons[result] = "end_of_text"
            self.waiting[result] += text.flush()
        else:
            self.waiting[result] += text.push(token, logprob)
            if text.stopped:
                self.reasons[result] = "stop"
        if self.reasons[result]:
            self.generation.finish(result)

    def _end(self, reason: protocol.Reason) -> None:
        """Give up what is held back of the results that had not ended by themselves."""
        for result, text in enumerate(self.texts):
            if self.reasons[result] is None:
                row = self.generation.rows[result]
                is_whole = row.n_generated == self.generation.n_tokens
                self.reasons[result] = "length" if is_whole else reason
                self.waiting[result] += text.flush()

    def _messages(self) -> Iterator[protocol.Tokens]:
        for result, pieces in enumerate(self.waiting):
            if pieces:
                yield protocol.Tokens(
                    id=self.request.id,
                    result=result,
                    ids=[piece.id for piece in pieces],
                    pieces=[piece.text for piece in pieces],
                    logprobs=[piece.logprob for piece in pieces if piece.logprob is not None]
                    if self.request.logprobs
                    else None,
                )
                self.waiting[result] = []

    def _done(self, began: float, first_token: float | None, n_first: int) -> protocol.Done:
        seconds = time.perf_counter() - began
        results = [
            protocol.FinishedResult(
                reason=reason or "length",
                n_tokens=row.n_generated,
                n_prompt=row.n_prompt,
                context_used=min(len(row.ids), self.generation.gpt.config.n_ctx),
                context_slides=row.slides,
            )
            for row, reason in zip(self.generation.rows, self.reasons, strict=True)
        ]
        n_tokens = sum(result.n_tokens for result in results)
        rate = None
        if first_token is not None and n_tokens > n_first:
            rate = (n_tokens - n_first) / (seconds - first_token)
        is_cancelled = any(result.reason == "cancelled" for result in results)
        return protocol.Done(
            id=self.request.id,
            reason="cancelled" if is_cancelled else results[0].reason,
            results=results,
            n_tokens=n_tokens,
            seconds=seconds,
            time_to_first_token=first_token,
            tokens_per_second=rate,
            seed=self.request.sampling.seed,
        )


@dataclass(frozen=True)
class Piece:
    """A token and the text that came with it."""

    id: int
    text: str
    """What was completed by the token: "" inside a character, which comes with its last token."""
    logprob: float | None = None


class TextStream:
    """Tokens in, settled pieces out; `stopped` once a stop string was there.

    Where the end is inside a character, that character is left out. Without a tokenizer, the
    pieces have no text.
    """

    def __init__(self, tokenizer: Tokenizer | None, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._decoder = None if tokenizer is None else StreamDecoder(tokenizer)
        self._stop = tuple(stop)
        self._held: list[Piece] = []

    def push(self, token: int, logprob: float | None = None) -> list[Piece]:
        """Add a token; the pieces that are now settled."""
        new = self._decoder.push([token]) if self._decoder else ""
        self._held.append(Piece(token, new, logprob))
        text = "".join(piece.text for piece in self._held)
        found = [start for start in map(text.find, self._stop) if start >= 0]
        if found:
            self.stopped = True
            return self._cut(min(found))
        return self._settle(len(text) - self._open_end(text))

    def flush(self) -> list[Piece]:
        """The end: all that was held back."""
        held, self._held = self._held, []
        return held

    def _open_end(self, text: str) -> int:
        """The length of the longest end of `text` with which a stop string begins."""
        return max(
            (
                n
                for stop in self._stop
                for n in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:n])
            ),
            default=0,
        )

    def _settle(self, n: int) -> list[Piece]:
        """Give up the pieces that lie whole within the first `n` characters held."""
        settled = []
        while self._held and len(self._held[0].text) <= n:
            n -= len(self._held[0].text)
            settled.append(self._held.pop(0))
        return settled

    def _cut(self, n: int) -> list[Piece]:
        """The first `n` characters held, and nothing more."""
        settled = self._settle(n)
        n -= sum(len(piece.text) for piece in settled)
        if n > 0:
            settled.append(replace(self._held[0], text=self._held[0].text[:n]))
        self._held = []
        return settled
