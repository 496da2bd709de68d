"""The inference command, as a person types it."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig, SamplingConfig
from simplegpt.inference.__main__ import build_parser, main
from tests.simplegpt.models import random_gpt, save_checkpoint
from tests.stress.child import Command
from tests.waiting import wait_until

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=16, n_head=2, n_layer=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gpt = random_gpt(SHAPE)
    with torch.no_grad():
        gpt.wte.weight[: ord("a")] = 0  # letters, mostly
        gpt.wte.weight[ord("z") + 1 :] = 0
    return save_checkpoint(gpt, tmp_path_factory.mktemp("run"))


def blocks_of(shown: str) -> list[str]:
    """The results' texts."""
    assert shown.startswith("==== Result 1 ====\n")
    assert shown.endswith("\n\n")
    parts = shown.split("==== Result ")[1:]
    for number, part in enumerate(parts, start=1):
        assert part.startswith(f"{number} ====\n")
        assert part.endswith("\n\n")
    return [part.partition(" ====\n")[2][:-2] for part in parts]


def infer(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, *argv: str, code: int = 0
) -> list[str]:
    assert main([*argv, "--model_name_or_ckpt_path", str(checkpoint), "--device", "cpu"]) == code
    return blocks_of(capsys.readouterr().out)


def test_prints_the_results_as_the_original_does(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    texts = infer(capsys, checkpoint, "The lady doth protest")
    assert [len(text) for text in texts] == [30] * 4
    assert len(set(texts)) == 4


def test_defaults_are_the_originals() -> None:
    options = build_parser().parse_args(["x"])
    assert options.model_name_or_ckpt_path == "gpt2"
    assert (options.n_tokens_to_generate, options.batch_size) == (30, 4)
    assert (SamplingConfig().temperature, SamplingConfig().seed) == (0.25, 1234)


def test_both_spellings_of_every_option_mean_the_same(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    wanted = ["n_tokens_to_generate", "12", "batch_size", "2", "top_k", "5", "min_p", "0.01"]
    one = [f"--{word}" if i % 2 == 0 else word for i, word in enumerate(wanted)]
    other = [word.replace("_", "-") if word.startswith("--") else word for word in one]
    assert infer(capsys, checkpoint, "a", *one) == infer(capsys, checkpoint, "a", *other)


def test_a_seed_repeats_and_the_batch_does_not_matter(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    options = ["a", "--temperature", "1", "--seed", "321"]
    four = infer(capsys, checkpoint, *options)
    assert infer(capsys, checkpoint, *options) == four
    assert infer(capsys, checkpoint, *options, "--batch_size", "1") == four[:1]
    assert infer(capsys, checkpoint, *options[:-1], "322") != four


def test_a_number_is_a_text(capsys: pytest.CaptureFixture[str], checkpoint: Path) -> None:
    assert len(infer(capsys, checkpoint, "123")) == 4
    assert len(infer(capsys, checkpoint, "-1")) == 4


def test_several_prompts_are_one_batch(
    capsys: pytest.CaptureFixture[str],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = "\ufefffrom a file\r\n\nanother\x85line\x0c\n"  # with a byte order mark
    (tmp_path / "prompts.txt").write_text(lines, encoding="utf-8", newline="")
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufefffrom standard input\n"))
    words = ["one", "-", "--prompt-file", str(tmp_path / "prompts.txt"), "--batch_size", "2"]
    assert main([*words, "--model_name_or_ckpt_path", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    prompts = ["one", "from standard input", "from a file", "another\x85line\x0c"]
    for number, prompt in enumerate(prompts, start=1):
        assert f"==== Prompt {number}: {prompt} ====\n==== Result {2 * number - 1} ====" in shown
        alone = infer(capsys, checkpoint, prompt, "--batch_size", "2")
        assert all(f"\n{text}\n\n" in shown for text in alone)


def test_stop_may_be_given_several_times(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    whole = infer(capsys, checkpoint, "a", "--batch_size", "1")[0]
    stops = ["--stop", "never there", "--stop", whole[10:13]]
    assert infer(capsys, checkpoint, "a", "--batch_size", "1", *stops) == [
        whole[: whole.index(whole[10:13])]
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no prompt"),
        (["a", "--temprature", "1"], "unknown option --temprature; did you mean '--temperature'"),
        (["a", "--temperature", "-1"], "temperature"),
        (["a", "--top_p", "2", "--top_k", "x"], "top_k(.|\n)*top_p"),
        (["a", "--batch_size", "0"], "expected an integer ≥ 1, got '0'"),
        (["a", "--precision", "float8"], "float8"),
        (["--prompt_file", "no/such.txt"], "cannot read no/such.txt"),
        (["\udcff"], "is not UTF-8"),
    ],
)
def test_invalid_options_are_reported_before_loading(argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main([*argv, "--model_name_or_ckpt_path", "there/is/none.ckpt"])


def test_a_prompt_longer_than_the_context_is_cut_with_a_warning(
    capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    words = ["abc", "a" * 20, "--batch_size", "2", "--model_name_or_ckpt_path", str(checkpoint)]
    assert main(words) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert [w for w in warnings if "warning: prompt 2 has 20 tokens: only the last 16" in w]
    assert not [w for w in warnings if "prompt 1" in w]


def test_a_pipe_as_prompt_file_and_too_many_threads_are_refused(
    tmp_path: Path, checkpoint: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    model = ["--model_name_or_ckpt_path", str(checkpoint)]
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError, match="cannot read"):
            main(["a", *model, "--prompt_file", str(path)])
    with pytest.raises(UserError, match=r"threads \(2147483648\) must be ≤ \d+"):
        main(["a", *model, "--threads", str(2**31)])


def test_an_empty_model_name_is_refused() -> None:
    with pytest.raises(UserError, match="model_name_or_ckpt_path: expected a checkpoint"):
        main(["a", "--model_name_or_ckpt_path", ""])


def test_help_lists_every_sampling_setting_with_its_description(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in SamplingConfig.model_fields.items():
        assert f"--{name} " in shown
        assert " ".join((field.description or "?").split())[:40] in shown


def command(checkpoint: Path, *argv: str) -> Command:
    arguments = [*argv, "--model_name_or_ckpt_path", str(checkpoint), "--device", "cpu"]
    return Command(main, arguments, checkpoint.parent)


def test_a_wrong_model_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint")
    wrong = command(tmp_path / "last.ckpt", "a")
    assert wrong.wait()
    assert wrong.code == 2
    assert wrong.output().startswith("error: ")
    assert wrong.output().count("\n") == 1


def test_ctrl_c_keeps_what_was_generated(checkpoint: Path) -> None:
    running = command(checkpoint, "a", "--n_tokens_to_generate", "1e9", "--batch_size", "2")
    wait_until(lambda: len(running.output()) > 200)  # it streams
    os.kill(running.pid, signal.SIGINT)
    assert running.wait()
    assert running.code == 130
    first, second = blocks_of(running.output())
    assert len(first) >= 90
    assert len(second) >= 49


def test_more_results_than_memory_are_refused(checkpoint: Path) -> None:
    words = ["a", "--batch_size", "1e9", "--model_name_or_ckpt_path", str(checkpoint)]
    with pytest.raises(UserError, match=r"1,000,000,000 results .*--batch_size"):
        main([*words, "--device", "cpu"])


def test_loading_imports_no_lightning_and_help_no_torch() -> None:
    script = (
        "import sys; from simplegpt.inference.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('lightning', 'torch')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0
