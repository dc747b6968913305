"""Draw what the expert arm's schedule asks for: so many examples over so many problems, of so many loss tokens.

Programs of another arm have other lengths. So the draw begins with the problems in random order and their programs
in turn, and then exchanges programs until the tokens meet the budget. Where no choice of so many programs can meet it,
the tokens are kept and the number of examples gives way, in either direction; the optimizer steps stay the expert's.
What is left over at the end of a round, less than half of the longest program, is part of the next round's budget.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from axiom.records import Gold, Sample
from axiom.seeds import derive, stream
from axiom.selection import to_gold
from axiom.selection.arm import Harvest, Quota
from axiom.selection.replay import replayed, with_replay
from axiom.selection.strategies import limited


def from_pool(harvest: Harvest) -> list[Gold]:
    """The quota's share of the arm's pool; all of it where the run is not yoked.

    Problems come in the same order in each round, so that a larger quota contains a smaller one, as the expert's
    growing gold does.
    """
    if harvest.quota is None:
        return list(harvest.pool)
    return draw(harvest.pool, harvest.quota, harvest.config.seed, harvest.loss_tokens(harvest.pool))


def from_samples(harvest: Harvest, samples: Sequence[Sample], reason: str) -> list[Gold]:
    """The quota's share of these samples of the round and of the arm's old gold that replay may take.

    Where the run is not yoked: as many of them as the selection allows, by lot, and what replay takes.
    """
    if harvest.quota is None:
        return with_replay(lot(harvest, samples, reason), harvest)
    pool = [to_gold(sample, reason) for sample in samples]
    pool += map(replayed, harvest.buffer)
    seed = derive(harvest.config.seed, "arms", reason, harvest.iteration)
    stream(seed, "pool").shuffle(pool)
    return draw(pool, harvest.quota, seed, harvest.loss_tokens(pool))


def lot(harvest: Harvest, samples: Sequence[Sample], reason: str) -> list[Gold]:
    """At most `selection.max_per_problem` of the samples of each problem, all with the same chance.

    Of these at most `selection.max_rows` in all.
    """
    config = harvest.config.selection
    order = list(samples)
    stream(harvest.config.seed, "arms", reason, harvest.iteration).shuffle(order)
    taken: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in order:
        if len(taken[sample.problem_id]) < config.max_per_problem:
            taken[sample.problem_id].append(sample)
    kept = {sample.sample_id for rows in limited(taken, config, harvest.known).values() for sample in rows}
    return [to_gold(sample, reason) for sample in order if sample.sample_id in kept]


def draw(pool: Sequence[Gold], quota: Quota, seed: int, lengths: Sequence[int] | None = None) -> list[Gold]:
    """Rows of the pool that meet the quota as far as it has them.

    `lengths` are the loss tokens of each row; a row of none is too long to be trained and is left out. Without a budget
    of tokens the rows are `quota.examples` over `quota.problems` problems, or over all if the pool has fewer.
    """
    sizes = [1] * len(pool) if lengths is None else list(lengths)
    by_problem: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(pool):
        if sizes[place]:
            by_problem[row.problem_id].append(place)
    order = sorted(by_problem)
    stream(seed, "arms", "order").shuffle(order)
    turns = _turns([by_problem[problem_id] for problem_id in order[: quota.problems]])
    budget = quota.loss_tokens
    if budget is None or not by_problem:
        return [pool[place] for _, place in zip(range(quota.examples), turns, strict=False)]
    drawn = [place for _, place in zip(range(quota.examples), turns, strict=False)]
    names = {place: pool[place].problem_id for places in by_problem.values() for place in places}
    chosen, left = _exchange(drawn, names, sizes, budget)
    if drawn and 2 * abs(left) > max(sizes):
        chosen, _ = _exchange(_resized(drawn, turns, sizes, budget, quota.steps), names, sizes, budget)
    return [pool[place] for place in chosen]


def _turns(groups: Sequence[Sequence[int]]) -> Iterator[int]:
    """The first of each group, then the second of each, and so on; a group that runs out begins again."""
    turn = 0
    while groups:
        for group in groups:
            yield group[turn % len(group)]
        turn += 1


def _resized(drawn: Sequence[int], more: Iterator[int], sizes: Sequence[int], budget: float, least: int) -> list[int]:
    """As many rows of the draw, or of its continuation, as come nearest to the budget; at least `least`."""
    rows, total = list(drawn), float(sum(sizes[place] for place in drawn))
    while total < budget:
        rows.append(next(more))
        total += sizes[rows[-1]]
    while len(rows) > max(least, 1) and abs(total - sizes[rows[-1]] - budget) <= abs(total - budget):
        total -= sizes[rows.pop()]
    return rows


def _exchange(
    drawn: Sequence[int], names: dict[int, str], sizes: Sequence[int], budget: float
) -> tuple[list[int], float]:
    """The draw with rows exchanged until no exchange brings its tokens nearer to the budget; and what is then left.

    The number of rows and of problems stays. No program comes more than twice as often as a problem in an even draw.
    """
    exchange = _Exchange(drawn, names, sizes, budget)
    while exchange.sweep():
        pass
    return exchange.rows, exchange.left


class _Exchange:
    def __init__(self, drawn: Sequence[int], names: dict[int, str], sizes: Sequence[int], budget: float) -> None:
        self.rows, self.names, self.sizes = list(drawn), names, sizes
        self.left = budget - sum(sizes[place] for place in drawn)
        self.by_size = sorted(names, key=lambda place: (sizes[place], place))
        self.ordered = [sizes[place] for place in self.by_size]
        self.of_problem: defaultdict[str, list[int]] = defaultdict(list)
        for place in self.by_size:
            self.of_problem[names[place]].append(place)
        self.copies = Counter(drawn)
        self.shares = Counter(names[place] for place in drawn)
        self.most = 2 * -(-len(self.rows) // max(1, len(self.shares)))

    def sweep(self) -> bool:
        """Exchange each row, the last drawn first, for the one that helps most; whether any helped."""
        helped = False
        for at in reversed(range(len(self.rows))):
            if abs(self.left) < 1:
                break
            place = self._better(self.rows[at])
            if place is not None:
                self._put(at, place)
                helped = True
        return helped

    def _better(self, old: int) -> int | None:
        """The row whose tokens in place of `old`'s come nearest to the budget, None if none comes nearer."""
        wanted, best, nearest = self.sizes[old] + self.left, None, abs(self.left)
        for place in self._from_nearest(old, wanted):
            distance = abs(self.sizes[place] - wanted)
            if distance >= nearest:
                break
            if self.copies[place] < self.most and self._fits(old, place):
                best, nearest = place, distance
                break
        return best

    def _from_nearest(self, old: int, wanted: float) -> Iterator[int]:
        """Rows of the pool, or of the problem of `old` where no other may take its place, by their distance."""
        alone = self.shares[self.names[old]] == 1 and len(self.shares) == len(self.of_problem)
        places = self.of_problem[self.names[old]] if alone else self.by_size
        ordered = [self.sizes[place] for place in places] if alone else self.ordered
        above = bisect_left(ordered, wanted)
        below = above - 1
        while below >= 0 or above < len(places):
            if above >= len(places) or (below >= 0 and wanted - ordered[below] <= ordered[above] - wanted):
                yield places[below]
                below -= 1
            else:
                yield places[above]
                above += 1

    def _fits(self, old: int, new: int) -> bool:
        """Whether the number of problems stays."""
        ours, theirs = self.names[old], self.names[new]
        return ours == theirs or (self.shares[ours] > 1) == (theirs in self.shares)

    def _put(self, at: int, new: int) -> None:
        old, self.rows[at] = self.rows[at], new
        self.left -= self.sizes[new] - self.sizes[old]
        self.copies[old] -= 1
        self.copies[new] += 1
        self.shares[self.names[old]] -= 1
        self.shares += Counter({self.names[new]: 1})  # which drops problems that have no row left
