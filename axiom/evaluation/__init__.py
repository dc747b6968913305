"""Verdicts to accuracy, pass@k and their intervals."""

from axiom.evaluation.accuracy import (
    GREEDY,
    Counters,
    accuracy_metrics,
    count_metrics,
    evaluate,
    mismatch_metrics,
    outcome_metrics,
    pass_at_k,
    pooled_greedy,
    student_reach,
    wilson_interval,
)
from axiom.evaluation.learning import forgetting_metrics, group_metrics

__all__ = [
    "GREEDY",
    "Counters",
    "accuracy_metrics",
    "count_metrics",
    "evaluate",
    "forgetting_metrics",
    "group_metrics",
    "mismatch_metrics",
    "outcome_metrics",
    "pass_at_k",
    "pooled_greedy",
    "student_reach",
    "wilson_interval",
]
