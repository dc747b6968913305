"""How often a round draws each training problem: the same number in all, where draws help.

Pure: the result depends on the rows, the settings, the seed and the round, not on the order of the rows.
"""

import heapq
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from axiom.config import SamplingConfig
from axiom.config.schema import MOST_DRAWS
from axiom.records import History
from axiom.seeds import derive
from axiom.selection.history import is_lost

K = TypeVar("K", bound=Hashable)


def allocate(
    history: Sequence[History], config: SamplingConfig, seed: int, iteration: int, total: int | None = None
) -> dict[str, int]:
    """Draws of each problem in the round, `total` in all; without it `samples_per_problem` times their number.

    Every problem has `min_draws`, except that `stop_when_solved` draws none of the solved. Problems that are alike
    share the odd draws by lot.
    """
    order = sorted(history, key=lambda row: derive(seed, "allocation", iteration, row.problem_id))
    total = config.samples_per_problem * len(order) if total is None else min(total, MOST_DRAWS * len(order))
    if config.allocation == "adaptive":
        return _by_gain(order, total, config.min_draws)
    open_rows = [row for row in order if not is_solved(row)] if config.allocation != "uniform" else order
    least = config.min_draws if config.allocation == "unsolved_first" else 0
    given = {row.problem_id: least for row in order}
    return _filled(given, [row.problem_id for row in open_rows or order], total)


def is_solved(row: History) -> bool:
    """Whether a draw solved the problem and it was not lost since."""
    return row.first_solved is not None and not is_lost(row, "draws") and not is_lost(row, "evaluations")


def gain(row: History, draws: int) -> float:
    """The chance that the draw after `draws` is the round's first pass.

    The solve rate is Beta(a, b) with a = 1 + passes and b = 1 + failures of the recent draws, so that no draw of n
    passes with the chance E[(1 - p)^n] = B(a, b + n) / B(a, b), and the next is the first with E[p (1 - p)^n].
    """
    a, b = 1.0 + row.recent_passes, 1.0 + row.recent_draws - row.recent_passes
    none = 1.0
    for n in range(draws):
        none *= (b + n) / (a + b + n)
    return none * a / (a + b + draws)


def _by_gain(order: Sequence[History], total: int, least: int) -> dict[str, int]:
    """Each further draw where its gain is largest. Gains fall with every draw, so this makes their sum the largest."""
    given = {row.problem_id: least for row in order}
    heap = [(-gain(row, least), place, row) for place, row in enumerate(order) if least < MOST_DRAWS]
    heapq.heapify(heap)
    for _ in range(total - least * len(order)):
        lost, place, row = heap[0]
        n = given[row.problem_id] = given[row.problem_id] + 1
        if n == MOST_DRAWS:
            heapq.heappop(heap)
            continue
        b = 1.0 + row.recent_draws - row.recent_passes
        heapq.heapreplace(heap, (lost * (b + n - 1) / (row.recent_draws + 2.0 + n), place, row))
    return given


def _filled(given: dict[str, int], first: Sequence[str], total: int) -> dict[str, int]:
    """`given` and the rest of `total` spread evenly over `first`, and what these cannot take over all."""
    for names in (first, list(given)):
        rest = total - sum(given.values())
        more = spread(rest, {name: MOST_DRAWS - given[name] for name in names})
        given = {name: count + more.get(name, 0) for name, count in given.items()}
    return given


def spread(total: int, room: Mapping[K, int]) -> dict[K, int]:
    """`total` units, or as many as there is room for, as evenly as `room` allows; odd ones go to the first."""
    given = dict.fromkeys(room, 0)
    left, free = total, [key for key, most in room.items() if most > 0]
    while left > 0 and free:
        each = max(1, left // len(free))
        for key in free[:left]:
            more = min(each, room[key] - given[key])
            given[key] += more
            left -= more
        free = [key for key in free if given[key] < room[key]]
    return given
