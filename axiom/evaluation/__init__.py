"""Verdicts to accuracy, pass@k and their intervals."""

from axiom.evaluation.accuracy import (
    GREEDY as GREEDY,
    Counters as Counters,
    accuracy_metrics as accuracy_metrics,
    count_metrics as count_metrics,
    evaluate as evaluate,
    mismatch_metrics as mismatch_metrics,
    outcome_metrics as outcome_metrics,
    pass_at_k as pass_at_k,
    pooled_greedy as pooled_greedy,
    student_reach as student_reach,
    wilson_interval as wilson_interval,
)
from axiom.evaluation.learning import (
    forgetting_metrics as forgetting_metrics,
    group_metrics as group_metrics,
)
