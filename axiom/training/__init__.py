"""Rows to adapter: LoRA fine-tuning on completions alone.

    Example ─► batches (tokens, packed) ─► model with an adapter (lora) ─► loss ─► adapter directory, LossStep

Importing this package loads neither torch nor peft.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiom.config import ModelConfig, TrainingConfig
from axiom.models import Policy
from axiom.models.ways import OWN, TrainPath
from axiom.records import LossStep
from axiom.sampling import Trace

if TYPE_CHECKING:
    import numpy as np

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
        import torch

        self.held.clear()
        gc.collect()  # captured passes and the model refer to each other
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


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


def train(
    examples: Sequence[Example],
    *,
    model: ModelConfig,
    config: TrainingConfig,
    previous: Policy,
    out: Path,
    seed: int,
    iteration: int,
    first_step: int,
    on_step: Callable[[LossStep], None] | None = None,
    steps: int | None = None,
    kept: Kept | None = None,
    path: TrainPath = OWN,
) -> list[LossStep]:
    """Train an adapter on `examples` and write it into the directory `out`; one LossStep for each optimizer step.

    `previous` is where `continue` and `merge` start. `seed` names the streams of the adapter's start, of the order of
    the examples and of dropout. `first_step` optimizer steps have been taken before; the first one here has the next
    number. `steps` shares the examples of a pass out evenly to so many optimizer steps, instead of the batches that the
    config asks for. The prompt has no loss; the end-of-turn token does. `kept` is the caller's and spares
    the next call loading. `path` is what a probe has shown for this model (`axiom.learners.proof.prove`); without one
    the model's own code runs, which is slower.
    Raises ConfigError when nothing fits into `config.max_length` or `previous` belongs to another base model, and
    OutOfMemoryError when not even one example fits into memory.
    """
    from axiom.training.loop import run

    return run(
        examples,
        model=model,
        config=config,
        previous=previous,
        out=out,
        seed=seed,
        iteration=iteration,
        first_step=first_step,
        on_step=on_step,
        steps=steps,
        kept=kept,
        path=path,
    )


def score(
    traces: Sequence[Trace],
    *,
    model: ModelConfig,
    config: TrainingConfig,
    policy: Policy,
    kept: Kept,
    merged: bool = False,
    path: TrainPath = OWN,
) -> "np.ndarray":
    """Log-probabilities that the trainer's model with `policy` in force gives the drawn tokens, trace after trace.

    They are of temperature 1. Tokens beyond `config.max_length`, or where positions depend on the length of the whole
    text, have nan. `merged` adds the adapter to the weights, which rounds the sum. `kept` serves `train` afterwards,
    with the same `path`.
    """
    from axiom.training.scoring import run

    return run(traces, model=model, config=config, policy=policy, kept=kept, merged=merged, path=path)
