"""Old gold that trains again: what a buffer keeps of it, and what a round takes from the buffer.

Pure: lots are hashes of the seed and the program, so a result depends neither on the order of rows nor on how often a
run was interrupted. A program counts once, in its newest row; rows are the newest first.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from axiom.config import ReplayConfig
from axiom.records import Gold, History, Problem
from axiom.seeds import derive
from axiom.selection.allocation import spread
from axiom.selection.arm import Harvest
from axiom.selection.gold import program_of
from axiom.selection.history import is_lost, solve_rate

LOST = 4.0
"""How much more often a problem that was solved stably and is lost is replayed than another of its solve rate."""
Lot = Callable[[Gold], float]
"""A number in (0, 1) for each program."""


def with_replay(fresh: Sequence[Gold], harvest: Harvest) -> list[Gold]:
    """Fresh gold, then what the round takes from the buffer, marked `replayed`.

    With `replay.rounds` that is all, else so many rows that their share of all is nearest to `replay.share`, or as many
    as there are. A program that is among the fresh ones is not replayed.
    """
    config, problems = harvest.config.replay, harvest.problems
    old = list(harvest.buffer) if config.rounds or config.share else []
    known = {program_of(row, problems) for row in fresh} if old else set()
    old = [row for row in old if program_of(row, problems) not in known]
    if not config.rounds:
        lot = lots(harvest.config.seed, "replay", harvest.iteration)
        old = preferred(old, replayed_beside(len(fresh), config.share), config, lot, problems, harvest.history)
    return [*fresh, *map(replayed, old)]


def replayed(row: Gold) -> Gold:
    """The row as it trains again: it counts as a new one does, not as in the round that found it."""
    return row.model_copy(update={"reason": "replayed", "weight": 1.0})


def replayed_beside(fresh: int, share: float) -> int:
    """The number of rows whose share of all, together with `fresh` new ones, is nearest to `share`."""
    least = int(fresh * share / (1.0 - share))
    return min((least, least + 1), key=lambda count: abs(count / (fresh + count) - share)) if fresh else 0


def remembered(
    buffer: Sequence[Gold],
    gold: Iterable[Gold],
    config: ReplayConfig,
    seed: int,
    iteration: int,
    problems: Mapping[str, Problem],
    history: Sequence[History],
) -> list[Gold]:
    """The buffer with the gold of round `iteration`: that of `replay.rounds` rounds, else at most `capacity` rows.

    Programs that had credit for a part of the cases are left out. Of a program's texts of one round the shortest stays.
    """
    programs: dict[tuple[str, str], Gold] = {}
    for row in (*(row for row in gold if not row.reason.startswith(("replayed", "partial"))), *buffer):
        program = program_of(row, problems)
        both = programs.get(program, row), row
        programs[program] = min(both, key=lambda one: (-one.iteration, len(one.target), one.target))
    rows = list(programs.values())
    if config.rounds:
        return [row for row in rows if row.iteration > iteration - config.rounds]
    return preferred(rows, config.capacity, config, lots(seed, "buffer"), problems, history)


def preferred(
    rows: Sequence[Gold],
    count: int,
    config: ReplayConfig,
    lot: Lot,
    problems: Mapping[str, Problem],
    history: Sequence[History],
) -> list[Gold]:
    """`count` of the rows by `config.strategy`, in their order; all where there are no more.

    `reservoir` takes each with the same chance, `recency` the newest, `balanced` equally many of each family and
    difficulty, and `forgetting` each with a chance that grows with `priority`.
    """
    if len(rows) <= count:
        return list(rows)
    if config.strategy == "balanced":
        keep = _balanced(rows, count, lot, problems)
    elif config.strategy == "recency":
        keep = sorted(range(len(rows)), key=lambda n: (-rows[n].iteration, lot(rows[n])))[:count]
    elif config.strategy == "forgetting":
        weights = {row.problem_id: priority(row) for row in history}
        # Efraimidis and Spirakis 2006: the largest u^(1/w) are a weighted sample without replacement
        draws = [math.log(lot(row)) / weights.get(row.problem_id, 0.5) for row in rows]
        keep = sorted(range(len(rows)), key=lambda n: -draws[n])[:count]
    else:
        keep = sorted(range(len(rows)), key=lambda n: lot(rows[n]))[:count]
    return [rows[n] for n in sorted(keep)]


def priority(row: History) -> float:
    """How much a problem needs to be seen again: the share of its draws that fail, `LOST` times as much once lost."""
    lost = is_lost(row, "draws") or is_lost(row, "evaluations")
    return (1.0 - solve_rate(row)) * (LOST if lost else 1.0)


def _balanced(rows: Sequence[Gold], count: int, lot: Lot, problems: Mapping[str, Problem]) -> list[int]:
    groups: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place in sorted(range(len(rows)), key=lambda n: lot(rows[n])):
        problem = problems[rows[place].problem_id]
        groups[problem.family, problem.difficulty].append(place)
    shares = spread(count, {group: len(places) for group, places in groups.items()})
    return [place for group, places in groups.items() for place in places[: shares[group]]]


def lots(seed: int, *names: str | int) -> Lot:
    """The lots of a seed: one for each program, the same whenever it is asked."""
    return lambda row: (derive(seed, *names, row.problem_id, row.target) + 0.5) / 2**63
