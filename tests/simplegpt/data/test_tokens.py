"""Token files: what is written is read back, and what is invalid is an error."""

import errno
import os
import pickle

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simplegpt.cli import UserError
from simplegpt.data.tokens import (
    MAX_OPEN_FILES,
    TokenFileInfo,
    TokenWriter,
    find_token_sets,
    open_tokens,
    sidecar_path,
)


def write(path, ids, *, n_vocab=256, tokenizer="char", overwrite=False):
    with TokenWriter(
        path, tokenizer=tokenizer, n_vocab=n_vocab, source="a test", overwrite=overwrite
    ) as writer:
        writer.write(np.array(ids))
        return writer.commit()


@pytest.mark.parametrize(("n_vocab", "dtype"), [(65536, "<u2"), (65537, "<u4")])
def test_a_file_is_raw_ids_of_the_smaller_type_and_a_sidecar(tmp_path, n_vocab, dtype):
    path = tmp_path / "deep" / "a.bin"
    info = write(path, [1, 2, 65000], n_vocab=n_vocab, tokenizer="gpt2")
    assert np.fromfile(path, dtype=dtype).tolist() == [1, 2, 65000]
    assert info == TokenFileInfo.model_validate_json(sidecar_path(path).read_bytes())
    assert (info.count, info.max_id, info.tokenizer) == (3, 65000, "gpt2")
    tokens = open_tokens(path)
    assert (len(tokens), tokens.max_id(), tokens.tokenizer) == (3, 65000, "gpt2")
    assert tokens.slice(0, 3).dtype == np.int64
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.bin", "a.bin.json"]


def test_a_sidecar_of_an_earlier_version_is_read(tmp_path):
    write(tmp_path / "a.bin", [1, 2])
    sidecar = sidecar_path(tmp_path / "a.bin")
    sidecar.write_text(sidecar.read_text().replace("{", '{"sha256": "ab", "text_bytes": 2,', 1))
    assert open_tokens(tmp_path / "a.bin").tokenizer == "char"


def test_a_file_without_a_sidecar_is_uint16(tmp_path):
    np.array([5, 50256, 7], dtype="<u2").tofile(tmp_path / "train.bin")
    tokens = open_tokens(tmp_path / "train.bin")
    assert tokens.slice(0, 3).tolist() == [5, 50256, 7]
    assert (tokens.max_id(), tokens.tokenizer) == (50256, None)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_shards_read_as_one_sequence(tmp_path_factory, lengths, data):
    folder = tmp_path_factory.mktemp("shards")
    whole = list(range(sum(lengths)))
    done = 0
    for i, length in enumerate(lengths):
        n_vocab = 256 if i % 2 else 100_000  # both widths side by side
        write(folder / f"shard-{i}.bin", whole[done : done + length], n_vocab=n_vocab)
        done += length
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    for spec in (folder, f"{folder}/shard-*.bin", f"{folder}/*"):
        tokens = open_tokens(spec)
        assert len(tokens) == len(whole)
        assert tokens.slice(start, stop).tolist() == whole[start:stop]
        assert tokens.max_id() == whole[-1]
    with pytest.raises(IndexError):
        tokens.slice(0, len(whole) + 1)


def test_any_number_of_shards_keeps_few_files_open(tmp_path):
    for i in range(MAX_OPEN_FILES + 30):
        write(tmp_path / f"shard-{i:05}.bin", [i, i + 1], n_vocab=1000)
    tokens, before = open_tokens(tmp_path), psutil.Process().num_fds()
    for _ in range(2):
        read = [tokens.slice(i, i + 2).tolist() for i in range(0, len(tokens), 2)]
        assert read == [[i, i + 1] for i in range(MAX_OPEN_FILES + 30)]
    assert psutil.Process().num_fds() - before <= MAX_OPEN_FILES


def test_tokens_pickle_as_paths(tmp_path):
    write(tmp_path / "a.bin", [1] * 100_000)
    tokens = open_tokens(tmp_path)
    assert tokens.slice(0, 2).tolist() == [1, 1]
    pickled = pickle.dumps(tokens)
    assert len(pickled) < 2000
    assert pickle.loads(pickled).slice(99_998, 100_000).tolist() == [1, 1]


def test_leaving_without_commit_leaves_nothing(tmp_path):
    def interrupted():
        with TokenWriter(
            tmp_path / "a.bin", tokenizer="char", n_vocab=256, source="a test"
        ) as writer:
            writer.write(np.arange(9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_replaced(tmp_path):
    (tmp_path / "a.bin.partial").write_bytes(b"half of somet")
    write(tmp_path / "a.bin", [1, 2])
    assert open_tokens(tmp_path / "a.bin").slice(0, 2).tolist() == [1, 2]
    assert not (tmp_path / "a.bin.partial").exists()


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    about = {"tokenizer": "char", "n_vocab": 256, "source": "a test"}
    with TokenWriter(tmp_path / "a.bin", **about) as first:
        with pytest.raises(UserError, match="another process is writing it"):
            TokenWriter(tmp_path / "a.bin", **about)
        first.write(np.array([3]))
        first.commit()
    assert open_tokens(tmp_path / "a.bin").slice(0, 1).tolist() == [3]


def test_an_existing_file_is_kept_without_overwrite(tmp_path):
    write(tmp_path / "a.bin", [1])
    with pytest.raises(UserError, match=r"a\.bin already exists; --overwrite replaces it"):
        write(tmp_path / "a.bin", [2, 2])
    assert open_tokens(tmp_path / "a.bin").slice(0, 1).tolist() == [1]
    write(tmp_path / "a.bin", [2, 2], overwrite=True)
    assert len(open_tokens(tmp_path / "a.bin")) == 2


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.bin cannot be written: disk full after 2"):
        write(tmp_path / "a.bin", [1, 2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("largest", [1000, 200_000])
def test_a_uint32_file_that_lost_its_sidecar_is_refused(tmp_path, largest):
    ids = np.random.default_rng(0).integers(0, largest, 500)
    write(tmp_path / "a.bin", ids, n_vocab=200_000)
    sidecar_path(tmp_path / "a.bin").unlink()
    with pytest.raises(UserError, match=r"a\.bin has no sidecar and looks like uint32"):
        open_tokens(tmp_path / "a.bin")
    ids.astype("<u2").tofile(tmp_path / "b.bin")
    assert len(open_tokens(tmp_path / "b.bin")) == 500


def test_ids_above_the_sidecars_largest_are_an_error(tmp_path):
    path = tmp_path / "a.bin"
    write(path, [7] * 100_000)
    ids = np.memmap(path, dtype="<u2", mode="r+")
    ids[90_000] = 300  # beyond what is looked at when it is opened
    tokens = open_tokens(path)
    assert len(tokens.slice(0, 90_000)) == 90_000
    with pytest.raises(UserError, match=r"a\.bin has the token ID 300, but max_id is 7"):
        tokens.slice(89_000, 91_000)
    ids[10] = 301
    with pytest.raises(UserError, match=r"a\.bin has the token ID 301, but max_id is 7"):
        open_tokens(path)


def test_a_file_that_is_truncated_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "a.bin"
    write(path, [1] * 90_000)
    tokens = open_tokens(path)
    assert len(tokens.slice(0, 90_000)) == 90_000
    os.truncate(path, 4096)
    assert len(tokens.slice(0, 2048)) == 2048
    with pytest.raises(UserError, match=r"a\.bin was truncated while it was in use"):
        tokens.slice(2000, 2049)


def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.bin")
    write(tmp_path / "b.bin", [1, 2])
    sidecar_path(tmp_path / "b.bin").unlink()
    os.mkfifo(sidecar_path(tmp_path / "b.bin"))
    for path in (tmp_path / "a.bin", tmp_path / "b.bin", "/dev/zero"):
        with pytest.raises(UserError, match=r"cannot be read: Not a regular file"):
            open_tokens(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b"abc"), "3 bytes are not a multiple of 2"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (
            lambda p: (write(p, [1, 2]), p.write_bytes(b"abcdef")),
            "has 3 tokens, but its sidecar",
        ),
        (lambda p: None, "a.bin; did you mean 'ab.bin'?"),
        (lambda p: p.mkdir(), "no token files (*.bin) in this directory"),
    ],
)
def test_a_bad_file_is_an_error(tmp_path, make, message):
    (tmp_path / "ab.bin").write_bytes(b"ab")
    path = tmp_path / "a.bin"
    make(path)
    with pytest.raises(UserError) as error:
        open_tokens(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [('{"dtype": "int8"}', "dtype"), ("not json", "Invalid JSON")]
)
def test_a_bad_sidecar_is_an_error(tmp_path, text, message):
    (tmp_path / "a.bin").write_bytes(b"ab")
    (tmp_path / "a.bin.json").write_text(text)
    with pytest.raises(UserError, match=rf"a\.bin\.json: {message}"):
        open_tokens(tmp_path / "a.bin")


def test_shards_of_two_tokenizers_are_refused(tmp_path):
    write(tmp_path / "a.bin", [1], tokenizer="char")
    write(tmp_path / "b.bin", [1], tokenizer="byte")
    with pytest.raises(UserError, match="different tokenizers: byte, char"):
        open_tokens(tmp_path)
    with pytest.raises(UserError, match="no token file matches"):
        open_tokens(f"{tmp_path}/c*")


def test_token_files_to_train_on_are_found_with_their_validation_files(tmp_path):
    for name in ("train-char.bin", "data/a/train-gpt2.bin", "data/a/val-gpt2.bin"):
        write(tmp_path / name, [1, 2, 3])
    write(tmp_path / "data/.hidden/train-char.bin", [1])
    (tmp_path / "data/train-old.bin").write_bytes(b"\1\0")  # no sidecar: unknown tokenizer
    (tmp_path / "data/a/train-broken.bin").write_bytes(b"\1")
    found = [(one.train.name, one.val and one.val.name) for one in find_token_sets(tmp_path)]
    assert found == [("train-char.bin", None), ("train-gpt2.bin", "val-gpt2.bin")]
