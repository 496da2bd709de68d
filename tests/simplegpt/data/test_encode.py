"""A text in chunks has the ids of the whole text, for any text and however small the chunks."""

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
from simplegpt.data.encode import Source, encode_files, read_chunks, split_by_line
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


def encode_in_chunks(text: str, tokenizer, size: int, **options) -> list[int]:
    ids: list[int] = []
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text.encode())
        encode_files(
            [Source(Path(file.name))],
            tokenizer,
            lambda part: ids.extend(part.tolist()),
            workers=1,
            chunk_size=size,
            **options,
        )
    return ids


def chunk_lengths(path: Path, tokenizer, size: int) -> list[int]:
    return [len(chunk.text) for chunk in read_chunks([Source(path)], tokenizer, size=size)]


@given(hostile, st.integers(1, 12))
@example("a  b", 1)
@example("a" * 300, 1)
@example(" " * 300 + "a", 4)
@example("\n \n" * 60 + "x" + "'" * 90 + "s", 4)
@example("a\nb\n\nc\n d\n/e\r\nf\n!\n!", 1)
@example("é" * 200 + "😀" * 200 + "123" * 90, 4)
@settings(max_examples=300, deadline=None)
def test_gpt2_in_chunks_is_gpt2_of_the_whole(text, size):
    gpt2 = load_tokenizer("gpt2")
    assert encode_in_chunks(text, gpt2, size) == gpt2.encode(text.removeprefix("\ufeff"))


@pytest.fixture(scope="module")
def touchy_tokenizers():
    """The expressions of GPT-2 and of later encodings, over a vocabulary of all pairs of bytes.

    Any two neighbours in a piece may merge, in a shuffled order, so a wrong cut nearly always
    shows; a real vocabulary has few tokens across, say, a letter and an apostrophe.
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


@given(hostile, st.integers(1, 12))
@example("Ⅻ'S\r\n\r\n!!\n\n/x  y\n", 1)
@example("it's we'll he\u0301's x\u0301y! a\u0301", 1)
@example("e\u0301a\u0308o\u0301x\u0308 y\u0301\nz\u0308i\u0301", 1)
@example("!!\r\n!?\n/\n!\na\nb\n\nc", 1)
@settings(max_examples=150, deadline=None)
def test_every_expression_in_chunks_is_that_of_the_whole(touchy_tokenizers, text, size):
    for tokenizer in touchy_tokenizers:
        whole = tokenizer.encode(text.removeprefix("\ufeff"))
        assert encode_in_chunks(text, tokenizer, size) == whole


@given(hostile, st.integers(1, 12))
@settings(deadline=None)
def test_bytes_in_chunks_are_the_bytes_of_the_whole(text, size):
    byte = load_tokenizer("byte")
    assert encode_in_chunks(text, byte, size) == list(text.removeprefix("\ufeff").encode())


@pytest.mark.parametrize("text", ["It's so. " * 500, "emma\nolivia\n" * 500, "字字。\n" * 500])
def test_words_and_lines_are_cut_often(touchy_tokenizers, text, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text)
    for tokenizer in touchy_tokenizers:
        assert max(chunk_lengths(path, tokenizer, 50)) < 150


def test_a_text_without_a_place_to_cut_is_encoded_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("acgt" * 1000)
    assert chunk_lengths(path, load_tokenizer("gpt2"), 50) == [4000]
    assert max(chunk_lengths(path, load_tokenizer("byte"), 50)) == 50


def test_an_unknown_encoding_is_encoded_whole(touchy_tokenizers, tmp_path):
    encoding = tiktoken.Encoding(
        "of tomorrow",
        pat_str=".+",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens={},
    )
    path = tmp_path / "a.txt"
    path.write_text("a b\n" * 1000)
    assert chunk_lengths(path, BytePairTokenizer(encoding), 50) == [4000]


@given(st.text(st.sampled_from("ab<|>\n"), max_size=60), st.integers(1, 9))
@settings(deadline=None)
def test_a_marker_separates_documents_wherever_it_is(text, size):
    byte = load_tokenizer("byte")
    expected: list[int] = []
    for i, document in enumerate(text.split("<|>")):
        expected += [0] * (i > 0) + list(document.encode())
    assert encode_in_chunks(text, byte, size, marker="<|>", separator=0) == expected


def test_chunks_know_their_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("é one\ntwo\n\nfour\n" * 50)
    parts = list(read_chunks([Source(path)], load_tokenizer("gpt2"), size=20))
    assert len(parts) > 20
    line = 1
    for part in parts:
        assert part.line == line
        line += part.text.count("\n")


@given(
    st.lists(st.text(st.sampled_from("a\n"), min_size=1, max_size=30), min_size=1, max_size=4),
    st.floats(0, 0.99),
)
def test_a_split_divides_the_lines_of_all_files(texts, fraction):
    with tempfile.TemporaryDirectory() as folder:
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


def test_a_split_deep_in_a_long_file_is_at_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {i}\n" for i in range(60_000)))
    train, val = split_by_line([Source(path)], 0.25)
    assert path.read_bytes()[val[0].start :].startswith(b"line 45000\n")
    assert (train[0].stop, val[0].stop) == (val[0].start, None)


def test_several_threads_with_tokenizers_of_their_own_keep_the_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{i} it's line number {i}\n" for i in range(200_000)))  # 41 groups
    gpt2 = load_tokenizer("gpt2")
    ids: list[int] = []
    encode_files(
        [Source(path)], gpt2, lambda part: ids.extend(part.tolist()), workers=2, chunk_size=1000
    )
    assert ids == gpt2.encode(path.read_text())
