"""Which settings a learner does not read: a sweep over one of them would compare runs that are all the same."""

from typing import Any

from axiom.config import ExperimentConfig


def _keys(section: str, names: str) -> tuple[str, ...]:
    return tuple(f"{section}.{name}" for name in names.split())


UNREAD = {
    "language": ("checkpoint_every", "tracking", "modular"),
    "modular": (
        "checkpoint_every",
        "tracking",
        "problems",
        "prompts",
        "sandbox",
        *_keys("model", "path adapter dtype device"),
        *_keys("sampling", "engine max_new_tokens stop thinking_tokens batch_size vllm"),
        *_keys("curriculum", "joins levels keep_easier rounds up down"),
        *_keys("foothold", "partial partial_until hindsight hints hints_until"),
        *_keys(
            "training",
            "epochs learning_rate batch_size gradient_accumulation lora_r lora_alpha lora_dropout target "
            "target_modules weight_decay max_grad_norm max_length",
        ),
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
    kept = ("checkpoint_every", "tracking")  # which the run reads, though nothing that it computes depends on them
    usual = _flat(ExperimentConfig().model_dump(mode="json"))
    given = _flat(config.model_dump(mode="json"))
    return [
        key
        for key, value in given.items()
        if key.partition(".")[0] not in kept and value != usual.get(key) and unread(config, key)
    ]


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat = dict[str, Any]()
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) and value else {above + key: value}
    return flat
