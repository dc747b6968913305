"""Which settings a run does not read: a sweep over one of them would compare runs that are all the same."""

from collections.abc import Iterator
from typing import Any

from axiom.config import ExperimentConfig, changed_settings
from axiom.selection.arm import never
from axiom.selection.arms import ARMS


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
        "diagnostics.behaviour_programs",
        *_keys("model", "path adapter dtype device"),
        *_keys("sampling", "engine max_new_tokens stop thinking_tokens batch_size vllm"),
        *_keys("foothold", "partial partial_until hindsight hints hints_until"),
        *_keys(
            "training",
            "epochs learning_rate batch_size gradient_accumulation lora_r lora_alpha lora_dropout target "
            "target_modules weight_decay max_grad_norm max_length data_parallel fsdp",
        ),
    ),
}
"""Sections and keys that change nothing in what a run computes, by `model.kind`."""

CURRICULUM = {
    "none": "levels keep_easier rounds up down low high",
    "linear": "up down low high",
    "success": "low high",
    "forced": "down low high",
    "self_paced": "levels keep_easier rounds up down",
}
"""Keys of `[curriculum]` that change nothing, by its `kind`."""

OF_THE_EXPERT = _keys("foothold", "references partial partial_until hindsight")
POOLED = ("replay", *OF_THE_EXPERT)
UNREAD_BY_ARM = {
    "frozen": ("selection", *POOLED),
    "sft_reference": (*POOLED, *_keys("selection", "max_per_problem strategy max_rows")),
    "shuffled_replay": (*POOLED, *_keys("selection", "max_per_problem strategy max_rows")),
    "static_rft": (*POOLED, "selection.max_rows"),
    "reinforce": (*POOLED, "training.target", *_keys("selection", "max_per_problem strategy max_rows")),
}
"""Sections and keys that an arm's rule does not read."""


def _unread(config: ExperimentConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sections and keys that the run does not read, after the words for what does not read them."""
    yield f"a {config.model.kind} model does not read", UNREAD[config.model.kind]
    yield f"arm {config.arm!r} does not read", UNREAD_BY_ARM.get(config.arm, ())
    if ARMS[config.arm].draws is never:
        drawn = (*_keys("sampling", "allocation min_draws"), *_keys("foothold", "hints hints_until"))
        yield f"arm {config.arm!r} draws nothing and does not read", drawn
    if not config.replay.share:
        yield "replay.share = 0 leaves unread", _keys("replay", "strategy capacity")
    allocation, kind, foothold = config.sampling.allocation, config.curriculum.kind, config.foothold
    if allocation in ("uniform", "stop_when_solved"):
        yield f"sampling.allocation = {allocation!r} leaves unread", ("sampling.min_draws",)
    yield f"curriculum.kind = {kind!r} leaves unread", _keys("curriculum", CURRICULUM[kind])
    if foothold.partial == 1:
        yield "foothold.partial = 1 leaves unread", ("foothold.partial_until",)
    if not foothold.hints:
        yield "foothold.hints = 0 leaves unread", ("foothold.hints_until",)


def unread(config: ExperimentConfig, key: str) -> str:
    """Why the run of `config` does not read the setting of a dotted key, in words that go before it; empty if it does.

    A key of another setting's value, such as a family's within `curriculum.joins`, goes with that setting.
    """
    return next((why for why, names in _unread(config) if any(f"{key}.".startswith(f"{name}.") for name in names)), "")


def computing(config: ExperimentConfig) -> dict[str, Any]:
    """The settings that a run's results depend on, without its name and the run that it replays."""
    tree = config.model_dump(mode="json", exclude={"name", "yoke"})
    for _, names in _unread(config):
        for name in names:
            section, _, key = name.partition(".")
            if key:
                tree.get(section, {}).pop(key, None)
            else:
                tree.pop(section, None)
    return tree


def ignored(config: ExperimentConfig) -> dict[str, list[str]]:
    """Keys that are set to something else than their defaults and that nothing reads, in order, by why that is so."""
    kept = ("checkpoint_every", "tracking")  # which the run reads, though nothing that it computes depends on them
    found: dict[str, list[str]] = {}
    for key in changed_settings(config):
        if key.partition(".")[0] not in kept and (why := unread(config, key)):
            found.setdefault(why, []).append(key)
    return found
