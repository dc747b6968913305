"""What a round of draws could teach, and what was forgotten, as metrics. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from axiom.evaluation.accuracy import Counters, count_metrics, share
from axiom.records import History, Metric, Sample, Verdict
from axiom.selection.history import Kind, draws_and_passes, is_lost, was_stable


def group_metrics(
    samples: Iterable[Sample], verdicts: Iterable[Verdict], iteration: int, counters: Counters
) -> list[Metric]:
    """Problems of which all draws of the round passed, none, or some: only the last can teach what to prefer."""
    draws, passes = draws_and_passes(samples, verdicts)
    kinds = Counter(
        "wrong" if not passes[problem] else "right" if passes[problem] == count else "mixed"
        for problem, count in draws.items()
    )
    counts = {f"groups_all_{kind}": float(kinds[kind]) for kind in ("right", "wrong")}
    return count_metrics(counts | {"groups_mixed": float(kinds["mixed"])}, iteration, counters)


def forgetting_metrics(
    history: Sequence[History], iteration: int, counters: Counters, confidence: float
) -> list[Metric]:
    """Share of the problems once solved stably that are lost: `n` of them, pooled and by family.

    `forgotten` goes by greedy evaluations and `forgotten_draws` by draws. `forgotten_left` is `forgotten` among the
    problems that were drawn once and are no longer: what left the training set. A share of nothing is left out.
    """
    left = [row for row in history if row.last_round is not None and row.last_round < iteration]
    kinds: dict[str, tuple[Kind, Sequence[History]]] = {
        "forgotten": ("evaluations", history),
        "forgotten_left": ("evaluations", left),
        "forgotten_draws": ("draws", history),
    }
    families = [None, *dict.fromkeys(row.family for row in history)]
    return [
        share(iteration, counters, name, lost, len(stable), confidence, family=family)
        for name, (kind, rows) in kinds.items()
        for family in families
        if (stable := [row for row in rows if was_stable(row, kind) and family in (None, row.family)])
        for lost in [sum(is_lost(row, kind) for row in stable)]
    ]
