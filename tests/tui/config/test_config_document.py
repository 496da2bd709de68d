"""The config being edited: its text and meaning in step, its history, and its file."""

import os
from pathlib import Path

import pytest

from simplegpt.cli import UserError
from simplegpt.config.load import read_includes
from tui.config.document import ConfigDocument
from tui.config.fields import ConfigState
from tui.config.files import (
    ConfigFile,
    default_config,
    free_path,
    list_configs,
    save_path,
    save_text,
    typed_config,
)

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
    fields = ConfigState.of(document).fields
    return [fields[key].origin for key in keys]


def save(document: ConfigDocument, path: Path) -> None:
    text = document.text
    written = save_text(text, path, origin=document.path, replaces=None)
    document.mark_saved(path, written, text, read_includes(written, path))


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


def test_invalid_values_stay_as_typed_with_their_error(document: ConfigDocument) -> None:
    document.type("model.n_embd", "wide")
    field = ConfigState.of(document).fields["model.n_embd"]
    assert field.shown == "wide"
    assert field.error
    document.type("optimization.betas", "[0.9,")
    assert document.shown("optimization.betas") == "[0.9,"
    document.type("data.seq_len", "")
    assert document.shown("data.seq_len") == ""
    assert len(document.inspection.problems) == 3


def test_an_error_of_two_fields_is_shown_at_both_and_counted_once(
    document: ConfigDocument,
) -> None:
    document.type("model.n_head", "7")
    state = ConfigState.of(document)
    assert state.fields["model.n_embd"].error == state.fields["model.n_head"].error
    assert "384" in state.fields["model.n_head"].error
    assert state.sections["model"].n_errors == 1
    assert state.invalid_keys == ["model.n_embd"]


def test_an_empty_optional_field_is_off_which_is_not_unset(
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
    assert ConfigState.of(document).sections["wandb"].on
    document.set_value("wandb", False)
    assert "wandb = false\n" in document.text
    assert not ConfigState.of(document).sections["wandb"].on
    assert not ConfigState.of(document).fields["wandb.project"].enabled
    document.set_value("wandb", True)
    assert document.text == TEXT
    document.set_value("early_stopping", True)
    assert document.changed_keys() == {"early_stopping"}
    document.set_value("early_stopping", False)
    assert document.text == TEXT


def test_typing_into_one_field_is_one_undo_step(document: ConfigDocument) -> None:
    for typed in ("6", "64"):
        document.type("data.seq_len", typed)
    document.type("model.n_layer", "2")
    document.undo()
    assert document.changed_keys() == {"data.seq_len"}
    document.undo()
    assert document.text == TEXT
    assert not document.can_undo
    document.redo()
    assert document.shown("data.seq_len") == "64"
    document.redo()
    assert not document.can_redo
    assert document.shown("model.n_layer") == "2"
    document.undo()
    document.type("model.n_layer", "3")
    assert not document.can_redo


def test_reset_restores_the_saved_value_of_one_field_or_all(document: ConfigDocument) -> None:
    document.type("data.seq_len", "64")
    document.type("model.n_layer", "2")
    document.reset("data.seq_len")
    assert document.changed_keys() == {"model.n_layer"}
    document.discard()
    assert document.text == TEXT
    document.undo()
    assert document.changed_keys() == {"model.n_layer"}


def test_applied_values_are_one_undo_step_and_only_what_differs(document: ConfigDocument) -> None:
    document.apply({"data.seq_len": 128, "tokenizer_name": "char", "model.n_vocab": 256})
    assert document.changed_keys() == {"tokenizer_name", "model.n_vocab"}
    document.undo()
    assert document.text == TEXT


def test_only_what_a_person_typed_is_work_to_lose(document: ConfigDocument) -> None:
    document.apply({"model.n_vocab": 256})
    assert document.is_changed
    assert not document.has_work
    document.type("trainer.max_steps", "7")
    assert document.has_work
    document.apply({"model.n_vocab": 512})
    assert document.has_work


def test_a_syntax_error_disables_the_fields_and_keeps_their_values(
    document: ConfigDocument,
) -> None:
    document.set_text("[data\n" + TEXT, kind="toml")
    assert document.has_syntax_error
    assert document.shown("data.seq_len") == "128"  # as it was last understood
    assert not any(state.enabled for state in ConfigState.of(document).fields.values())
    document.undo()
    assert not document.has_syntax_error


def test_search_and_views_filter_the_fields(document: ConfigDocument) -> None:
    document.type("model.n_layer", "2")
    state = ConfigState.of(document)
    assert state.matching_keys("nucleus", "all") == {"samples.top_p"}
    assert state.matching_keys("residual width", "all") == {"model.n_embd"}
    in_file = {"include", "data.seq_len", "optimization.peak_lr", "model.n_layer"}
    assert state.matching_keys("", "file") == in_file
    assert state.matching_keys("", "unsaved") == {"model.n_layer"}
    assert state.matching_keys("layer", "file") == {"model.n_layer"}


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


def test_a_template_of_the_installation_is_saved_with_its_include(
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
    # another file of that name is never overwritten: then the installed one is named
    (workplace / "configs/base.toml").write_text("seed = 1\n")
    again = ConfigDocument.open(installed / "run.toml", is_new=True)
    save(again, Path("configs/other.toml"))
    assert (workplace / "configs/base.toml").read_text() == "seed = 1\n"
    assert again.shown("model.n_embd") == "384"


def test_a_file_that_changed_on_disk_is_merged_key_by_key(document: ConfigDocument) -> None:
    document.type("data.seq_len", "64")
    document.type("model.n_layer", "2")
    document.take_from_disk("# Theirs.\n" + TEXT.replace("1e-3", "5e-4"), merge=True)
    assert document.text.startswith("# Theirs.\n")
    shown = [document.shown(k) for k in ("data.seq_len", "model.n_layer", "optimization.peak_lr")]
    assert shown == ["64", "2", "5e-4"]
    assert document.changed_keys() == {"data.seq_len", "model.n_layer"}


def test_an_unreadable_file_is_an_error_that_names_it(workplace: Path) -> None:
    (workplace / "latin.toml").write_bytes(b"# caf\xe9\n")
    os.mkfifo("pipe.toml")  # to read it would wait for ever
    for name in ("missing.toml", "latin.toml", "pipe.toml"):
        with pytest.raises(UserError, match=name):
            ConfigDocument.open(Path(name))


def test_what_is_typed_while_it_is_saved_stays(document: ConfigDocument) -> None:
    # the include is adapted for the second
    for path, typed in ((Path("run.toml"), "32"), (Path("deep/er/run.toml"), "16")):
        document.type("data.seq_len", "64")
        text = document.text
        written = save_text(text, path, origin=document.path, replaces=None)
        document.type("data.seq_len", typed)
        assert document.shown("model.n_embd") == "384"  # from the include, all the time
        document.mark_saved(path, written, text, read_includes(written, path))
        assert path.read_text() == written == document.saved_text
        assert "seq_len = 64 # short" in written
        assert document.shown("data.seq_len") == typed
        assert document.shown("model.n_embd") == "384"
        assert document.changed_keys() == {"data.seq_len"}


def test_editing_reads_no_file_and_a_look_at_the_disk_reads_all(
    document: ConfigDocument, workplace: Path
) -> None:
    (workplace / "base.toml").unlink()
    document.type("model.n_layer", "2")
    assert document.shown("model.n_embd") == "384"
    (workplace / "base.toml").write_text(BASE.replace("384", "96"))
    assert document.take_includes(document.read_disk().includes) == [Path("base.toml")]
    assert document.shown("model.n_embd") == "96"
    assert document.changed_keys() == {"model.n_layer"}
    assert document.take_includes(document.read_disk().includes) == []


def test_another_include_is_taken_over_once_it_was_read(
    document: ConfigDocument, workplace: Path
) -> None:
    (workplace / "other.toml").write_text("[model]\nn_embd = 60\n")
    document.type("include", "other.toml")
    assert document.needs_includes
    assert document.shown("model.n_embd") == "384"  # not a default that flashes up
    document.take_includes(document.read_disk().includes)
    assert not document.needs_includes
    assert document.shown("model.n_embd") == "60"
    assert origins(document, "model.n_embd") == ["other.toml:2"]


def test_a_byte_order_mark_is_no_part_of_the_text(workplace: Path) -> None:
    (workplace / "bom.toml").write_bytes(b"\xef\xbb\xbfseed = 5\r\n")
    document = ConfigDocument.open(Path("bom.toml"))
    assert document.text == "seed = 5\r\n"
    assert document.shown("seed") == "5"


@pytest.mark.parametrize("typed", ["", " ", ".", "..", "/", "new/", "~no.such.user/x", "dir.toml"])
def test_a_config_is_not_saved_under_an_impossible_name(workplace: Path, typed: str) -> None:
    (workplace / "dir.toml").mkdir()
    with pytest.raises(UserError):
        save_path(typed)
    assert typed_config(typed) is None


@pytest.mark.parametrize("typed", [f"{'x' * 300}", "x/" * 3000 + "y"])
def test_a_name_that_the_file_system_refuses_is_an_error(workplace: Path, typed: str) -> None:
    with pytest.raises(UserError):
        save_path(typed)
    assert typed_config(typed) is None


def test_a_file_that_changed_just_before_it_is_saved_is_not_overwritten(
    document: ConfigDocument,
) -> None:
    document.path.write_text("seed = 9\n")
    with pytest.raises(UserError, match=r"run\.toml"):
        save_text("seed = 1\n", document.path, origin=document.path, replaces=document.saved_text)
    assert document.path.read_text() == "seed = 9\n"


def test_configs_are_listed_with_their_first_comment_but_not_those_of_runs(workplace: Path) -> None:
    for name in ("a/b/deep.toml", "models/run/config.toml", ".hidden/x.toml", "a/b/c/deeper.toml"):
        (workplace / name).parent.mkdir(parents=True, exist_ok=True)
        (workplace / name).write_text("seed = 1\n")
    (workplace / "mine.toml").write_text("# For one GPU.\nseed = 1\n")
    assert list_configs(workplace) == [
        ConfigFile(workplace / "mine.toml", "For one GPU."),
        ConfigFile(workplace / "a/b/deep.toml", ""),
    ]


def test_the_first_config_is_the_folders_own_or_else_a_template(workplace: Path) -> None:
    template = default_config()
    assert template.is_template
    own = workplace / "configs" / template.path.name
    own.parent.mkdir()
    own.touch()
    assert default_config() == ConfigFile(own, "")
    assert free_path(template.path) == Path("configs") / f"{own.stem}-2.toml"
