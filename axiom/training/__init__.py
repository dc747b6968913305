"""Rows to adapter: LoRA fine-tuning on completions alone.

    Example ─► batches (tokens, packed) ─► model with an adapter (lora) ─► loss ─► adapter directory, LossStep

`loop.train` trains, `scoring.score` gives log-probabilities. Importing this package loads neither torch nor peft.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axiom.config import ModelConfig, TrainingConfig
from axiom.models import Policy, free_memory
from axiom.models.ways import OWN, TrainPath
from axiom.records import LossStep

SCORING_BYTES = 4 * 2**30
"""GPU memory that scoring a few texts takes beside the weights."""


class Kept:
    """What a trainer keeps between calls of `train`: the model, its tokenizer and, on a GPU, its captured passes."""

    def __init__(self) -> None:
        self.held: dict[Any, Any] = {}

    def release(self) -> None:
        """Free it; the next call of `train` loads the model again."""
        if not self.held:
            return
        self.held.clear()
        free_memory()


@dataclass(frozen=True)
class Setup:
    """The base model, how it is trained, and how a pass is computed: as a probe has shown it for this model."""

    model: ModelConfig
    config: TrainingConfig
    path: TrainPath = OWN


@dataclass(frozen=True)
class Example:
    """What to answer to a prompt. `weight` multiplies the loss of each of the target's tokens; where it is negative,
    training makes them less probable. A step's loss is divided by the sum of the absolute weights of its tokens.

    `end` is the token behind the target, which is learnt as well; None is the tokenizer's end of sequence.
    """

    prompt: str
    target: str
    weight: float
    end: int | None = None


@dataclass(frozen=True)
class Round:
    """What a round of training starts from, and where its adapter goes.

    `previous` is where `continue` and `merge` start; the new adapter is written into the directory `out`. `seed` names
    the streams of the adapter's start, of the order of the examples and of dropout. `first_step` optimizer steps have
    been taken before; the first one here has the next number. `steps` shares the examples of a pass out evenly to so
    many optimizer steps, instead of the batches that the config asks for. `on_step` hears of each step.
    """

    previous: Policy
    out: Path
    seed: int
    iteration: int
    first_step: int = 0
    steps: int | None = None
    on_step: Callable[[LossStep], None] = lambda _: None
