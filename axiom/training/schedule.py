"""The learning rate of each optimizer step.

It rises and falls within an iteration, whose number of steps is known when it begins. That of the whole run is not: it
depends on the gold that later iterations find, and on how far the run is extended.
"""

import math

from axiom.config import TrainingConfig


def factor(config: TrainingConfig, step: int, steps: int) -> float:
    """What the highest learning rate is multiplied by in step `step` of 0 to `steps` - 1: above 0, at most 1.

    The warm-up is linear and reaches 1 in its last step. From there `linear` and `cosine` (Loshchilov & Hutter 2017,
    arXiv:1608.03983, without restarts) fall so that they would reach 0 one step after the last.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    passed = (step - config.warmup_steps) / (steps - config.warmup_steps)
    return 1.0 - passed if config.schedule == "linear" else (1.0 + math.cos(math.pi * passed)) / 2
