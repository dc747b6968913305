"""Policy gradient: every draw trains, the right ones up and the wrong ones down.

REINFORCE with the leave-one-out baseline (Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; RLOO
of Ahmadian et al. 2024, arXiv:2402.14740): of k draws of a problem with rewards r = +1 (verified) or -1, draw i has the
advantage r_i less the mean of the other k - 1 rewards. It is multiplied by the truncated importance weight
min(CAP, exp(log p of the policy - log p of the sampler)) (Ionides 2008), which corrects for an engine whose
log-probabilities are not the trainer's. Both are of temperature 1: draws at another temperature are taken as they are.
There is no clipping, no KL term and no division by a group's deviation, and draws of earlier rounds are not replayed.

A draw that was cut off at its longest length counts in the baseline and does not train, as its end was not drawn.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.records import Gold, Sample
from axiom.selection import accepted, to_gold
from axiom.selection.arm import Arm, Harvest, every_round

CAP = 2.0
"""Largest importance weight."""
REWARD = "reward"
"""How the reason of a row begins whose weight is an advantage."""


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    """Each reward less the mean of the others: all 0 where they are alike, and for a single one."""
    others = len(rewards) - 1
    return [reward - (sum(rewards) - reward) / others if others else 0.0 for reward in rewards]


def importance(policy: float, sampler: float | None) -> float:
    """The truncated weight of a draw by its log-probabilities; 1 where one of them is not known."""
    if sampler is None or math.isnan(policy):
        return 1.0
    return math.exp(min(policy - sampler, math.log(CAP)))


def _select(harvest: Harvest) -> list[Gold]:
    right = {sample.sample_id for sample in accepted(harvest.samples, harvest.verdicts)}
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in harvest.samples:
        groups[sample.problem_id].append(sample)
    drawn: list[Sample] = []
    rows: list[Gold] = []
    for samples in groups.values():
        rewards = [1.0 if sample.sample_id in right else -1.0 for sample in samples]
        for sample, reward, advantage in zip(samples, rewards, leave_one_out(rewards), strict=True):
            if advantage and sample.finish_reason == "stop":
                drawn.append(sample)
                changes = {"weight": advantage, "completion": sample.completion}
                rows.append(to_gold(sample, f"{REWARD} {reward:+.0f}").model_copy(update=changes))
    return _corrected(harvest, drawn, rows)


def _corrected(harvest: Harvest, drawn: Sequence[Sample], rows: Sequence[Gold]) -> list[Gold]:
    """The rows with importance weights, where what trains is token for token as long as what was drawn."""
    known = harvest.logprobs(rows)
    lengths = harvest.loss_tokens(rows)
    return [
        row.model_copy(update={"weight": row.weight * (importance(policy, one.logprob) if same else 1.0)})
        for row, one, policy, same in zip(
            rows, drawn, known, [a == b.token_count for a, b in zip(lengths, drawn, strict=True)], strict=True
        )
    ]


def _check(config: ExperimentConfig) -> None:
    sampling, training = config.sampling, config.training
    if config.selection.max_rows:
        raise ConfigError(
            f"arm 'reinforce' trains on every draw that has an advantage, and selection.max_rows = "
            f"{config.selection.max_rows} limits none of them; set selection.max_rows = 0"
        )
    if config.replay.share:
        raise ConfigError(
            f"arm 'reinforce' trains on the draws of the round alone, and replay.share = {config.replay.share} would "
            f"replay none; set replay.share = 0"
        )
    if sampling.samples_per_problem < 2:
        raise ConfigError(
            "arm 'reinforce' compares the draws of a problem with each other, and sampling.samples_per_problem = 1 "
            "leaves none to compare with; set 2 or more"
        )
    if sampling.top_p < 1.0:
        raise ConfigError(
            f"arm 'reinforce' follows the policy's own probabilities, and sampling.top_p = {sampling.top_p} draws from "
            f"a part of them; set sampling.top_p = 1"
        )
    if sampling.thinking_tokens:
        raise ConfigError(
            f"arm 'reinforce' trains on what was drawn, and sampling.thinking_tokens = {sampling.thinking_tokens} puts "
            f"the end of the reasoning there itself; set sampling.thinking_tokens = 0"
        )
    if config.model.kind == "language" and training.examples_per_step == 1:
        raise ConfigError(
            "arm 'reinforce' weighs draws against each other within an optimizer step, and training.batch_size * "
            "gradient_accumulation = 1 puts one into each; set more"
        )


ARM = Arm(
    "every sample of the current policy, by its advantage over the others of its problem",
    "current",
    every_round,
    _select,
    yoked=False,
    as_drawn=True,
    check=_check,
)
