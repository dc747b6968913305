"""Where an adapter is trained: in this process, or in one for each of several GPUs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from axiom.config import ModelConfig, TrainingConfig
from axiom.errors import ConfigError
from axiom.models import Policy, devices, resolve_device
from axiom.records import LossStep
from axiom.sampling import Trace
from axiom.training import Example, Kept, Round, Setup

if TYPE_CHECKING:
    import numpy as np

    from axiom.training.batches import Encoded


class Trainer(Protocol):
    """The model to train. It is loaded when it is first needed and stays until `release`."""

    @property
    def loaded(self) -> bool:
        """Whether it takes memory."""

    def train(self, examples: Sequence[Example], this: Round, setup: Setup) -> list[LossStep]:
        """As `axiom.training.loop.train`. Raises EngineError when a process dies."""

    def score(self, traces: Sequence[Trace], policy: Policy, setup: Setup, merged: bool = False) -> "np.ndarray":
        """As `axiom.training.scoring.score`."""

    def divergences(self, texts: "Sequence[Encoded]", policy: Policy, base: Policy, setup: Setup) -> "list[np.ndarray]":
        """As `axiom.training.scoring.divergences`."""

    def release(self) -> None:
        """Free its memory."""


class Alone:
    """In this process."""

    def __init__(self) -> None:
        self._kept = Kept()

    @property
    def loaded(self) -> bool:
        """Whether the model is here."""
        return bool(self._kept.held)

    def train(self, examples: Sequence[Example], this: Round, setup: Setup) -> list[LossStep]:
        """Train here."""
        from axiom.training.loop import train

        return train(examples, this, setup.model, setup.config, self._kept, setup.path)

    def score(self, traces: Sequence[Trace], policy: Policy, setup: Setup, merged: bool = False) -> "np.ndarray":
        """Score here."""
        from axiom.training.scoring import score

        return score(traces, **vars(setup), policy=policy, kept=self._kept, merged=merged)

    def divergences(self, texts: "Sequence[Encoded]", policy: Policy, base: Policy, setup: Setup) -> "list[np.ndarray]":
        """Compare here."""
        from axiom.training.scoring import divergences

        return divergences(texts, **vars(setup), policy=policy, base=base, kept=self._kept)

    def release(self) -> None:
        """Let the model go."""
        self._kept.release()


def open_trainer(model: ModelConfig, config: TrainingConfig, before: Trainer | None = None) -> Trainer:
    """The trainer for `config`: that of `before` where it has as many processes, else another in its place."""
    from axiom.training.ranks import Ranks

    count = processes(model, config)
    if before is not None:
        if count == (before.count if isinstance(before, Ranks) else 1):
            return before
        before.release()
    return Ranks(model, count) if count > 1 else Alone()


def processes(model: ModelConfig, config: TrainingConfig) -> int:
    """How many processes train, one for each GPU. Raises ConfigError where that cannot be.

    On a CPU they share its cores.
    """
    visible = len(devices()) if resolve_device(model) == "cuda" else max(1, config.data_parallel)
    count, examples = config.data_parallel or min(visible, config.examples_per_step), config.examples_per_step
    asked = f"training.data_parallel = {config.data_parallel}"
    if count > visible:
        raise ConfigError(
            f"{asked} is more than the {visible} GPUs that are visible; lower it, or name more in CUDA_VISIBLE_DEVICES"
        )
    if count > examples:
        raise ConfigError(
            f"{asked} is more than the {examples} examples of an optimizer step; lower it, or raise "
            f"training.gradient_accumulation"
        )
    if config.fsdp and count == 1:
        raise ConfigError(
            f"training.fsdp has one GPU to split the weights over, as {asked}; set training.data_parallel = 2 or more, "
            f"or training.fsdp = false"
        )
    if config.fsdp and config.mode == "merge":
        raise ConfigError(
            "training.mode = 'merge' cannot add to the weights that training.fsdp splits; set training.mode = "
            "'continue' or training.fsdp = false"
        )
    return count
