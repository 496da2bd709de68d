"""A turn in pieces: the tokens that a transcript draws and a cursor stands on."""

from typing import NamedTuple

from tui.chat.conversations import Role, Turn


class Piece(NamedTuple):
    """A token of an answer, or the whole of what a person wrote."""

    turn: str
    """Id of the turn that it belongs to."""
    role: Role
    token: int | None
    """Its index among the turn's tokens; None where the turn has none."""
    text: str
    logprob: float | None = None
    given: bool = False


def pieces_of(turn: Turn) -> list[Piece]:
    """A turn as pieces: its tokens where it has any, else its text."""
    if not turn.pieces:
        return [Piece(turn.id, turn.role, None, turn.text)] if turn.text else []
    known = len(turn.logprobs) == len(turn.pieces)
    return [
        Piece(turn.id, turn.role, i, text, turn.logprobs[i] if known else None, i < turn.n_given)
        for i, text in enumerate(turn.pieces)
    ]
