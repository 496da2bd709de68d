"""The chat template: dialogues as token IDs.

It needs no special token but <|endoftext|>, so that GPT-2's vocabulary and every tokenizer with an
end-of-text token have it. Each message is a heading with its role, its text, and the token that
ends it:

    System:
    You answer briefly.<|endoftext|>User:
    Hello!<|endoftext|>Assistant:
    Hi! How can I help?<|endoftext|>

White space around a message's text is removed. Roles and texts are encoded separately and as
ordinary text, so no text of a user can end its message or begin another one. Nothing here imports
torch.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from simplegpt.cli import UserError
from simplegpt.data.tokenizer import END_OF_TEXT, Ids, Tokenizer

Role = Literal["system", "user", "assistant"]
ChatTemplate = Literal["simplegpt"]
"""The name of a chat template; there is one."""
CHAT_TEMPLATE: ChatTemplate = "simplegpt"

# Marks of the tokens of dialogues.
ANSWER = 1
"""A token of an answer, which the model learns to predict."""
BEGIN = 2
"""The first token of a dialogue."""

JINJA = (
    "{% for message in messages %}{{ message['role'] | capitalize + ':\n' }}"
    "{{ message['content'] | trim + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
"""The template for transformers, which encodes a literal <|endoftext|> in a text as the token."""


class ChatMessage(BaseModel):
    """A message of a dialogue, in the form of OpenAI's API; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    role: Role
    """The writer; system gives the instructions at the beginning."""
    content: str
    """The text."""


@dataclass(frozen=True)
class ChatPrompt:
    """A dialogue up to the answer that follows."""

    ids: list[int]
    n_dropped: int
    """Number of its oldest messages that are left out, because the context is too short."""


def end_of_message(tokenizer: Tokenizer) -> int:
    """Return the token that ends a message. Raises UserError if `tokenizer` has none."""
    if tokenizer.end_of_text is None:
        raise UserError(
            f"the tokenizer '{tokenizer.name}' has no {END_OF_TEXT}, with which the chat template "
            "ends a message: use gpt2, or train one with simplegpt tokenizer"
        )
    return tokenizer.end_of_text


def heading(role: Role) -> str:
    """Return what stands before the text of a message."""
    return f"{role.capitalize()}:\n"


def encode_heading(role: Role, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens before the text of a message."""
    return tokenizer.encode(heading(role))


def encode_message(message: ChatMessage, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of `message`, from its heading to its end."""
    text = tokenizer.encode(message.content.strip())
    return [*encode_heading(message.role, tokenizer), *text, end_of_message(tokenizer)]


def encode_dialogue(
    messages: Sequence[ChatMessage], tokenizer: Tokenizer
) -> tuple[Ids, npt.NDArray[np.uint8]]:
    """Return the tokens of a dialogue and their marks, each ``[n]``.

    The text of each message of the assistant and its end are marked `ANSWER`, the first token
    `BEGIN`, all others 0.
    """
    ids: list[int] = []
    marks: list[int] = []
    for message in messages:
        tokens = encode_message(message, tokenizer)
        n_heading = len(encode_heading(message.role, tokenizer))
        mark = ANSWER if message.role == "assistant" else 0
        ids += tokens
        marks += [0] * n_heading + [mark] * (len(tokens) - n_heading)
    marks[0] = BEGIN
    return np.array(ids, dtype=np.uint32), np.array(marks, dtype=np.uint8)


def encode_prompt(messages: Sequence[ChatMessage], tokenizer: Tokenizer, n_ctx: int) -> ChatPrompt:
    """Encode a dialogue up to the assistant's next message.

    If the last message is the assistant's, it is unfinished: its text is continued, and white space
    at its end is kept. At least a quarter of the context is left for the answer. Of a dialogue that
    is longer than the rest, the oldest messages are left out, up to a message of the user; a system
    prompt at the beginning is kept. Raises UserError if the last exchange alone is too long.
    """
    turns = [encode_message(message, tokenizer) for message in messages]
    last = messages[-1]
    if last.role == "assistant":
        text = tokenizer.encode(last.content.lstrip())
        turns[-1] = encode_heading("assistant", tokenizer) + text
    else:
        turns.append(encode_heading("assistant", tokenizer))
    n_system = 1 if messages[0].role == "system" else 0
    # the messages at which a shorter dialogue may begin
    starts = [i for i, one in enumerate(messages) if i > n_system and one.role == "user"]
    limit = n_ctx - n_ctx // 4
    ids: list[int] = []
    for start in (n_system, *starts):
        ids = list(itertools.chain(*turns[:n_system], *turns[start:]))
        if len(ids) <= limit:
            return ChatPrompt(ids, n_dropped=start - n_system)
    what = "the system prompt and the last message" if n_system else "the last message"
    raise UserError(
        f"{what}: {len(ids):,} tokens, must be ≤ {limit:,}, three quarters of the context (n_ctx "
        f"{n_ctx:,})"
    )
