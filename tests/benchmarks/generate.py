"""Speed of generation, next to transformers in the same run.

    python -m tests.benchmarks.generate [--quick]

A GPT-2 124M with random weights continues a prompt greedily: tokens/s at batch size 1 and 8 and for
a prompt of 512 tokens, in each precision that this machine supports, and the rate at which weights
are read. Compare figures within one run only, not between machines or runs. Each is the best of
several rounds, in which all candidates take turns.
"""

import argparse
import time
from collections.abc import Callable

import torch

from simplegpt.config.schema import ModelConfig, SamplingConfig
from simplegpt.device import choose_device
from simplegpt.gpt2.folder import to_hugging_face
from simplegpt.inference.cpu import memory_bytes, pack
from simplegpt.inference.engine import DTYPES, Engine
from simplegpt.inference.protocol import Done, GenerateRequest
from simplegpt.model import GPT

N_PROMPT, N_LONG_PROMPT = 16, 512
Generate = Callable[[list[int], int, int], None]  # prompt, results, tokens


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer tokens, one round")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    n_tokens, rounds = (20, 1) if options.quick else (60, 3)
    torch.manual_seed(0)
    gpt = GPT(ModelConfig()).eval()
    device = choose_device("auto")
    candidates: dict[str, tuple[Generate, int]] = {}
    for precision in ("float32", "bfloat16"):
        candidates[f"transformers {precision}"] = transformers_generate(gpt, precision, device)
    for precision in ("float32", "bfloat16", *(["int8"] if device == "cpu" else [])):
        candidates[f"simplegpt {precision}"] = our_generate(gpt, precision, device)
    figures = {name: [0.0, 0.0, 0.0] for name in candidates}
    for generate, _ in candidates.values():
        generate(list(range(N_PROMPT)), 8, 3)  # warm
    for _ in range(rounds):  # in turns, so that other load on the machine affects all alike
        for name, (generate, _) in candidates.items():
            now = measure(generate, n_tokens)
            figures[name] = [max(pair) for pair in zip(figures[name], now, strict=True)]
    base = figures["transformers float32"]
    print(f"{device}, {torch.get_num_threads()} threads; tokens/s, and the ratio to transformers")
    print(f"{'':24}{'batch 1':>16}{'batch 8':>16}{'prompt of 512':>18}{'weights read':>16}")
    for name, row in figures.items():
        cells = [f"{v:8.1f} {v / b:6.2f}x" for v, b in zip(row, base, strict=True)]
        rate = f"{row[0] * candidates[name][1] / 1e9:.1f} GB/s"
        print(f"{name:24}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}{rate:>16}", flush=True)


def measure(generate: Generate, n_tokens: int) -> list[float]:
    """Return tokens/s for one result, for eight, and for reading a long prompt."""
    prompt, long_prompt = list(range(N_PROMPT)), list(range(1000, 1000 + N_LONG_PROMPT))
    rates = []
    for n_results in (1, 8):
        first = seconds(lambda n=n_results: generate(prompt, n, 1))
        whole = seconds(lambda n=n_results: generate(prompt, n, n_tokens))
        rates.append(n_results * (n_tokens - 1) / (whole - first))
    return [*rates, N_LONG_PROMPT / seconds(lambda: generate(long_prompt, 1, 1))]


def seconds(run: Callable[[], None]) -> float:
    """Return the duration of `run`."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def our_generate(gpt: GPT, precision: str, device: str) -> tuple[Generate, int]:
    """Return this project's engine, and the bytes of weights that it reads for a token."""
    copy = GPT.from_state_dict(gpt.config, {k: v.clone() for k, v in gpt.state_dict().items()})
    copy.to(device=device, dtype=DTYPES[precision])
    n_bytes = memory_bytes(copy)
    if device == "cpu":
        pack(copy, int8=precision == "int8")
        n_bytes = memory_bytes(copy) - copy.wte.weight.numel() * copy.wte.weight.element_size()
    engine = Engine(copy, None)

    def generate(prompt: list[int], n_results: int, n_tokens: int) -> None:
        *_, done = engine.generate(
            GenerateRequest(
                id="benchmark",
                prompt_ids=[prompt],
                batch_size=n_results,
                n_tokens_to_generate=n_tokens,
                sampling=SamplingConfig(temperature=0),
            )
        )
        assert isinstance(done, Done)
        assert done.n_tokens == n_results * n_tokens

    return generate, n_bytes


def transformers_generate(gpt: GPT, precision: str, device: str) -> tuple[Generate, int]:
    """Return transformers' generate with the same weights, and their bytes."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None)).eval()
    model.transformer.load_state_dict(to_hugging_face(gpt))
    model.to(device=device, dtype=DTYPES[precision])

    def generate(prompt: list[int], n_results: int, n_tokens: int) -> None:
        ids = torch.tensor([prompt] * n_results, device=device)
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=n_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        assert out.shape[1] == len(prompt) + n_tokens

    return generate, sum(p.numel() * p.element_size() for p in model.parameters())


if __name__ == "__main__":
    main()
