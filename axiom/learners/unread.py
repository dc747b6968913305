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


def ignored(config: ExperimentConfig) -> list[str]:
    """Keys that are set to something else than their defaults and that the learner does not read, in order."""
    kept = "checkpoint_every"  # which the run reads, though nothing that it computes depends on it
    usual = _flat(ExperimentConfig().model_dump(mode="json"))
    given = _flat(config.model_dump(mode="json"))
    return [key for key, value in given.items() if key != kept and value != usual.get(key) and unread(config, key)]


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat = dict[str, Any]()
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) and value else {above + key: value}
    return flat
