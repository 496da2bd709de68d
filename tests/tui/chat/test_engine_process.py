"""The engine's process: requests, cancelling, crashes and closing, with a real child process."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import (
    AlternativesRequest,
    Done,
    GenerateRequest,
    Loaded,
    Loading,
    LoadRequest,
    Tokens,
)
from tests.tui.chatting import FAKE
from tui.chat.engine import EngineError, EngineExitError, EngineProcess, merge, new_id


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(command=FAKE)
    yield process
    await process.close()


async def load(engine: EngineProcess, model: str) -> list[Loading | Loaded]:
    return [answer async for answer in engine.load(LoadRequest(id=new_id(), model=model))]


def request(n: int = 3, prompt: str = "Hi") -> GenerateRequest:
    return GenerateRequest(
        id=new_id(),
        prompts=[prompt],
        n_tokens_to_generate=n,
        sampling=SamplingConfig(seed=0),
        logprobs=True,
    )


async def test_load_reports_progress_and_then_the_model(engine: EngineProcess) -> None:
    answers = await load(engine, "tiny")
    assert isinstance(answers[0], Loading)
    assert isinstance(answers[-1], Loaded)
    assert answers[-1].config.n_ctx == 64


async def test_failed_load_leaves_the_process_usable(engine: EngineProcess) -> None:
    with pytest.raises(EngineError, match="did you mean 'gpt2'"):
        await load(engine, "missing")
    assert isinstance((await load(engine, "tiny"))[-1], Loaded)


async def test_tokens_are_collected_without_loss(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    answers = [answer async for answer in engine.generate(request(n=200))]
    tokens = [answer for answer in answers if isinstance(answer, Tokens)]
    assert isinstance(answers[-1], Done)
    assert sum(len(message.ids) for message in tokens) == 200
    assert "".join(message.text for message in tokens).startswith(" one two three")
    assert len(tokens) < 100, "one message for several tokens"
    assert merge(tokens).ids == [1000 + i for i in range(200)]


async def test_line_beyond_asyncio_s_default_limit_arrives(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    prompt = "x" * 300_000
    ask = AlternativesRequest(id=new_id(), prompt=prompt)
    assert len((await engine.alternatives(ask)).prompt_ids) == 300_000


async def test_closing_a_stream_cancels_its_request(engine: EngineProcess) -> None:
    await load(engine, "slow")
    stream = engine.generate(request(n=50))
    first = await anext(stream)
    assert isinstance(first, Tokens)
    await stream.aclose()
    found = await engine.alternatives(AlternativesRequest(id=new_id(), prompt="x"))
    assert found.alternatives, "the engine is free again"


async def test_cancel_keeps_what_was_generated(engine: EngineProcess) -> None:
    await load(engine, "slow")
    ask = request(n=50)
    answers: list[Tokens | Done] = []
    async for answer in engine.generate(ask):
        answers.append(answer)
        engine.cancel(ask.id)
    assert isinstance(answers[-1], Done)
    assert answers[-1].reason == "cancelled"
    assert sum(len(a.ids) for a in answers if isinstance(a, Tokens)) == 2


async def test_crash_is_a_sentence_and_the_next_request_starts_a_process(
    engine: EngineProcess,
) -> None:
    with pytest.raises(EngineExitError, match=r"code 3: cannot allocate 90 GB\.$"):
        await load(engine, "crash")
    assert not engine.is_running
    assert isinstance((await load(engine, "tiny"))[-1], Loaded)


async def test_crash_in_an_answer_keeps_its_tokens_and_tells_its_own_log(
    engine: EngineProcess,
) -> None:
    await load(engine, "mortal")
    other = EngineProcess(command=FAKE)  # such as another workbench's, started later
    await load(other, "tiny")
    generated: list[int] = []

    async def read() -> None:
        async for answer in engine.generate(request(n=10)):
            assert isinstance(answer, Tokens)
            generated.extend(answer.ids)

    with pytest.raises(EngineExitError, match=r"code 9: low memory\.$"):
        await read()
    await other.close()
    assert generated == [1000, 1001, 1002]


async def test_crash_while_idle_is_reported(tmp_path: Path) -> None:
    crashed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    engine = EngineProcess(command=FAKE, on_crash=crashed.set_result)
    await load(engine, "tiny")
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert "killed" in await asyncio.wait_for(crashed, 20)


async def test_killed_engine_says_so(engine: EngineProcess) -> None:
    await load(engine, "slow")
    pid = engine.pid
    assert pid is not None
    stream = engine.generate(request(n=50))
    await anext(stream)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineExitError, match="killed"):
        [answer async for answer in stream]


async def test_engine_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    engine = EngineProcess(command=("/no/such/program",))
    with pytest.raises(EngineExitError, match="could not be started"):
        await load(engine, "tiny")


async def test_close_ends_the_process_and_kill_one_that_hangs(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    pid = engine.pid
    assert pid is not None
    await engine.close()
    assert not psutil.pid_exists(pid)
    stream = engine.load(LoadRequest(id=new_id(), model="forever"))
    await anext(stream)
    engine.kill()
    with pytest.raises(EngineExitError, match="closed"):
        await anext(stream)


async def test_process_has_the_given_priority(tmp_path: Path) -> None:
    engine = EngineProcess(command=FAKE, niceness=10)
    await load(engine, "tiny")
    assert psutil.Process(engine.pid).nice() >= 10
    await engine.close()
