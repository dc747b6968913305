"""Which settings a learner does not read: a sweep over one of them would compare runs that are all the same."""

from typing import Any

from axiom.config import ExperimentConfig

UNREAD = {
    "language": ("checkpoint_every", "modular"),
    "modular": (
        "checkpoint_every",
        "problems",
        "prompts",
        "sandbox",
        "model.path",
        "model.adapter",
        "model.dtype",
        "model.device",
        "sampling.engine",
        "sampling.max_new_tokens",
        "sampling.stop",
        "sampling.thinking_tokens",
        "sampling.batch_size",
        "sampling.vllm",
        "curriculum.joins",
        "curriculum.levels",
        "curriculum.keep_easier",
        "curriculum.rounds",
        "curriculum.up",
        "curriculum.down",
        "foothold.partial",
        "foothold.partial_until",
        "foothold.hindsight",
        "foothold.hints",
        "foothold.hints_until",
        "training.epochs",
        "training.learning_rate",
        "training.batch_size",
        "training.gradient_accumulation",
        "training.lora_r",
        "training.lora_alpha",
        "training.lora_dropout",
        "training.target",
        "training.target_modules",
        "training.weight_decay",
        "training.max_grad_norm",
        "training.max_length",
    ),
}
"""Sections and keys that change nothing in what a run computes, by `model.kind`."""


def unread(config: ExperimentConfig, key: str) -> bool:
    """Whether the learner of `config` does not read the setting of a dotted key."""
    return any(f"{key}.".startswith(f"{name}.") for name in UNREAD[config.model.kind])


def computing(config: ExperimentConfig) -> dict[str, Any]:
    """The settings that a run's results depend on, without its name and the run that it replays."""
    tree = config.model_dump(mode="json", exclude={"name", "yoke"})
    for name in UNREAD[config.model.kind]:
        section, _, key = name.partition(".")
        if key:
            del tree[section][key]
        else:
            del tree[section]
    return tree
