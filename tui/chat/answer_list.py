"""The answers in one place of a text, with their mean log-probability, to choose one."""

from collections.abc import Sequence

from tui.chat.conversations import Turn
from tui.chat.labels import describe_mean_logprob, mean_logprob
from tui.shell.dialogs import Entry, ListDialog


class AnswerList(ListDialog[str]):
    """Returns the id of the answer chosen."""

    def __init__(self, answers: Sequence[Turn]) -> None:
        super().__init__(
            "Answers",
            answer_entries(answers),
            hint="Enter to show · Esc to cancel",
        )


def answer_entries(answers: Sequence[Turn]) -> list[Entry[str]]:
    """An entry for each answer, its text below; the most probable one is marked."""
    means = {each.id: mean for each in answers if (mean := mean_logprob(each)) is not None}
    best = max(means, key=lambda each: means[each], default=None)
    return [
        Entry(
            each.id,
            f"{number}",
            (
                f"seed {each.sampling.seed}" if each.sampling is not None else "",
                f"{len(each.ids):,} tokens",
                describe_mean_logprob(means.get(each.id)),
                "★ most probable" if each.id == best and len(means) > 1 else "",
            ),
            detail=" ".join(each.text.split()),
        )
        for number, each in enumerate(answers, start=1)
    ]
