"""Rejection-sampling fine-tuning: everything is sampled from the base model at the start, verified, and reused.

As many samples in all as the expert arm draws; each round trains on the share that the expert's schedule gives.
"""

from collections.abc import Sequence

from axiom.records import Gold
from axiom.selection import accepted, select
from axiom.selection.arm import Arm, Harvest, all_at_once
from axiom.selection.yoke import from_pool


def _pool(harvest: Harvest, expert: Sequence[Gold]) -> list[Gold]:
    kept = accepted(harvest.samples, harvest.verdicts)
    every = harvest.config.selection.model_copy(update={"max_rows": 0})  # the pool of all rounds
    return select(kept, every, "static", problems=harvest.problems, known=harvest.known)


ARM = Arm("verified samples of the base model", "base", all_at_once, from_pool, yoked=True, pool=_pool)
