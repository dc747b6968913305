"""Which families learn from which: accuracy that a family gains while others are trained, as a matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from axiom.evaluation import GREEDY
from axiom.study.config import TRAINED, StudyConfig
from axiom.study.outcome import Outcome
from axiom.study.sweep import Estimate, ends, mean

MEASURED = ("val", "ood_family")
"""Splits whose problems never train, of a family that is trained and of one that is not."""


@dataclass(frozen=True)
class Gain:
    """What the accuracy on `measured` gained from the base model to the end, over the seeds of one condition.

    `trained` says whether that family was among those trained.
    """

    condition: str
    measured: str
    trained: bool
    runs: int
    gain: Estimate


def by_run(groups: Mapping[str, Sequence[Outcome]]) -> list[dict[str, Any]]:
    """What each run adds to the matrix: a row for each family that was measured."""
    return [
        {"condition": label, "run": run.name, "seed": run.seed, "family": family, "gain": gain}
        for label, runs in groups.items()
        for run in runs
        for family in dict.fromkeys(_measured(run))
        if (gain := _gain(run, family)) is not None
    ]


def matrix(groups: Mapping[str, Sequence[Outcome]], confidence: float) -> list[Gain]:
    """Conditions times families, of the families that were measured; empty for a single family."""
    found = []
    for label, runs in groups.items():
        trained = set(runs[0].config.families) if runs[0].config else set()
        for family in dict.fromkeys(family for run in runs for family in _measured(run)):
            gains = [gain for run in runs if (gain := _gain(run, family)) is not None]
            if gains:
                found.append(Gain(label, family, family in trained, len(gains), mean(gains, confidence, -1.0)))
    return found if len({gain.measured for gain in found}) > 1 else []


def _measured(run: Outcome) -> list[str]:
    return [row.family for row in run.metrics if row.family and row.split in MEASURED]


def _gain(run: Outcome, family: str) -> float | None:
    """Greedy accuracy at the last evaluation less that at the first."""
    rows = [
        row
        for row in run.metrics
        if (row.name, row.family, row.difficulty) == (GREEDY, family, None) and row.split in MEASURED
    ]
    rows.sort(key=lambda row: row.iteration)
    return rows[-1].value - rows[0].value if rows else None


def is_about_families(study: StudyConfig) -> bool:
    """Whether the conditions of a study train other families, or the same ones from other iterations on."""
    keys = {key for one in study.conditions() for key in one.changes}
    return bool(keys & {*TRAINED, "curriculum.joins"})


def table(gains: Sequence[Gain]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the matrix; a family that was trained has a star."""
    families = list(dict.fromkeys(gain.measured for gain in gains))
    by = {(gain.condition, gain.measured): gain for gain in gains}
    rows = [
        [label, *(_cell(by.get((label, family))) for family in families)]
        for label in dict.fromkeys(gain.condition for gain in gains)
    ]
    return ["trained on", *families], rows


def _cell(gain: Gain | None) -> str:
    if gain is None:
        return "not measured"
    return f"{gain.gain.value:+.2f}{ends(gain.gain, '+.2f')}{' *' if gain.trained else ''}"


def sentence(gains: Sequence[Gain], confidence: float) -> str:
    """What the matrix shows, and which of its entries show transfer."""
    untrained = [gain for gain in gains if not gain.trained and gain.gain.covers]
    shown = [gain for gain in untrained if gain.gain.low > 0 or gain.gain.high < 0]
    named = "; ".join(f"{gain.measured} under {gain.condition} ({gain.gain.value:+.2f})" for gain in shown)
    told = (
        f"Gains of greedy accuracy on problems that never train, from the base model to the end, means over seeds with "
        f"Student's intervals of {100 * confidence:.4g} %; a star marks a family that was trained."
    )
    if alike := [gain for gain in gains if not gain.trained and gain.gain.alike]:
        same = "; ".join(f"{gain.measured} under {gain.condition} ({gain.gain.value:+.2f})" for gain in alike)
        told += f" All seeds gained alike in {same}; that says nothing of their scatter, so there is no interval."
    if not untrained and alike:
        return told
    if not untrained:
        return f"{told} No family was measured that was not trained, or no condition has two runs."
    by_chance = (1 - confidence) * len(untrained)
    return (
        f"{told} Of {len(untrained)} entries without a star {len(shown)} have an interval without 0"
        f"{f': {named}' if named else ''}; about {by_chance:.1f} would by chance, as the entries are not adjusted for "
        f"their number."
    )
