"""The commands sent to a run, and what became of them."""

from simplegpt.run.events import CommandDone
from tui.training.commands import SHOWN_SECONDS, SentCommands


def settled(
    sent: SentCommands, *answers: CommandDone, now: float = 0.0, has_ended: bool = False
) -> SentCommands:
    return sent.settle(answers, now, has_ended=has_ended)


def test_command_is_pending_until_its_own_answer_comes() -> None:
    sent = SentCommands().add("a1", "stop")
    assert sent.is_pending("stop")
    sent = settled(sent, CommandDone(id="other", command="stop"))
    assert sent.is_pending("stop")
    sent = settled(sent, CommandDone(id="a1", command="stop", message="at step 7"))
    assert not sent.is_pending()
    assert sent.latest is not None
    assert sent.latest.outcome == "done"
    assert "at step 7" in sent.latest.describe("")


def test_refused_command_gives_its_reason() -> None:
    sent = SentCommands().add("a1", "sample")
    sent = settled(sent, CommandDone(id="a1", command="sample", ok=False, message="no text"))
    assert sent.latest is not None
    assert sent.latest.outcome == "failed"
    assert "no text" in sent.latest.describe("")


def test_command_expires_when_the_run_ends_first() -> None:
    sent = SentCommands().add("a1", "save").add("a2", "stop")
    sent = settled(sent, CommandDone(id="a1", command="save"), has_ended=True)
    assert [one.outcome for one in sent.commands] == ["done", "expired"]
    assert not sent.is_pending()


def test_answers_fade() -> None:
    sent = SentCommands().add("a1", "save").add("a2", "resume")
    sent = settled(sent, CommandDone(id="a1", command="save"), now=100.0)
    assert sent.commands[0].outcome == "done"
    sent = settled(sent, CommandDone(id="a1", command="save"), now=100.0 + SHOWN_SECONDS)
    assert [one.id for one in sent.commands] == ["a2"]  # pending: it stays


def test_pending_command_comes_before_an_answered_one() -> None:
    sent = SentCommands().add("a1", "validate").add("a2", "save")
    sent = settled(sent, CommandDone(id="a2", command="save"))
    assert sent.latest is not None
    assert sent.latest.id == "a1"


def test_description_names_the_activity_that_it_waits_for() -> None:
    latest = SentCommands().add("a1", "save").latest
    assert latest is not None
    assert "waiting for validating" in latest.describe("validating")
    assert "waiting" not in latest.describe("saving")  # its own


def test_only_the_newest_commands_are_kept() -> None:
    sent = SentCommands()
    for number in range(100):
        sent = sent.add(str(number), "save")
    assert 10 < len(sent.commands) < 100
    assert sent.commands[-1].id == "99"
