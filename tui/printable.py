"""Text of files and names made safe to show: nothing in it reaches the terminal as a command.

An escape sequence in a corpus or a run's name must be seen, not obeyed.
"""

_CONTROL_PICTURES = 0x2400  # U+2400 is the picture of NUL, and so on up to U+241F
_DELETE, _DELETE_PICTURE = 0x7F, "␡"
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, keep: str = "") -> str:
    """`text` with a visible sign for every character that would not print as itself.

    Control characters become their pictures (␛ for escape), other spaces a space, what is
    invisible or turns the writing direction U+FFFD. Characters in `keep` (such as a newline) stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else _sign(character)
        for character in text
    )


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == _DELETE:
        return _DELETE_PICTURE
    return " " if character.isspace() else _UNKNOWN
