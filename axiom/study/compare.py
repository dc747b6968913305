"""Runs of two arms, paired by seed, to a comparison: how much later, how surely, and what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from axiom import survival
from axiom.arms import ARMS
from axiom.errors import DataError
from axiom.experiment import Experiment
from axiom.ledger import disagreement
from axiom.study.config import MIN_PAIRS
from axiom.study.outcome import Outcome, Reading, read

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """Expert arm against another, over the seeds that both have.

    `difference` is the mean of other less expert of min(time, horizon): positive where the expert is sooner. `refusal`
    names the ledger's number that forbids a verdict, None where it stands. `family_p` is `p` adjusted for the
    `family` of comparisons that are drawn together (Holm 1979), and decides.
    """

    expert: str
    other: str
    pairs: int
    clock: str
    horizon: float
    expert_mean: float
    other_mean: float
    expert_generalised: int
    other_generalised: int
    difference: float
    low: float
    high: float
    p: float
    log_rank_p: float
    detectable: float
    refusal: str | None
    unyoked: bool
    family: int
    family_p: float

    def paragraph(self) -> str:
        """What follows from the figures, and what does not."""
        figures = (
            f"Over {self.pairs} paired seeds, {self.expert} generalised for good in {self.expert_generalised} runs and "
            f"{self.other} in {self.other_generalised}. Restricted to {self.horizon:g} {self.clock}s the mean time was "
            f"{self.expert_mean:.2f} against {self.other_mean:.2f}: a difference of {self.difference:+.2f} "
            f"(95 % bootstrap {self.low:+.2f} to {self.high:+.2f}; sign-flip p = {self.p:.3g}{self._adjusted()}, "
            f"log-rank p = {self.log_rank_p:.3g}). These pairs would have found a difference of "
            f"{self.detectable:.2f} with 80 % power."
        )
        return f"{figures} {self._conclusion()}"

    def _adjusted(self) -> str:
        return f", {self.family_p:.3g} among {self.family} comparisons" if self.family > 1 else ""

    def _conclusion(self) -> str:
        if self.refusal is not None:
            return (
                f"No verdict: the ledgers disagree ({self.refusal}), so the arms differ in more than where their data "
                f"comes from. Whatever the p value says, it does not speak about the arms."
            )
        caveat = (
            " The arms were not yoked: they differ in the amount of training as well as in its source."
            if self.unyoked
            else ""
        )
        scope = f"This holds for this learner, these problems and this horizon, and for no other.{caveat}"
        if self.family_p > ALPHA:
            return (
                f"It does not follow that one arm generalises sooner, nor that they are alike: a difference smaller "
                f"than {self.detectable:.2f} {self.clock}s could well have gone unseen. {scope}"
            )
        sooner, later = (self.expert, self.other) if self.difference > 0 else (self.other, self.expert)
        return f"It follows that {sooner} generalises sooner than {later} here. Why it does is not answered. {scope}"


def compare(expert: Sequence[Outcome], other: Sequence[Outcome], clock: str, tolerance: float) -> Comparison:
    """The comparison of two arms. Raises DataError with fewer than six pairs."""
    pairs = pair(expert, other)
    first, second = pairs[0]
    if len(pairs) < MIN_PAIRS:
        raise DataError(
            f"{first.arm} and {second.arm} share {len(pairs)} seeds; the sign-flip test needs at least {MIN_PAIRS} "
            f"pairs to reach p < {ALPHA}, so run more seeds"
        )
    horizon = min(outcome.horizon for both in pairs for outcome in both)
    ours, theirs = ([min(outcome.time, horizon) for outcome in arm] for arm in zip(*pairs, strict=True))
    seen = [[o.observed and o.time <= horizon for o in arm] for arm in zip(*pairs, strict=True)]
    differences = [after - before for before, after in zip(ours, theirs, strict=True)]
    low, high = survival.bootstrap_mean(differences)
    p = survival.sign_flip(differences)
    return Comparison(
        first.arm, second.arm, len(pairs), clock.replace("_", " "), horizon, float(np.mean(ours)),
        float(np.mean(theirs)),
        sum(seen[0]), sum(seen[1]), float(np.mean(differences)), low, high, p,
        survival.log_rank((ours, seen[0]), (theirs, seen[1])), survival.detectable(differences),
        _refusal(pairs, tolerance), not (second.yoke and ARMS[second.arm].yoked), family=1, family_p=p,
    )  # fmt: skip


def pair(expert: Sequence[Outcome], other: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """Runs of one seed side by side, by seed. Raises DataError when no seed is in both arms."""
    by_seed = {outcome.seed: outcome for outcome in other}
    pairs = [(outcome, by_seed[outcome.seed]) for outcome in expert if outcome.seed in by_seed]
    if not pairs:
        raise DataError("the arms share no seed; runs are paired by seed, so run both arms on the same seeds")
    return sorted(pairs, key=lambda both: both[0].seed)


def _refusal(pairs: Sequence[tuple[Outcome, Outcome]], tolerance: float) -> str | None:
    for first, second in pairs:
        if second.yoke and ARMS[second.arm].yoked:
            found = disagreement(first.ledger, second.ledger, tolerance)
            if found is not None:
                return f"{second.name}: {found}"
    return None


def by_arm(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Runs grouped by arm, the expert arm first. Raises DataError when a seed stands twice in an arm."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.arm != "expert_iteration", o.arm, o.seed)):
        runs = groups.setdefault(outcome.arm, [])
        if runs and runs[-1].seed == outcome.seed:
            raise DataError(
                f"runs {runs[-1].name!r} and {outcome.name!r} are both {outcome.arm} with seed {outcome.seed}; "
                f"a pair needs one run of each arm, so leave one out"
            )
        runs.append(outcome)
    return groups


def gather(root: str, names: Sequence[str], reading: Reading) -> dict[str, list[Outcome]]:
    """The runs of these names, by arm. Raises ConfigError for an unknown run and DataError for an unfinished one."""
    return by_arm([read(Experiment.open(root, name), reading) for name in names])


def compare_arms(arms: Mapping[str, Sequence[Outcome]], reading: Reading) -> list[Comparison]:
    """The first arm, the expert's where there is one, against each other. Raises DataError for a single arm."""
    (name, first), *others = arms.items()
    if not others:
        raise DataError(
            f"all {len(first)} runs are of arm {name}; a comparison needs two arms, so name runs of another"
        )
    found = [compare(first, runs, reading.clock, reading.tolerance) for _, runs in others]
    adjusted = survival.holm([comparison.p for comparison in found])
    return [replace(c, family=len(found), family_p=p) for c, p in zip(found, adjusted, strict=True)]
