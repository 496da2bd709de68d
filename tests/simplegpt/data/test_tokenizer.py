"""Text to ids and back, held against transformers' GPT-2 tokenizer."""

import subprocess
import sys
from importlib import resources

import pytest
import requests
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simplegpt.cli import UserError
from simplegpt.data.tokenizer import (
    GPT2_BPE,
    StreamDecoder,
    UnknownCharacterError,
    byte_alphabet,
    gpt2_merges,
    load_tokenizer,
    tokenizer_names,
)

# White space of all kinds, contractions, scripts, marks, and characters of 1 to 4 bytes.
hostile = st.text(
    st.one_of(
        st.sampled_from(list(" \n\t\r\u00a0\u2028\u3000\x1c'sSltre19٣aZé́字。😀<|>_\x00\ufeff")),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def theirs():
    """transformers' tokenizer with the merges in our package."""
    import transformers  # only here: it takes seconds

    merges = resources.files("simplegpt").joinpath("vocab", "gpt2.bpe").read_text().splitlines()
    pairs = [tuple(line.split(" ")) for line in merges[1:]]
    names = [*byte_alphabet(), *("".join(pair) for pair in pairs), "<|endoftext|>"]
    vocab = {name: i for i, name in enumerate(names)}
    return transformers.GPT2Tokenizer(vocab=vocab, merges=pairs)


@given(hostile)
@example("it's we'll 'S  x\n\n  y \t\tz")
@example(" " * 50)
@settings(max_examples=300, deadline=None)
def test_gpt2_equals_transformers(theirs, text):
    assert load_tokenizer("gpt2").encode(text) == theirs.encode(text, split_special_tokens=True)


def test_gpt2_knows_the_published_ids():
    gpt2 = load_tokenizer("gpt2")
    assert gpt2.encode("Hello, world! It's 2026.") == [
        *(15496, 11, 995, 0, 632, 338, 1160, 2075, 13),
    ]
    assert (gpt2.n_vocab, gpt2.end_of_text) == (50257, 50256)


def test_r50k_base_is_gpt2_by_another_name_without_the_network():
    assert load_tokenizer("r50k_base").encode("a b") == load_tokenizer("gpt2").encode("a b")
    assert load_tokenizer("r50k_base").name == "r50k_base"


@given(hostile)
@settings(deadline=None)
def test_gpt2_and_byte_give_any_text_back(text):
    for name in ("gpt2", "byte"):
        tokenizer = load_tokenizer(name)
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert list(tokenizer.encode_to_numpy(text)) == tokenizer.encode(text)


@given(st.text(st.characters(max_codepoint=255)))
def test_char_is_the_characters_code(text):
    char = load_tokenizer("char")
    assert char.encode(text) == [ord(character) for character in text]
    assert char.decode(char.encode(text)) == text


def test_char_names_the_character_it_does_not_have_and_its_line():
    with pytest.raises(UnknownCharacterError, match=r"line 3: the character '…' \(code 8230\)"):
        load_tokenizer("char").encode("one\ntwo\nthree …")


@pytest.mark.parametrize("name", ["char", "byte", "gpt2"])
def test_ids_outside_the_vocabulary_decode_to_a_replacement(name):
    tokenizer = load_tokenizer(name)
    a = tokenizer.encode("a")
    assert tokenizer.decode([*a, 60_000, 2**40, *a]) == "a��a"


@pytest.mark.parametrize("name", ["char", "byte", "gpt2"])
def test_end_of_text_in_a_text_is_text(name):
    tokenizer = load_tokenizer(name)
    ids = tokenizer.encode("<|endoftext|>")
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == "<|endoftext|>"


@given(hostile, st.sampled_from(["byte", "gpt2"]))
@settings(deadline=None)
def test_a_stream_never_cuts_a_character(text, name):
    tokenizer = load_tokenizer(name)
    decoder = StreamDecoder(tokenizer)
    parts = [decoder.push([i]) for i in tokenizer.encode(text)]
    assert "".join(parts) == text
    assert decoder.flush() == ""
    assert all("�" not in part for part in parts) or "�" in text


def test_a_stream_that_ends_inside_a_character_says_so_once():
    byte = load_tokenizer("byte")
    decoder = StreamDecoder(byte)
    assert decoder.push(byte.encode("é")[:1]) == ""
    assert decoder.flush() == "�"
    assert decoder.push(byte.encode("ok")) == "ok"


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UserError, match="did you mean 'gpt2'"):
        load_tokenizer("gtp2")
    assert {"char", "byte", "gpt2", "cl100k_base", "o200k_base"} <= set(tokenizer_names())


def test_a_failed_download_is_one_message(monkeypatch):
    def refuse(name):
        raise requests.ConnectionError("no route\nto host")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    load_tokenizer.cache_clear()
    with pytest.raises(UserError, match=r"'cl100k_base' .* could not be downloaded \(no route\)"):
        load_tokenizer("cl100k_base")


def test_a_damaged_vocabulary_is_not_used(tmp_path):
    damaged = tmp_path / "gpt2.bpe"
    damaged.write_bytes(GPT2_BPE.read_bytes().replace(b"t h", b"h t", 1))
    with pytest.raises(UserError, match="damaged"):
        gpt2_merges(damaged)


def test_the_data_modules_import_without_torch():
    code = """
import importlib, pkgutil, sys, simplegpt.data
for module in pkgutil.iter_modules(simplegpt.data.__path__):
    importlib.import_module(f"simplegpt.data.{module.name}")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
