"""What is known of each training problem: one table, carried from round to round.

Draws where they help, weights, replay, curricula and forgetting read it; nothing else keeps such state. Pure: each
function takes the rows of before and gives those of after, in the same order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from axiom.records import Evaluation, History, Problem, Sample, Verdict
from axiom.selection.gold import accepted_ids

MEMORY = 0.75
"""Weight that draws keep for each later round with draws of the problem: the policy changes, so old failures should
not count for ever. With n draws a round, about the last 4n count."""
STABLE = 2
"""So many times in a row a problem must be solved to count as solved stably."""
Kind = Literal["draws", "evaluations"]


def begin(problems: Iterable[Problem]) -> list[History]:
    """A row for each training problem, of which nothing is known yet."""
    return [History(problem_id=p.problem_id, family=p.family, difficulty=p.difficulty) for p in problems]


def after_round(
    history: Sequence[History], samples: Iterable[Sample], verdicts: Iterable[Verdict], iteration: int
) -> list[History]:
    """The history with a round's draws. A problem without draws keeps its row."""
    draws, passes = draws_and_passes(samples, verdicts)
    return [
        _drawn(row, draws[row.problem_id], passes[row.problem_id], iteration) if draws[row.problem_id] else row
        for row in history
    ]


def draws_and_passes(samples: Iterable[Sample], verdicts: Iterable[Verdict]) -> tuple[Counter[str], Counter[str]]:
    """How often each problem was drawn, and how many of its samples were accepted."""
    good = accepted_ids(verdicts)
    draws, passes = Counter[str](), Counter[str]()
    for sample in samples:
        draws[sample.problem_id] += 1
        if sample.sample_id in good:
            passes[sample.problem_id] += 1
    return draws, passes


def after_evaluation(history: Sequence[History], evaluations: Iterable[Evaluation], iteration: int) -> list[History]:
    """The history with the greedy completions of an evaluation."""
    solved = {row.problem_id: row.greedy_correct for row in evaluations if row.greedy_correct is not None}
    return [
        row.model_copy(update=_streak(row, "evaluations", solved[row.problem_id], iteration))
        if row.problem_id in solved
        else row
        for row in history
    ]


def solve_rate(row: History) -> float:
    """Mean of the posterior Beta(1 + passes, 1 + failures) of the recent draws: 1/2 where there are none."""
    return (row.recent_passes + 1.0) / (row.recent_draws + 2.0)


def was_stable(row: History, kind: Kind) -> bool:
    """Whether the problem was ever solved stably."""
    return getattr(row, f"{kind}_stable") is not None


def is_lost(row: History, kind: Kind) -> bool:
    """Whether the problem was solved stably and is not any more."""
    return getattr(row, f"{kind}_lost") is not None


def _drawn(row: History, draws: int, passes: int, iteration: int) -> History:
    solved = {"last_solved": iteration} if passes else {}
    first = {"first_solved": iteration} if passes and row.first_solved is None else {}
    return row.model_copy(
        update={
            "draws": row.draws + draws,
            "passes": row.passes + passes,
            "last_round": iteration,
            "last_draws": draws,
            "last_passes": passes,
            "recent_draws": MEMORY * row.recent_draws + draws,
            "recent_passes": MEMORY * row.recent_passes + passes,
            **solved,
            **first,
            **_streak(row, "draws", passes > 0, iteration),
        }
    )


def _streak(row: History, kind: Kind, solved: bool, iteration: int) -> dict[str, Any]:
    streak = getattr(row, f"{kind}_streak") + 1 if solved else 0
    stable, lost = getattr(row, f"{kind}_stable"), getattr(row, f"{kind}_lost")
    if streak >= STABLE:
        stable, lost = iteration if stable is None else stable, None
    elif not solved and stable is not None and lost is None:
        lost = iteration
    return {f"{kind}_streak": streak, f"{kind}_stable": stable, f"{kind}_lost": lost}
