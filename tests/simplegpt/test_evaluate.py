"""Evaluation counts every token once, and its figures are right."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig
from simplegpt.data.__main__ import main as data_command
from simplegpt.evaluate.__main__ import main
from simplegpt.model import GPT
from simplegpt.run.directory import RunDirectory
from simplegpt.run.evaluations import read_evaluations
from tests.simplegpt.models import random_gpt, save_checkpoint

SHAPE = ModelConfig(n_vocab=256, n_ctx=16, n_embd=16, n_head=2, n_layer=1)
TEXT = "Now is the wintér of our discontent\nMade glorious summer by this sun of Yôrk;\n" * 3


@pytest.fixture
def gpt() -> GPT:
    return random_gpt(SHAPE)


@pytest.fixture
def checkpoint(gpt: GPT, tmp_path: Path) -> Path:
    return save_checkpoint(gpt, tmp_path)


def write_tokens(path: Path, ids: list[int]) -> Path:
    np.array(ids, dtype="<u2").tofile(path)
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "val.bin", [ord(character) for character in TEXT])


def evaluate(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, float]:
    assert main([*map(str, argv), "--json", "--device", "cpu"]) == 0
    values: dict[str, float] = json.loads(capsys.readouterr().out)
    return values


@torch.no_grad()
@pytest.mark.parametrize("seq_len", [1, 5, 16])
def test_every_token_but_the_first_counts_once(
    gpt: GPT, checkpoint: Path, tokens: Path, capsys: pytest.CaptureFixture[str], seq_len: int
) -> None:
    ids = torch.tensor([ord(character) for character in TEXT])
    n_predicted, losses = len(ids) - 1, []
    for target in range(1, len(ids)):
        # The window that predicts it: the last one is moved back to full length.
        start = min((target - 1) // seq_len * seq_len, n_predicted - seq_len)
        logits = gpt(ids[None, start:target])[0, -1]
        losses.append(-logits.log_softmax(-1)[ids[target]].item())
    values = evaluate(capsys, checkpoint, "--tokens", tokens, "--seq-len", seq_len)
    loss = sum(losses) / n_predicted
    assert values["n_predicted"] == n_predicted
    assert values["loss"] == pytest.approx(loss, rel=1e-5)
    assert values["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert values["n_bytes"] == len(TEXT[1:].encode())
    bits = sum(losses) / math.log(2) / len(TEXT[1:].encode())
    assert values["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


def test_several_models_are_lines_of_one_table(
    checkpoint: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wider").mkdir()
    wider = save_checkpoint(random_gpt(SHAPE.model_copy(update={"n_embd": 32})), tmp_path / "wider")
    assert main([str(checkpoint), str(wider), "--tokens", str(tokens), "--device", "cpu"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert headings.split() == [
        "loss",
        "perplexity",
        "bits",
        "per",
        "byte",
        "tokens",
        "window",
        "time",
        "model",
    ]
    assert [line.split()[-1] for line in lines] == [str(checkpoint), str(wider)]
    losses = [evaluate(capsys, model, "--tokens", tokens)["loss"] for model in (checkpoint, wider)]
    assert [float(line.split()[0]) for line in lines] == pytest.approx(losses, abs=1e-3)


def test_a_text_is_measured_like_its_tokens(
    checkpoint: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "val.txt"
    text.write_text(TEXT, encoding="utf-8")
    of_text = evaluate(capsys, checkpoint, "--text", text)
    of_tokens = evaluate(capsys, checkpoint, "--tokens", tokens)
    for name in ("loss", "bits_per_byte", "n_predicted"):
        assert of_text[name] == pytest.approx(of_tokens[name])


def test_the_result_of_a_runs_checkpoint_is_kept_with_the_run(
    gpt: GPT, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    checkpoint = save_checkpoint(gpt, run.checkpoints)
    questions = write_questions(tmp_path / "questions.jsonl", *QUESTIONS)
    values = evaluate(capsys, checkpoint, "--tokens", tokens)
    accuracy = evaluate(capsys, checkpoint, "--choices", questions)
    run.evaluations.open("a").write("damaged\n")
    first, second = read_evaluations(run)
    assert (first.checkpoint, first.data, first.loss) == (
        checkpoint.name,
        "val.bin",
        values["loss"],
    )
    assert (second.data, second.loss) == ("questions.jsonl", None)
    assert second.accuracy_normalized == accuracy["accuracy_normalized"]


def test_a_file_shorter_than_the_context_is_one_window(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = write_tokens(tmp_path / "short.bin", [1, 2, 3])
    values = evaluate(capsys, checkpoint, "--tokens", tokens)
    assert (values["n_predicted"], values["seq_len"]) == (2, 2)


@pytest.mark.parametrize(
    ("ids", "sidecar", "options", "message"),
    [
        ([1, 2, 300], None, [], r"largest token ID \(300\) must be < the model's n_vocab \(256\)"),
        ([1], None, [], "at least 2"),
        (
            [1, 2, 3],
            None,
            ["--seq_len", "17"],
            r"--seq_len \(17\) must be ≤ .*n_ctx \(16\)",
        ),
        ([1, 2, 3], "byte", [], "encoded with the tokenizer 'byte', but the model's is 'char'"),
        ([1, 2, 3], None, ["--seq_len", "x"], "expected an integer"),
        ([1, 2, 3], None, ["--tokns", "x"], "did you mean '--tokens'"),
    ],
)
def test_mismatches_are_one_message(
    checkpoint: Path,
    tmp_path: Path,
    ids: list[int],
    sidecar: str | None,
    options: list[str],
    message: str,
) -> None:
    tokens = write_tokens(tmp_path / "odd.bin", ids)
    if sidecar is not None:
        info = {"dtype": "uint16", "count": len(ids), "tokenizer": sidecar, "max_id": max(ids)}
        info |= {"sha256": "0" * 64, "source": "a test"}
        (tmp_path / "odd.bin.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=message):
        main([str(checkpoint), "--tokens", str(tokens), *options])


def test_tokens_of_nanogpts_own_vocabulary_are_another_tokenizers(
    checkpoint: Path, tokens: Path
) -> None:
    tokens.with_name("meta.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"the token IDs are those of .*meta\.pkl"):
        main([str(checkpoint), "--tokens", str(tokens), "--device", "cpu"])


QUESTIONS = [
    {"ctx": "Now is the winter of our", "endings": ["discontent", "x", "summer time"], "label": 2},
    {"ctx": "A man sits. He", "endings": ["gets up", "no"], "label": 0, "split": "val"},
]


def write_questions(path: Path, *questions: object) -> Path:
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path


@torch.no_grad()
def test_the_likeliest_ending_is_the_answer(
    gpt: GPT, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def log_probability(context: str, ending: str) -> float:
        total, ids = 0.0, [ord(character) for character in context]
        for character in f" {ending}":
            logits = gpt(torch.tensor([ids[-SHAPE.n_ctx :]]))[0, -1]
            total += logits.log_softmax(-1)[ord(character)].item()
            ids.append(ord(character))
        return total

    # Contexts of at most n_ctx characters with their endings: longer ones lose their beginning.
    questions = [
        {"ctx": "of our", "endings": ["summer", "x", "time"], "label": label} for label in range(3)
    ]
    sums = [log_probability("of our", ending) for ending in ("summer", "x", "time")]
    means = [total / n for total, n in zip(sums, (7, 2, 5), strict=True)]
    path = write_questions(tmp_path / "questions.jsonl", *questions)
    for right in range(3):
        chosen = write_questions(tmp_path / "one.jsonl", questions[right])
        values = evaluate(capsys, checkpoint, "--choices", chosen)
        assert values["accuracy"] == (sums.index(max(sums)) == right)
        assert values["accuracy_normalized"] == (means.index(max(means)) == right)
    values = evaluate(capsys, checkpoint, "--choices", path)
    assert (values["n_questions"], values["accuracy"]) == (3, pytest.approx(1 / 3))
    assert evaluate(capsys, checkpoint, "--choices", path, "--limit", 2)["n_questions"] == 2


def test_the_beginning_of_a_long_context_is_cut_off(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_questions(tmp_path / "questions.jsonl", *QUESTIONS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Windows' editors begin a file
    assert evaluate(capsys, checkpoint, "--choices", path)["n_questions"] == 2


def test_a_text_that_is_too_short_is_named_by_its_own_path(
    checkpoint: Path, tmp_path: Path
) -> None:
    for text in ("", "\ufeff", "a"):
        path = tmp_path / "short.txt"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=f"^{re.escape(str(path))} has [01] tokens"):
            main([str(checkpoint), "--text", str(path), "--device", "cpu"])


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"ctx": "a", "endings": ["b", "c"]}, r":2: label: "),
        ({"ctx": "a", "endings": ["b", "c"], "label": 2}, r":2: .*label \(2\) must be < 2"),
        ({"ctx": "a", "endings": ["b"], "label": 0}, r":2: endings: "),
        ("no object", ":2: "),
        (
            {"ctx": "a", "endings": ["b" * 17, "c"], "label": 0},
            "18 tokens: .*n_ctx is 16",
        ),
    ],
)
def test_an_invalid_question_is_named(
    checkpoint: Path, tmp_path: Path, question: object, message: str
) -> None:
    path = write_questions(tmp_path / "questions.jsonl", QUESTIONS[1], question)
    with pytest.raises(UserError, match=message):
        main([str(checkpoint), "--choices", str(path), "--device", "cpu"])


@pytest.mark.network
def test_known_accuracy_of_gpt2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpt2", "--choices", "hellaswag", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["accuracy_normalized"] == pytest.approx(0.2955, abs=0.001)


@pytest.mark.network
def test_known_loss_of_gpt2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """nanoGPT's README has 3.12 on its own sample of OpenWebText, with the same windows."""
    datasets = pytest.importorskip("datasets")
    documents = datasets.load_dataset(
        "Skylion007/openwebtext", revision="refs/pr/22", split="train", streaming=True
    )
    file = tmp_path / "documents.jsonl"
    with file.open("w") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in itertools.islice(documents, 200))
    words = ("--documents", file, "--output_dir", tmp_path, "--val_fraction", 0)
    assert data_command(list(map(str, words))) == 0
    capsys.readouterr()
    values = evaluate(capsys, "gpt2", "--tokens", tmp_path / "train-gpt2-00000.bin")
    assert values["loss"] == pytest.approx(3.12, abs=0.1)
