"""What an arm is: where a round's samples come from and which of them train."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from axiom.config import ExperimentConfig
from axiom.records import Gold, Problem, Sample, Verdict


@dataclass(frozen=True)
class Quota:
    """What one round of the expert arm trained on: the yoke replays these counts.

    `examples` rows of gold over `problems` distinct problems, of which `fresh` rows were sampled in that round.
    """

    problems: int
    examples: int
    fresh: int


@dataclass(frozen=True)
class Harvest:
    """All that a round's selection may look at.

    `earlier` is the gold of the rounds that replay reaches, newest first; `pool` what a pool arm draws from;
    `quota` is None where the run is not yoked.
    """

    config: ExperimentConfig
    iteration: int
    problems: Mapping[str, Problem]
    samples: Sequence[Sample]
    verdicts: Sequence[Verdict]
    earlier: Sequence[Sequence[Gold]]
    pool: Sequence[Gold]
    quota: Quota | None


@dataclass(frozen=True)
class Arm:
    """`policy` is whose samples these are; `draws` how many of each training problem in a round.

    A pool arm fills its `pool` once, in round 1, and `select`s from it ever after. `yoked` says whether the ledger of
    this arm must agree with the expert arm's.
    """

    description: str
    policy: Literal["current", "base"]
    draws: Callable[[ExperimentConfig, int], int]
    select: Callable[[Harvest], list[Gold]]
    yoked: bool
    pool: Callable[[Harvest, Sequence[Gold]], list[Gold]] | None = None
    """From the first round's harvest and the expert run's gold."""


def every_round(config: ExperimentConfig, iteration: int) -> int:
    """As many draws in each round as the config says."""
    return config.sampling.samples_per_problem


def all_at_once(config: ExperimentConfig, iteration: int) -> int:
    """The whole run's draws in round 1."""
    return config.sampling.samples_per_problem * config.iterations if iteration == 1 else 0


def never(config: ExperimentConfig, iteration: int) -> int:
    """No draws."""
    return 0
