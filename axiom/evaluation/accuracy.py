"""Verdicts to accuracies: greedy accuracy and pass@k with their intervals, per split, family and difficulty. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit  # quantiles of the normal and of t; scipy.stats takes half a second to import

from axiom.config import EvaluationConfig
from axiom.records import Evaluation, Metric, Outcome, Problem, Sample, Verdict
from axiom.sampling.mismatch import Mismatch

GREEDY = "greedy_accuracy"
"""Name of the metric that curves and phases are read from."""


@dataclass(frozen=True)
class Counters:
    """What a policy had cost when it was measured; all cumulative since the base model, as `Metric` says."""

    optimizer_step: int = 0
    trained_tokens: int = 0
    generated_tokens: int = 0
    wall_seconds: float = 0.0

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> "Counters":
        """From a stage's figures, those of earlier versions too."""
        return cls(**{Metric.FORMER.get(name, name): value for name, value in saved.items()})


def student_reach(values: Sequence[float], confidence: float) -> float:
    """Half the width of Student's interval for the mean of two or more values."""
    n = len(values)
    return float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / math.sqrt(n))


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion of `n` trials; (0, 1) when there were none.

    `successes` may be fractional: the sum of `n` numbers in [0, 1] has at most the binomial's variance, so the interval
    is then conservative. Wilson 1927, JASA 22:209: it stays inside [0, 1] when all or none succeed.
    """
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the chance that one of `k` samples passes, from `correct` of `n`.

    1 - C(n - correct, k) / C(n, k), Chen et al. 2021, arXiv:2107.03374, section 2.1. Needs 1 <= k <= n.
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} needs 1 <= k <= n and 0 <= correct <= n; got n={n}, correct={correct}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def evaluate(problems: Iterable[Problem], samples: Iterable[Sample], verdicts: Iterable[Verdict]) -> list[Evaluation]:
    """One row a problem, in the order of `problems`: how many of its samples passed.

    A sample at temperature 0 is the greedy one and decides `greedy_correct`; `n` and `correct` count the others. Each
    sample needs its verdict (KeyError without it).
    """
    passed = {verdict.sample_id: verdict.outcome is Outcome.PASSED for verdict in verdicts}
    greedy: dict[str, bool] = {}
    drawn: defaultdict[str, list[bool]] = defaultdict(list)
    for sample in samples:
        if sample.temperature == 0:
            greedy[sample.problem_id] = passed[sample.sample_id]
        else:
            drawn[sample.problem_id].append(passed[sample.sample_id])
    return [
        Evaluation(
            problem_id=problem.problem_id,
            split=problem.split,
            family=problem.family,
            difficulty=problem.difficulty,
            n=len(drawn[problem.problem_id]),
            correct=sum(drawn[problem.problem_id]),
            greedy_correct=greedy.get(problem.problem_id),
        )
        for problem in problems
    ]


def pooled_greedy(metrics: Iterable[Metric], split: str | None = None) -> list[Metric]:
    """Greedy accuracies over all families and difficulties together, of one split or of each."""
    return [row for row in metrics if row.pooled and row.name == GREEDY and split in (None, row.split)]


def accuracy_metrics(
    evaluations: Sequence[Evaluation], iteration: int, counters: Counters, config: EvaluationConfig
) -> list[Metric]:
    """Greedy accuracy and each pass@k of every split: pooled, by family, and by difficulty."""
    return [
        share(iteration, counters, name, math.fsum(scores), len(scores), config.confidence, *group)
        for group, rows in _groups(evaluations).items()
        for name, scores in _scores(rows, config)
    ]


def outcome_metrics(
    samples: Iterable[Sample], verdicts: Iterable[Verdict], iteration: int, counters: Counters, confidence: float
) -> list[Metric]:
    """What became of an iteration's training samples: share of each outcome, of truncations, of failed audits.

    Each `n` counts what the share is of: all samples, or those that were audited.
    """
    outcomes, audits = Counter[Outcome](), Counter[bool]()
    for verdict in verdicts:
        outcomes[verdict.outcome] += 1
        if verdict.audit_passed is not None:
            audits[verdict.audit_passed] += 1
    drawn, truncated, tokens = 0, 0, 0
    for sample in samples:
        drawn += 1
        truncated += sample.finish_reason == "length"
        tokens += sample.token_count
    shares = {f"outcome_{outcome}": (outcomes[outcome], outcomes.total()) for outcome in Outcome}
    shares |= {"truncated": (truncated, drawn), "audit_disagreement": (audits[False], audits.total())}
    metrics = [share(iteration, counters, name, count, n, confidence) for name, (count, n) in shares.items() if n]
    if drawn:
        metrics.append(metric(iteration, counters, "completion_tokens", tokens / drawn, n=drawn))
    return metrics


def mismatch_metrics(found: Sequence[Mismatch], iteration: int, counters: Counters) -> list[Metric]:
    """How far the engine was from the trainer, over the tokens of all of an iteration's samplings together."""
    tokens = sum(one.tokens for one in found)
    if not tokens:
        return []
    values = {
        "policy_mismatch": sum(one.tokens * one.mean for one in found) / tokens,
        "policy_mismatch_max": max(one.highest for one in found),
        "policy_mismatch_kl": sum(one.tokens * one.kl for one in found) / tokens,
    }
    return [metric(iteration, counters, name, value, n=tokens) for name, value in values.items()]


def count_metrics(values: Mapping[str, float], iteration: int, counters: Counters) -> list[Metric]:
    """Plain numbers of an iteration (gold, solved problems, loss, tokens a second) as metrics of the train split."""
    return [metric(iteration, counters, name, value) for name, value in values.items()]


def share(
    iteration: int,
    counters: Counters,
    name: str,
    count: float,
    n: int,
    confidence: float,
    split: str = "train",
    family: str | None = None,
    difficulty: int | None = None,
) -> Metric:
    """`count` of `n` as a metric with Wilson's interval."""
    ends = wilson_interval(count, n, confidence)
    return metric(iteration, counters, name, count / n, ends, n, split, family, difficulty)


def metric(
    iteration: int,
    counters: Counters,
    name: str,
    value: float,
    ends: tuple[float | None, float | None] = (None, None),
    n: int | None = None,
    split: str = "train",
    family: str | None = None,
    difficulty: int | None = None,
) -> Metric:
    """A number of an iteration with the ends of its interval; of all families and difficulties unless named."""
    of: dict[str, Any] = {"split": split, "family": family, "difficulty": difficulty}
    return Metric(iteration=iteration, name=name, value=value, low=ends[0], high=ends[1], n=n, **of, **vars(counters))


Group = tuple[str, str | None, int | None]


def _groups(evaluations: Iterable[Evaluation]) -> dict[Group, list[Evaluation]]:
    groups: defaultdict[Group, list[Evaluation]] = defaultdict(list)
    for row in evaluations:
        groups[row.split, None, None].append(row)
        groups[row.split, row.family, None].append(row)
        groups[row.split, None, row.difficulty].append(row)
    return groups


def _scores(rows: Sequence[Evaluation], config: EvaluationConfig) -> Iterator[tuple[str, list[float]]]:
    greedy = [float(row.greedy_correct) for row in rows if row.greedy_correct is not None]
    if greedy:
        yield GREEDY, greedy
    for k in config.pass_at:
        if all(row.n >= k for row in rows):
            yield f"pass@{k}", [pass_at_k(row.n, row.correct, k) for row in rows]
