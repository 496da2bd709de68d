"""The schema agrees with Lightning, and all its fields are described."""

import inspect

import pytest
from pydantic import ValidationError

from simplegpt.config.schema import (
    OWNED_TRAINER_KEYS,
    Config,
    DataConfig,
    ModelConfig,
    TrainerConfig,
    settings,
    settings_of,
    tables,
)
from tests.simplegpt.config.reference import PAGE, reference


def test_every_key_of_lightnings_trainer_is_offered_or_refused_by_name() -> None:
    import lightning

    theirs = set(inspect.signature(lightning.Trainer.__init__).parameters) - {"self"}
    assert set(TrainerConfig.model_fields) - theirs == {"timeout_seconds"}
    assert theirs - set(TrainerConfig.model_fields) <= set(OWNED_TRAINER_KEYS)


def test_every_setting_has_a_description_and_allowed_values() -> None:
    for setting in settings().values():
        assert setting.description, setting.key
        assert setting.allowed, setting.key


@pytest.mark.parametrize(
    ("key", "kind", "allowed"),
    [
        ("model.n_embd", "integer", "an integer ≥ 1"),
        ("optimization.dropout_p", "number", "a number ≥ 0 and < 1"),
        ("optimization.betas", "list", "a list of 2 numbers ≥ 0 and < 1"),
        ("torch_compile", "choice", 'true or false or "auto"'),
        ("trainer.max_time", "text", 'a text like "01:12:00:00" or false'),
        ("trainer.benchmark", "switch", "true or false"),
        (
            "trainer.devices",
            "mixed",
            '"auto" or an integer ≥ -1 or a list of integers',
        ),
        ("samples.prompts", "list", "a non-empty list of non-empty texts"),
        ("tokenizer_name", "text", "a non-empty text"),
        ("output_dir", "path", "a path"),
        ("seed", "integer", "an integer ≥ 0 and < 4,294,967,296"),
    ],
)
def test_a_setting_has_a_kind_and_bounds(key: str, kind: str, allowed: str) -> None:
    assert settings()[key].kind == kind
    assert settings()[key].allowed == allowed


def test_optional_settings_and_tables_are_off_by_default_unless_they_have_a_value() -> None:
    assert settings()["trainer.limit_val_batches"].default is False
    assert settings()["trainer.gradient_clip_val"].default == 1.0
    assert [name for name, table in tables().items() if table.optional] == [
        "early_stopping",
        "samples",
        "wandb",
    ]


def test_settings_of_a_section_have_plain_names() -> None:
    assert list(settings_of(ModelConfig))[:2] == ["n_vocab", "n_ctx"]


def test_a_config_made_in_code_is_checked_against_the_rules() -> None:
    with pytest.raises(ValidationError, match=r"n_embd \(100\) .*n_head \(12\)"):
        Config(model=ModelConfig(n_embd=100))
    with pytest.raises(ValidationError, match=r"seq_len \(2048\) .*n_ctx \(1024\)"):
        Config(data=DataConfig(seq_len=2048))


def test_integers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(ValidationError, match="64 bits"):
        Config.model_validate({"trainer": {"max_steps": 10**400}})


def test_the_page_on_the_config_is_that_of_the_schema() -> None:
    # python -m tests.simplegpt.config.reference writes it
    assert PAGE.read_text(encoding="utf-8") == reference()
