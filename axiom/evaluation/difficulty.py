"""Whether what is called harder is solved less often: solve rates by family and difficulty, and their trend. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.stats import spearmanr

from axiom.evaluation import wilson_interval
from axiom.records import Evaluation

LEVEL = 0.05
"""Adjusted p value below which a trend is named."""

FEWEST = 8
"""Problems of a family below which no trend is looked for."""


@dataclass(frozen=True)
class Cell:
    """Mean solve rate of `n` problems of one difficulty, with the bounds of its 95 % interval."""

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Trend:
    """A family's solve rates by difficulty. `rho` is Spearman's correlation of the two, over its problems.

    `rho` is None where all problems are of one difficulty or solved equally often, or too few. `p` is two-sided and
    Bonferroni's, for the number of families looked at together; 1 without a `rho`.
    """

    family: str
    cells: dict[int, Cell]
    rho: float | None
    p: float

    @property
    def says(self) -> str:
        """`falls` as it should, `rises` where difficulty is wrong for this model, or `unclear`."""
        if self.rho is None or self.p >= LEVEL:
            return "unclear"
        return "rises" if self.rho > 0 else "falls"


def trends(evaluations: Iterable[Evaluation]) -> list[Trend]:
    """One trend for each family, by name.

    A problem's solve rate is its share of correct samples, or its greedy answer where no samples were drawn. Problems
    are the units, since the samples of one are not independent; ranks, since rates need not fall along a line
    (Spearman 1904, American Journal of Psychology 15:72).
    """
    families: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in evaluations:
        if row.n or row.greedy_correct is not None:
            families[row.family].append(
                (row.difficulty, row.correct / row.n if row.n else float(bool(row.greedy_correct)))
            )
    return [_trend(family, rows, len(families)) for family, rows in sorted(families.items())]


def _trend(family: str, rows: list[tuple[int, float]], families: int) -> Trend:
    by_level: defaultdict[int, list[float]] = defaultdict(list)
    for difficulty, rate in rows:
        by_level[difficulty].append(rate)
    cells = {level: _cell(by_level[level]) for level in sorted(by_level)}
    if len(rows) < FEWEST or len(cells) == 1 or len({rate for _, rate in rows}) == 1:
        return Trend(family, cells, None, 1.0)
    found = spearmanr(*zip(*rows, strict=True))
    return Trend(family, cells, float(found.statistic), min(1.0, families * float(found.pvalue)))


def _cell(rates: list[float]) -> Cell:
    return Cell(sum(rates) / len(rates), *wilson_interval(sum(rates), len(rates)), len(rates))
