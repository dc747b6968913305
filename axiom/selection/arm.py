"""What an arm is: where a round's samples come from and which of them train."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from axiom.config import ExperimentConfig
from axiom.records import Gold, History, Problem, Sample, Verdict
from axiom.seeds import derive
from axiom.selection.history import solve_rate
from axiom.selection.strategies import Behaviour, Known, unknown_behaviour


@dataclass(frozen=True)
class Quota:
    """What one round of the expert arm trained on, which a yoked arm is to match.

    `examples` rows of gold over `problems` distinct problems were trained, `fresh` of them sampled in that round, in
    `steps` optimizer steps a pass. `loss_tokens` is the budget of one pass: what the expert arm has trained up to and
    with this round less what this run has trained before it. None sets no budget.
    """

    problems: int
    examples: int
    fresh: int
    loss_tokens: float | None = None
    steps: int = 1

    def unmet(self, gold: Sequence[Gold]) -> tuple[str, ...]:
        """Counts in which the gold differs from the quota because the arm's data could not meet them."""
        found = {"problems": len({row.problem_id for row in gold}), "examples": len(gold)}
        return tuple(name for name, count in found.items() if count != getattr(self, name))


def one_token_each(rows: Sequence[Gold]) -> list[int]:
    """The loss tokens of rows whose target is a single token."""
    return [1] * len(rows)


def not_known(rows: Sequence[Gold]) -> list[float]:
    """Log-probabilities where there is no trainer to ask."""
    return [math.nan] * len(rows)


def no_verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """The verdicts where there is no sandbox."""
    return []


@dataclass(frozen=True)
class Harvest:
    """All that a round's selection may look at.

    `buffer` is the old gold that replay may take, the newest first; `pool` what a pool arm draws from;
    `quota` is None where the run is not yoked. `loss_tokens` counts the tokens of each row that have a loss, 0 where
    the row is too long to be trained, and `logprobs` what the trainer's policy gives each row's text at temperature 1,
    nan where that is not known. `judge` verifies samples that were not drawn for the problem they name.
    `active` are the training problems of the curriculum's level, None where there is no curriculum. `history` is
    what is known of each training problem, this round included, and `behaviour` runs programs on calls outside the
    tests.
    """

    config: ExperimentConfig
    iteration: int
    problems: Mapping[str, Problem]
    samples: Sequence[Sample]
    verdicts: Sequence[Verdict]
    buffer: Sequence[Gold]
    pool: Sequence[Gold]
    quota: Quota | None
    loss_tokens: Callable[[Sequence[Gold]], list[int]] = one_token_each
    logprobs: Callable[[Sequence[Gold]], list[float]] = not_known
    judge: Callable[[Sequence[Sample]], list[Verdict]] = no_verdicts
    active: Collection[str] | None = None
    history: Sequence[History] = ()
    behaviour: Behaviour = unknown_behaviour

    @property
    def known(self) -> Known:
        """What a selection's strategy goes by."""
        rates = {row.problem_id: solve_rate(row) for row in self.history}
        return Known(derive(self.config.seed, "selection", self.iteration), rates, self.behaviour)


def without_conditions(config: ExperimentConfig) -> None:
    """Any settings will do."""


@dataclass(frozen=True)
class Arm:
    """`policy` is whose samples these are; `draws` how many of each training problem in a round.

    A pool arm fills its `pool` once, in round 1, and `select`s from it ever after. A `yoked` arm replays the schedule
    of the expert arm in a yoked study, and its ledger must agree with the expert arm's.
    """

    description: str
    policy: Literal["current", "base"]
    draws: Callable[[ExperimentConfig, int], int]
    select: Callable[[Harvest], list[Gold]]
    yoked: bool
    pool: Callable[[Harvest, Sequence[Gold]], list[Gold]] | None = None
    """From the first round's harvest and, with `whole`, the gold of all rounds of the expert run."""
    whole: bool = False
    """Whether its first round needs the whole expert run. Other yoked arms need of it the rounds so far."""
    as_drawn: bool = False
    """Whether a row trains as it was drawn, whole, whatever `training.target` says."""
    by_selection: bool = False
    """Whether it keeps the distinct programs that `[selection]` asks for, so that this says why others are left."""
    check: Callable[[ExperimentConfig], None] = without_conditions
    """Raises ConfigError for settings with which the arm cannot run."""


def every_round(config: ExperimentConfig, iteration: int) -> int:
    """As many draws in each round as the config says."""
    return config.sampling.samples_per_problem


def all_at_once(config: ExperimentConfig, iteration: int) -> int:
    """The whole run's draws in round 1."""
    return config.sampling.samples_per_problem * config.iterations if iteration == 1 else 0


def never(config: ExperimentConfig, iteration: int) -> int:
    """No draws."""
    return 0
