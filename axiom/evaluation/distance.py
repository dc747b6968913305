"""How far a policy has gone from the base model: KL divergence on its own answers to held-out problems. Pure."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from axiom.evaluation.accuracy import Counters, metric, student_reach
from axiom.records import Distance, Metric, Problem

DISTANCE = "kl_from_base"
"""Name of the metric."""


def held(problems: Mapping[str, Sequence[Problem]], count: int) -> list[Problem]:
    """`count` validation problems, evenly spread over their order; the same ones for every policy of a run."""
    there = problems.get("val", ())
    if len(there) <= count:
        return list(there)
    return [there[place * len(there) // count] for place in range(count)]


def distances(problems: Sequence[Problem], nats: Sequence[np.ndarray]) -> list[Distance]:
    """A row for each problem whose answer has any positions."""
    return [
        Distance(problem_id=problem.problem_id, positions=len(nats_T), kl=float(nats_T.mean()))
        for problem, nats_T in zip(problems, nats, strict=True)
        if len(nats_T)
    ]


def distance_metrics(rows: Sequence[Distance], iteration: int, counters: Counters, confidence: float) -> list[Metric]:
    """The mean over problems of each answer's mean per token, in nats, with Student's interval over problems.

    One problem alone has no interval. A divergence is never negative, so neither is the interval's lower end.
    """
    if not rows:
        return []
    values = [row.kl for row in rows]
    mean = math.fsum(values) / len(values)
    ends: tuple[float | None, float | None] = (None, None)
    if len(values) > 1:
        reach = student_reach(values, confidence)
        ends = max(0.0, mean - reach), mean + reach
    return [metric(iteration, counters, DISTANCE, mean, ends, len(values), "val")]
