"""Config files: merged with their includes and overrides, and all errors reported at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from simplegpt.config.edit import edit
from simplegpt.config.load import ConfigError, Problem, inspect, load, read_includes, resolved
from simplegpt.config.schema import Config, SamplesConfig, settings

# The keys and values of the original program's three files, in our own words and order.
ORIGINAL_BASE: dict[str, Any] = {
    "seed": 123,
    "torch_compile": True,
    "tokenizer_name": "gpt2",
    "wandb": {"project": "simplegpt"},
    "model": {"n_vocab": 50304, "n_ctx": 1024, "n_embd": 384, "n_head": 6, "n_layer": 6},
    "data": {"seq_len": 1024, "train_batch_size": 64, "val_batch_size": 64, "num_workers": 8},
    "checkpointing": {"monitor": "val_loss", "save_top_k": 1, "mode": "min", "save_last": True},
    "optimization": {
        "start_lr": 0,
        "peak_lr": 1e-3,
        "end_lr": 1e-4,
        "betas": [0.9, 0.95],
        "weight_decay": 0.1,
        "dropout_p": 0.2,
    },
    "trainer": {"accelerator": "auto", "gradient_clip_val": 1},
}
ORIGINAL_SHAKESPEARE: dict[str, Any] = {
    "include": "base.toml",
    "output_dir": "./models/tiny_shakespeare",
    "data": {
        "train_fpath": "./data/train-gpt2.bin",
        "val_fpath": "./data/val-gpt2.bin",
        "seq_len": 128,
    },
    "optimization": {"decay_steps": 2500, "warmup_steps": 100},
    "trainer": {
        "accelerator": "auto",
        "max_steps": 2500,
        "val_check_interval": 250,
        "limit_val_batches": 200,
        "log_every_n_steps": 10,
    },
}
ORIGINAL_SHAKESPEARE_CHAR: dict[str, Any] = {
    "include": "base.toml",
    "output_dir": "./models/tiny_shakespeare_char",
    "tokenizer_name": "char",
    "model": {"n_vocab": 256},
    "data": {
        "train_fpath": "./data/train-char.bin",
        "val_fpath": "./data/val-char.bin",
        "seq_len": 256,
    },
    "optimization": {"decay_steps": 5000, "warmup_steps": 100},
    "trainer": {
        "accelerator": "auto",
        "max_steps": 5000,
        "val_check_interval": 250,
        "limit_val_batches": 200,
        "log_every_n_steps": 10,
    },
}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def problems(path: Path, *overrides: tuple[str, Any]) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return list(caught.value.problems)


def place(problem: Problem) -> str:
    """``FILE:LINE KEY …``."""
    path = problem.origin.path
    where = f"{path.name}:{problem.origin.line}" if path else problem.origin.kind
    return " ".join([where, *problem.keys])


@pytest.mark.parametrize("name", ["base", "shakespeare", "shakespeare_char"])
def test_the_originals_files_are_valid_as_they_are(tmp_path: Path, name: str) -> None:
    write(tmp_path / "base.toml", tomli_w.dumps(ORIGINAL_BASE))
    write(tmp_path / "shakespeare.toml", tomli_w.dumps(ORIGINAL_SHAKESPEARE))
    write(tmp_path / "shakespeare_char.toml", tomli_w.dumps(ORIGINAL_SHAKESPEARE_CHAR))
    config = load(tmp_path / f"{name}.toml")
    assert config.model.n_embd == 384
    assert config.wandb is not None
    assert config.torch_compile is True


CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_our_own_configs_are_valid(path: Path) -> None:
    for max_steps in (1, 7, 50):  # what a newcomer changes first
        load(path, {"trainer.max_steps": max_steps})
    config = load(path)
    assert config.wandb is None
    assert config.data.seq_len == config.model.n_ctx  # no position stays untrained


def test_all_errors_are_reported_at_once_with_place_and_nearest_name(
    tmp_path: Path,
) -> None:
    write(tmp_path / "base.toml", "[model]\nn_layer = 0\n\n[data]\nseq_len = 64.0\n")
    path = write(
        tmp_path / "run.toml",
        'include = "base.toml"\n'
        'outputdir = "x"\n'
        "[model]\n"
        'n_embd = "384"\n'
        'activation = "gelu_tan"\n'
        "dropout_p = 0.1\n"
        "[optimization]\n"
        "peak_lr = nan\n"
        "end_lr = 2020-01-01\n"
        "betas = [\n  0.9,\n  1.5,\n]\n"
        "[trainer]\n"
        "logger = true\n"
        "[modle]\n"
        "n_ctx = 3\n",
    )
    found = problems(path, ("model.n_hed", "3"))
    assert [place(problem) for problem in found] == [
        "run.toml:2 outputdir",
        "run.toml:4 model.n_embd",
        "run.toml:5 model.activation",
        "run.toml:6 model.dropout_p",
        "run.toml:8 optimization.peak_lr",
        "run.toml:9 optimization.end_lr",
        "run.toml:10 optimization.betas",
        "run.toml:15 trainer.logger",
        "run.toml:16 modle",
        "base.toml:2 model.n_layer",
        "base.toml:5 data.seq_len",
        "override model.n_hed",
    ]
    messages = {problem.keys[0]: problem.message for problem in found}
    for key, hint in {
        "outputdir": "'output_dir'",
        "model.activation": "'gelu_tanh'",
        "model.dropout_p": "[optimization]",
        "trainer.logger": "[wandb]",
        "modle": "'model'",
        "model.n_hed": "'n_head'",
    }.items():
        assert hint in messages[key]
    (wrong,) = [str(one) for one in found if one.keys == ("model.n_embd",)]
    assert wrong == f'model.n_embd: expected an integer ≥ 1, got "384"  {tmp_path}/run.toml:4'
    assert str(ConfigError(found)).startswith("12 invalid values in the config:\n  ")


def test_a_rule_across_fields_names_all_of_them_and_their_lines(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "[model]\nn_head = 7\n")
    path = write(tmp_path / "run.toml", 'include = "base.toml"\n[model]\nn_embd = 384\n')
    (problem,) = problems(path)
    assert problem.keys == ("model.n_embd", "model.n_head")
    assert str(problem) == (
        "model.n_embd (384) must be divisible by model.n_head (7)  "
        f"{tmp_path}/run.toml:3, {tmp_path}/base.toml:2"
    )


def test_a_rule_is_not_checked_for_an_invalid_value(tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", "[model]\nn_embd = 100\nn_head = 0\n")
    assert [place(problem) for problem in problems(path)] == ["run.toml:3 model.n_head"]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("seed = 1\nmodel = [\n", 3, 1),
        ("seed = 1\nseed = 2\n", 2, 9),
        ("[model\nn_ctx = 3\n", 1, 7),
    ],
)
def test_a_syntax_error_has_line_and_column(
    tmp_path: Path, text: str, line: int, column: int
) -> None:
    (problem,) = problems(write(tmp_path / "run.toml", text))
    assert problem.origin.line == line
    assert problem.message.startswith(f"column {column}: ")


def test_a_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "shakespeare.toml", "")
    (missing,) = problems(tmp_path / "shakspeare.toml")
    assert "'shakespeare.toml'" in missing.message
    assert "directory" in problems(tmp_path)[0].message
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    (latin,) = problems(tmp_path / "latin.toml")
    assert "byte 5 is 0xe9" in latin.message


def test_includes_chain_and_are_relative_to_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "a.toml", "seed = 1\n[model]\nn_ctx = 10\nn_layer = 1\n")
    write(tmp_path / "b.toml", 'include = "deep/a.toml"\n[model]\nn_layer = 2\n')
    write(tmp_path / "deep" / "c.toml", 'include = "../b.toml"\n[data]\nseq_len = 5\n')
    config = load(tmp_path / "deep" / "c.toml")
    assert (config.seed, config.model.n_ctx, config.model.n_layer) == (1, 10, 2)
    assert config.data.seq_len == 5


def test_includes_can_be_read_from_memory(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", "seed = 1\n")
    write(tmp_path / "b.toml", 'include = "a.toml"\n')
    text = 'include = "b.toml"\n'
    files = read_includes(text, tmp_path / "run.toml")
    assert list(files) == [tmp_path / "b.toml", tmp_path / "a.toml"]
    (tmp_path / "a.toml").unlink()
    found = inspect(text, path=tmp_path / "run.toml", read=files.__getitem__)
    assert found.values["seed"] == 1
    assert not found.problems


def test_a_circle_of_includes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", 'seed = 1\ninclude = "b.toml"\n')
    path = write(tmp_path / "b.toml", 'include = "a.toml"\n')
    (problem,) = problems(path)
    assert place(problem) == "a.toml:2 include"
    assert "b.toml → a.toml → b.toml" in problem.message


def test_a_missing_include_gets_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "")
    path = write(tmp_path / "run.toml", 'include = "bse.toml"\n')
    (problem,) = problems(path)
    assert place(problem) == "run.toml:1 include"
    assert "'base.toml'" in problem.message


def test_an_including_file_switches_a_table_off_and_on_again(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", '[wandb]\nproject = "p"\n')
    path = write(tmp_path / "run.toml", 'include = "base.toml"\nwandb = false\n')
    assert load(path).wandb is None
    again = load(path, {"wandb.name": "x"}).wandb
    assert again is not None
    assert (again.project, again.name) == ("simplegpt", "x")


def test_a_table_is_switched_from_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", '[wandb]\nproject = "p"\n')
    assert load(path, {"wandb": "false"}).wandb is None
    config = load(path, {"early_stopping.patience": "3", "samples": "true"})
    assert config.early_stopping is not None
    assert config.early_stopping.patience == 3
    assert config.samples == SamplesConfig()
    assert [place(problem) for problem in problems(path, ("model", "false"))] == ["override model"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("model.n_embd", "7_68", 768),
        ("optimization.peak_lr", "3e-4", 3e-4),
        ("optimization.peak_lr", "1", 1.0),
        ("optimization.betas", "[0.8, 0.9]", (0.8, 0.9)),
        ("optimization.betas", "0.8, 0.9", (0.8, 0.9)),
        ("tokenizer_name", "char", "char"),
        ("tokenizer_name", '"char"', "char"),
        ("init_from", "123", "123"),
        ("init_from", "false", None),
        ("torch_compile", "auto", "auto"),
        ("torch_compile", "true", True),
        ("trainer.devices", "2", 2),
        ("trainer.devices", "auto", "auto"),
        ("trainer.devices", "0,1", [0, 1]),
        ("trainer.gradient_clip_val", "false", None),
        ("model.activation", "gelu", "gelu"),
        ("samples.prompts", "O, Romeo", ["O, Romeo"]),
        ("samples.prompts", '["a", "\\n"]', ["a", "\n"]),
        ("output_dir", Path("/somewhere"), Path("/somewhere")),
    ],
)
def test_an_override_is_a_toml_literal_or_plain_text(
    tmp_path: Path, key: str, text: Any, value: Any
) -> None:
    found: Any = load(write(tmp_path / "run.toml", ""), [(key, text)])
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_text_for_a_number_is_refused_from_the_command_line_too(tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", "")
    found = problems(path, ("model.n_embd", "wide"), ("trainer.devices", "[a]"))
    assert [place(problem) for problem in found] == [
        "override model.n_embd",
        "override trainer.devices",
    ]
    assert settings()["trainer.devices"].allowed in found[1].message  # all that a union allows


@pytest.mark.parametrize(
    ("key", "got"),
    [
        ("samples.prompts", "[]"),
        ("samples.prompts", '["a", ""]'),
        ("samples.stop", '[""]'),
        ("tokenizer_name", '""'),
        ("trainer.max_time", '"1h"'),
        ("trainer.callbacks", '["a b"]'),
        ("optimization.betas", "[0.9, 1]"),
        ("optimization.betas", "[0.9]"),
        ("output_dir", "[1]"),
        ("include", "3"),
    ],
)
def test_an_invalid_value_is_shown_beside_what_is_allowed(
    tmp_path: Path, key: str, got: str
) -> None:
    table, _, name = key.rpartition(".")
    line = f"{name} = {got}"
    (problem,) = problems(write(tmp_path / "run.toml", f"[{table}]\n{line}" if table else line))
    assert problem.keys == (key,)
    assert problem.message == f"expected {settings()[key].allowed}, got {got}"


def test_every_value_has_its_origin(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "\nseed = 5\n[model]\n# three\nn_ctx = 3\n")
    path = write(tmp_path / "run.toml", 'include = "base.toml"\ndata.seq_len = 2\n')
    found = inspect(path, {"model.n_layer": "2"})
    assert found.values["seed"] == 5
    places = {key: str(found.origins[key]) for key in ("seed", "model.n_ctx", "data.seq_len")}
    assert places == {
        "seed": f"{tmp_path}/base.toml:2",
        "model.n_ctx": f"{tmp_path}/base.toml:5",
        "data.seq_len": f"{path}:2",
    }
    assert found.origins["model.n_layer"].kind == "override"
    assert found.origins["model.n_head"].kind == "default"


def test_lines_are_right_behind_strings_and_lists_that_look_like_toml(tmp_path: Path) -> None:
    path = write(
        tmp_path / "run.toml",
        '[samples]\nprompts = [ # [model]\n  """\n[x]\nseed = "3" """, "a # b]",\n'
        "  '''\n.''',\n]\n"
        "every_n_steps = 0\n",
    )
    assert place(problems(path)[0]) == "run.toml:9 samples.every_n_steps"


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed_stage_2", "horovod"])
def test_strategies_that_shard_the_model_are_refused(strategy: str, tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", f'[trainer]\nstrategy = "{strategy}"\n')
    (problem,) = problems(path)
    assert place(problem) == "run.toml:2 trainer.strategy"
    assert '"ddp"' in problem.message
    assert ("Muon" in problem.message) == (strategy != "horovod")


@pytest.mark.parametrize("path", ["models/\udcff", "models/\0", "", "é" * 128])
def test_a_path_that_cannot_exist_is_refused(path: str, tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path / "run.toml", ""), ("output_dir", path))
    assert place(problem) == "override output_dir"


def test_a_directory_as_include_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path / "run.toml", 'include = "."'))
    assert place(problem) == "run.toml:1 include"
    assert "directory" in problem.message


@pytest.mark.parametrize("name", ["loop", "fifo", "/dev/zero", "x" * 300, "a\\u0000b"])
def test_an_include_that_is_not_a_regular_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    (problem,) = problems(write(tmp_path / "run.toml", f'seed = 1\ninclude = "{name}"\n'))
    assert place(problem) == "run.toml:2 include"
    if name in ("loop", "fifo", "/dev/zero"):
        assert len(problems(tmp_path / name)) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"seed = {'[' * 5000}{']' * 5000}",
        f"seed = {'[' * 250}{']' * 250}",
        f"seed = {'{a=' * 3000}1{'}' * 3000}",
        f"{'.'.join(['a'] * 3000)} = 1",
        f"[{'.'.join(['a'] * 3000)}]",
        f"seed = {'1' * 5000}",
    ],
)
def test_a_value_far_out_of_bounds_is_one_problem(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", text)
    (problem,) = problems(path)
    assert problem.origin.path == path
    with pytest.raises(ConfigError):
        load(path)
    with pytest.raises(ValueError, match=r"nested|digits"):
        edit(text, {"seed": "1"})


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "[" * 250 + "]" * 250])
def test_an_override_that_is_nested_too_deeply_is_refused(text: str, tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path / "run.toml", ""), ("model.n_vocab", text))
    assert place(problem) == "override model.n_vocab"


def plain_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    n_head = draw(st.integers(1, 8))
    rate = st.floats(0, 1e6)
    values: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "output_dir": draw(plain_text().filter(lambda text: "\0" not in text)),
        "torch_compile": draw(st.sampled_from([True, False, "auto"])),
        "init_from": draw(st.none() | plain_text().map(lambda text: f"no such {text}")),
        "model": {"n_head": n_head, "n_embd": n_head * draw(st.integers(1, 64))},
        "data": {"seq_len": draw(st.integers(1, 1024))},
        "optimization": {"start_lr": draw(rate), "end_lr": draw(rate)},
        "samples": draw(
            st.none()
            | st.fixed_dictionaries(
                {
                    "prompts": st.lists(plain_text(), min_size=1, max_size=3),
                    "presence_penalty": st.floats(allow_nan=False, allow_infinity=False),
                    "stop": st.lists(plain_text(), max_size=2),
                    "seed": st.integers(0, 2**63 - 1),
                }
            )
        ),
        "trainer": {
            "devices": draw(st.sampled_from(["auto", -1, 2, [0, 1]])),
            "gradient_clip_val": draw(st.none() | st.floats(1e-9, 10)),
            "deterministic": draw(st.sampled_from([True, False, "warn"])),
        },
        "wandb": draw(st.none() | st.fixed_dictionaries({"name": st.none() | plain_text()})),
    }
    return Config.model_validate(values)


@given(configs())
@given_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_resolved_config_loads_back_equal(tmp_path: Path, config: Config) -> None:
    path = tmp_path / "config.toml"
    path.write_text(resolved(config), encoding="utf-8", newline="")
    absolute = config.model_copy(
        update={
            "output_dir": config.output_dir.absolute(),
            "data": config.data.model_copy(
                update={
                    "train_fpath": config.data.train_fpath.absolute(),
                    "val_fpath": config.data.val_fpath.absolute(),
                }
            ),
        }
    )
    assert load(path) == absolute
    assert resolved(load(path)) == resolved(config)


def test_inspecting_never_raises() -> None:
    path = CONFIGS[0].parent / "shakespeare_char.toml"
    found = inspect(path.read_text(), {"model.n_embd": "38x"}, path=path)
    assert found.config is None
    assert found.values["model.n_embd"] == "38x"
    assert found.is_complete
    broken = inspect("[model\n", path=path)
    assert [problem.origin.line for problem in broken.problems] == [1]
    assert not broken.is_complete


def test_an_edit_then_a_load_sees_the_new_value(tmp_path: Path) -> None:
    path = write(tmp_path / "run.toml", "[model]\nn_ctx = 1_024 # long\n")
    path.write_text(edit(path.read_text(), {"model.n_ctx": "2_048", "samples": "{}"}))
    config = load(path)
    assert config.model.n_ctx == 2048
    assert config.samples == SamplesConfig()


def test_reading_configs_imports_nothing_heavy() -> None:
    script = (
        "import sys, simplegpt.config.load, simplegpt.train.plan, simplegpt.cli\n"
        "heavy = {'torch', 'lightning', 'transformers', 'numpy', 'textual'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""


def test_places_name_each_file_once(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "[optimization]\nwarmup_steps = 90\n")
    text = 'include = "base.toml"\n[optimization]\ndecay_steps = 90\n[trainer]\nmax_steps = 100\n'
    path = write(tmp_path / "run.toml", text)
    given = {"optimization.schedule": "warmup_stable_decay"}
    (problem,) = inspect(path, given).problems
    assert str(problem).endswith(f"  command line, {path}:3,5, {tmp_path}/base.toml:2")
