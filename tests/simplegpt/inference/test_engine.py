"""The engine: what it generates, how it streams, and how its process behaves."""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import torch

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig, SamplingConfig
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.device import choose_device
from simplegpt.inference import protocol
from simplegpt.inference.engine import Engine, explain, load_engine
from simplegpt.inference.generation import Generation
from simplegpt.inference.protocol import (
    AlternativesRequest,
    Done,
    GenerateRequest,
    LoadRequest,
    Tokens,
)
from simplegpt.model import GPT
from tests.simplegpt.models import random_gpt, save_checkpoint

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=32, n_head=4, n_layer=2)
WILD = SamplingConfig(temperature=1.0)
PATIENCE = 60  # seconds until a silent process is considered dead


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(random_gpt(SHAPE), load_tokenizer("char"))


def results_of(engine: Engine, **request: Any) -> tuple[list[list[int]], list[str], Done]:
    """The ids and texts of a request's results, and its end."""
    *messages, done = engine.generate(GenerateRequest(id="1", **request))
    assert isinstance(done, Done)
    ids: list[list[int]] = [[] for _ in done.results]
    texts = ["" for _ in done.results]
    for message in messages:
        assert isinstance(message, Tokens)
        assert len(message.ids) == len(message.pieces)
        ids[message.result] += message.ids
        texts[message.result] += message.text
    return ids, texts, done


def greedy(gpt: GPT, prompt: list[int], n: int) -> list[int]:
    """Without cache, by the rule of `generation`: a full context keeps its last half."""
    n_ctx = gpt.config.n_ctx
    window, text = prompt[-n_ctx:], []
    for _ in range(n):
        if len(window) > n_ctx:
            window = window[-(n_ctx // 2) :]
        with torch.no_grad():
            token = int(gpt(torch.tensor([window]))[0, -1].argmax())
        window, text = [*window, token], [*text, token]
    return text


@pytest.mark.parametrize("n_prompt", [1, 5, 16, 40])
def test_greedy_text_is_that_without_a_cache_past_the_context_too(
    engine: Engine, n_prompt: int
) -> None:
    prompt = list(range(50, 50 + n_prompt))
    ids, _, done = results_of(
        engine,
        prompt_ids=[prompt],
        n_tokens_to_generate=50,
        sampling=SamplingConfig(temperature=0),
    )
    assert ids[0] == greedy(engine.gpt, prompt, 50)
    assert done.results[0].context_slides > 3
    assert done.results[0].n_prompt == n_prompt


def test_a_context_of_one_token_works() -> None:
    gpt = random_gpt(SHAPE.model_copy(update={"n_ctx": 1}))
    generation = Generation(gpt, [[1]], 5, 1, SamplingConfig(temperature=0), 256)
    ids = [tokens[0].id for tokens in generation]
    expected, last = [], 1
    for _ in range(5):
        last = int(gpt(torch.tensor([[last]]))[0, -1].argmax())
        expected.append(last)
    assert ids == expected


def test_a_result_does_not_depend_on_the_batch(engine: Engine) -> None:
    prompts = ["a", "what a long prompt", "bc"]
    settings = {"n_tokens_to_generate": 40, "sampling": WILD}
    together, _, _ = results_of(engine, prompts=prompts, batch_size=3, **settings)
    for index, prompt in enumerate(prompts):
        few, _, _ = results_of(engine, prompts=[prompt], batch_size=1, **settings)
        many, _, _ = results_of(engine, prompts=[prompt], batch_size=5, **settings)
        assert few[0] == many[0] == together[3 * index]
        assert many[:3] == together[3 * index : 3 * index + 3]
    assert len({tuple(ids) for ids in together}) == 9


def test_the_seed_repeats_and_changes_a_result(engine: Engine) -> None:
    def text(seed: int) -> str:
        sampling = SamplingConfig(temperature=1.0, seed=seed)
        return results_of(engine, prompts=["a"], sampling=sampling)[1][0]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_padding_is_never_sampled() -> None:
    gpt = random_gpt(SHAPE.model_copy(update={"n_vocab": 300}))
    with torch.no_grad():
        gpt.wte.weight[256:] *= 20  # the likeliest by far, if they counted
    engine = Engine(gpt, load_tokenizer("char"))
    for temperature in (0.0, 1.0, 100.0):
        sampling = SamplingConfig(temperature=temperature)
        ids, _, _ = results_of(
            engine, prompts=["a"], batch_size=4, n_tokens_to_generate=100, sampling=sampling
        )
        assert max(map(max, ids)) < 256


def test_penalties_keep_a_text_from_repeating_itself(engine: Engine) -> None:
    sampling = SamplingConfig(temperature=0, presence_penalty=1000)
    ids, _, _ = results_of(engine, prompts=["a"], n_tokens_to_generate=100, sampling=sampling)
    assert len(set(ids[0])) == 100
    sampling = SamplingConfig(temperature=0, repetition_penalty=1000)
    ids, _, _ = results_of(engine, prompts=["a"], n_tokens_to_generate=20, sampling=sampling)
    assert ord("a") not in ids[0]


def test_continued_tokens_count_as_generated_if_requested(engine: Engine) -> None:
    sampling = SamplingConfig(temperature=0, presence_penalty=1000)
    common = {"n_tokens_to_generate": 10, "sampling": sampling}
    whole, _, _ = results_of(engine, prompt_ids=[[97]], **common | {"n_tokens_to_generate": 14})
    rest, _, _ = results_of(engine, prompt_ids=[[97, *whole[0][:4]]], n_generated=4, **common)
    assert rest[0] == whole[0][4:]


def test_logprobs_are_the_models_own(engine: Engine) -> None:
    request = GenerateRequest(
        id="1", prompts=["abc"], n_tokens_to_generate=8, sampling=WILD, logprobs=True
    )
    messages = [answer for answer in engine.generate(request) if isinstance(answer, Tokens)]
    ids = [token for message in messages for token in message.ids]
    given = [logprob for message in messages for logprob in message.logprobs or []]
    text = torch.tensor([[97, 98, 99, *ids]])
    expected = engine.gpt(text)[0, 2:-1].log_softmax(-1).gather(1, text[0, 3:, None]).squeeze(1)
    torch.testing.assert_close(torch.tensor(given), expected, atol=1e-4, rtol=1e-4)


def test_stop_strings_end_a_result_and_are_not_shown(engine: Engine) -> None:
    _, whole, _ = results_of(engine, prompts=["a"], n_tokens_to_generate=60, sampling=WILD)
    stop = whole[0][20:23]
    sampling = SamplingConfig(temperature=1.0, stop=[stop, "never to be seen"])
    _, texts, done = results_of(
        engine, prompts=["a"], batch_size=2, n_tokens_to_generate=60, sampling=sampling
    )
    assert texts[0] == whole[0][: whole[0].index(stop)]
    assert done.results[0].reason == "stop"
    assert done.results[0].n_tokens < 60
    assert done.results[1].reason == "length"
    assert len(texts[1]) == 60


def test_the_end_of_a_document_ends_a_result() -> None:
    gpt = random_gpt(ModelConfig(n_vocab=50_304, n_ctx=8, n_embd=8, n_head=1, n_layer=1))
    with torch.no_grad():
        gpt.wte.weight.zero_()
        gpt.ln_f.bias.fill_(1.0)
        gpt.wte.weight[50_256] = 1.0
    engine = Engine(gpt, load_tokenizer("gpt2"))
    ids, _, done = results_of(engine, prompts=["Hello"])
    assert (ids[0], done.reason) == ([], "end_of_text")


def test_cancel_acts_at_the_next_token_and_keeps_what_was_generated(engine: Engine) -> None:
    steps = iter([False, False, True])
    request = GenerateRequest(id="1", prompts=["a"], n_tokens_to_generate=1000)
    *messages, done = engine.generate(request, lambda: next(steps, True))
    assert isinstance(done, Done)
    assert done.reason == "cancelled"
    assert done.results[0].n_tokens == 3
    assert sum(len(m.ids) for m in messages if isinstance(m, Tokens)) == 3


def test_alternatives_have_the_probabilities_of_the_answer_even_after_a_context_shift(
    engine: Engine,
) -> None:
    prompt = list(range(65, 70))
    request = GenerateRequest(
        id="1", prompt_ids=[prompt], n_tokens_to_generate=40, sampling=WILD, logprobs=True
    )
    tokens = [answer for answer in engine.generate(request) if isinstance(answer, Tokens)]
    ids = [token for answer in tokens for token in answer.ids]
    logprobs = [each for answer in tokens for each in answer.logprobs or []]
    for i in (0, 1, 11, 12, 13, 20, 21, 39):  # the context of 16 is full after 11
        ask = AlternativesRequest(
            id="2", prompt_ids=[*prompt, *ids[:i]], k=SHAPE.n_vocab, n_answer=i
        )
        found = {each.id: each.probability for each in engine.alternatives(ask).alternatives}
        assert math.log(found[ids[i]]) == pytest.approx(logprobs[i], abs=1e-3), i


def test_alternatives_are_before_and_after_the_settings(engine: Engine) -> None:
    sampling = SamplingConfig(temperature=0.5, top_k=2)
    request = AlternativesRequest(id="1", prompt="abc", k=4, sampling=sampling)
    answer = engine.alternatives(request)
    chances = engine.gpt(torch.tensor([[97, 98, 99]]))[0, -1].softmax(-1)
    best = chances.topk(4)
    assert [a.id for a in answer.alternatives] == best.indices.tolist()
    assert [a.text for a in answer.alternatives] == [chr(i) for i in best.indices.tolist()]
    given = torch.tensor([a.probability for a in answer.alternatives])
    torch.testing.assert_close(given, best.values)
    after = [a.probability_after for a in answer.alternatives]
    squares = best.values[:2] ** 2
    assert after == pytest.approx([*(squares / squares.sum()).tolist(), 0, 0], rel=1e-4)
    assert answer.prompt_ids == [97, 98, 99]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"prompts": ["€"]}, "'€'"),
        ({"prompt_ids": [[1, 256]]}, "token ID 256 is not in the model's vocabulary of 256"),
        ({"prompt_ids": [[1], [-1]]}, "token ID -1"),
        ({"prompt_ids": [[1], []]}, "at least one token"),
    ],
)
def test_prompts_that_the_model_cannot_read_are_one_message(
    engine: Engine, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        list(engine.generate(GenerateRequest(id="1", **request_)))


def test_a_prompt_beyond_a_small_vocabulary_is_named() -> None:
    gpt = random_gpt(SHAPE.model_copy(update={"n_vocab": 100}))
    engine = Engine(gpt, load_tokenizer("char"))
    with pytest.raises(UserError, match=r"'z' .* .ID 122. .* vocabulary of 100"):
        engine.encode("az")


def test_a_model_without_tokenizer_takes_ids_only() -> None:
    engine = Engine(random_gpt(SHAPE), None)
    ids, texts, _ = results_of(engine, prompt_ids=[[1, 2]], n_tokens_to_generate=5)
    assert (len(ids[0]), texts) == (5, [""])
    with pytest.raises(UserError, match="it can only continue token IDs"):
        list(engine.generate(GenerateRequest(id="1", prompts=["a"])))


def test_broken_weights_are_one_message() -> None:
    gpt = random_gpt(SHAPE)
    with torch.no_grad():
        gpt.ln_f.bias.fill_(torch.nan)
    engine = Engine(gpt, load_tokenizer("char"))
    with pytest.raises(UserError, match="NaN"):
        list(engine.generate(GenerateRequest(id="1", prompts=["a"])))


def test_an_empty_prompt_begins_a_document(engine: Engine) -> None:
    assert engine.encode("") == [ord("\n")]
    gpt = random_gpt(ModelConfig(n_vocab=50_257, n_ctx=4, n_embd=2, n_head=1, n_layer=1))
    assert Engine(gpt, load_tokenizer("gpt2")).encode("") == [50_256]


def test_errors_are_explained_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate …"),
    ):
        assert explain(error).startswith("out of memory")
    assert explain(UserError("no such model")) == "no such model"
    assert capsys.readouterr().err == ""
    assert explain(RuntimeError("odd\nand long")) == "RuntimeError: odd"
    assert "RuntimeError: odd" in capsys.readouterr().err  # the whole of it, for the log


def test_unavailable_devices_are_one_message() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto", "int8") == "cpu"
    with pytest.raises(UserError, match="int8 runs on the CPU only"):
        choose_device("cuda", "int8")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no cuda device"):
            choose_device("cuda")


# --- the process --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(random_gpt(SHAPE), tmp_path_factory.mktemp("engine"))


def test_load_engine_describes_the_model(checkpoint: Path, engine: Engine) -> None:
    shares: list[float] = []
    request = LoadRequest(id="7", model=str(checkpoint), device="cpu")
    own, loaded = load_engine(request, lambda share, message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (loaded.id, loaded.config, loaded.step) == ("7", SHAPE, 12)
    assert loaded.n_parameters == engine.gpt.n_parameters
    assert loaded.memory_bytes >= 4 * loaded.n_parameters
    sampling = SamplingConfig(temperature=0)
    both = [results_of(e, prompts=["ab"], sampling=sampling)[1] for e in (own, engine)]
    assert both[0] == both[1]


class Process:
    """The engine's process and its answers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simplegpt.inference.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.answers: Queue[protocol.Answer] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(protocol.parse_answer(line))

    def send(self, *requests: protocol.Request | str) -> None:
        assert self.process.stdin is not None
        for request in requests:
            line = request + "\n" if isinstance(request, str) else request.line()
            self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def until(self, *kinds: type) -> Any:
        while True:
            try:
                answer = self.answers.get(timeout=PATIENCE)
            except Empty:
                self.process.kill()
                raise
            if isinstance(answer, kinds):
                return answer

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.process.kill()
    process.process.wait()


FINAL = (protocol.Failed, protocol.Loaded, Done, protocol.Alternatives, protocol.Unloaded)


def test_process_serves_every_request(process: Process, checkpoint: Path) -> None:
    process.send(
        "{",
        json.dumps({"type": "dance", "id": "x"}),
        GenerateRequest(id="1", prompts=["a"]),
        LoadRequest(id="2", model="no/such/model.ckpt", device="cpu"),
        LoadRequest(id="3", model=str(checkpoint), device="cpu", threads=1),
        GenerateRequest(id="4", prompts=["a"], n_tokens_to_generate=5),
        AlternativesRequest(id="5", prompt="a"),
        GenerateRequest(id="6", prompt_ids=[[999]]),
    )
    answers = [process.until(*FINAL) for _ in range(8)]
    assert [answer.id for answer in answers] == ["", "x", "1", "2", "3", "4", "5", "6"]
    kinds = ["failed", "failed", "failed", "failed", "loaded", "done", "alternatives", "failed"]
    assert [answer.type for answer in answers] == kinds
    assert "no model is loaded" in answers[2].error
    assert "no model at 'no/such/model.ckpt'" in answers[3].error
    assert "999" in answers[7].error


def test_process_cancels_what_runs_and_what_waits(process: Process, checkpoint: Path) -> None:
    process.send(
        LoadRequest(id="1", model=str(checkpoint), device="cpu", threads=1),
        GenerateRequest(id="2", prompts=["a"], n_tokens_to_generate=10**6),
        GenerateRequest(id="3", prompts=["a"], n_tokens_to_generate=10**6),
    )
    first = process.until(Tokens)
    assert first.id == "2"
    process.send(protocol.CancelRequest(id="c", target="3"))
    process.send(protocol.CancelRequest(id="c", target="2"))
    running, waiting = process.until(Done), process.until(Done)
    assert (running.id, running.reason) == ("2", "cancelled")
    assert running.results[0].n_tokens >= 1
    assert (waiting.id, waiting.reason, waiting.results) == ("3", "cancelled", [])


def test_process_unloads(process: Process) -> None:
    process.send(protocol.UnloadRequest(id="1"), GenerateRequest(id="2", prompts=["a"]))
    assert process.until(protocol.Unloaded).id == "1"
    assert "no model" in process.until(protocol.Failed).error


def test_process_ends_when_its_input_closes_even_while_generating(checkpoint: Path) -> None:
    process = Process()
    process.send(
        LoadRequest(id="1", model=str(checkpoint), device="cpu"),
        GenerateRequest(id="2", prompts=["a"], n_tokens_to_generate=10**6),
    )
    process.until(Tokens)
    assert process.close() == 0


def test_stray_prints_do_not_reach_the_answers() -> None:
    script = (
        "import os, simplegpt.inference.engine as engine\n"
        "def serve(requests, answers):\n"
        "    print('stray', flush=True); os.system('echo stray'); answers.write(b'answer')\n"
        "    answers.flush()\n"
        "engine.serve = serve; engine.main()"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, env=environment
    )
    assert done.stdout == b"answer"
    assert done.stderr.count(b"stray") == 2
