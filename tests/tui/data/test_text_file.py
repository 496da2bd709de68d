"""A text before it is tokenized: its head, its statistics, its tokens, and unsuitable files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simplegpt.cli import UserError
from tui.data.text_file import (
    HEAD_BYTES,
    LineLengths,
    TextStatistics,
    count,
    count_tokens,
    format_alphabet,
    preview_tokens,
    read_head,
)


def write(folder: Path, data: bytes | str, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_short_text_is_shown_whole(tmp_path: Path) -> None:
    head = read_head(write(tmp_path, "one\ntwo"))
    assert (head.text, head.size, head.is_whole) == ("one\ntwo", 7, True)


def test_long_text_is_cut_at_a_line_and_never_inside_a_character(tmp_path: Path) -> None:
    head = read_head(write(tmp_path, "日本語日本\n" * 4_000))
    assert not head.is_whole
    assert head.text.endswith("本\n")
    assert HEAD_BYTES - 32 < len(head.text.encode()) <= HEAD_BYTES
    one_line = read_head(write(tmp_path, "語" * 20_000))  # 16,000 bytes are 5,333⅓ characters
    assert one_line.text == "語" * 5_333


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("text.tx", "did you mean 'text.txt'"),
        (".", "is a directory"),
        ("empty.txt", "empty.txt: empty"),
        ("latin.txt", "latin.txt:1: invalid UTF-8 at byte 5"),
    ],
)
def test_unsuitable_file_is_an_error(tmp_path: Path, name: str, sentence: str) -> None:
    write(tmp_path, "text")
    write(tmp_path, "", "empty.txt")
    write(tmp_path, "abcd \xfcbung".encode("latin-1"), "latin.txt")
    with pytest.raises(UserError, match=sentence.replace(".", r"\.")):
        read_head(tmp_path / name)


def count_all(path: Path, block: int = 1 << 20) -> TextStatistics:
    return list(count(path, block))[-1]


def test_lines_characters_and_alphabet_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffbanana\nÜbung")
    counted = count_all(path)
    assert (counted.alphabet, counted.n_lines, counted.n_characters) == ("\nabgnuÜ", 2, 12)
    assert counted.is_whole
    assert counted.frequent[:2] == [("a", 3 / 12), ("n", 3 / 12)]
    assert count_all(write(tmp_path, "a\nb\n")).n_lines == 2
    assert count_all(write(tmp_path, "日本語" * 10), block=5).n_characters == 30


@pytest.mark.parametrize("block", [3, 1 << 20])
def test_lengths_of_lines_do_not_depend_on_the_blocks(tmp_path: Path, block: int) -> None:
    lengths = count_all(write(tmp_path, "abcde\n\n語語\n\nlonger line"), block).lines
    assert lengths == LineLengths(median=2, most=11, longest=11, empty=0.4)


def test_tokens_are_counted_in_the_beginning_of_a_text(tmp_path: Path) -> None:
    path = write(tmp_path, "the cat and the dog" + " bird" * 10)
    counted = count_tokens("gpt2", path)
    assert (counted.n_tokens, counted.n_used, counted.scope) == (15, 6, "")
    assert counted.frequent[0] == (" bird", 10 / 15)
    assert counted.characters_per_token == 69 / 15
    partial = count_tokens("byte", path, n_bytes=3)
    assert (partial.n_characters, partial.scope) == (3, "the first 3 B")


def test_invalid_utf8_is_found_while_counting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at byte 30"):
        count_all(write(tmp_path, "日本語".encode() * 3 + b"abc\xff"), block=5)
    with pytest.raises(UserError, match="at byte 27"):  # its end is missing
        count_all(write(tmp_path, "日本語".encode() * 3 + "日".encode()[:2]), block=5)


def test_only_the_beginning_of_a_huge_text_is_counted(tmp_path: Path) -> None:
    *_, last = count(write(tmp_path, "é" * 30), block=10, limit=20)
    assert (last.n_characters, last.is_whole) == (10, False)


def test_alphabet_is_formatted_in_ranges() -> None:
    shakespeare = "".join(
        sorted(set("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    )
    assert format_alphabet(shakespeare) == "↵ space ! $ & ' , - . 3 : ; ? A–Z a–z"
    assert format_alphabet("\t\r\x1babc01234") == "tab CR U+001B a b c 0–4"
    assert format_alphabet("XYZ[") == "X Y Z ["
    assert format_alphabet("") == ""


def test_tokens_are_those_of_the_tokenizer_and_show_bytes_that_are_not_a_character() -> None:
    preview = preview_tokens("gpt2", "Hello world 語")
    assert preview.pieces == ("Hello", " world", " \\xe8", "\\xaa", "\\x9e")
    assert preview.n_vocab == 50_257
    assert preview_tokens("byte", "é").pieces == ("\\xc3", "\\xa9")


def test_character_without_an_id_is_named() -> None:
    with pytest.raises(UserError, match="line 2: the character '語'"):
        preview_tokens("char", "a\n語")


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_pieces_make_the_text_again(text: str) -> None:
    for name in ("char", "byte", "gpt2"):
        assert "".join(preview_tokens(name, text).pieces) == text
