"""The schema of a config: all settings, the rules across settings, and their descriptions.

Each field here (type, bounds, default, docstring) defines the TOML key, the ``--section.key``
override, the help text, and the workbench's form input with its tooltip and its error.
An optional field or table is disabled with ``false``, since TOML has no null.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

# GPT-2 models on the Hugging Face Hub by name, with their numbers of parameters.
PRETRAINED_NAMES = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "distilgpt2": 81_912_576,
}


EXPLAINED = "explained"  # the type of errors whose message is shown unchanged


def is_tokenizer_file(name: str) -> bool:
    """Whether a ``tokenizer_name`` is the path of a ``tokenizer.json``."""
    return name.endswith(".json")


def _check_path(path: object) -> object:
    if path == "":  # Path("") is the working directory
        raise PydanticCustomError(EXPLAINED, "must not be empty")
    if isinstance(path, str) and "\0" in path:
        raise PydanticCustomError(EXPLAINED, "must not contain null characters")
    if isinstance(path, str) and max(map(len, path.encode(errors="replace").split(b"/"))) > 255:
        raise PydanticCustomError(EXPLAINED, "names must be at most 255 bytes long")
    return path


def _check_strategy(strategy: object) -> object:
    if isinstance(strategy, str) and strategy.startswith(("fsdp", "deepspeed")):
        raise PydanticCustomError(
            EXPLAINED,
            'expected "auto" or "ddp": strategies that shard the model are not supported, because '
            "gradient clipping, weight decay and Muon need whole matrices",
        )
    return strategy


T = TypeVar("T")
Off = Annotated[T | None, BeforeValidator(lambda value: None if value is False else value)]
Steps = Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1)]
"""A number of steps, or a fraction of max_steps."""
FilePath = Annotated[Path, BeforeValidator(_check_path)]
Strategy = Annotated[Literal["auto", "ddp"], BeforeValidator(_check_strategy)]


class Section(BaseModel):
    """A table of the config file: frozen, no unknown keys, docstrings become descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*")
    @classmethod
    def _check_integer(cls, value: object) -> object:
        if isinstance(value, int) and abs(value) >= 2**63:
            raise PydanticCustomError(EXPLAINED, "must fit into 64 bits")
        return value


# Maximum number of logits in memory at once: 2^28 fp32 values are 1 GiB, and their gradient takes
# as much again. Beyond it the model computes the loss in chunks, which the backward pass
# recomputes; the plan's memory estimate uses the same limit.
MAX_LOGITS = 2**28


class ModelConfig(Section):
    """The network's shape. The defaults are GPT-2 124M."""

    n_vocab: int = Field(50_257, ge=2)
    """Vocabulary size. Rounding GPT-2's 50,257 up to 50,304 (a multiple of 128) is faster on a
    GPU; the additional token IDs are never sampled."""
    n_ctx: int = Field(1024, ge=1)
    """Context length: the maximum number of tokens, and the number of learned positions."""
    n_embd: int = Field(768, ge=1)
    """Embedding size: the width of the residual stream. Must be divisible by n_head."""
    n_head: int = Field(12, ge=1)
    """Attention heads in each layer."""
    n_layer: int = Field(12, ge=1)
    """Layers (transformer blocks)."""
    bias: bool = True
    """Use biases in the linear layers and layer norms, as GPT-2 does."""
    activation: Literal["gelu_tanh", "gelu"] = "gelu_tanh"
    """gelu_tanh is GPT-2's; gelu (exact) is that of nanoGPT and the original simpleGPT."""


class DataConfig(Section):
    """Token files, windows and batches."""

    train_fpath: FilePath = Path("data/train.bin")
    """Token file to train on: one file, a folder of shards, or a glob."""
    val_fpath: FilePath = Path("data/val.bin")
    """Token file to validate on: one file, a folder of shards, or a glob."""
    seq_len: int = Field(1024, ge=1)
    """Tokens predicted in each window. At most n_ctx."""
    train_batch_size: int = Field(12, ge=1)
    """Windows in a training batch, on each device."""
    global_batch_size: Off[Annotated[int, Field(ge=1)]] = None
    """Windows of an optimizer step, over all devices: accumulate_grad_batches is computed from it,
    on any number of devices. false: as many as train_batch_size, devices and
    accumulate_grad_batches give."""
    val_batch_size: int = Field(12, ge=1)
    """Windows in a validation batch, on each device."""
    num_workers: int = Field(0, ge=0)
    """Processes that prefetch batches. Reading token files is fast, so 0 is usually enough."""


class OptimizationConfig(Section):
    """The optimizer and the learning rate. Weight decay is applied to matrices only."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon orthogonalizes the updates of the block matrices; AdamW trains the rest."""
    schedule: Literal["cosine", "warmup_stable_decay"] = "cosine"
    """cosine: warmup, then a cosine from peak_lr to end_lr over decay_steps, then end_lr.
    warmup_stable_decay: warmup, then peak_lr, then a linear decay to end_lr over the last
    decay_steps of max_steps."""
    start_lr: float = Field(0.0, ge=0)
    """Learning rate at step 0, where the warmup starts."""
    peak_lr: float = Field(1e-3, gt=0)
    """Learning rate at the end of the warmup."""
    end_lr: float = Field(1e-4, ge=0)
    """Learning rate at the end of the decay, and after it."""
    warmup_steps: Steps = 100
    """Steps from start_lr to peak_lr; a number below 1 is a fraction of max_steps."""
    decay_steps: Steps = 5_000
    """Steps from peak_lr to end_lr: with cosine after the warmup, with warmup_stable_decay at
    the end of the run. A number below 1 is a fraction of max_steps."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.95,
    )
    """AdamW's decay rates for the first and second moments."""
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay, on matrices and embeddings only."""
    dropout_p: float = Field(0.0, ge=0, lt=1)
    """Dropout probability while training: embeddings, attention and residual branches."""
    freeze_layers: int = Field(0, ge=0)
    """Fine-tuning: freeze the first n layers and the embeddings, including the tied output layer;
    0 trains everything. Saves memory and time."""
    muon_lr: float = Field(0.02, gt=0)
    """Muon's peak learning rate for the block matrices; it follows the same schedule."""
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    """Muon's Nesterov momentum."""


class CheckpointingConfig(Section):
    """Checkpoints to keep in the run's ckpts folder."""

    monitor: Literal["val_loss", "train_loss"] = "val_loss"
    """The loss by which checkpoints are ranked. Both are measured at each validation, without
    dropout: val_loss on the validation data, train_loss on up to 20 batches of training data."""
    save_top_k: int = Field(1, ge=-1)
    """Best checkpoints to keep: 0 keeps none, -1 all."""
    mode: Literal["min", "max"] = "min"
    """Whether the lowest or the highest value is best."""
    save_last: bool = True
    """Write last.ckpt at every validation and at the end. With false, it is written only by the
    save command or when a run ends early, and is kept up to date from then on."""
    every_n_steps: Off[Annotated[int, Field(ge=1)]] = None
    """Also write last.ckpt every n optimizer steps; false: only at validations."""


class EarlyStoppingConfig(Section):
    """Stop when validation no longer improves."""

    patience: int = Field(5, ge=1)
    """Consecutive scheduled validations without improvement after which the run ends."""
    min_delta: float = Field(0.0, ge=0)
    """Minimum change of the monitored loss that counts as an improvement here. The best
    checkpoint is the one with the lowest loss, however small the change."""


class SamplingConfig(Section):
    """Settings for choosing the next token from the logits."""

    temperature: float = Field(0.25, ge=0)
    """Divides the logits: 0 is greedy, 1 samples from the unchanged distribution."""
    top_k: int = Field(0, ge=0)
    """Keep only the k most probable tokens; 0 keeps all."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the fewest tokens whose probabilities reach p in total (nucleus sampling); 1 keeps
    all."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Keep tokens with at least this fraction of the highest probability; 0 keeps all."""
    repetition_penalty: float = Field(1.0, gt=0)
    """Divides positive and multiplies negative logits of tokens already seen; 1 is off."""
    presence_penalty: float = 0.0
    """Subtracted once from the logits of tokens already generated; 0 is off."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each time it was generated; 0 is off."""
    stop: list[Annotated[str, Field(min_length=1)]] = []
    """Strings at which generation stops; they are not part of the result."""
    seed: int = Field(1234, ge=0, lt=2**63)
    """Random seed. Each result of a batch has its own generator."""


class SamplesConfig(SamplingConfig):
    """Text generated during training, to see the model improve."""

    prompts: list[Annotated[str, Field(min_length=1)]] = Field(["\n"], min_length=1)
    """Prompts to continue."""
    every_n_steps: int = Field(500, ge=1)
    """Optimizer steps between samples."""
    n_tokens_to_generate: int = Field(100, ge=1)
    """Tokens in each sample."""
    temperature: float = Field(0.8, ge=0)
    """Divides the logits: 0 is greedy, 1 samples from the unchanged distribution."""


class TrainerConfig(Section):
    """Settings passed to Lightning's Trainer under the same names, and timeout_seconds."""

    max_steps: int = Field(5_000, ge=1)
    """Optimizer steps of the run."""
    max_time: Off[
        Annotated[str, Field(pattern=r"^\d+:\d\d:\d\d:\d\d$", examples=["01:12:00:00"])]
    ] = None
    """Ends the run after DD:HH:MM:SS; false: no limit."""
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """Device type; auto takes the best available."""
    devices: Literal["auto"] | Annotated[int, Field(ge=-1)] | list[int] = "auto"
    """Number of devices on each machine, or a list of their indices; auto takes one per torchrun
    process, otherwise all GPUs or one CPU; -1 takes all."""
    num_nodes: int = Field(1, ge=1)
    """Number of machines under a cluster scheduler; with torchrun, it is set automatically."""
    strategy: Strategy = "auto"
    """ddp, which auto takes for several devices, trains the whole model on each device, on its
    share of the batch. Strategies that shard the model are not supported."""
    timeout_seconds: Off[Annotated[int, Field(ge=10)]] = None
    """Several devices: seconds that one waits for the others in a step, a validation or a save,
    after which the run fails; false: 120 on CPUs, 600 on GPUs."""
    precision: Literal["32-true", "bf16-mixed", "bf16-true", "16-mixed"] = "32-true"
    """Number format. bf16-mixed keeps fp32 weights and computes in bf16."""
    accumulate_grad_batches: int = Field(1, ge=1)
    """Batches whose gradients are accumulated for each optimizer step."""
    gradient_clip_val: Off[Annotated[float, Field(gt=0)]] = 1.0
    """Maximum norm (or value) of the gradients; false: no clipping."""
    gradient_clip_algorithm: Literal["norm", "value"] = "norm"
    """Clip the norm of all gradients, or each value."""
    val_check_interval: int = Field(250, ge=1)
    """Training batches between validations, which also save a checkpoint."""
    limit_val_batches: Off[Annotated[int, Field(ge=1)]] = None
    """Batches in a validation, over all devices; false: the whole validation file."""
    log_every_n_steps: int = Field(10, ge=1)
    """Optimizer steps between two train_step events; the loss is averaged over them."""
    deterministic: StrictBool | Literal["warn"] = False
    """Use only deterministic algorithms: slower, but bit-for-bit reproducible on one machine."""
    benchmark: Off[bool] = None
    """Let cuDNN benchmark its algorithms and use the fastest."""
    detect_anomaly: bool = False
    """Find the operation that produced a NaN; slow."""
    profiler: Off[Literal["simple", "advanced"]] = None
    """Lightning's profiler, printed at the end."""
    callbacks: list[
        Annotated[str, Field(pattern=r"^\w+(\.\w+)*[.:]\w+$", examples=["my_callbacks.Perplexity"])]
    ] = []
    """Import paths of your own Lightning callbacks: "module.Class" or "module:Class"."""


class WandbConfig(Section):
    """Logging to Weights & Biases (the extra simplegpt[wandb]; if it is missing, a warning)."""

    project: str = "simplegpt"
    """Project of the run."""
    name: Off[str] = None
    """Name of the run; false: chosen by Weights & Biases."""
    entity: Off[str] = None
    """Team or user; false: your default."""
    group: Off[str] = None
    """Group of the run."""
    tags: list[str] = []
    """Tags of the run."""
    notes: Off[str] = None
    """Longer description of the run."""
    offline: bool = False
    """Log to the run's directory only, without uploading."""


class Config(Section):
    """A run's config: model, data, training and output."""

    include: Off[str] = None
    """Another TOML file whose values this one overrides; its path is relative to this file."""
    seed: int = Field(1337, ge=0, lt=2**32)
    """Seed of the initial weights, the data order and the dropout."""
    output_dir: FilePath = Path("models/run")
    """The run's directory: config, events, log and checkpoints."""
    torch_compile: StrictBool | Literal["auto"] = "auto"
    """Compile the network; auto compiles on a CUDA GPU if the run is long enough to save time."""
    stop_when_diverged: bool = True
    """End the run as failed if the loss is NaN or infinite at three logged steps in a row, or at
    a validation; false: only warn. Such weights are never saved."""
    tokenizer_name: str = Field("gpt2", min_length=1)
    """Tokenizer of the token files: char, byte, gpt2, another tiktoken encoding, or the path of a
    tokenizer.json."""
    init_from: Off[Annotated[str, Field(min_length=1)]] = None
    """Initial weights: a checkpoint, or a folder or name of a GPT-2; false: from scratch. Where
    the config does not set [model] and tokenizer_name, they are taken from that model."""
    init_from_other_tokenizer: bool = False
    """Allow init_from to have a different tokenizer: the token embeddings then have to be learned
    again."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    checkpointing: CheckpointingConfig = CheckpointingConfig()
    early_stopping: Off[EarlyStoppingConfig] = None
    samples: Off[SamplesConfig] = None
    trainer: TrainerConfig = TrainerConfig()
    tensorboard: bool = False
    """Write TensorBoard logs to the run's directory (needs the extra simplegpt[tensorboard])."""
    wandb: Off[WandbConfig] = None

    @model_validator(mode="after")
    def _check_rules(self) -> "Config":
        for _, message in broken_rules(flat(self.model_dump())):
            raise ValueError(message)
        return self


def number_of_steps(steps: int | float, max_steps: int) -> int:
    """Return the number that a warmup or a decay of `steps`, maybe a fraction, has."""
    # a fraction is rounded down, so that 0.3 + 0.7 are not more than the whole; 0.29 · 100 is 29
    return int(steps * max_steps + 1e-6) if 0 < steps < 1 else int(steps)


@dataclass(frozen=True)
class Rule:
    """A rule across settings, given by their dotted keys."""

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    message: str
    """The condition; ``{0}``, ``{1}`` … are the values of `keys`."""


RULES = (
    Rule(
        ("model.n_embd", "model.n_head"),
        lambda n_embd, n_head: n_embd % n_head == 0,
        "model.n_embd ({0}) must be divisible by model.n_head ({1})",
    ),
    Rule(
        ("data.seq_len", "model.n_ctx"),
        lambda seq_len, n_ctx: seq_len <= n_ctx,
        "data.seq_len ({0}) must be ≤ model.n_ctx ({1})",
    ),
    Rule(
        (
            "optimization.schedule",
            "optimization.warmup_steps",
            "optimization.decay_steps",
            "trainer.max_steps",
        ),
        lambda schedule, warmup, decay, end: (
            schedule == "cosine" or sum(number_of_steps(n, end) for n in (warmup, decay)) <= end
        ),
        "optimization.warmup_steps ({1}) + decay_steps ({2}) must be ≤ trainer.max_steps ({3}) "
        "with the schedule {0}",
    ),
    Rule(
        ("optimization.freeze_layers", "model.n_layer"),
        lambda frozen, n_layer: frozen <= n_layer,
        "optimization.freeze_layers ({0}) must be ≤ model.n_layer ({1})",
    ),
    Rule(
        ("checkpointing.monitor", "checkpointing.mode"),
        lambda monitor, mode: mode == "min",
        'checkpointing.mode ("{1}") must be "min": a lower {0} is better',
    ),
)


def broken_rules(
    values: Mapping[str, Any], invalid: Set[str] = frozenset()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys and the message of each rule that `values` (by dotted key) violate.

    Rules that involve a key in `invalid` are not checked.
    """
    for rule in RULES:
        if invalid.isdisjoint(rule.keys):
            arguments = [values[key] for key in rule.keys]
            if not rule.holds(*arguments):
                yield rule.keys, rule.message.format(*arguments)


# Arguments of Lightning's Trainer that SimpleGPT sets itself, and what to use instead.
OWNED_TRAINER_KEYS: dict[str, str] = {
    "logger": "set tensorboard or [wandb]",
    "default_root_dir": "set output_dir",
    "enable_checkpointing": "set [checkpointing]",
    "enable_progress_bar": "a terminal always shows a progress line",
    "enable_model_summary": "use --plan",
    "enable_autolog_hparams": "the config is kept in the run's directory",
    "max_epochs": "set max_steps; --plan shows how many epochs that is",
    "min_epochs": "set max_steps",
    "min_steps": "set max_steps, or the patience of [early_stopping]",
    "fast_dev_run": "set max_steps to a few",
    "limit_train_batches": "set max_steps",
    "limit_test_batches": "use simplegpt evaluate",
    "limit_predict_batches": "use simplegpt inference",
    "overfit_batches": "train on a smaller token file",
    "check_val_every_n_epoch": "set val_check_interval",
    "num_sanity_val_steps": "validate a run by command while it trains",
    "use_distributed_sampler": "each rank takes its own share of the windows",
    "reload_dataloaders_every_n_epochs": "the data is a function of the seed and the step",
    "inference_mode": "validation always runs in inference mode",
    "sync_batchnorm": "a GPT has no batch norm",
    "plugins": "not supported",
    "barebones": "not supported",
    "model_registry": "not supported",
}


# Descriptions of the settings for help, forms and errors.

Kind = Literal["switch", "choice", "integer", "number", "text", "path", "list", "mixed"]


@dataclass(frozen=True)
class Setting:
    """One key of the config file."""

    key: str
    """Dotted key, such as ``model.n_embd``; no dot at the top level."""
    kind: Kind
    """Kind of value; ``mixed`` allows several (``"auto"``, a number or a list)."""
    default: Any
    """Value as in TOML: text for a path, a list for a tuple, False if disabled."""
    description: str
    """The field's docstring on one line."""
    allowed: str
    """Type and bounds: ``an integer ≥ 1``."""
    optional: bool = False
    """Whether ``false`` disables it."""
    choices: tuple[Any, ...] = ()
    """All allowed values, if they can be listed."""
    item_kind: Kind | None = None
    """Kind of a list's items."""

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def table(self) -> str:
        return self.key.rpartition(".")[0]


@dataclass(frozen=True)
class Table:
    """A table of the config file; "" is the name of its top level."""

    name: str
    description: str
    settings: Mapping[str, Setting]
    """Settings by dotted key, in the schema's order."""
    optional: bool = False
    """Whether ``name = false`` disables it, which is also its default."""


@cache
def tables() -> Mapping[str, Table]:
    """Return every table by name, the top level first."""
    found = {"": Table("", "General settings of the run.", settings_of(Config))}
    for name, field in Config.model_fields.items():
        for section in (field.annotation, *get_args(field.annotation)):
            if isinstance(section, type) and issubclass(section, Section):
                description = _one_line(section.__doc__)
                optional = field.default is None
                found[name] = Table(name, description, settings_of(section, f"{name}."), optional)
    return found


@cache
def settings() -> Mapping[str, Setting]:
    """Return every setting by its dotted key."""
    return {key: one for table in tables().values() for key, one in table.settings.items()}


@cache
def settings_of(section: type[Section], prefix: str = "") -> Mapping[str, Setting]:
    """Return the settings of a section without its tables; `prefix` is added to each key."""
    properties = section.model_json_schema()["properties"]
    return {
        prefix + name: _setting(prefix + name, schema)
        for name, schema in properties.items()
        if not any("$ref" in one for one in _alternatives(schema))
    }


def flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Convert nested tables to values by dotted key."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            values |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            values[name] = value
    return values


def _setting(key: str, schema: Mapping[str, Any]) -> Setting:
    """Describe a setting from the JSON schema that pydantic generates."""
    parts = [one for one in _alternatives(schema) if one.get("type") != "null"]
    optional = len(parts) < len(_alternatives(schema))
    kinds = {_kind(part) for part in parts}
    choices = [choice for part in parts for choice in _choices(part)]
    items = [_items(part) for part in parts if _kind(part) == "list"]
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if len(kinds) == 1:
        kind = kinds.pop()
    else:
        kind = "choice" if kinds <= {"choice", "switch"} else "mixed"
    allowed = [_describe(part) for part in parts]
    if optional and kind != "switch":
        allowed.append("false")
    return Setting(
        key=key,
        kind=kind,
        default=False if schema["default"] is None else schema["default"],
        description=_one_line(schema.get("description")),
        allowed=" or ".join(allowed),
        optional=optional,
        choices=tuple(choices) if kind in ("choice", "switch") else (),
        item_kind=_kind(items[0]) if items else None,
    )


def _alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    alternatives: list[Mapping[str, Any]] = schema.get("anyOf", [schema])
    return alternatives


def _kind(schema: Mapping[str, Any]) -> Kind:
    if "enum" in schema or "const" in schema:
        return "choice"
    if schema.get("format") == "path":
        return "path"
    kinds: dict[str, Kind] = {
        "boolean": "switch",
        "integer": "integer",
        "number": "number",
        "string": "text",
        "array": "list",
    }
    return kinds[schema["type"]]


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    if schema["type"] == "boolean":
        return [True, False]
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _items(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a list's items; all items of a tuple have the same one."""
    items: Mapping[str, Any] = schema["items"] if "items" in schema else schema["prefixItems"][0]
    return items


def _describe(schema: Mapping[str, Any]) -> str:
    """``an integer ≥ 1``, ``a list of 2 numbers ≥ 0 and < 1``, ``"adamw" or "muon"``."""
    kind = _kind(schema)
    if kind == "switch":
        return "true or false"
    if kind == "choice":
        return " or ".join(f'"{choice}"' for choice in _choices(schema))
    if kind == "list":
        items = _items(schema)
        number = f"{schema['maxItems']} " if "maxItems" in schema else ""
        start = "a list" if number or "minItems" not in schema else "a non-empty list"
        return f"{start} of {number}{_adjective(items)}{_kind(items)}s{_bounds(items)}"
    article = "an " if kind == "integer" else "a "
    return f"{article}{_adjective(schema)}{kind}{_bounds(schema)}"


def _adjective(schema: Mapping[str, Any]) -> str:
    return "non-empty " if "minLength" in schema else ""


def _bounds(schema: Mapping[str, Any]) -> str:
    """Return the bounds of a number or an example of a text."""
    if "examples" in schema:
        return f' like "{schema["examples"][0]}"'
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[name]:,}" for name, sign in signs.items() if name in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _one_line(docstring: str | None) -> str:
    return " ".join((docstring or "").split())
