"""A text in chunks has the ids of the whole text, however hostile the text and small the chunks."""

import itertools
import random
import tempfile
from pathlib import Path

import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from simplegpt.cli import UserError
from simplegpt.data import chunks as module
from simplegpt.data.chunks import Source, read_chunks, split_by_line
from simplegpt.data.encode import encode_files
from simplegpt.data.tokenizer import BytePairTokenizer, load_tokenizer

SPACES = " \n\t\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u3000"
ODD = "'sSldtmrevLL'19٣Ⅻ½aZéßǅʰ字あ。，\u0301\u0308😀👩\u200d🔬<|>_/-=\x00\x1c\x1f\ufeff"
hostile = st.one_of(
    st.text(st.sampled_from(SPACES + ODD), max_size=120),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.lists(st.tuples(st.sampled_from(list(SPACES + ODD)), st.integers(1, 40)), max_size=8).map(
        lambda runs: "".join(character * n for character, n in runs)
    ),
    st.text(st.sampled_from("aceht "), max_size=200),
)


def encode_in_chunks(text: str, tokenizer, size: int, slack: int, **options) -> list[int]:
    ids: list[int] = []
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text.encode())
        encode_files(
            [Source(Path(file.name))],
            tokenizer,
            lambda part: ids.extend(part.tolist()),
            workers=1,
            size=size,
            slack=slack,
            **options,
        )
    return ids


@given(hostile, st.integers(1, 12), st.integers(16, 40))
@example("a  b", 1, 16)
@example("a" * 300, 1, 16)
@example(" " * 300 + "a", 4, 16)
@example("\n \n" * 60 + "x" + "'" * 90 + "s", 4, 16)
@example("é" * 200 + "😀" * 200 + "123" * 90, 4, 16)
@settings(max_examples=300, deadline=None)
def test_gpt2_in_chunks_is_gpt2_of_the_whole(text, size, slack):
    gpt2 = load_tokenizer("gpt2")
    whole = gpt2.encode(text.removeprefix("\ufeff"))
    try:
        assert encode_in_chunks(text, gpt2, size, slack) == whole
    except UserError:
        # A stretch of one class too long for these tiny chunks: refused, never cut wrongly.
        assert len(text) > size + slack


@pytest.fixture(scope="module")
def touchy_tokenizers():
    """The expressions of GPT-2 and of later encodings, over a vocabulary of all pairs of bytes.

    Any two neighbours in a piece may merge, in a shuffled order: hardly a cut that is wrong goes
    unseen, where a real vocabulary has few tokens across, say, a letter and an apostrophe.
    """
    pairs = [bytes(pair) for pair in itertools.product(range(256), repeat=2)]
    random.Random(0).shuffle(pairs)
    tokens = [bytes([byte]) for byte in range(256)] + pairs
    ranks = {token: rank for rank, token in enumerate(tokens)}
    tokenizers = []
    with pytest.MonkeyPatch.context() as patch:
        for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
            patch.setattr(openai_public, loader, lambda *args, **kwargs: {})
        for name in ("gpt2", "cl100k_base", "o200k_base"):
            pattern = openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"]
            encoding = tiktoken.Encoding(
                name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
            )
            tokenizers.append(BytePairTokenizer(encoding))
    return tokenizers


@given(hostile, st.integers(1, 12), st.integers(0, 40))
@example("Ⅻ'S\r\n\r\n!!\n\n/x  y\n", 1, 1)
@example("it's we'll he\u0301's x\u0301y! a\u0301", 1, 0)
@example("a'sa'lla'rea'da'ta's", 1, 0)
@example("e\u0301a\u0308o\u0301x\u0308y\u0301z\u0308i\u0301", 1, 0)
@example("!!\r\n!?\r\n/\n!\n", 1, 0)
@settings(max_examples=150, deadline=None)
def test_every_expression_in_chunks_is_that_of_the_whole(touchy_tokenizers, text, size, slack):
    for tokenizer in touchy_tokenizers:
        whole = tokenizer.encode(text.removeprefix("\ufeff"))
        # `slack` also bounds where a cut inside one of GPT-2's pieces is looked for
        least = 16 if tokenizer.name == "gpt2" else 0
        try:
            assert encode_in_chunks(text, tokenizer, size, max(slack, least)) == whole
        except UserError:
            assert tokenizer.name == "gpt2"
            assert len(text) > size + slack


@given(hostile, st.integers(1, 12))
@settings(deadline=None)
def test_bytes_in_chunks_are_the_bytes_of_the_whole(text, size):
    byte = load_tokenizer("byte")
    assert encode_in_chunks(text, byte, size, 1) == list(text.removeprefix("\ufeff").encode())


@pytest.mark.parametrize(
    "unit",
    ["a", "Q", " ", "\n", "\t\n", "7", "é", "字", "😀", "'", "=-", "acgt", "!\u0301", "\x00"],
)
def test_a_piece_without_end_is_cut_exactly_and_often(unit, tmp_path):
    text = "head" + unit * (30_000 // len(unit)) + " tail"
    gpt2 = load_tokenizer("gpt2")
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    parts = list(read_chunks([Source(path)], gpt2, size=2000, slack=1024))
    assert len(parts) > 8
    assert max(len(part.text) for part in parts) <= 3024
    assert "".join(part.text for part in parts) == text
    assert encode_in_chunks(text, gpt2, 2000, 1024) == gpt2.encode(text)


def test_a_piece_too_long_for_a_later_encoding_is_refused(touchy_tokenizers, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_PIECE", 500)
    for tokenizer in touchy_tokenizers[1:]:
        with pytest.raises(UserError, match=r"cannot cut .* characters on end that begin 'aaaa"):
            encode_in_chunks("a" * 600, tokenizer, 8, 8)


def test_an_expression_that_is_not_known_is_encoded_whole(touchy_tokenizers, monkeypatch):
    tokenizer = touchy_tokenizers[1]
    monkeypatch.setattr(tokenizer, "name", "of tomorrow")
    monkeypatch.setattr(module, "_LONGEST_PIECE", 500)
    text = "a b\n" * 1000
    assert encode_in_chunks(text, tokenizer, 8, 8) == tokenizer.encode(text)


def test_chinese_without_blanks_is_cut_at_its_signs(touchy_tokenizers, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("字字字，" * 1000)
    for tokenizer in touchy_tokenizers[1:]:
        sizes = [len(c.text) for c in read_chunks([Source(path)], tokenizer, size=50, slack=16)]
        assert max(sizes) <= 54


@given(st.text(st.sampled_from("ab<|>\n"), max_size=60), st.integers(1, 9))
@settings(deadline=None)
def test_a_marker_parts_documents_wherever_it_lies(text, size):
    byte = load_tokenizer("byte")
    expected: list[int] = []
    for i, document in enumerate(text.split("<|>")):
        expected += [0] * (i > 0) + list(document.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_READ", size)
        assert encode_in_chunks(text, byte, 5, 1, marker="<|>", separator=0) == expected


def test_chunks_know_their_lines_and_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("é one\ntwo\n\nfour\n" * 50)
    parts = list(read_chunks([Source(path)], load_tokenizer("gpt2"), size=20, slack=8))
    assert sum(part.n_bytes for part in parts) == path.stat().st_size
    line = 1
    for part in parts:
        assert part.line == line
        line += part.text.count("\n")


@given(
    st.lists(st.text(st.sampled_from("a\n"), min_size=1, max_size=30), min_size=1, max_size=4),
    st.floats(0, 0.99),
    st.integers(1, 9),
)
def test_a_split_parts_the_lines_of_all_files(texts, fraction, block):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_READ", block)
        paths = [Path(folder, str(i)) for i in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        lines = [line for text in texts for line in text.splitlines(keepends=True)]
        n_val = max(1, round(len(lines) * fraction))
        try:
            train, val = split_by_line([Source(path) for path in paths], fraction)
        except UserError:
            assert n_val >= len(lines)
            return
        byte = load_tokenizer("byte")
        train_text, val_text = (
            "".join(chunk.text for chunk in read_chunks(part, byte)) for part in (train, val)
        )
        assert train_text == "".join(lines[:-n_val])
        assert val_text == "".join(lines[-n_val:])


def test_several_threads_keep_the_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{i} it's line number {i}\n" for i in range(20_000)))
    gpt2 = load_tokenizer("gpt2")
    ids: list[int] = []
    encode_files([Source(path)], gpt2, lambda part: ids.extend(part.tolist()), workers=3, size=1000)
    assert ids == gpt2.encode(path.read_text())
