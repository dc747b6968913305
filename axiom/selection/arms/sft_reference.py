"""Ordinary supervised fine-tuning on the problems' reference solutions."""

from collections.abc import Sequence

from axiom.records import Gold
from axiom.selection.arm import Arm, Harvest, never
from axiom.selection.yoke import from_pool


def _pool(harvest: Harvest, expert: Sequence[Gold]) -> list[Gold]:
    return [
        Gold(
            sample_id=f"reference:{problem.problem_id}",
            problem_id=problem.problem_id,
            iteration=0,
            weight=1.0,
            reason="reference",
            target=problem.reference_solution,
        )
        for problem in harvest.problems.values()
        if problem.split == "train"
    ]


ARM = Arm("reference solutions", "base", never, from_pool, yoked=True, pool=_pool)
