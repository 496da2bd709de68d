"""What became of what was asked of a run."""

from simplegpt.run.events import CommandDone
from tui.training.commands import CommandsAsked, in_words


def test_pending_says_what_it_waits_for_until_it_is_answered() -> None:
    asked = CommandsAsked()
    asked.ask("a1", "stop")
    assert asked.last is not None
    assert asked.pending("stop")
    assert "validating comes to its end first" in in_words(asked.last, "validating")[1]
    asked.answer([CommandDone(id="other", command="stop")])
    assert asked.pending("stop")
    asked.answer([CommandDone(id="a1", command="stop", message="stopping at step 7")])
    assert not asked.pending("stop")
    assert in_words(asked.last, "")[:2] == ("✓", "stop and save: stopping at step 7")


def test_refusal_gives_its_reason() -> None:
    asked = CommandsAsked()
    asked.ask("a1", "sample")
    asked.answer([CommandDone(id="a1", command="sample", ok=False, message="no [samples]")])
    assert asked.last is not None
    assert in_words(asked.last, "")[:2] == ("✗", "could not write a sample: no [samples]")


def test_run_that_ended_answers_nothing_any_more() -> None:
    asked = CommandsAsked()
    asked.ask("a1", "save")
    asked.run_ended()
    assert asked.last is not None
    assert not asked.pending("save")
    assert "ended before it answered" in in_words(asked.last, "")[1]


def test_what_still_waits_is_shown_before_what_was_answered() -> None:
    asked = CommandsAsked()
    asked.ask("a1", "validate")
    asked.ask("a2", "save")
    asked.answer([CommandDone(id="a2", command="save")])
    assert asked.last is not None
    assert asked.last.id == "a1"


def test_own_activity_is_no_waiting() -> None:
    asked = CommandsAsked()
    asked.ask("a1", "validate")
    assert asked.last is not None
    assert in_words(asked.last, "validating")[1] == "asked to validate: validating now"
