"""The engine's process is spoken to, cancelled, survived and ended, with a real child process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.protocol import (
    Alternatives,
    AlternativesRequest,
    Answer,
    Done,
    Failed,
    GenerateRequest,
    Loaded,
    Loading,
    LoadRequest,
    Tokens,
)
from tui.chat.engine import EngineExitError, EngineProcess, merged

FAKE = (sys.executable, str(Path(__file__).parents[1] / "fake_engine.py"))


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    process = EngineProcess(tmp_path / "engine.log", command=FAKE)
    yield process
    await process.close()


async def load(engine: EngineProcess, model: str) -> list[Answer]:
    return [answer async for answer in engine.answers(LoadRequest(id=engine.new_id(), model=model))]


def request(engine: EngineProcess, n: int = 3, prompt: str = "Hi") -> GenerateRequest:
    return GenerateRequest(
        id=engine.new_id(),
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
    answers = await load(engine, "missing")
    assert isinstance(answers[-1], Failed)
    assert isinstance((await load(engine, "tiny"))[-1], Loaded)


async def test_tokens_are_collected_without_loss(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    answers = [answer async for answer in engine.collected(request(engine, n=200))]
    tokens = [answer for answer in answers if isinstance(answer, Tokens)]
    assert isinstance(answers[-1], Done)
    assert sum(len(message.ids) for message in tokens) == 200
    assert "".join(message.text for message in tokens).startswith(" one two three")
    assert len(tokens) < 100, "one message for several tokens"
    assert merged(tokens).ids == [1000 + i for i in range(200)]


async def test_line_beyond_asyncio_s_default_limit_arrives(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    prompt = "x" * 300_000
    ask = AlternativesRequest(id=engine.new_id(), prompt=prompt)
    answers = [answer async for answer in engine.answers(ask)]
    assert isinstance(answers[0], Alternatives)
    assert len(answers[0].prompt_ids) == 300_000


async def test_leaving_a_stream_early_cancels_it(engine: EngineProcess) -> None:
    await load(engine, "slow")
    stream = engine.answers(request(engine, n=50))
    first = await anext(stream)
    assert isinstance(first, Tokens)
    await stream.aclose()  # type: ignore[attr-defined]
    ask = AlternativesRequest(id=engine.new_id(), prompt="x")
    answers = [answer async for answer in engine.answers(ask)]
    assert isinstance(answers[-1], Alternatives), "the engine is free again"


async def test_cancel_keeps_what_has_come(engine: EngineProcess) -> None:
    await load(engine, "slow")
    ask = request(engine, n=50)
    answers: list[Answer] = []
    async for answer in engine.collected(ask):
        answers.append(answer)
        engine.cancel(ask.id)
    assert isinstance(answers[-1], Done)
    assert answers[-1].reason == "cancelled"
    assert sum(len(a.ids) for a in answers if isinstance(a, Tokens)) == 2


async def test_death_is_told_in_a_sentence_and_the_next_request_starts_anew(
    engine: EngineProcess,
) -> None:
    with pytest.raises(EngineExitError, match=r"code 3: cannot allocate 90 GB\.$"):
        await load(engine, "crash")
    assert not engine.is_running
    assert isinstance((await load(engine, "tiny"))[-1], Loaded)


async def test_death_in_an_answer_keeps_its_first_tokens(engine: EngineProcess) -> None:
    await load(engine, "mortal")
    seen: list[int] = []

    async def read() -> None:
        async for answer in engine.answers(request(engine, n=10)):
            assert isinstance(answer, Tokens)
            seen.extend(answer.ids)

    with pytest.raises(EngineExitError):
        await read()
    assert seen == [1000, 1001, 1002]


async def test_killed_engine_says_so(engine: EngineProcess) -> None:
    await load(engine, "slow")
    pid = engine.pid
    assert pid is not None
    stream = engine.answers(request(engine, n=50))
    await anext(stream)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineExitError, match="killed"):
        [answer async for answer in stream]


async def test_engine_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path / "log", command=("/no/such/program",))
    with pytest.raises(EngineExitError, match="could not be started"):
        await load(engine, "tiny")


async def started(engine: EngineProcess) -> None:
    """Let the loop work until the process is there."""
    while engine.pid is None:
        await asyncio.sleep(0)


async def test_close_ends_the_process_and_kill_ends_one_that_hangs(engine: EngineProcess) -> None:
    await load(engine, "tiny")
    pid = engine.pid
    assert pid is not None
    await engine.close()
    assert not psutil.pid_exists(pid)
    loading = asyncio.create_task(load(engine, "forever"))
    await asyncio.wait_for(started(engine), 20)
    engine.kill()
    with pytest.raises(EngineExitError, match=r"^The engine was ended\.$"):
        await loading


async def test_beside_a_run_it_has_a_low_priority(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path / "log", command=FAKE, niceness=10)
    await load(engine, "tiny")
    assert psutil.Process(engine.pid).nice() >= 10
    await engine.close()
