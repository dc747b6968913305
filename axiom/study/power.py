"""What a study could find before it is run: the power of its tests over effects and numbers of seeds."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from axiom.errors import ConfigError, DataError
from axiom.study.config import UNITS, StudyConfig
from axiom.study.survival import fewest_pairs, power

EFFECTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Differences between arms, in standard deviations of the paired differences."""
SEEDS = (6, 8, 10, 12, 16, 24, 32)
NORMAL = tuple(norm.ppf((np.arange(999) + 0.5) / 999))
"""Paired differences of one standard deviation, where no pilot says how they scatter."""
TRIALS = 1000


@dataclass(frozen=True)
class Plan:
    """Power of one comparison: a row for each effect, a column for each number of seeds.

    Effects are in `unit`. `alpha` is the level of the first of Holm's steps; fewer than `fewest` seeds cannot reach it.
    """

    other: str
    unit: str
    alpha: float
    fewest: int
    seeds: tuple[int, ...]
    effects: tuple[float, ...]
    chances: tuple[tuple[float, ...], ...]


def plans(study: StudyConfig, pilot: dict[str, list[float]] | None = None) -> list[Plan]:
    """The study's comparisons; one stands for all where there is no pilot. `pilot` holds paired differences by arm.

    Raises DataError when the pilot has none of the study's arms, or pairs that tell nothing.
    """
    if pilot is None:
        return [_plan(study, "any arm", "standard deviations of the paired differences", NORMAL)]
    found = {arm: pilot[arm] for arm in study.groups if arm in pilot}
    varying = {arm: rows for arm, rows in found.items() if len(rows) > 1 and np.ptp(rows) > 0}
    if not varying:
        arms = ", ".join(found) or "none of the study's"
        raise DataError(
            f"the pilot's pairs do not show the scatter: arms {arms}, fewer than two pairs or all alike; run more "
            f"seeds of it, or plan without --from"
        )
    return [_plan(study, arm, UNITS[study.clock], rows) for arm, rows in varying.items()]


def _plan(study: StudyConfig, other: str, unit: str, differences: Sequence[float]) -> Plan:
    alpha = study.alpha / study.comparisons
    fewest = fewest_pairs(study.alpha, study.comparisons)
    seeds = tuple(sorted({*(n for n in SEEDS if n >= fewest), fewest, study.seeds}))
    effects = tuple(effect * float(np.std(differences, ddof=1)) for effect in EFFECTS)
    chances = tuple(
        tuple(power(differences, effect, alpha, trials=TRIALS, pairs=n) for n in seeds) for effect in effects
    )
    return Plan(other, unit, alpha, fewest, seeds, effects, chances)


def rows(plan: Plan) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the plan as a table."""
    header = ["difference", *(f"{n} seeds" for n in plan.seeds)]
    return header, [
        [f"{effect:.2f}", *(f"{chance:.0%}" for chance in chances)]
        for effect, chances in zip(plan.effects, plan.chances, strict=True)
    ]


def read_figures(path: Path) -> dict[str, list[float]]:
    """Paired differences by arm from the `figures.json` that `axiom compare` wrote into the folder `path`."""
    file = path / "figures.json" if path.is_dir() else path
    try:
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        return differences([(run.get("group", run["arm"]), run["seed"], run["time"], run["horizon"]) for run in runs])
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"pilot {str(path)!r} cannot be read ({type(error).__name__}); name a study's TOML file or a folder that "
            f"`axiom compare --out` wrote"
        ) from None


def differences(runs: Sequence[tuple[str, int, float, float]]) -> dict[str, list[float]]:
    """Of runs (arm, seed, time, horizon): how much later each arm was than the expert's, for seeds of both."""
    horizon = min((run[3] for run in runs), default=0.0)
    times: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for arm, seed, time, _ in runs:
        times[arm][seed] = min(time, horizon)
    expert: dict[int, Any] = times.pop("expert_iteration", {})
    return {arm: [found[seed] - expert[seed] for seed in found if seed in expert] for arm, found in times.items()}
