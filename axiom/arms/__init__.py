"""The arms of a study: one file each, that differ in nothing but where a round's training data comes from."""

from axiom.arms import (
    expert_iteration,
    frozen,
    random_accept,
    sft_reference,
    shuffled_replay,
    static_rft,
    unverified,
)
from axiom.arms.arm import Arm, Harvest, Quota

ARMS: dict[str, Arm] = {
    module.__name__.rpartition(".")[2]: module.ARM
    for module in (
        expert_iteration, static_rft, sft_reference, shuffled_replay, unverified, random_accept, frozen,
    )
}  # fmt: skip
"""Arm by the name that `arm = ...` in a preset gives it."""

__all__ = ["ARMS", "Arm", "Harvest", "Quota"]
