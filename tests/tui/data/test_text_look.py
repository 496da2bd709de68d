"""A text before it is tokenized: what is said of it, and of one that is none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simplegpt.cli import UserError
from tui.data import text_look
from tui.data.text_look import alphabet_in_words, look_at_tokens, read_head, survey


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
    assert text_look.HEAD_BYTES - 32 < len(head.text.encode()) <= text_look.HEAD_BYTES
    one_line = read_head(write(tmp_path, "語" * 20_000))  # 16,000 bytes are 5,333⅓ characters
    assert one_line.text == "語" * 5_333


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("text.tx", "did you mean 'text.txt'"),
        (".", "is a folder"),
        ("empty.txt", "empty.txt is empty"),
        ("latin.txt", "latin.txt is not UTF-8 text: byte 5 is 0xfc"),
    ],
)
def test_what_is_no_text_is_told_in_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    write(tmp_path, "text")
    write(tmp_path, "", "empty.txt")
    write(tmp_path, "abcd \xfcbung".encode("latin-1"), "latin.txt")
    with pytest.raises(UserError, match=sentence.replace(".", r"\.")):
        read_head(tmp_path / name)


def test_survey_counts_lines_characters_and_alphabet(tmp_path: Path) -> None:
    found = survey(write(tmp_path, "\ufeffbanana\nÜbung"))
    assert found is not None
    assert found.characters == "\nabgnuÜ"
    assert (found.lines, found.is_whole) == (2, True)
    whole_lines = survey(write(tmp_path, "a\nb\n"))
    assert whole_lines is not None
    assert whole_lines.lines == 2


def test_survey_says_where_a_text_stops_being_one_across_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_look, "_READ", 5)
    good = survey(write(tmp_path, "日本語" * 10))
    assert good is not None
    assert good.n_characters == 30
    with pytest.raises(UserError, match="byte 30 is 0xff"):
        survey(write(tmp_path, "日本語".encode() * 3 + b"abc\xff"))
    with pytest.raises(UserError, match="byte 27 is 0xe6"):  # its end is missing
        survey(write(tmp_path, "日本語".encode() * 3 + "日".encode()[:2]))


def test_survey_stops_when_it_is_told_to(tmp_path: Path) -> None:
    assert survey(write(tmp_path, "abc"), lambda: True) is None


def test_survey_of_a_huge_text_is_that_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_look, "_READ", 10)
    monkeypatch.setattr(text_look, "SURVEY_BYTES", 20)
    found = survey(write(tmp_path, "é" * 30))
    assert found is not None
    assert (found.n_characters, found.is_whole) == (10, False)


def test_alphabet_is_said_in_ranges() -> None:
    shakespeare = "".join(
        sorted(set("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    )
    assert alphabet_in_words(shakespeare) == "↵ space ! $ & ' , - . 3 : ; ? A–Z a–z"
    assert alphabet_in_words("\t\r\x1babc01234") == "tab CR U+001B a b c 0–4"
    assert alphabet_in_words("XYZ[") == "X Y Z ["
    assert alphabet_in_words("") == ""


def test_tokens_are_those_of_the_tokenizer_and_show_bytes_that_are_no_character() -> None:
    look = look_at_tokens("gpt2", "Hello world 語")
    assert look.pieces == ("Hello", " world", " <e8>", "<aa>", "<9e>")
    assert look.n_vocab == 50_257
    assert look.characters_a_token == 13 / len(look.pieces)
    assert look_at_tokens("byte", "é").pieces == ("<c3>", "<a9>")
    assert look_at_tokens("char", "ab").characters_a_token == 1


def test_character_without_an_id_is_named() -> None:
    with pytest.raises(UserError, match="line 2: the character '語'"):
        look_at_tokens("char", "a\n語")


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_pieces_make_the_text_again(text: str) -> None:
    for name in ("char", "byte", "gpt2"):
        assert "".join(look_at_tokens(name, text).pieces) == text
