"""Sampling follows its settings and agrees with transformers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from simplegpt.config.schema import SamplingConfig
from simplegpt.inference.sampling import (
    HEAD,
    Penalties,
    choose,
    filter_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    probabilities,
    result_generator,
)

NO_IDS = torch.zeros(1, 1, dtype=torch.long)


def random_logits(rows: int = 3, n_vocab: int = 200) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(rows, n_vocab) * 3


@pytest.mark.parametrize("k", [1, 5, 200])
def test_top_k_is_transformers(k: int) -> None:
    logits = random_logits()
    assert torch.equal(keep_top_k(logits, k), theirs.TopKLogitsWarper(k)(NO_IDS, logits))


@pytest.mark.parametrize("n_vocab", [200, 3 * HEAD])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.9, 0.999])
def test_top_p_is_transformers(p: float, n_vocab: int) -> None:
    for scale in (1, 0.01):  # the nucleus within HEAD tokens, and beyond
        logits = random_logits(n_vocab=n_vocab) * scale
        assert torch.equal(keep_top_p(logits, p), theirs.TopPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize("p", [0.01, 0.2, 1.0])
def test_min_p_is_transformers(p: float) -> None:
    logits = random_logits()
    assert torch.equal(keep_min_p(logits, p), theirs.MinPLogitsWarper(p)(NO_IDS, logits))


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_repetition_penalty_is_transformers(penalty: float) -> None:
    logits, ids = random_logits(), torch.randint(200, (3, 20))
    seen = torch.zeros(3, 200, dtype=torch.bool).scatter_(1, ids, True)
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits)
    torch.testing.assert_close(penalize_repetition(logits, seen, penalty), expected)


def test_all_settings_in_their_order_are_transformers() -> None:
    logits = random_logits()
    sampling = SamplingConfig(temperature=0.7, top_k=50, top_p=0.8, min_p=0.05)
    expected = logits
    for processor in (
        theirs.TemperatureLogitsWarper(0.7),
        theirs.TopKLogitsWarper(50),
        theirs.TopPLogitsWarper(0.8),
        theirs.MinPLogitsWarper(0.05),
    ):
        expected = processor(NO_IDS, expected)
    torch.testing.assert_close(probabilities(logits, sampling), expected.softmax(-1))


def test_presence_and_frequency_count_generated_tokens_only() -> None:
    sampling = SamplingConfig(presence_penalty=0.5, frequency_penalty=0.25)
    penalties = Penalties(sampling, [[1, 1, 2, 3, 3]], 3, n_vocab=5)  # 2, 3, 3 were generated
    penalties.add(torch.tensor([4]))
    expected = torch.tensor([[0, 0, -0.75, -1.0, -0.75]])
    torch.testing.assert_close(penalties(torch.zeros(1, 5)), expected)


def test_repetition_counts_the_prompt_too() -> None:
    penalties = Penalties(SamplingConfig(repetition_penalty=2.0), [[0], [1]], 0, n_vocab=3)
    penalties.add(torch.tensor([2, 2]))
    logits = torch.tensor([[1.0, 1.0, -1.0]] * 2)
    expected = torch.tensor([[0.5, 1.0, -2.0], [1.0, 0.5, -2.0]])
    torch.testing.assert_close(penalties(logits), expected)
    penalties.keep([1])
    torch.testing.assert_close(penalties(logits[1:]), expected[1:])


def test_without_penalties_logits_stay_as_they_are() -> None:
    logits = random_logits(1)
    assert Penalties(SamplingConfig(), [[1, 2]], 1, n_vocab=200)(logits) is logits


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    draws = torch.from_numpy(result_generator(0, 0).random(200_000))
    sampling = SamplingConfig(temperature=1.0)
    ids = choose(logits.expand(len(draws), -1), sampling, draws)
    shares = torch.bincount(ids, minlength=4) / len(draws)
    torch.testing.assert_close(shares, logits[0].softmax(0), atol=0.004, rtol=0)


@given(
    seed=st.integers(0, 2**32),
    draw=st.floats(0, 1, exclude_max=True),
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 60),
    top_p=st.floats(0.001, 1),
    min_p=st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_excluded_tokens_are_never_sampled(
    seed: int, draw: float, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(seed)) * 10
    sampling = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    chances = probabilities(logits, sampling)
    ids = choose(logits, sampling, torch.tensor([draw, 1 - 2**-53]).double())
    assert (chances.gather(1, ids[:, None]) > 0).all()
    torch.testing.assert_close(chances.sum(-1), torch.ones(2))
    if top_k and temperature:
        assert ((chances > 0).sum(-1) <= top_k).all()
    assert (chances.gather(1, logits.argmax(-1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("temperature", [0, 1e-30, 1e-3])
def test_a_temperature_near_0_takes_the_most_probable_token(temperature: float) -> None:
    logits = random_logits()
    ids = choose(logits, SamplingConfig(temperature=temperature), torch.tensor([0.0, 0.5, 0.99]))
    assert torch.equal(ids, logits.argmax(-1))


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_nan_and_infinite_logits_give_minus_one(temperature: float, broken: float) -> None:
    logits = random_logits(2)
    logits[1, 7] = broken
    ids = choose(logits, SamplingConfig(temperature=temperature), torch.tensor([0.5, 0.5]))
    assert ids[0] >= 0
    assert ids[1] == -1


def test_a_temperature_divides_the_logits() -> None:
    logits = random_logits()
    chances = probabilities(logits, SamplingConfig(temperature=0.5))
    torch.testing.assert_close(chances, (logits / 0.5).softmax(-1))
    assert filter_logits(logits.bfloat16(), SamplingConfig()).dtype == torch.float32


def test_every_result_has_its_own_generator() -> None:
    first = result_generator(7, 0).random(5).tolist()
    assert result_generator(7, 0).random(5).tolist() == first
    assert result_generator(7, 1).random(5).tolist() != first
    assert result_generator(8, 0).random(5).tolist() != first
    assert result_generator(2**62, 0).random() != result_generator(2**62 + 1, 0).random()
