"""The engine's protocol: messages survive a round trip, unknown fields are ignored."""

import json
import subprocess
import sys

import pytest

from simplegpt.config.schema import ModelConfig, SamplingConfig
from simplegpt.inference import protocol

REQUESTS = [
    protocol.LoadRequest(id="1", model="gpt2", device="cpu", precision="bfloat16", threads=2),
    protocol.GenerateRequest(
        id="2", prompts=["a\nb", "é"], batch_size=3, sampling=SamplingConfig(stop=["\n\n"])
    ),
    protocol.GenerateRequest(id="3", prompt_ids=[[1, 2]], logprobs=True),
    protocol.AlternativesRequest(id="4", prompt_ids=[1], k=5, sampling=SamplingConfig(top_k=2)),
    protocol.CancelRequest(id="5", target="2"),
    protocol.UnloadRequest(id="6"),
]
ANSWERS = [
    protocol.Loading(id="1", progress=0.5, message="reading the weights"),
    protocol.Loaded(
        id="1",
        model="gpt2",
        source="/models/gpt2",
        config=ModelConfig(),
        n_parameters=124_439_808,
        tokenizer_name="gpt2",
        device="cpu",
        precision="float32",
        memory_bytes=497_759_232,
        threads=2,
        seconds=1.5,
    ),
    protocol.Tokens(id="2", result=1, ids=[5, 6], pieces=["", "é"], logprobs=[-0.5, -1.0]),
    protocol.Done(
        id="2",
        reason="stop",
        results=[
            protocol.FinishedResult(
                reason="stop", n_tokens=2, n_prompt=3, context_used=5, context_slides=0
            )
        ],
        n_tokens=2,
        seconds=1.0,
        time_to_first_token=0.1,
        tokens_per_second=float("inf"),
        seed=1234,
    ),
    protocol.Alternatives(
        id="4",
        alternatives=[protocol.Alternative(id=7, text="x", probability=0.5, probability_after=0.0)],
        prompt_ids=[1],
    ),
    protocol.Unloaded(id="6"),
    protocol.Failed(id="7", error="no such file"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda message: message.type)
def test_request_survives_its_line(request_: protocol.Request) -> None:
    line = request_.line()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert protocol.parse_request(line) == request_


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda message: message.type)
def test_answer_survives_its_line(answer: protocol.Answer) -> None:
    line = answer.line()
    assert line.count("\n") == 1
    assert protocol.parse_answer(line) == answer


def test_unknown_fields_are_ignored() -> None:
    values = json.loads(ANSWERS[0].line()) | {"colour": "blue"}
    assert protocol.parse_answer(json.dumps(values)) == ANSWERS[0]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "[]",
        '{"type": "generate"}',
        '{"type": "dance", "id": "1"}',
        '{"type": "generate", "id": "1"}',
        '{"type": "generate", "id": "1", "prompts": ["a"], "prompt_ids": [[1]]}',
        '{"type": "generate", "id": "1", "prompts": ["a"], "sampling": {"temperature": -1}}',
    ],
)
def test_invalid_requests_raise_value_error(line: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        protocol.parse_request(line)


def test_id_is_read_from_an_invalid_request() -> None:
    assert protocol.read_id('{"type": "dance", "id": "1"}') == "1"
    assert [protocol.read_id(line) for line in ("", "[]", '{"id": 3}', "x")] == [""] * 4


def test_text_is_the_pieces_joined() -> None:
    assert protocol.Tokens(id="1", result=0, ids=[1, 2], pieces=["a", "b"]).text == "ab"


def test_protocol_imports_without_torch() -> None:
    script = "import sys, simplegpt.inference.protocol; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
