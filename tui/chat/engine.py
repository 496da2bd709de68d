"""The engine as a child process: requests in, streams of answers out.

`EngineProcess` starts ``python -m simplegpt.inference.engine`` at the first request, and again
after it has exited. A request that cannot be served raises `EngineError`; one that was open when
the process exited raises `EngineExitError`.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import IO, TypeAlias

from pydantic import ValidationError

from simplegpt.inference.protocol import (
    Alternatives,
    AlternativesRequest,
    Answer,
    CancelRequest,
    Done,
    Failed,
    GenerateRequest,
    Loaded,
    Loading,
    LoadRequest,
    Request,
    Tokens,
    parse_answer,
)
from tui.shared.child_process import child_environment, lower_priority

ENGINE_COMMAND = (sys.executable, "-m", "simplegpt.inference.engine")
# asyncio's default of 64 KiB a line is less than the ids of one long prompt.
LONGEST_LINE = 64 * 2**20
# Tokens are passed on in batches, this many seconds after the first of a batch: updating the screen
# for every token would only cost time.
COLLECT_SECONDS = 0.04
# A process whose input was closed is given this long to exit before it is killed.
CLOSE_SECONDS = 2.0

_numbers = itertools.count(1)


def new_id() -> str:
    """An id for a request, not used before."""
    return f"r{next(_numbers)}"


class EngineError(Exception):
    """A request failed; the message is a sentence for the user. The engine serves the next one."""


class EngineExitError(EngineError):
    """The process exited, or could not be started."""


_Answers: TypeAlias = "asyncio.Queue[Answer | EngineError]"


class EngineProcess:
    """One engine, and so at most one model in memory."""

    def __init__(
        self,
        *,
        command: Sequence[str] = ENGINE_COMMAND,
        niceness: int = 0,
        on_crash: Callable[[str], None] = lambda cause: None,
    ) -> None:
        """`niceness` (0 to 19) lowers the priority of the next process started; `on_crash` is
        called with the cause of an unexpected exit."""
        self.command = tuple(command)
        self.niceness = niceness
        self.on_crash = on_crash
        self.is_closing = False
        """The process was asked to end, so its exit is not a crash."""
        self._log: IO[bytes] | None = None
        """What the process prints. A file without a name: another workbench has its own."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._open: dict[str, _Answers] = {}
        self._starting = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    # Requests

    async def load(self, request: LoadRequest) -> AsyncGenerator[Loading | Loaded, None]:
        """Load a model in place of the current one; yield the progress, and last the model.

        Raises `EngineError`.
        """
        async with self._send(request) as answers:
            loaded = False
            while not loaded:
                answer = _checked(await answers.get())
                assert isinstance(answer, (Loading, Loaded))
                loaded = isinstance(answer, Loaded)
                yield answer

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Tokens | Done, None]:
        """Yield the tokens of a request's single result, several at a time, and last its end.

        Closed early, it cancels the request. Raises `EngineError`.
        """
        async with self._send(request) as answers:
            ended = False
            try:
                while not ended:
                    batch = [await answers.get()]
                    if isinstance(batch[0], Tokens):
                        await asyncio.sleep(COLLECT_SECONDS)
                        while not answers.empty():
                            batch.append(answers.get_nowait())
                    ended = not isinstance(batch[-1], Tokens)
                    tokens = [answer for answer in batch if isinstance(answer, Tokens)]
                    if tokens:
                        yield merge(tokens)
                    if ended:
                        last = _checked(batch[-1])
                        assert isinstance(last, Done)
                        yield last
            finally:
                if not ended:
                    self.cancel(request.id)

    async def alternatives(self, request: AlternativesRequest) -> Alternatives:
        """Return the most probable next tokens. Raises `EngineError`."""
        async with self._send(request) as answers:
            answer = _checked(await answers.get())
            assert isinstance(answer, Alternatives)
            return answer

    def cancel(self, request_id: str) -> None:
        """End a `generate` at its next token."""
        if self._process is not None and self.is_running and self._process.stdin is not None:
            line = CancelRequest(id=new_id(), target=request_id).line()
            with contextlib.suppress(OSError):  # it is exiting anyway
                self._process.stdin.write(line.encode())

    @contextlib.asynccontextmanager
    async def _send(self, request: Request) -> AsyncIterator[_Answers]:
        await self._start()
        answers: _Answers = asyncio.Queue()
        self._open[request.id] = answers
        try:
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(request.line().encode())
            with contextlib.suppress(ConnectionError):  # reported by the reader, with the cause
                await self._process.stdin.drain()
            yield answers
        finally:
            del self._open[request.id]

    # The process

    async def _start(self) -> None:
        async with self._starting:
            if self.is_running and not self.is_closing:
                return
            if self._reader is not None:
                await self._reader  # the last process's exit must end only its own requests
            self.is_closing = False
            try:
                self._process = await self._spawn()
            except OSError as error:
                raise EngineExitError(f"The engine could not be started: {error}.") from error
            if self.niceness:
                lower_priority(self._process.pid, self.niceness)
            self._reader = asyncio.create_task(self._read(self._process))

    async def _spawn(self) -> asyncio.subprocess.Process:
        if self._log is not None:
            self._log.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        return await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            limit=LONGEST_LINE,
            start_new_session=True,  # a Ctrl-C in the terminal is the workbench's
            env=child_environment(),
        )

    async def close(self) -> None:
        """End the process: by closing its input, and by force where that is not enough."""
        self.is_closing = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE_SECONDS)
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End the process at once: the only way to cancel a load or a long prompt."""
        self.is_closing = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Pass each answer to its request, until the process exits."""
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                try:
                    answer = parse_answer(line)
                except ValidationError:  # of a newer engine, or printed by a library
                    continue
                if (answers := self._open.get(answer.id)) is not None:
                    answers.put_nowait(
                        EngineError(answer.error) if isinstance(answer, Failed) else answer
                    )
        except ValueError:  # a line beyond the limit: the rest of the stream cannot be read
            process.kill()
        code = await process.wait()
        cause = "The engine was closed." if self.is_closing else self._describe_exit(code)
        for answers in self._open.values():
            answers.put_nowait(EngineExitError(cause))
        while self._open:  # an answer first passes on the tokens that it has collected
            await asyncio.sleep(COLLECT_SECONDS)
        if not self.is_closing:
            self.on_crash(cause)

    def _describe_exit(self, code: int) -> str:
        """The cause of an exit: its signal, or the last line of the log."""
        if code == -signal.SIGKILL:
            return "The engine was killed, possibly because the machine ran out of memory."
        if code < 0:
            return f"The engine was killed by {signal.Signals(-code).name}."
        last = last_line(self._log) if self._log is not None else ""
        return f"The engine exited with code {code}{': ' + last if last else ''}."


def _checked(answer: Answer | EngineError) -> Answer:
    if isinstance(answer, EngineError):
        raise answer
    return answer


def merge(messages: Sequence[Tokens]) -> Tokens:
    """Several messages of one result as one."""
    logprobs = [message.logprobs for message in messages if message.logprobs is not None]
    return Tokens(
        id=messages[0].id,
        result=messages[0].result,
        ids=[token for message in messages for token in message.ids],
        pieces=[piece for message in messages for piece in message.pieces],
        logprobs=[p for each in logprobs for p in each] if len(logprobs) == len(messages) else None,
    )


def last_line(log: IO[bytes]) -> str:
    """The last line of a log that is not empty, cut to a readable length."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
    lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "").rstrip(".")
