"""A config is checked against the token files that it names."""

import json
from pathlib import Path

import numpy as np
import pytest

from simplegpt.config.load import ConfigError, Problem, inspect, load
from simplegpt.data.tokens import check_config

SMALL = {"model.n_vocab": "400", "model.n_ctx": "8", "data.seq_len": "2"}


def token_file(path: Path, ids: list[int], tokenizer: str | None = None) -> Path:
    np.array(ids, dtype="<u2").tofile(path)
    if tokenizer is not None:
        sidecar = {
            "dtype": "uint16",
            "count": len(ids),
            "tokenizer": tokenizer,
            "source": "a test",
            "max_id": max(ids),
        }
        path.with_name(path.name + ".json").write_text(json.dumps(sidecar))
    return path


def check(train: Path, val: Path | None = None, **values: str) -> list[Problem]:
    files = {"data.train_fpath": str(train), "data.val_fpath": str(val or train)}
    named = {key.replace("__", "."): value for key, value in values.items()}
    return check_config(inspect("", {**SMALL, **files, **named}), scan=True)


def test_every_mismatch_is_found_at_its_line(tmp_path: Path) -> None:
    train = token_file(tmp_path / "train.bin", [1, 300, 2], "gpt2")
    path = tmp_path / "run.toml"
    path.write_text(
        'tokenizer_name = "char"\n'
        "[model]\nn_vocab = 256\nn_ctx = 8\n"
        f'[data]\ntrain_fpath = "{train}"\nval_fpath = "{tmp_path}/trian.bin"\nseq_len = 8\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(path, check=lambda inspection: check_config(inspection, scan=False))
    problems = {problem.keys[0]: problem for problem in caught.value.problems}
    assert {key: problem.origin.line for key, problem in problems.items()} == {
        "tokenizer_name": 1,
        "model.n_vocab": 3,
        "data.val_fpath": 7,
        "data.seq_len": 8,
    }
    assert "300" in problems["model.n_vocab"].message
    assert "'train.bin'" in problems["data.val_fpath"].message
    assert "simplegpt data" in problems["data.val_fpath"].hint


def test_nanogpts_own_character_ids_are_not_taken_for_a_tokenizers(tmp_path: Path) -> None:
    train = token_file(tmp_path / "train.bin", [*range(65)])
    assert check(train, tokenizer_name="char") == []
    (tmp_path / "meta.pkl").write_bytes(b"")
    problem, _ = check(train, tokenizer_name="char")  # the same file is the validation's
    assert problem.keys == ("tokenizer_name", "data.train_fpath")
    assert "meta.pkl" in problem.message


def test_a_file_without_sidecar_is_scanned_for_its_largest_id(tmp_path: Path) -> None:
    train = token_file(tmp_path / "train.bin", [1, 2, 300, *range(90)])
    found = check(train, model__n_vocab="300")
    assert {problem.keys[0] for problem in found} == {"model.n_vocab"}
    assert check(train, model__n_vocab="301") == []


def test_an_unknown_tokenizer_gets_the_nearest_name(tmp_path: Path) -> None:
    for sidecar in (None, "gpt2"):
        train = token_file(tmp_path / "train.bin", [1, 2, 3, 4], sidecar)
        (found,) = check(train, tokenizer_name="cl100k")
        assert found.keys == ("tokenizer_name",)
        assert "'cl100k_base'" in found.message


def test_invalid_values_are_not_checked_again(tmp_path: Path) -> None:
    train = token_file(tmp_path / "train.bin", [1, 2, 300, 4])
    assert check(train, model__n_vocab="many") == []
    assert check_config(inspect("[data\n"), scan=True) == []
