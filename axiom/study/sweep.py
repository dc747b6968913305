"""A study with a grid or variants to one row a condition: what differs, when its runs generalised, how they end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from axiom.evaluation import student_reach
from axiom.study.compare import Comparison
from axiom.study.conditions import Condition, names, shown
from axiom.study.config import UNITS, StudyConfig
from axiom.study.outcome import Outcome
from axiom.study.survival import fewest_pairs

DATA_SIZE = ("problems.train_size", "modular.train_fraction")
"""Settings that say how much there is to learn from."""
MOST_NAMED = 5


@dataclass(frozen=True)
class Estimate:
    """A figure over seeds with its interval, which covers with the chance `covers`; nan and 0 where there is none.

    `alike` says that several seeds gave the same figure, so that nothing is known of its scatter.
    """

    value: float
    low: float
    high: float
    covers: float
    alike: bool = False


@dataclass(frozen=True)
class Row:
    """One condition over its seeds. `time` is the median, infinite where fewer than half of the runs generalised.

    `against` is the comparison in which the condition is the second, None for one that others are compared with.
    """

    condition: Condition
    runs: int
    generalised: int
    horizon: float
    time: Estimate
    accuracy: Estimate
    against: Comparison | None


def median(values: Sequence[float], confidence: float) -> Estimate:
    """The median and the interval of order statistics that covers it at least so often, else the whole range.

    Exact for any distribution: order statistics k and n + 1 - k cover it with 1 - 2 P(Binomial(n, 1/2) < k) (David &
    Nagaraja 2003, section 7.1). Infinite values are runs that were not seen to generalise.
    """
    ordered, n = np.sort(np.asarray(values, float)), len(values)
    covers = [1 - 2 * float(stats.binom.cdf(k - 1, n, 0.5)) for k in range(1, n // 2 + 1)]
    k = max((place for place, chance in enumerate(covers, 1) if chance >= confidence), default=1)
    middle = ordered[(n - 1) // 2 : n // 2 + 1]
    value = float(middle.mean()) if np.isfinite(middle).all() else math.inf
    low, high = float(ordered[k - 1]), float(ordered[n - k])
    return Estimate(value, low, high, covers[k - 1] if covers else 0.0, n > 1 and ordered[0] == ordered[-1])


def mean(values: Sequence[float], confidence: float, least: float = 0.0) -> Estimate:
    """The mean of shares with Student's interval, cut to `least`..1; a single run has none, nor have runs all alike."""
    found, n = float(np.mean(values)), len(values)
    if n < 2 or np.ptp(values) == 0:
        return Estimate(found, math.nan, math.nan, 0.0, n > 1)
    reach = student_reach(values, confidence)
    return Estimate(found, max(least, found - reach), min(1.0, found + reach), confidence)


def rows(study: StudyConfig, groups: Mapping[str, Sequence[Outcome]], found: Sequence[Comparison]) -> list[Row]:
    """The study's conditions of which a run is finished, in their order."""
    against = {comparison.other: comparison for comparison in found}
    made = []
    for one in study.conditions():
        if (runs := groups.get(one.label)) is None:
            continue
        times = [run.time if run.observed else math.inf for run in runs]
        made.append(
            Row(
                one,
                len(runs),
                sum(run.observed for run in runs),
                min(run.horizon for run in runs),
                median(times, study.confidence),
                mean([run.final_accuracy for run in runs], study.confidence),
                against.get(one.label),
            )
        )
    return made


def table(study: StudyConfig, made: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of the settings those alone that differ."""
    axes = [key for key, values in study.grid.items() if len(values) > 1]
    named = ["arm or variant"] if len(study.groups) > 1 else []
    settings = ["its settings"] if study.variants else []
    compared = ["difference", "p", "Holm's p"] if any(row.against for row in made) else []
    unit = UNITS[study.clock]
    of = names(study.grid)
    header = [
        *named,
        *settings,
        *(of[key] for key in axes),
        "runs",
        "generalised",
        f"median {unit}",
        "final accuracy",
        *compared,
    ]
    body = []
    for row in made:
        one = row.condition
        own = [f"{key} = {shown(value)}" for key, value in one.changes.items() if key not in study.grid]
        own += [f"arm = {one.arm}"] if one.group in study.variants and one.arm != "expert_iteration" else []
        body.append(
            [
                *[one.group for _ in named],
                *[", ".join(own) for _ in settings],
                *[shown(one.cell[key]) for key in axes],
                str(row.runs),
                str(row.generalised),
                _time(row),
                _accuracy(row.accuracy),
                *(_compared(row.against) if compared else []),
            ]
        )
    return header, body


def _time(row: Row) -> str:
    if not row.generalised:
        return "never"
    if row.time.alike:
        return f"{row.time.value:g}{ends(row.time, 'g')}"
    both = [f"{end:g}" if math.isfinite(end) else f"> {row.horizon:g}" for end in (row.time.low, row.time.high)]
    value = f"{row.time.value:g}" if math.isfinite(row.time.value) else f"> {row.horizon:g}"
    return f"{value} [{', '.join(both)}]"


def _accuracy(found: Estimate) -> str:
    return f"{found.value:.3f}{ends(found, '.3f')}"


def ends(found: Estimate, form: str) -> str:
    """The interval of an estimate behind its value, or why there is none; empty for a single run."""
    if found.alike:
        return ", all alike"
    return f" [{found.low:{form}}, {found.high:{form}}]" if found.covers else ""


def _compared(found: Comparison | None) -> list[str]:
    if found is None:
        return ["", "", ""]
    if found.refusal is not None:
        return ["ledgers disagree", "", ""]
    if not found.observed:
        return ["neither generalised", "", ""]
    interval = ", all alike" if found.alike else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return [f"{found.difference:+.2f}{interval}", f"{found.p:.3g}", f"{found.family_p:.3g}"]


def sentences(study: StudyConfig, made: Sequence[Row]) -> list[str]:
    """What the table says and what it does not: what is decided among how many, the data size, its intervals."""
    told = [_of_comparisons(study, made), *critical_sizes(study, made), _of_intervals(study, made)]
    return [sentence for sentence in told if sentence]


def _of_intervals(study: StudyConfig, made: Sequence[Row]) -> str:
    first = made[0]
    asked = f"{100 * study.confidence:.4g} %"
    scattered = any(row.accuracy.covers for row in made)
    final = f"Intervals of the final accuracy are Student's of {asked} over seeds." if scattered else ""
    if any(row.accuracy.alike for row in made):
        final += " Where all seeds end alike there is none: they say nothing of the scatter."
    if first.time.covers >= study.confidence:
        return f"Intervals of the median are of order statistics and cover it with {asked} or more. {final}"
    if first.runs < 2:
        return "Each condition ran once, so that nothing is known of the scatter over seeds."
    return (
        f"The interval of a median over {first.runs} runs is their whole range, which covers it with "
        f"{100 * first.time.covers:.3g} % and no more. {final}"
    )


def _of_comparisons(study: StudyConfig, made: Sequence[Row]) -> str:
    """How many comparisons there are and which decide."""
    found = [row.against for row in made if row.against is not None]
    if not found:
        return ""
    whom = (
        f"each cell of the grid with the first ({made[0].condition.label})"
        if len(study.groups) == 1
        else "each arm and variant with expert_iteration" + (" in its cell of the grid" if study.grid else "")
    )
    count = f"{len(found)} comparison{'s' * (len(found) > 1)}, {whom}"
    be = "are" if len(found) > 1 else "is"
    fewest = fewest_pairs(study.alpha, len(found))
    if study.seeds < fewest:
        return (
            f"There {be} {count}. With {study.seeds} seed{'s' * (study.seeds > 1)} no test can reach {study.alpha:.3g} "
            f"among so many; that takes at least {fewest}. So the table and the maps describe these runs, and decide "
            f"nothing."
        )
    decided = [one for one in found if one.refusal is None and one.family_p <= study.alpha + 1e-9]
    named = "; ".join(
        f"{one.other} is {'later' if one.difference > 0 else 'sooner'} than {one.expert}"
        for one in decided[:MOST_NAMED]
    )
    more = f"; and {len(decided) - MOST_NAMED} more" if len(decided) > MOST_NAMED else ""
    refused = sum(one.refusal is not None for one in found)
    return (
        f"There {be} {count}. They are looked at together, so the p values are adjusted by Holm's method: without "
        f"it about one in {round(1 / study.alpha)} would be below {study.alpha:.3g} where nothing differs. "
        + (
            f"{len(decided)} of them decide{'s' if len(decided) == 1 else ''}: {named}{more}."
            if decided
            else "None of them decides."
        )
        + (f" {refused} have no verdict, because the ledgers disagree." if refused else "")
        + " Differences are mean times restricted to the horizon, the second less the first."
    )


def critical_sizes(study: StudyConfig, made: Sequence[Row]) -> list[str]:
    """From which amount of data on at least half of the runs generalised, where the grid has an axis of it."""
    told = []
    for key in (key for key in study.grid if key in DATA_SIZE and len(study.grid[key]) > 1):
        curves: dict[str, list[Row]] = {}
        for row in made:
            curves.setdefault(beside(row.condition, key, study), []).append(row)
        for where, curve in curves.items():
            ordered = sorted(curve, key=lambda row: row.condition.cell[key])
            half = [(row.condition.cell[key], 2 * row.generalised >= row.runs) for row in ordered]
            told.append(_critical(names(study.grid)[key], where, half))
    return told


def _critical(name: str, where: str, half: Sequence[tuple[float, bool]]) -> str:
    """`half` says of each size, ascending, whether at least half of the runs generalised."""
    told = f"Critical data size{f' for {where}' if where else ''}:"
    sizes = [size for size, _ in half]
    fails = [size for size, reached in half if not reached]
    if not fails:
        return f"{told} below {name} = {sizes[0]:g}, at which at least half of the runs generalised."
    if fails[-1] == sizes[-1]:
        return f"{told} above {name} = {sizes[-1]:g}, at which fewer than half of the runs generalised."
    enough = sizes[sizes.index(fails[-1]) + 1]
    return (
        f"{told} between {name} = {fails[-1]:g}, at which fewer than half of the runs generalised, and {enough:g}, "
        f"from which on at least half did."
    )


def beside(one: Condition, keys: str | Sequence[str], study: StudyConfig) -> str:
    """What a condition is beside some axes of the grid, in words; empty where it is nothing else."""
    left_out = [keys] if isinstance(keys, str) else keys
    of, parts = names(study.grid), [one.group] if len(study.groups) > 1 else []
    parts += [f"{of[k]} = {shown(v)}" for k, v in one.cell.items() if k not in left_out and len(study.grid[k]) > 1]
    return ", ".join(parts)


def numeric_axes(study: StudyConfig) -> list[str]:
    """Axes of the grid whose values are numbers, those with most values first."""

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    axes = [key for key, values in study.grid.items() if len(values) > 1 and all(map(number, values))]
    return sorted(axes, key=lambda key: -len(study.grid[key]))
