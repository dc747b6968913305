"""Forks beside the runs they come from: what they share, from which iteration they differ, and in what settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from axiom.errors import DataError
from axiom.experiment import Experiment, differences, experiment_names, iteration_folder
from axiom.learners.unread import unread
from axiom.study.compare import Comparison, compare_pairs
from axiom.study.conditions import shown
from axiom.study.config import Reading
from axiom.study.outcome import Outcome, read

Owners = list[tuple[str, int]]
"""The runs that an experiment's iterations are from, itself first, each with the first iteration that it made."""


def has_fork(runs: Sequence[Experiment]) -> bool:
    """Whether one of the runs is a fork."""
    return any(run.inherited for run in runs)


def owners(run: Experiment) -> Owners:
    """A run and what it was forked from, as far back as the root holds it."""
    found, known = [(run.config.name, run.inherited)], experiment_names(run.root)
    while run.forked_from is not None:
        if run.forked_from not in known:
            return [*found, (run.forked_from, 0)]
        run = Experiment.open(run.root, run.forked_from)
        found.append((run.config.name, run.inherited))
    return found


def common(first: Owners, second: Owners) -> int:
    """The first iteration that two runs do not share; 0 if they have no stem in common."""

    def owner(run: Owners, iteration: int) -> str:
        return next(name for name, since in run if iteration >= since)

    ends = sorted({since for _, since in (*first, *second)} | {0})
    shared = 0
    for start in ends:
        if owner(first, start) != owner(second, start):
            return start
        shared = start
    return shared


def gather_forks(runs: Sequence[Experiment], reading: Reading) -> dict[str, list[Outcome]]:
    """Runs and their forks by what was changed, those that were not forked first.

    Raises DataError for an unfinished run, and for forks that have their stem in common with no other run.
    """
    lines = {run.config.name: owners(run) for run in runs}
    groups: dict[str, list[Outcome]] = {}
    for run in sorted(runs, key=lambda run: (run.inherited > 0, run.config.seed)):
        stem = lines[run.config.name][-1][0]
        if sum(line[-1][0] == stem for line in lines.values()) < 2:
            raise DataError(
                f"run {run.config.name!r} shares its first iterations with none of the others; name it beside the run "
                f"that it was forked from, or beside another fork of that"
            )
        outcome = replace(read(run, reading), condition=_changed(run), stem=stem)
        groups.setdefault(outcome.condition, []).append(outcome)
    for label, members in groups.items():
        _check_once(label, members)
    return groups


def _check_once(label: str, members: Sequence[Outcome]) -> None:
    by_stem: dict[str, Outcome] = {}
    for run in members:
        twin = by_stem.setdefault(run.stem, run)
        if twin is not run:
            raise DataError(
                f"runs {twin.name!r} and {run.name!r} are both {label!r} of {run.stem!r}; leave one of them out"
            )


def _changed(run: Experiment) -> str:
    """What a fork changed, in words; of a run that is no fork, its arm."""
    if not run.inherited:
        return run.config.arm
    found = differences(run.made_with(0), run.config)
    settings = ", ".join(f"{key} = {shown(value)}" for key, (_, value) in found.items() if not unread(run.config, key))
    return f"{settings or 'no setting changed'} from iteration {run.inherited} on"


def compare_forks(
    runs: Sequence[Experiment], groups: Mapping[str, Sequence[Outcome]], reading: Reading
) -> list[Comparison]:
    """The runs that were not forked, else the first forks, against each other group, paired by their stem.

    Raises DataError where a shared iteration is not the same in both.
    """
    opened = {run.config.name: run for run in runs}
    (_, first), *others = groups.items()
    found = []
    for (_, members), comparison in zip(
        others, compare_pairs([(first, members) for _, members in others], reading, few=True), strict=True
    ):
        since = {
            _since(opened[one.name], opened[other.name]) for one in first for other in members if one.stem == other.stem
        }
        found.append(replace(comparison, since=(min(since), max(since))))
    return found


def _since(first: Experiment, second: Experiment) -> int:
    """The first iteration that two runs do not share. Raises DataError where what they share is not the same."""
    at = common(owners(first), owners(second))
    for number in range(at):
        ours, theirs = (run.stages.manifest("metrics", iteration_folder(number)) for run in (first, second))
        if ours is None or theirs is None or ours.digest != theirs.digest:
            raise DataError(
                f"iteration {number} of {first.config.name!r} is no longer that of {second.config.name!r}, which "
                f"shared it; one of them was computed again since, so fork again"
            )
    return at
