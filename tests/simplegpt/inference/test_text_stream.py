"""A text stream yields whole characters, no stop strings and no starts of them."""

import pytest

from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.inference.generation import TextStream, Token


def stream(text: bytes, stop: list[str], name: str = "byte") -> tuple[list[str], bool]:
    """The text shown after each byte of `text`, and whether it stopped."""
    texts, pieces = TextStream(load_tokenizer(name), stop), []
    shown = [""]
    for token in text:
        pieces += [piece.text for piece in texts.push(Token(0, token))]
        shown.append("".join(pieces))
        if texts.stopped:
            return shown, True
    shown.append("".join(pieces + [piece.text for piece in texts.flush()]))
    return shown, False


def test_no_character_is_ever_cut() -> None:
    shown, _ = stream("aé€😀b".encode(), [])
    assert shown[-1] == "aé€😀b"
    assert all("\N{REPLACEMENT CHARACTER}" not in text for text in shown)
    assert stream("a😀".encode()[:-1], [])[0][-1] == "a"


@pytest.mark.parametrize(
    ("text", "stop", "expected", "stopped"),
    [
        ("one two three", ["two"], "one ", True),
        ("aaab", ["aab"], "a", True),
        ("ababac", ["abac"], "ab", True),
        ("tw", ["two"], "tw", False),
        ("one twone", ["two one"], "one twone", False),
        ("xyz", ["z", "yz"], "x", True),
        ("no\n\nUser: yes", ["\nUser:"], "no\n", True),
        ("né€", ["€"], "né", True),
    ],
)
def test_no_start_of_a_stop_string_is_ever_shown(
    text: str, stop: list[str], expected: str, stopped: bool
) -> None:
    shown, has_stopped = stream(text.encode(), stop)
    assert (shown[-1], has_stopped) == (expected, stopped)
    assert all(expected.startswith(part) for part in shown)


def test_a_stop_string_inside_a_token_cuts_it() -> None:
    tokenizer = load_tokenizer("gpt2")
    texts = TextStream(tokenizer, ["test"])
    pieces = [
        piece for token in tokenizer.encode("the greatest") for piece in texts.push(Token(0, token))
    ]
    assert "".join(piece.text for piece in pieces) == "the grea"
    assert texts.stopped
