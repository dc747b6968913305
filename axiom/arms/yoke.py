"""Draw from a fixed pool what the expert arm's schedule says: so many examples over so many problems."""

from collections import defaultdict
from collections.abc import Sequence

from axiom.arms.arm import Harvest, Quota
from axiom.records import Gold
from axiom.seeds import stream


def from_pool(harvest: Harvest) -> list[Gold]:
    """The quota's share of the pool; all of it where the run is not yoked."""
    return list(harvest.pool) if harvest.quota is None else draw(harvest.pool, harvest.quota, harvest.config.seed)


def draw(pool: Sequence[Gold], quota: Quota, seed: int) -> list[Gold]:
    """`quota.examples` rows over `quota.problems` problems, or over all there are if the pool has fewer.

    Problems come in one random order, so that a larger quota contains a smaller one, as the expert's growing gold does.
    Each problem gives its first program, then each its second; where programs run out they come again, so that
    the number of examples, and with it of optimizer steps, is the quota's.
    """
    by_problem: defaultdict[str, list[Gold]] = defaultdict(list)
    for row in pool:
        by_problem[row.problem_id].append(row)
    order = sorted(by_problem)
    stream(seed, "arms", "order").shuffle(order)
    chosen = order[: quota.problems]
    rows: list[Gold] = []
    turn = 0
    while chosen and len(rows) < quota.examples:
        for problem_id in chosen[: quota.examples - len(rows)]:
            programs = by_problem[problem_id]
            rows.append(programs[turn % len(programs)])
        turn += 1
    return rows
