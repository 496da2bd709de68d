"""Edits of a config file: what is not edited keeps every byte."""

import difflib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simplegpt.config.edit import (
    differences,
    edit,
    literal,
    literal_changes,
    literal_for,
    literals,
    parse_literal,
)
from simplegpt.config.load import flatten, inspect
from simplegpt.config.schema import Config, settings

TEXT = """\
# A run of mine.
include = "base.toml" # shared

output_dir = "models/mine"  # here

# About the model.
[model]
n_vocab = 5_000 # few
# n_ctx is left as it is

# About the data.
[data]
seq_len = 128


[optimization]  # tuned by hand
peak_lr = 1e-3
betas = [
  0.9, # first
  0.95,
]
"""

INLINE = """seed = 5_000
samples = { prompts = [ # two
  "ROMEO:",  # the {hero}, "x" = 1
  'JULIET:', # the heroine
], temperature = 8e-1,  top_p=9.5e-1 } # mine
optimization = {peak_lr = 1e-3}
"""


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return sorted(line for line in lines if line[:1] in "+-")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"model.n_vocab": "6_000"}, ["+ n_vocab = 6_000 # few", "- n_vocab = 5_000 # few"]),
        ({"optimization.peak_lr": "3e-4"}, ["+ peak_lr = 3e-4", "- peak_lr = 1e-3"]),
        ({"model.n_embd": "64"}, ["+ n_embd = 64"]),
        ({"data.train_fpath": '"x"'}, ['+ train_fpath = "x"']),
        ({"tokenizer_name": '"char"'}, ['+ tokenizer_name = "char"']),
        ({"wandb": "false"}, ["+ wandb = false"]),
        ({"output_dir": None}, ['- output_dir = "models/mine"  # here']),
        ({"model.n_head": None}, []),
        ({"trainer.max_steps": "5_0"}, ["+ ", "+ [trainer]", "+ max_steps = 5_0"]),
        ({"early_stopping": "{}"}, ["+ ", "+ [early_stopping]"]),
        (
            {"optimization.betas": "[0.8, 0.9]"},
            ["+ betas = [0.8, 0.9]", "-   0.9, # first", "-   0.95,", "- ]", "- betas = ["],
        ),
    ],
)
def test_an_edit_changes_only_its_own_lines(
    changes: dict[str, str | None], difference: list[str]
) -> None:
    assert changed_lines(TEXT, edit(TEXT, changes)) == difference


def test_a_new_key_stands_beside_its_neighbours_and_above_the_next_tables_comment() -> None:
    edited = edit(TEXT, {"model.n_embd": "64", "seed": "3", "data.val_fpath": '"v"'})
    assert "n_vocab = 5_000 # few\nn_embd = 64\n# n_ctx is left" in edited
    assert 'include = "base.toml" # shared\nseed = 3\n' in edited
    assert '[data]\nval_fpath = "v"\nseq_len = 128\n' in edited


def test_a_new_table_stands_before_those_that_follow_it_in_the_schema() -> None:
    edited = edit("[model]\nn_ctx = 3\n\n# how\n[trainer]\nmax_steps = 3\n", {"data.seq_len": "3"})
    assert edited == (
        "[model]\nn_ctx = 3\n\n[data]\nseq_len = 3\n\n# how\n[trainer]\nmax_steps = 3\n"
    )


def test_a_top_level_key_is_never_taken_into_a_table() -> None:
    edited = edit("# mine\n\n# the model\n[model]\nn_ctx = 3", {"seed": "3", "model.n_vocab": "9"})
    assert edited == "# mine\n\nseed = 3\n\n# the model\n[model]\nn_vocab = 9\nn_ctx = 3"
    assert edit("", {"seed": "3"}) == "seed = 3\n"


def test_setting_and_removing_again_gives_the_same_text_back() -> None:
    changes = {
        "seed": "3",
        "model.n_embd": "64",
        "optimization.optimizer": '"muon"',
        "trainer.max_steps": "3",
        "early_stopping.patience": "2",
        "wandb": "false",
    }
    edited = edit(TEXT, changes)
    undone = edit(edited, {**dict.fromkeys(changes), "early_stopping": None})
    assert undone == TEXT


def test_a_table_is_switched_off_and_on() -> None:
    text = '[wandb] # ours\nproject = "p"\n\n# then\n[trainer]\nmax_steps = 3\n'
    off = edit(text, {"wandb": "false"})
    assert off == "wandb = false\n\n# then\n[trainer]\nmax_steps = 3\n"
    assert tomllib.loads(edit(off, {"wandb.project": '"q"'}))["wandb"] == {"project": "q"}
    assert tomllib.loads(edit(off, {"wandb": "{}"}))["wandb"] == {}
    assert edit(text, {"wandb": "{}"}) == text


def test_dotted_keys_and_inline_tables_are_edited_as_they_are() -> None:
    text = "model.n_ctx = 3\ndata = {seq_len = 3}\n"
    edited = edit(text, {"model.n_ctx": "4", "model.n_head": "2", "data.num_workers": "1"})
    assert edited == ("model.n_ctx = 4\nmodel.n_head = 2\ndata = {seq_len = 3, num_workers = 1}\n")
    assert edit(edited, {"data.seq_len": None, "model.n_ctx": None}) == (
        "model.n_head = 2\ndata = {num_workers = 1}\n"
    )


def test_only_what_changes_in_an_inline_table_is_touched() -> None:
    text = INLINE
    edited = edit(text, {"samples.top_p": "0.5", "samples.top_k": "3", "samples.seed": "1_0"})
    assert edited == text.replace("8e-1,", "8e-1, top_k = 3,").replace(
        "top_p=9.5e-1", "top_p=0.5, seed = 1_0"
    )
    assert edit(edited, dict.fromkeys(("samples.top_k", "samples.seed"))) == text.replace(
        "9.5e-1", "0.5"
    )
    assert edit(text, {"samples.prompts": None, "samples.top_p": None}) == (
        "seed = 5_000\nsamples = { temperature = 8e-1 } # mine\noptimization = {peak_lr = 1e-3}\n"
    )
    assert edit(text, {"samples": "{}"}) == text
    emptied = edit(text, {"optimization.peak_lr": None})
    assert emptied.endswith("\noptimization = {}\n")
    assert edit(emptied, {"optimization.peak_lr": "1e-3"}) == text
    assert literals(text)["samples.top_p"] == "9.5e-1"
    assert literal_changes(text, edited) == {
        "samples.top_p": "0.5",
        "samples.top_k": "3",
        "samples.seed": "1_0",
    }


def test_windows_line_ends_stay() -> None:
    edited = edit("seed = 1\r\n[model]\r\nn_ctx = 3\r\n", {"model.n_embd": "4"})
    assert edited == "seed = 1\r\n[model]\r\nn_ctx = 3\r\nn_embd = 4\r\n"


@pytest.mark.parametrize("text", ["[model\n", "seed = 1\nseed = 2\n"])
def test_a_text_that_is_not_toml_is_not_edited(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        edit(text, {"seed": "1"})


@pytest.mark.parametrize("value", ["", "a b", "1\nx = 2", "1 # one"])
def test_an_invalid_literal_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"line|value"):
        edit(TEXT, {"seed": value})


OUR_CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))


@given(
    st.sampled_from([path.read_text() for path in OUR_CONFIGS] + [TEXT, INLINE, ""]),
    st.dictionaries(
        st.sampled_from(sorted(set(settings()) - {"include"})),
        st.none() | st.integers() | st.booleans() | st.text(max_size=8) | st.floats(0, 1),
        max_size=6,
    ),
)
def test_any_edits_give_a_file_with_just_those_values_changed(
    text: str, changes: dict[str, object]
) -> None:
    edited = edit(text, {k: None if v is None else literal(v) for k, v in changes.items()})
    expected = tomllib.loads(text)
    for key, value in changes.items():
        table, _, name = key.rpartition(".")
        holder = expected.setdefault(table, {}) if table else expected
        if value is None:
            holder.pop(name, None)
        else:
            holder[name] = value
    found = tomllib.loads(edited)
    without_empty = [{k: v for k, v in one.items() if v != {}} for one in (found, expected)]
    assert without_empty[0] == without_empty[1]
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    assert [line for line in comments if line not in edited] == []


@pytest.mark.parametrize(
    ("key", "typed", "written"),
    [
        ("model.n_vocab", "5_000", "5_000"),
        ("optimization.peak_lr", "1e-3", "1e-3"),
        ("tokenizer_name", "char", '"char"'),
        ("tokenizer_name", '"char"', '"char"'),
        ("tokenizer_name", "123", '"123"'),
        ("torch_compile", "auto", '"auto"'),
        ("init_from", "false", "false"),
        ("optimization.betas", "0.9, 0.95", "[0.9, 0.95]"),
        ("data.train_fpath", "a\\b", '"a\\\\b"'),
        ("model.n_embd", "12x", '"12x"'),
    ],
)
def test_what_a_person_types_is_written_as_it_was_typed(key: str, typed: str, written: str) -> None:
    assert literal_for(settings()[key], typed) == written
    parse_literal(written)


def test_literals_are_those_of_the_file_itself() -> None:
    text = "a.b = 1\n[model]\nn_ctx = 5_000 # x\n[wandb]\n[early_stopping]\npatience = 2\n"
    assert literals(text) == {
        "a.b": "1",
        "model.n_ctx": "5_000",
        "early_stopping.patience": "2",
        "wandb": "{}",
        "early_stopping": "{}",
    }


def test_literal_changes_lead_from_one_text_to_the_other() -> None:
    after = "seed = 1_0\n[wandb]\n[optimization]\npeak_lr = 2e-3\n"
    found = literal_changes(TEXT, after)
    assert (found["seed"], found["wandb"], found["optimization.peak_lr"]) == ("1_0", "{}", "2e-3")
    assert found["data.seq_len"] is None
    assert literals(edit(TEXT, found)) == literals(after)


def test_differences_are_in_the_order_of_the_schema_without_tables_that_are_off() -> None:
    default = inspect("").values
    other = inspect("[trainer]\nmax_steps = 9\n[model]\nnew = 1\nn_layer = 4\n[samples]\n").values
    assert list(differences(default, other).items()) == [
        ("samples", (False, True)),
        ("model.n_layer", (12, 4)),
        ("trainer.max_steps", (5000, 9)),
        ("model.new", (None, 1)),
    ]
    off = inspect("", {"samples.top_k": "3", "samples": "false"}).values
    assert differences(default, off) == {}
    assert differences(default, flatten(Config())) == {}
