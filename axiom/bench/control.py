"""Positive and negative controls: modular addition that groks, and two changes under which it never does.

The detector must find the jump in the first two and stay silent on the others. Trained on true answers, without the
loop: this checks the network and the detector, in seconds, on one core.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiom.config import DetectionConfig, ExperimentConfig, ModularConfig
from axiom.grokking import Curve, Phases, alarms, detect
from axiom.learners.modular import Pairs, Trainer, accuracy, make_modular_problems, new_network, one_thread, residues
from axiom.records import Event


@dataclass(frozen=True)
class Control:
    """A recipe, how long it runs and how often it is evaluated (in optimizer steps), and whether it should grok."""

    name: str
    description: str
    config: ModularConfig
    steps: int
    every: int
    groks: bool


@dataclass(frozen=True)
class Outcome:
    """What a control did; `seconds` is training and evaluation, without imports."""

    control: Control
    curve: Curve
    phases: Phases
    alarms: list[Event]
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether the detector found a jump exactly where there should be one."""
        return (self.phases.kind == "grokking") == self.control.groks


FAST = ModularConfig()
CLASSIC = ModularConfig(train_fraction=0.55, learning_rate=1e-2, weight_decay=0.3)

CONTROLS: tuple[Control, ...] = (
    Control("fast", "65 % of the pairs, decay 1", FAST, 300, 5, True),
    Control("classic", "55 % of the pairs, decay 0.3", CLASSIC, 2500, 50, True),
    Control("no decay", "65 % of the pairs, decay 0", FAST.model_copy(update={"weight_decay": 0.0}), 1000, 20, False),
    Control(
        "low data", "25 % of the pairs, decay 1", FAST.model_copy(update={"train_fraction": 0.25}), 1000, 20, False
    ),
)


def train_on_answers(config: ModularConfig, steps: int, every: int, seed: int) -> Curve:
    """Accuracy on trained and on left-out pairs every so many optimizer steps."""
    import torch

    problems = make_modular_problems(ExperimentConfig(seed=seed, modular=config))
    held_out = [*problems["val"], *problems["test"]]
    train, val = (residues([p.description for p in rows]) for rows in (problems["train"], held_out))
    pairs, answer = Pairs(train), torch.from_numpy(train.sum(1) % config.p)
    weight = torch.ones(len(train))
    at = np.arange(0.0, steps + 1, every)
    measured = []
    with one_thread():
        trainer = Trainer(config, new_network(config, seed))
        for step in range(steps + 1):
            if step % every == 0:
                measured.append([accuracy(trainer.network, part, config.p) for part in (train, val)])
            trainer.step(pairs, answer, weight)
    seen, unseen = zip(*measured, strict=True)
    return Curve.of(at, seen, unseen, len(train), len(val))


def run(controls: Sequence[Control] = CONTROLS, seed: int = 0) -> list[Outcome]:
    """Train and judge each control."""
    outcomes = []
    for control in controls:
        started = time.perf_counter()
        curve = train_on_answers(control.config, control.steps, control.every, seed)
        seconds = time.perf_counter() - started
        detection = DetectionConfig()
        outcomes.append(Outcome(control, curve, detect(curve, detection), alarms(curve, detection), seconds))
    return outcomes
