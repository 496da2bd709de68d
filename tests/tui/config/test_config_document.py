"""The config that is edited: text and meaning in step, and what comes to the disk."""

from pathlib import Path

import pytest

from simplegpt.cli import UserError
from tui.config.document import ConfigDocument
from tui.config.states import field_states, section_states, visible_keys

BASE = "[model]\nn_embd = 384 # wide\nn_head = 6\n\n[wandb]\nproject = 'p'\n"
TEXT = """\
# Mine.
include = "base.toml"

[data]
seq_len = 128 # short

[optimization]
peak_lr = 1e-3
"""


@pytest.fixture
def document(workplace: Path) -> ConfigDocument:
    (workplace / "base.toml").write_text(BASE)
    (workplace / "run.toml").write_text(TEXT)
    return ConfigDocument.open(Path("run.toml"))


def origins(document: ConfigDocument, *keys: str) -> list[str]:
    states = field_states(document, [])
    return [states[key].origin for key in keys]


def save(document: ConfigDocument, path: Path) -> None:
    before = document.text
    document.saved_at(path, document.write(path), before)


def test_a_field_shows_its_value_as_the_file_spells_it(document: ConfigDocument) -> None:
    assert document.shown("optimization.peak_lr") == "1e-3"
    assert document.shown("include") == "base.toml"
    assert document.shown("model.n_embd") == "384"
    assert document.shown("optimization.betas") == "[0.9, 0.95]"
    assert document.shown("trainer.limit_val_batches") == ""  # off


def test_every_field_tells_where_its_value_comes_from(document: ConfigDocument) -> None:
    keys = ("data.seq_len", "model.n_embd", "model.n_layer")
    assert origins(document, *keys) == ["this file:5", "base.toml:2", "default"]


def test_typing_is_an_edit_of_the_text_that_keeps_comments(document: ConfigDocument) -> None:
    document.type("data.seq_len", "6_4")
    document.type("model.n_layer", "2")
    assert "seq_len = 6_4 # short\n" in document.text
    assert "[model]\nn_layer = 2\n" in document.text
    assert document.text.startswith("# Mine.\n")
    assert document.changed_keys() == {"data.seq_len", "model.n_layer"}


def test_what_is_typed_back_leaves_the_text_as_it_was(document: ConfigDocument) -> None:
    document.type("model.n_embd", "96")
    document.type("model.n_embd", "384")
    document.type("data.seq_len", "64")
    document.type("data.seq_len", "128")
    assert document.text == TEXT
    assert not document.is_changed


def test_what_cannot_be_stays_where_it_was_typed_with_its_mistake(document: ConfigDocument) -> None:
    document.type("model.n_embd", "wide")
    states = field_states(document, document.inspection.problems)
    assert states["model.n_embd"].shown == "wide"
    assert "integer" in states["model.n_embd"].problem
    document.type("optimization.betas", "[0.9,")
    assert document.shown("optimization.betas") == "[0.9,"
    document.type("data.seq_len", "")
    assert document.shown("data.seq_len") == ""
    assert len(document.inspection.problems) == 3


def test_a_rule_over_two_fields_is_told_under_both_and_counted_once(
    document: ConfigDocument,
) -> None:
    document.type("model.n_head", "7")
    problems = document.inspection.problems
    states = field_states(document, problems)
    assert states["model.n_embd"].problem == states["model.n_head"].problem
    assert "n_head (7)" in states["model.n_head"].problem
    assert section_states(document, problems)["model"].mistakes == 1


def test_an_empty_optional_field_is_off_and_unset_is_another_thing(
    document: ConfigDocument,
) -> None:
    document.type("trainer.gradient_clip_val", "")
    assert "gradient_clip_val = false\n" in document.text
    assert origins(document, "trainer.gradient_clip_val")[0].startswith("this file")
    document.unset("trainer.gradient_clip_val")
    assert document.shown("trainer.gradient_clip_val") == "1.0"
    assert origins(document, "trainer.gradient_clip_val") == ["default"]
    assert document.text == TEXT


def test_a_table_of_the_include_is_switched_off_and_on_again(document: ConfigDocument) -> None:
    assert section_states(document, [])["wandb"].on
    document.set_value("wandb", False)
    assert "wandb = false\n" in document.text
    assert not section_states(document, [])["wandb"].on
    assert not field_states(document, [])["wandb.project"].enabled
    document.set_value("wandb", True)
    assert document.text == TEXT
    document.set_value("early_stopping", True)
    assert document.changed_keys() == {"early_stopping"}
    document.set_value("early_stopping", False)
    assert document.text == TEXT


def test_undo_takes_typing_into_one_field_back_at_once(document: ConfigDocument) -> None:
    for typed in ("6", "64"):
        document.type("data.seq_len", typed)
    document.type("model.n_layer", "2")
    assert document.undo()
    assert document.changed_keys() == {"data.seq_len"}
    assert document.undo()
    assert document.text == TEXT
    assert not document.undo()
    assert document.redo()
    assert document.shown("data.seq_len") == "64"
    assert document.redo()
    assert not document.redo()
    assert document.shown("model.n_layer") == "2"
    document.undo()
    document.type("model.n_layer", "3")
    assert not document.can_redo


def test_reset_gives_the_file_back_for_one_field_or_all(document: ConfigDocument) -> None:
    document.type("data.seq_len", "64")
    document.type("model.n_layer", "2")
    document.reset("data.seq_len")
    assert document.changed_keys() == {"model.n_layer"}
    document.reset_all()
    assert document.text == TEXT
    document.undo()
    assert document.changed_keys() == {"model.n_layer"}


def test_laid_over_values_are_one_step_and_only_what_differs(document: ConfigDocument) -> None:
    document.lay_over({"data.seq_len": 128, "tokenizer_name": "char", "model.n_vocab": 256})
    assert document.changed_keys() == {"tokenizer_name", "model.n_vocab"}
    document.undo()
    assert document.text == TEXT


def test_a_syntax_error_is_kept_and_the_form_waits(document: ConfigDocument) -> None:
    document.set_text("[data\n" + TEXT, what="text")
    assert document.has_syntax_error
    assert document.shown("data.seq_len") == "128"  # as it was last understood
    assert not any(state.enabled for state in field_states(document, []).values())
    document.undo()
    assert not document.has_syntax_error


def test_search_finds_names_and_descriptions_and_views_narrow_it(document: ConfigDocument) -> None:
    document.type("model.n_layer", "2")
    states = field_states(document, [])
    assert visible_keys(states, "nucleus", "all") == {"samples.top_p"}
    assert visible_keys(states, "residual width", "all") == {"model.n_embd"}
    in_file = {"include", "data.seq_len", "optimization.peak_lr", "model.n_layer"}
    assert visible_keys(states, "", "file") == in_file
    assert visible_keys(states, "", "unsaved") == {"model.n_layer"}
    assert visible_keys(states, "layer", "file") == {"model.n_layer"}


def test_saving_writes_only_what_changed(document: ConfigDocument, workplace: Path) -> None:
    document.type("data.seq_len", "64")
    assert [line for line in document.diff() if line[:1] in "+-"] == [
        "-seq_len = 128 # short",
        "+seq_len = 64 # short",
    ]
    save(document, document.path)
    assert (workplace / "run.toml").read_text() == TEXT.replace("128", "64")
    assert not document.is_changed
    assert document.changed_keys() == frozenset()
    document.undo()
    assert document.changed_keys() == {"data.seq_len"}


def test_saving_elsewhere_keeps_the_include(document: ConfigDocument, workplace: Path) -> None:
    document.type("data.seq_len", "64")
    save(document, Path("deep/er/run.toml"))
    assert 'include = "../../base.toml"\n' in (workplace / "deep/er/run.toml").read_text()
    assert document.path == Path("deep/er/run.toml")
    assert document.shown("model.n_embd") == "384"
    assert (workplace / "run.toml").read_text() == TEXT


def test_a_template_of_the_installation_brings_its_include_along(
    tmp_path: Path, workplace: Path
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "base.toml").write_text(BASE)
    (installed / "run.toml").write_text(TEXT)
    document = ConfigDocument.open(installed / "run.toml", is_new=True)
    save(document, Path("configs/mine.toml"))
    assert (workplace / "configs/mine.toml").read_text() == TEXT
    assert (workplace / "configs/base.toml").read_text() == BASE
    assert not document.is_new
    # a base of one's own is never overwritten: then the installed one is named
    (workplace / "configs/base.toml").write_text("seed = 1\n")
    again = ConfigDocument.open(installed / "run.toml", is_new=True)
    save(again, Path("configs/other.toml"))
    assert (workplace / "configs/base.toml").read_text() == "seed = 1\n"
    assert again.shown("model.n_embd") == "384"


def test_a_file_that_changed_on_disk_is_merged_key_by_key(
    document: ConfigDocument, workplace: Path
) -> None:
    document.type("data.seq_len", "64")
    document.type("model.n_layer", "2")
    assert document.changed_on_disk() is None
    theirs = "# Theirs.\n" + TEXT.replace("1e-3", "5e-4")
    (workplace / "run.toml").write_text(theirs)
    found = document.changed_on_disk()
    assert found == theirs
    document.take_from_disk(found, merge=True)
    assert document.text.startswith("# Theirs.\n")
    shown = [document.shown(k) for k in ("data.seq_len", "model.n_layer", "optimization.peak_lr")]
    assert shown == ["64", "2", "5e-4"]
    assert document.changed_keys() == {"data.seq_len", "model.n_layer"}
    assert document.changed_on_disk() is None


def test_a_file_that_cannot_be_read_is_told(workplace: Path) -> None:
    with pytest.raises(UserError, match=r"missing.toml cannot be read"):
        ConfigDocument.open(Path("missing.toml"))
    (workplace / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(UserError, match="not UTF-8"):
        ConfigDocument.open(Path("latin.toml"))


def test_what_was_typed_while_it_was_saved_stays(document: ConfigDocument) -> None:
    # the include is written anew for the second
    for path, typed in ((Path("run.toml"), "32"), (Path("deep/er/run.toml"), "16")):
        document.type("data.seq_len", "64")
        before = document.text
        written = document.write(path)
        document.type("data.seq_len", typed)
        assert document.shown("model.n_embd") == "384"  # from the include, all the time
        document.saved_at(path, written, before)
        assert path.read_text() == written == document.saved_text
        assert "seq_len = 64 # short" in written
        assert document.shown("data.seq_len") == typed
        assert document.shown("model.n_embd") == "384"
        assert document.changed_keys() == {"data.seq_len"}


def test_a_save_while_the_disk_is_read_is_no_change_on_disk(
    document: ConfigDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_save(path: Path) -> str:
        text = path.read_text()
        save(document, Path("deep/er/run.toml"))  # as if by another thread
        return text

    with monkeypatch.context() as patch:
        patch.setattr("tui.config.document.read_text", read_and_save)
        assert document.changed_on_disk() is None
    assert document.changed_on_disk() is None
    document.path.write_text(TEXT)
    assert document.changed_on_disk() == TEXT
