"""Runs of two arms, paired by seed, to a comparison: how much later, how surely, and what follows."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from axiom.config import OF_A_RUN, ExperimentConfig
from axiom.errors import DataError
from axiom.experiment import Experiment, differences, experiment_names
from axiom.experiment.ledger import disagreement, totals
from axiom.learners.unread import unread
from axiom.selection.arms import ARMS
from axiom.study import survival
from axiom.study.conditions import Condition, shown
from axiom.study.config import UNITS, Reading, StudyConfig
from axiom.study.outcome import Outcome, read
from axiom.words import few


@dataclass(frozen=True)
class Comparison:
    """Expert arm against another, over the seeds that both have.

    `difference` is the mean of other less expert of min(time, horizon), in `clock`s: positive where the expert is
    sooner. Intervals have the `confidence`; there is none, nan, where all pairs differ alike. `refusal` names the
    ledger's number that forbids a verdict, None where it stands. `family_p` is `p` adjusted for the `family` of
    comparisons that are drawn together (Holm 1979), and decides; `detectable` is the difference that the first of
    Holm's steps finds with 80 % power, nan where the pairs say nothing of it. `unmet` holds the totals, the expert's
    first, of counts that gave way to the yoked loss tokens, which differ by the share `token_gap` over a whole run at
    most. `rested` counts rounds for which the other arm had no data, their runs, and the loss tokens that the expert
    trained on in them. `left_out` holds the seeds that make no pair, by the arm that has no run of them. `differ` holds
    the settings in which the two differ, the expert's value first. `since` is from which iteration on the two of a pair
    differ, the first and the last over all pairs, where they have a common stem.
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
    confidence: float
    unmet: dict[str, tuple[int, int]]
    rested: tuple[int, int, int] | None
    token_gap: float
    left_out: dict[str, list[int]]
    differ: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    since: tuple[int, int] | None = None

    @property
    def observed(self) -> bool:
        """Whether any run of either arm generalised."""
        return self.expert_generalised + self.other_generalised > 0

    def paragraph(self) -> str:
        """What follows from the figures, and what does not."""
        return f"{self._figures()} {self._conclusion()}"

    def _figures(self) -> str:
        seen = (
            f"Over {self.pairs} paired seed{'s' * (self.pairs > 1)}, runs that generalised for good: "
            f"{self.expert_generalised} of {self.expert}, {self.other_generalised} of {self.other}."
            f"{_without_pair(self.left_out)}"
        )
        if not self.observed:
            return f"{seen} No run was seen to generalise within {self.horizon:g} {self.clock}."
        return (
            f"{seen} Restricted to {self.horizon:g} {self.clock} the mean time was {self.expert_mean:.2f} against "
            f"{self.other_mean:.2f}: a difference of {self.difference:+.2f} {self.clock}, positive where "
            f"{self.expert} is sooner ({self._interval()}; {self.tested()}). {self._power()}"
        )

    def _interval(self) -> str:
        if self.alike:
            return f"the same in all {self.pairs} pairs, so there is no interval" if self.pairs > 1 else "of one pair"
        return f"{100 * self.confidence:.4g} % bootstrap {self.low:+.2f} to {self.high:+.2f}"

    @property
    def alike(self) -> bool:
        """Whether every pair shows the same difference, so that nothing is known of its scatter."""
        return math.isnan(self.low)

    @property
    def decides(self) -> bool:
        """Whether it follows that one of the two is sooner: the adjusted p value is small and the ledgers agree."""
        return self.refusal is None and self.observed and self.family_p <= 1 - self.confidence + 1e-9

    @property
    def sooner(self) -> tuple[str, str]:
        """The arm with the shorter mean time, then the other."""
        return (self.expert, self.other) if self.difference > 0 else (self.other, self.expert)

    def tested(self) -> str:
        """The p value that decides, with what it is adjusted for: an unadjusted one would contradict the conclusion."""
        if self.family > 1:
            return f"sign-flip p = {self.family_p:.3g}, adjusted for {self.family} comparisons"
        return f"sign-flip p = {self.p:.3g}, log-rank p = {self.log_rank_p:.3g}"

    def heading(self) -> str:
        """The two and what follows, in a line."""
        if self.refusal is not None:
            found = "no verdict, their ledgers disagree"
        elif not self.observed:
            found = "no run generalised"
        elif self.decides:
            found = f"{self.sooner[0]} is sooner (p = {self.family_p:.3g})"
        else:
            found = f"no difference shown (p = {self.family_p:.3g})"
        return f"{self.expert} against {self.other}: {found}"

    def _power(self) -> str:
        if math.isnan(self.detectable):
            return "All pairs differ alike, so nothing can be said of the difference that they would have found."
        if math.isinf(self.detectable):
            among = f" among {self.family} comparisons" if self.family > 1 else ""
            return f"So few pairs cannot decide{among}, whatever the difference."
        return f"These pairs would have found a difference of about {self.detectable:.2f} {self.clock} with 80 % power."

    def _conclusion(self) -> str:
        if self.refusal is not None:
            return (
                f"No verdict: the ledgers disagree ({self.refusal}), so the arms differ in more than where their data "
                f"comes from. Whatever the p value says, it does not speak about the arms."
            )
        if not self.observed:
            return f"Nothing follows on which of them is sooner, nor that they are alike. {self._scope()}"
        if not self.decides:
            unseen = (
                f": a difference smaller than {self.detectable:.2f} {self.clock} could well have gone unseen"
                if math.isfinite(self.detectable)
                else ""
            )
            return (
                f"It does not follow that one arm generalises sooner, nor that they are alike{unseen}. {self._scope()}"
            )
        sooner, later = self.sooner
        return (
            f"It follows that {sooner} generalises sooner than {later} here. Why it does is not answered. "
            f"{self._scope()}"
        )

    def _scope(self) -> str:
        return f"This holds for this learner, these problems and this horizon, and for no other.{self._caveat()}"

    def _caveat(self) -> str:
        if self.since is not None:
            return self._stem()
        if self.unyoked and self.differ:
            return (
                f" They differ in {in_words(self.differ)}, and in all that follows from it, the amount of training too."
            )
        if self.unyoked:
            return " The arms were not yoked: they differ in the amount of training as well as in its source."
        agreed = f" Optimizer steps and learning rates agree, loss tokens within {_percent_up(self.token_gap)}."
        if self.rested:
            rounds, runs, tokens = self.rested
            agreed += (
                f" Not so in {rounds} round{'s' * (rounds > 1)} of {runs} run{'s' * (runs > 1)}, for which "
                f"{self.other} had nothing to train on; {self.expert} trained on {tokens} loss tokens there."
            )
        if not self.unmet:
            return agreed
        counts = " and ".join(f"{ours} {name} for {theirs}" for name, (theirs, ours) in self.unmet.items())
        return (
            f"{agreed} The programs of {self.other} are fewer or of other lengths, so that over all rounds it trained "
            f"on {counts} of {self.expert}."
        )

    def _stem(self) -> str:
        first, last = self.since or (0, 0)
        where = f"iteration {first}" if first == last else f"iterations {first} to {last}, each pair from its own,"
        what = f"in {in_words(self.differ)}" if self.differ else "in nothing that is set"
        return (
            f" The runs of a pair have their iterations up to there in common: they differ from {where} on, {what}, "
            f"and in all that follows from it."
        )


MOST_NAMED = 2
"""Comparisons that a conclusion names; of more it counts the rest."""


def conclusion(comparisons: Sequence[Comparison]) -> str:
    """What follows from all comparisons together, in words, by the adjusted p values; empty without any."""
    if not comparisons:
        return ""
    decided = [c for c in comparisons if c.decides]
    parts = []
    if len(decided) == 1:
        (only,) = decided
        low, high = (only.low, only.high) if only.difference > 0 else (-only.high, -only.low)
        ends = "in every pair" if only.alike else f"on average [{low:.2f}, {high:.2f}]"
        parts.append(
            f"{only.sooner[0]} generalises sooner than {only.sooner[1]}, by {abs(only.difference):.2f} {only.clock} "
            f"{ends}, p = {only.family_p:.2g}"
        )
    elif decided:
        named = few([f"{c.sooner[0]} before {c.sooner[1]}" for c in decided], MOST_NAMED)
        most = max(c.family_p for c in decided)
        parts.append(
            f"one is sooner in {len(decided)} of {len(comparisons)} comparisons: {named}, p at most {most:.2g}"
        )
    open_ = [c for c in comparisons if c.refusal is None and not c.decides]
    if open_ and not any(c.observed for c in open_):
        names = list(dict.fromkeys(name for c in open_ for name in (c.expert, c.other)))
        of = (
            f"of {', '.join(names[:-1])} or {names[-1]}"
            if len(open_) <= MOST_NAMED
            else f"in {_of(open_, comparisons)}"
        )
        parts.append(f"no run {of} generalised, so nothing follows on which of them is sooner")
    elif open_:
        least = min(c.family_p for c in open_ if c.observed)
        parts.append(f"no difference is shown in {_of(open_, comparisons)}, where the smallest p is {least:.2g}")
    if refused := [c for c in comparisons if c.refusal is not None]:
        parts.append(f"no verdict in {_of(refused, comparisons)}, since the ledgers disagree")
    adjusted = f" P values are adjusted for {comparisons[0].family} comparisons." if comparisons[0].family > 1 else ""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}.{adjusted}"


def _of(some: Sequence[Comparison], every: Sequence[Comparison]) -> str:
    if len(some) <= MOST_NAMED:
        return " and ".join(f"{c.expert} against {c.other}" for c in some)
    return f"{len(some)} of {len(every)} comparisons"


def in_words(differ: Mapping[str, tuple[Any, Any]]) -> str:
    """Settings in which two conditions differ, with both values."""
    return ", ".join(f"{key} ({shown(ours)} against {shown(theirs)})" for key, (ours, theirs) in differ.items())


def _without_pair(left_out: Mapping[str, Sequence[int]]) -> str:
    """Which seeds are not in the comparison and why, with a space before it; empty if all are."""
    reasons = [
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, of which {arm} has no run"
        for arm, seeds in left_out.items()
    ]
    return f" Left out: {'; '.join(reasons)}." if reasons else ""


def _percent_up(share: float) -> str:
    """A share in percent, rounded up to a tenth, so that "within" is true of it."""
    return f"{math.ceil(1000 * share - 1e-9) / 10:.1f}%"


def compare(
    expert: Sequence[Outcome],
    other: Sequence[Outcome],
    clock: str,
    tolerance: float,
    confidence: float = 0.95,
    family: int = 1,
    few: bool = False,
) -> Comparison:
    """The comparison of two arms, one of a `family` of comparisons.

    Raises DataError with fewer pairs than could ever decide, unless a `few` will do, since others of the family decide.
    """
    pairs, left_out = pair(expert, other), _left_out(expert, other)
    first, second = pairs[0]
    alpha = 1 - confidence
    fewest = survival.fewest_pairs(alpha, family)
    if len(pairs) < fewest and not few:
        raise DataError(
            f"{first.group} and {second.group} share {len(pairs)} seeds; the sign-flip test needs at least {fewest} "
            f"pairs to reach p <= {alpha:.3g} among {family} comparison{'s' if family > 1 else ''}, so run more seeds."
            f"{_without_pair(left_out)}".removesuffix(".")
        )
    horizon = min(outcome.horizon for both in pairs for outcome in both)
    ours, theirs = ([min(outcome.time, horizon) for outcome in arm] for arm in zip(*pairs, strict=True))
    seen = [[o.observed and o.time <= horizon for o in arm] for arm in zip(*pairs, strict=True)]
    differences = [after - before for before, after in zip(ours, theirs, strict=True)]
    low, high = survival.bootstrap_mean(differences, confidence)
    p = survival.sign_flip(differences)
    yoked = _replays(first, second)
    return Comparison(
        first.group,
        second.group,
        len(pairs),
        UNITS[clock],
        horizon,
        float(np.mean(ours)),
        float(np.mean(theirs)),
        sum(seen[0]),
        sum(seen[1]),
        float(np.mean(differences)),
        low,
        high,
        p,
        survival.log_rank((ours, seen[0]), (theirs, seen[1])),
        survival.detectable(differences, alpha=alpha / family),
        _refusal(pairs, tolerance),
        not yoked,
        family,
        min(1.0, family * p),
        confidence,
        _unmet(pairs) if yoked else {},
        _rested(pairs) if yoked else None,
        _token_gap(pairs) if yoked else math.nan,
        left_out,
        _differ(first, second),
    )


def _differ(first: Outcome, second: Outcome) -> dict[str, tuple[Any, Any]]:
    """Settings in which the runs of a pair differ, beside those in which the runs of any study do."""
    if first.config is None or second.config is None:
        return {}
    found = differences(first.config, second.config) | _rounds(first.config, second.config)
    return {
        key: both
        for key, both in found.items()
        if key not in OF_A_RUN and not (unread(first.config, key) and unread(second.config, key))
    }


def _rounds(first: ExperimentConfig, second: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """The number of iterations where it differs: it decides how long a run goes on, not what a round computes."""
    both = first.iterations, second.iterations
    return {"iterations": both} if both[0] != both[1] else {}


def _unmet(pairs: Sequence[tuple[Outcome, Outcome]]) -> dict[str, tuple[int, int]]:
    """Totals over all rounds and runs of the counts that some round could not meet."""
    names = dict.fromkeys(
        name for _, other in pairs for entry in other.ledger if not entry.rested for name in entry.unmet
    )
    sums = [[totals(outcome.ledger) for outcome in arm] for arm in zip(*pairs, strict=True)]
    return {name: (int(sum(t[name] for t in sums[0])), int(sum(t[name] for t in sums[1]))) for name in names}


def _rested(pairs: Sequence[tuple[Outcome, Outcome]]) -> tuple[int, int, int] | None:
    """Rounds and runs in which the other arm had nothing to train on, and what the expert trained on in them."""
    found = [
        (second.name, theirs.loss_tokens)
        for first, second in pairs
        for theirs, ours in zip(first.ledger, second.ledger, strict=False)
        if ours.rested
    ]
    return (len(found), len({name for name, _ in found}), sum(tokens for _, tokens in found)) if found else None


def _token_gap(pairs: Sequence[tuple[Outcome, Outcome]]) -> float:
    """The largest relative difference in a run's loss tokens, without rounds in which the other arm rested."""
    gaps = [0.0]
    for first, second in pairs:
        trained = [both for both in zip(first.ledger, second.ledger, strict=False) if not both[1].rested]
        theirs, ours = (sum(both[arm].loss_tokens for both in trained) for arm in (0, 1))
        gaps.append(abs(ours - theirs) / theirs if theirs else float(ours > 0))
    return max(gaps)


def pair(expert: Sequence[Outcome], other: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """Runs of one seed and stem side by side, by seed. Raises DataError when no seed is in both arms."""
    by_seed = {(outcome.seed, outcome.stem): outcome for outcome in other}
    pairs = [(o, by_seed[o.seed, o.stem]) for o in expert if (o.seed, o.stem) in by_seed]
    if not pairs:
        raise DataError("the arms share no seed; runs are paired by seed, so run both arms on the same seeds")
    return sorted(pairs, key=lambda both: both[0].seed)


def _left_out(expert: Sequence[Outcome], other: Sequence[Outcome]) -> dict[str, list[int]]:
    """Seeds of one arm alone, by the arm that has no run of them."""
    ours, theirs = ({outcome.seed for outcome in arm} for arm in (expert, other))
    found = {other[0].group: sorted(ours - theirs), expert[0].group: sorted(theirs - ours)}
    return {arm: seeds for arm, seeds in found.items() if seeds}


def _replays(first: Outcome, second: Outcome) -> bool:
    """Whether the second run is to replay the schedule of the first; two of one arm are forks or variants of it."""
    return bool(second.yoke) and ARMS[second.arm].yoked and second.arm != first.arm


def _refusal(pairs: Sequence[tuple[Outcome, Outcome]], tolerance: float) -> str | None:
    for first, second in pairs:
        if _replays(first, second):
            if second.yoke != first.name:
                return f"{second.name} replays the schedule of {second.yoke}, not of {first.name}"
            found = disagreement(first.ledger, second.ledger, tolerance)
            if found is not None:
                return f"{second.name}: {found}"
    return None


def by_arm(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Runs grouped by arm, the expert arm first. Raises DataError when a seed stands twice in an arm."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.group != "expert_iteration", o.group, o.seed)):
        runs = groups.setdefault(outcome.group, [])
        if runs and runs[-1].seed == outcome.seed:
            raise DataError(
                f"runs {runs[-1].name!r} and {outcome.name!r} are both {outcome.group} with seed {outcome.seed}; "
                f"a pair needs one run of each arm, so leave one out"
            )
        runs.append(outcome)
    return groups


def gather(root: str, names: Sequence[str], reading: Reading) -> dict[str, list[Outcome]]:
    """The runs of these names, by arm.

    Raises ConfigError for an unknown run, and DataError for an unfinished one and for runs of different settings.
    """
    runs = [Experiment.open(root, name) for name in names]
    _check_alike([run.config for run in runs])
    return by_arm([read(run, reading) for run in runs])


def gather_study(root: str, study: StudyConfig, left_out: dict[str, str] | None = None) -> dict[str, list[Outcome]]:
    """The runs of a study by condition, in its order; a run that is not finished goes to `left_out`, with why.

    Raises DataError for a run whose settings are not those that the study gives it, and where no run is finished.
    Without `left_out` an unfinished run raises DataError too, and ConfigError one that does not exist.
    """
    conditions = study.condition_of_run()
    there = conditions.keys() if left_out is None else set(experiment_names(root))
    runs = {name: Experiment.open(root, name) for name in conditions if name in there}
    if left_out is not None:
        left_out.update({name: f"run {name!r} was not begun" for name in conditions if name not in there})
    _check_conditions(conditions, {name: run.config for name, run in runs.items()})
    groups: dict[str, list[Outcome]] = {one.label: [] for one in conditions.values()}
    for name, run in runs.items():
        try:
            found = read(run, study.reading())
        except DataError as error:
            if left_out is None:
                raise
            left_out[name] = str(error)
        else:
            groups[conditions[name].label].append(replace(found, condition=conditions[name].label))
    if not any(groups.values()):
        raise DataError(f"no run of the study is finished; the first: {next(iter((left_out or {}).values()))}")
    return {label: found for label, found in groups.items() if found}


def _check_conditions(conditions: Mapping[str, Condition], configs: Mapping[str, ExperimentConfig]) -> None:
    """Raise DataError for a run that has not the settings of its condition, or that differs in any other."""
    if not configs:
        return
    (first, base), *_ = configs.items()
    varied = {key for one in conditions.values() for key in one.changes}
    for name in configs:
        one = conditions[name]
        for key, value in one.changes.items():
            has = setting(configs[name], key)
            if has != _plain(value):
                raise DataError(
                    f"run {name!r} has {key} = {shown(has)} and the study gives it {shown(value)}; the study was "
                    f"changed since it ran, so give it another name and run it again"
                )
        _check_pair(first, base, name, configs[name], varied)


def paragraphs(found: Sequence[Comparison]) -> list[str]:
    """A paragraph for each comparison, and one for all in which no run of either arm generalised."""
    alike: dict[tuple[str, float, int], list[Comparison]] = {}
    for one in found:
        if not one.observed and one.refusal is None and one.since is None and not one.left_out:
            alike.setdefault((one.expert, one.horizon, one.pairs), []).append(one)
    together = {id(one): group for group in alike.values() if len(group) > 1 for one in group}
    return [
        _none_generalised(together[id(one)]) if id(one) in together else one.paragraph()
        for one in found
        if id(one) not in together or one is together[id(one)][0]
    ]


def _none_generalised(group: Sequence[Comparison]) -> str:
    first = group[0]
    return (
        f"Over {first.pairs} paired seed{'s' * (first.pairs > 1)}, no run of {first.expert}, nor of "
        f"{', '.join(one.other for one in group)}, was seen to generalise within {first.horizon:g} {first.clock}. "
        f"Nothing follows on which of them is sooner, nor that they are alike."
    )


def setting(config: ExperimentConfig, key: str) -> Any:
    """The value of a dotted key, as JSON has it."""
    found: Any = config.model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    return found


def _plain(value: Any) -> Any:
    """A value of a study file as JSON has it."""
    return json.loads(json.dumps(value))


def _check_alike(configs: Sequence[ExperimentConfig]) -> None:
    """Raise DataError for runs that compute something else beside what their arms and seeds do."""
    first, *others = configs
    for other in others:
        _check_pair(first.name, first, other.name, other, ())


def _check_pair(
    first: str, ours: ExperimentConfig, second: str, theirs: ExperimentConfig, varied: Collection[str]
) -> None:
    for key, (mine, other) in differences(ours, theirs).items():
        if key not in OF_A_RUN and not any(f"{key}.".startswith(f"{one}.") for one in varied):
            raise DataError(
                f"runs {first!r} and {second!r} differ in {key} ({mine!r} and {other!r}), so what "
                f"separates their arms may come from that; compare runs that differ in arm and seed alone"
            )


def check_arms(arms: Mapping[str, Sequence[Outcome]]) -> None:
    """Raise DataError for a single arm."""
    (name, first), *others = arms.items()
    if not others:
        raise DataError(
            f"{f'all {len(first)} runs are' if len(first) > 1 else 'the only run is'} of arm {name}; a comparison "
            f"needs two arms, so name runs of another"
        )


def compare_arms(arms: Mapping[str, Sequence[Outcome]], reading: Reading) -> list[Comparison]:
    """The first arm, the expert's where there is one, against each other.

    Raises DataError for a single arm, and where no arm has enough pairs to decide.
    """
    check_arms(arms)
    (_, first), *others = arms.items()
    return compare_pairs([(first, runs) for _, runs in others], reading)


def compare_pairs(
    pairs: Sequence[tuple[Sequence[Outcome], Sequence[Outcome]]], reading: Reading, few: bool = False
) -> list[Comparison]:
    """Each first group against its second, all of them looked at together (Holm).

    Raises DataError where none has enough pairs to decide, unless a `few` will do: then nothing is decided.
    """
    fewest = survival.fewest_pairs(1 - reading.confidence, len(pairs))
    decides = few or any(len(pair(*both)) >= fewest for both in pairs)
    found = [
        compare(*both, reading.clock, reading.tolerance, reading.confidence, len(pairs), few=decides) for both in pairs
    ]
    adjusted = survival.holm([comparison.p for comparison in found])
    return [replace(c, family_p=p) for c, p in zip(found, adjusted, strict=True)]


def compare_study(study: StudyConfig, groups: Mapping[str, Sequence[Outcome]]) -> list[Comparison]:
    """What `StudyConfig.compared` names. Raises DataError without a grid where there are too few pairs."""
    pairs = [(groups[first.label], groups[second.label]) for first, second in study.compared()]
    return compare_pairs(pairs, study.reading(), few=bool(study.grid)) if pairs else []
