"""Estimate a config's parameters, tokens, FLOPs, memory, time and cost, by arithmetic only.

FLOPs are counted as in the PaLM paper (Chowdhery et al. 2022, appendix B), forward and backward:
per token, 6 for each parameter that multiplies and 12 · layers · heads · head width · length for
attention. Activations are counted tensor by tensor, as the backward pass keeps them, similar to
Korthikanti et al. 2022 ("Reducing Activation Recomputation in Large Transformer Models").
"""

import math
from dataclasses import astuple, dataclass

from simplegpt.config.schema import MAX_LOGITS, Config, ModelConfig
from simplegpt.progress import format_bytes, format_count, format_duration, format_money
from simplegpt.train.devices import DeviceKind, Devices, windows_per_step

# Memory of a process with torch and lightning loaded, or of a CUDA context.
LIBRARIES: dict[DeviceKind, int] = {"cpu": 370 * 2**20, "gpu": 600 * 2**20}
# The C library keeps freed blocks of less than 32 MB, which fragments the memory: ratio of memory
# in use to the size of the activations. Measured by tests.benchmarks.plan: 1.25 to 1.5.
CPU_FRAGMENTATION = 1.35

# Batches of training data per validation: precise to two decimals, cheaper than a whole split.
MAX_TRAIN_EVAL_BATCHES = 20


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a training step, on one device."""

    weights: int
    gradients: int
    """Including the copies for accumulation or updates, if they are in memory at the peak, and
    those that DDP sends to the other devices."""
    optimizer: int
    activations: int
    """Tensors that the layers keep for the backward pass."""
    logits: int
    """The logits, their log-softmax and its gradient: the largest part for a large vocabulary."""
    libraries: int

    @property
    def total(self) -> int:
        return sum(astuple(self))


@dataclass(frozen=True)
class Speed:
    """The speed that a run is expected to reach."""

    flops_per_second: float
    """All devices together."""
    basis: str
    """Where it comes from, such as ``at the speed of RUN``."""


@dataclass(frozen=True)
class Plan:
    """The estimate of a run, for all its devices together unless stated otherwise."""

    parameters: int
    """The tied output layer counted once."""
    embedding_parameters: int
    """Those of `parameters` that are token and position embeddings."""
    devices: Devices
    tokens_per_step: int
    """Tokens predicted in one optimizer step."""
    total_tokens: int
    epochs: float | None
    """Passes over the training tokens; None if their number is unknown."""
    flops_per_step: float
    total_flops: float
    """FLOPs of the training, without validations."""
    memory: Memory
    checkpoint_bytes: int
    """Size of a checkpoint: weights and optimizer."""
    speed: Speed | None
    seconds: float | None
    """Duration including validations; None if no speed was given."""


def plan(
    config: Config,
    devices: Devices,
    n_train_tokens: int | None = None,
    n_val_tokens: int | None = None,
    speed: Speed | None = None,
    libraries: int | None = None,
) -> Plan:
    """Estimate `config` on `devices`, and its time at `speed`.

    The numbers of tokens are those of an epoch's windows. `libraries` is the memory that torch and
    lightning were found to take; None for the usual.
    """
    model, data, trainer = config.model, config.data, config.trainer
    batches = windows_per_step(config, devices.count)
    tokens_per_step = data.seq_len * batches
    per_token = flops_per_token(config)
    total_tokens = tokens_per_step * trainer.max_steps
    total_flops = float(per_token * total_tokens)
    memory = _memory(config, devices, libraries)
    seconds = None
    if speed is not None:
        validation_tokens = _validation_tokens(config, n_train_tokens, n_val_tokens)
        validation = _forward_flops(config) * validation_tokens
        seconds = (total_flops + validation) / speed.flops_per_second
    return Plan(
        parameters=n_parameters(model),
        embedding_parameters=(model.n_vocab + model.n_ctx) * model.n_embd,
        devices=devices,
        tokens_per_step=tokens_per_step,
        total_tokens=total_tokens,
        epochs=total_tokens / n_train_tokens if n_train_tokens else None,
        flops_per_step=float(per_token * tokens_per_step),
        total_flops=total_flops,
        memory=memory,
        checkpoint_bytes=_weight_bytes(config) * n_parameters(model) + memory.optimizer,
        speed=speed,
        seconds=seconds,
    )


def n_parameters(model: ModelConfig) -> int:
    """Return the exact number of parameters of a GPT; the tied output layer counts once."""
    embeddings = (model.n_vocab + model.n_ctx) * model.n_embd
    norm = (1 + model.bias) * model.n_embd
    return embeddings + model.n_layer * _layer_parameters(model) + norm


def _layer_parameters(model: ModelConfig) -> int:
    width, bias = model.n_embd, int(model.bias)
    norm = width + bias * width
    attention = 4 * width**2 + bias * 4 * width
    feed_forward = 8 * width**2 + bias * 5 * width
    return 2 * norm + attention + feed_forward


def _trained_parameters(model: ModelConfig, frozen: int) -> int:
    """Return the number of parameters that have gradients, with `frozen` layers frozen."""
    if not frozen:
        return n_parameters(model)
    embeddings = (model.n_vocab + model.n_ctx) * model.n_embd
    return n_parameters(model) - embeddings - frozen * _layer_parameters(model)


def flops_per_token(config: Config) -> int:
    """Return the FLOPs per token, forward and backward; frozen layers have no backward pass."""
    model, frozen = config.model, config.optimization.freeze_layers
    flops = 3 * _forward_flops(config)
    if frozen:
        attention = 4 * model.n_embd * config.data.seq_len
        flops -= 2 * frozen * (2 * _layer_parameters(model) + attention)
        flops -= 2 * model.n_vocab * model.n_embd  # the gradients of the output layer's weights
    return flops


def _forward_flops(config: Config) -> int:
    """Return the forward FLOPs per token; looking up positions takes none."""
    model = config.model
    multiplying = n_parameters(model) - model.n_ctx * model.n_embd
    return 2 * multiplying + 4 * model.n_layer * model.n_embd * config.data.seq_len


def _validation_tokens(config: Config, n_train_tokens: int | None, n_val_tokens: int | None) -> int:
    """Return the number of tokens in all validations of the run, including the last."""
    trainer, data = config.trainer, config.data
    n_batches = trainer.max_steps * trainer.accumulate_grad_batches
    times = min(math.ceil(n_batches / trainer.val_check_interval), trainer.max_steps)
    batch = data.val_batch_size * data.seq_len
    limit = (trainer.limit_val_batches or 0) * batch
    val = min(limit or n_val_tokens or 0, n_val_tokens or limit)
    train = min(limit or math.inf, MAX_TRAIN_EVAL_BATCHES * batch, n_train_tokens or math.inf)
    return times * (val + int(train)) if val else 0


def _weight_bytes(config: Config) -> int:
    return 2 if config.trainer.precision == "bf16-true" else 4


def _memory(config: Config, devices: Devices, libraries: int | None = None) -> Memory:
    model, precision = config.model, config.trainer.precision
    size = _weight_bytes(config)
    frozen = config.optimization.freeze_layers
    count, trained = n_parameters(model), _trained_parameters(model, frozen)
    in_blocks = 12 * model.n_layer * model.n_embd**2
    trained_in_blocks = 12 * (model.n_layer - frozen) * model.n_embd**2
    embedding = model.n_vocab * model.n_embd
    is_muon = config.optimization.optimizer == "muon"
    states = 2 * trained - (trained_in_blocks if is_muon else 0)
    # mixed precision computes with a 16-bit copy of the matrices
    copies = 2 * (in_blocks + embedding) if precision.endswith("mixed") else 0
    gradients = size * trained
    activations = _activations(config, devices.kind)
    # A forward pass has two fp32 tensors of logits, besides the last step's gradients; the backward
    # pass has three, before it has any gradients; a validation has two, and no activations.
    n_logits = _n_logits(config, config.data.train_batch_size)
    n_val_logits = _n_logits(config, config.data.val_batch_size)
    logits = max(8 * n_logits, 12 * n_logits - gradients, 8 * n_val_logits - activations)
    # Once the activations are freed: the tied embedding's two gradients are added in a third
    # tensor; Muon has the updates, and five copies of a third of the matrices at a time.
    later = 0 if frozen else size * (2 * embedding)
    if is_muon:
        later = max(later, size * (trained_in_blocks + 5 * trained_in_blocks // 3))
    return Memory(
        weights=size * count + copies,
        gradients=gradients + max(0, later - activations - logits),
        optimizer=size * states,
        activations=activations,
        logits=logits,
        libraries=libraries or LIBRARIES[devices.kind],
    )


def _n_logits(config: Config, batch_size: int) -> int:
    """Return the number of a batch's logits that are in memory at once."""
    return min(batch_size * config.data.seq_len * config.model.n_vocab, MAX_LOGITS)


def _activations(config: Config, device: DeviceKind) -> int:
    """Return the memory of a batch's activations in bytes, including fragmentation."""
    kept = kept_activations(config, device)
    return round(kept * CPU_FRAGMENTATION) if device == "cpu" else kept


def kept_activations(config: Config, device: DeviceKind) -> int:
    """Return the bytes that the layers keep for the backward pass of one batch."""
    model, precision = config.model, config.trainer.precision
    tokens = config.data.train_batch_size * config.data.seq_len
    computed = 4 if precision == "32-true" else 2
    stream = 2 if precision == "bf16-true" else 4  # the residual stream, input of the norms
    # In multiples of n_embd: the outputs of two norms (1 + 1), query, key and value (3), the output
    # of the heads in two layouts (2), and two inner tensors of the feed-forward network (4 + 4).
    per_token = (15 * computed + 2 * stream) * model.n_embd
    if config.optimization.dropout_p > 0:
        if device == "gpu":
            per_token += 2 * model.n_embd  # two masks of bytes; flash recomputes its own
        else:
            # Two masks of floats; and attention is computed explicitly: the probabilities, their
            # mask and their product, each of length × length per head.
            attention = 3 * model.n_head * config.data.seq_len
            per_token += (2 * model.n_embd + attention) * computed
    outside = (stream + computed) * model.n_embd + 16  # the last norm, token IDs and targets
    n_layers = model.n_layer - config.optimization.freeze_layers
    return tokens * (n_layers * per_token + outside)


def validation_memory(config: Config, n_val_tokens: int) -> int:
    """Return the peak memory of a validation on one device; optimizer state stays allocated."""
    model, data, step = config.model, config.data, _memory(config, Devices("cpu"))
    tokens = min(data.val_batch_size * data.seq_len, n_val_tokens)
    computed = 4 if config.trainer.precision == "32-true" else 2
    # Nothing is kept for a backward pass: only token IDs and targets, and the input, the norm and
    # two inner tensors of the feed-forward network of one layer.
    batch = tokens * (16 + 10 * computed * model.n_embd)
    logits = min(tokens * model.n_vocab, MAX_LOGITS) * 8
    return step.total - step.activations - step.logits + batch + logits


def advise_on_memory(
    config: Config, devices: Devices, available: int, libraries: int | None = None
) -> str:
    """Return how to make a step fit into `available` bytes; empty if it fits."""
    memory = _memory(config, devices, libraries)
    if memory.total <= available:
        return ""
    data, trainer = config.data, config.trainer
    fixed = memory.total - memory.activations - memory.logits
    if fixed >= available:
        return (
            f"Weights, gradients, optimizer and libraries alone need {format_bytes(fixed)}: use a "
            "smaller model (n_layer, n_embd, n_vocab)."
        )
    batch, accumulate = data.train_batch_size, trainer.accumulate_grad_batches
    while batch >= 1:
        sizes = {"train_batch_size": batch, "val_batch_size": min(data.val_batch_size, batch)}
        smaller = data.model_copy(update=sizes)
        smaller_config = config.model_copy(update={"data": smaller})
        if _memory(smaller_config, devices, libraries).total <= available:
            edits = [
                f"data.{name} to {size}"
                for name, size in sizes.items()
                if size != getattr(data, name)
            ]
            if batch != data.train_batch_size:
                edits.append(f"trainer.accumulate_grad_batches to {accumulate}")
            return f"Set {' and '.join(edits)}."
        batch, accumulate = batch // 2, accumulate * 2
    return "Not even a batch of 1 fits: use a shorter data.seq_len or a smaller model."


def describe(plan: Plan, price: float | None = None) -> str:
    """Return the plan as a small table, with the cost at `price` per GPU and hour."""
    memory = plan.memory
    inner = plan.parameters - plan.embedding_parameters
    layers = f"{format_count(inner)} in the layers"
    rows = [
        (
            "parameters",
            format_count(plan.parameters),
            f"{layers}, {format_count(plan.embedding_parameters)} embeddings",
        ),
        (
            "tokens/step",
            format_count(plan.tokens_per_step),
            f"on {_name(plan.devices)}",
        ),
        (
            "total tokens",
            format_count(plan.total_tokens),
            "" if plan.epochs is None else f"{plan.epochs:,.2f} epochs",
        ),
        ("FLOPs/step", f"{plan.flops_per_step:.2e}", f"{plan.total_flops:.2e} in total"),
        ("memory", format_bytes(memory.total), "peak on each device:"),
        ("", format_bytes(memory.weights), "weights"),
        ("", format_bytes(memory.gradients), "gradients"),
        ("", format_bytes(memory.optimizer), "optimizer"),
        ("", format_bytes(memory.activations), "activations"),
        ("", format_bytes(memory.logits), "logits and their gradient"),
        ("", format_bytes(memory.libraries), "libraries"),
        ("checkpoint", format_bytes(plan.checkpoint_bytes), ""),
    ]
    if plan.seconds is not None and plan.speed is not None:
        rows.append(("time", format_duration(plan.seconds), plan.speed.basis))
        if price is not None:
            hours = plan.seconds * plan.devices.count / 3600
            at = f"{hours:,.1f} GPU hours at {format_money(price)}"
            rows.append(("cost", format_money(hours * price), at))
    widest = max(len(figure) for _, figure, _ in rows)
    lines = [f"{name:15}{figure:>{widest}}  {more}".rstrip() for name, figure, more in rows]
    return "\n".join(lines)


def _name(devices: Devices) -> str:
    n = devices.count
    if devices.kind == "gpu":
        return f"{n} GPU{'s' * (n > 1)}"
    return "the CPU" if n == 1 else f"{n} CPU processes"
