"""The engine as a child process: requests in, streams of answers out.

`EngineProcess` starts ``python -m simplegpt.inference.engine`` when it is first asked something,
and again after it ended. If it dies, every open request raises `EngineExitError`: the cause in a
sentence.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from simplegpt.inference.protocol import (
    Alternatives,
    Answer,
    CancelRequest,
    Done,
    Failed,
    GenerateRequest,
    Loaded,
    Request,
    Tokens,
    Unloaded,
    parse_answer,
)
from tui.shared.child_process import child_environment, lower_priority

ENGINE_COMMAND = (sys.executable, "-m", "simplegpt.inference.engine")
# asyncio's default of 64 KiB a line is less than the ids of one long prompt.
LONGEST_LINE = 64 * 2**20
# Tokens are handed on this many seconds after the first: several a screen refresh would be
# work that nobody sees.
COLLECT_SECONDS = 0.04
# A process whose input was closed is given this long before it is killed.
LEAVE_SECONDS = 2.0
LAST_ANSWERS = (Alternatives, Done, Failed, Loaded, Unloaded)


class EngineExitError(Exception):
    """The process ended while it was needed; the message is a sentence for the person."""


class EngineProcess:
    """One engine, and so at most one model in memory."""

    def __init__(
        self,
        log: Path,
        *,
        command: Sequence[str] | None = None,
        niceness: int = 0,
        on_exit: Callable[[str], None] | None = None,
    ) -> None:
        """`log` takes what the engine prints; `niceness` lowers its priority (0 to 19).

        `on_exit` is called with the cause where it died while nothing was asked of it.
        """
        self.log = log
        self.command = tuple(command or ENGINE_COMMAND)
        self.niceness = niceness
        self.on_exit = on_exit
        self.ending = False
        """It was asked to end, so that its end is no failure."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._open: dict[str, asyncio.Queue[Answer | EngineExitError]] = {}
        self._ids = itertools.count(1)
        self._starting = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    def new_id(self) -> str:
        """An id for a request, not used before."""
        return f"r{next(self._ids)}"

    async def start(self) -> None:
        """Start the process unless it runs. Raises `EngineExitError` where it cannot be started."""
        async with self._starting:
            if self.is_running and not self.ending:
                return
            if self._reader is not None:
                await self._reader  # so that the last process's end reaches only its own requests
            self.ending = False
            try:
                self._process = await self._spawn()
            except OSError as error:
                raise EngineExitError(f"The engine could not be started: {error}.") from error
            if self.niceness:
                lower_priority(self._process.pid, self.niceness)
            self._reader = asyncio.create_task(self._read(self._process))

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LONGEST_LINE,
                start_new_session=True,  # a Ctrl-C in the terminal is the workbench's
                env=child_environment(),
            )

    async def answers(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request and yield its answers up to the last one.

        Left early, it cancels a `generate`. Raises `EngineExitError`.
        """
        await self.start()
        queue: asyncio.Queue[Answer | EngineExitError] = asyncio.Queue()
        self._open[request.id] = queue
        ended = False
        try:
            await self._send(request)
            while not ended:
                answer = await queue.get()
                ended = isinstance(answer, (EngineExitError, *LAST_ANSWERS))
                if isinstance(answer, EngineExitError):
                    raise answer
                yield answer
        finally:
            del self._open[request.id]
            if not ended and isinstance(request, GenerateRequest):
                self.cancel(request.id)

    async def collected(self, request: GenerateRequest) -> AsyncIterator[Answer]:
        """As `answers`, with the tokens of each `COLLECT_SECONDS` merged into one message.

        For requests with a single result.
        """
        loop = asyncio.get_running_loop()
        stream = self.answers(request)
        gathered: list[Tokens] = []
        due = 0.0
        upcoming: asyncio.Task[Answer] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(stream))
                timeout = max(0.0, due - loop.time()) if gathered else None
                arrived, _ = await asyncio.wait([upcoming], timeout=timeout)
                if arrived:
                    ended, upcoming = upcoming, None
                    if ended.exception() is not None and gathered:
                        yield merged(gathered)  # what came before the engine's end
                    answer = ended.result()
                    if isinstance(answer, Tokens):
                        due = due if gathered else loop.time() + COLLECT_SECONDS
                        gathered.append(answer)
                        continue
                    if gathered:
                        yield merged(gathered)
                    yield answer
                    return
                yield merged(gathered)
                gathered = []
        except StopAsyncIteration:
            return
        finally:
            if upcoming is not None:
                upcoming.cancel()
                with contextlib.suppress(
                    asyncio.CancelledError, StopAsyncIteration, EngineExitError
                ):
                    await upcoming
            await stream.aclose()  # type: ignore[attr-defined]

    def cancel(self, request_id: str) -> None:
        """Let a `generate` end at its next token."""
        if self._process is not None and self.is_running and self._process.stdin is not None:
            line = CancelRequest(id=self.new_id(), target=request_id).line()
            with contextlib.suppress(OSError):  # it is ending anyway
                self._process.stdin.write(line.encode())

    async def close(self) -> None:
        """End the process: by closing its input, and by force where that is not enough."""
        self.ending = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End the process at once: what a load or a long prompt is cancelled by."""
        self.ending = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _send(self, request: Request) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(request.line().encode())
        with contextlib.suppress(
            ConnectionError
        ):  # its death is told by the reader, with the cause
            await self._process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand each line to the request it answers, until the process ends."""
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                try:
                    answer = parse_answer(line)
                except ValidationError:  # of a newer engine, or printed by a library: not ours
                    continue
                if answer.id in self._open:
                    self._open[answer.id].put_nowait(answer)
        except ValueError:  # a line beyond the limit: the stream is lost
            process.kill()
        code = await process.wait()
        cause = "The engine was ended." if self.ending else self.cause_of_death(code)
        if not self._open and not self.ending and self.on_exit is not None:
            self.on_exit(cause)
        for queue in self._open.values():
            queue.put_nowait(EngineExitError(cause))

    def cause_of_death(self, code: int) -> str:
        """Why the process ended, in a sentence: its signal, or the last line of its log."""
        if code == -signal.SIGKILL:
            return "The engine was killed, perhaps because the memory ran out."
        if code < 0:
            return f"The engine was ended by {signal.Signals(-code).name}."
        last = last_line(self.log)
        return f"The engine ended with code {code}{': ' + last if last else ''}."


def merged(messages: Sequence[Tokens]) -> Tokens:
    """Several messages of one result as one."""
    first = messages[0]
    if len(messages) == 1:
        return first
    known = all(message.logprobs is not None for message in messages)
    return Tokens(
        id=first.id,
        result=first.result,
        ids=[token for message in messages for token in message.ids],
        pieces=[piece for message in messages for piece in message.pieces],
        logprobs=[p for message in messages for p in message.logprobs or ()] if known else None,
    )


def last_line(log: Path) -> str:
    """The last line of a log that says something, cut to a readable length."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "").rstrip(".")
