"""Variants in random order, each used once, and never one that the program of another split's problem solves."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from axiom import seeds
from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan, build
from axiom.problems.family import Family
from axiom.problems.registry import family_named
from axiom.problems.sources import Questions, is_sourced, source_of
from axiom.problems.space import Names, permutation
from axiom.problems.splits.overlap import Groups, Subject, subject
from axiom.records import Problem


class Admitted:
    """The problems that the splits hold so far. A further one is admitted only where it keeps the splits apart.

    `marks` holds the fingerprints of all of them, and the questions of direct answers.
    """

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self._splits: defaultdict[str, Groups] = defaultdict(Groups)

    def admit(self, problem: Problem, beside: Collection[str] = ()) -> bool:
        """Whether a problem and those of all other splits, but the ones `beside` it, do not solve each other.

        If so, it is added to its split.
        """
        one = subject(problem)
        others = [groups for split, groups in self._splits.items() if split != problem.split and split not in beside]
        if any(next(groups.clashes(one), None) for groups in others):
            return False
        self.add(one)
        return True

    def add(self, one: Subject) -> None:
        """Add a problem without a check."""
        self._splits[one.problem.split].add(one)


class VariantSource:
    """The variants of one family in random order at each difficulty, none used twice.

    A variant that behaves like one already admitted is discarded, and so is one that `admitted` does not admit.
    """

    def __init__(
        self, family: Family, bounds: tuple[int, int], seed: int, admitted: Admitted, purpose: str = "difficulty"
    ) -> None:
        self.family, self.bounds, self._admitted, self._count = family, bounds, admitted, 0
        levels = range(bounds[0], bounds[1] + 1)
        self._levels = {level: shuffled(family, level, seed, purpose) for level in levels}
        self._turns = itertools.cycle(list(self._levels))

    def draw(self, plan: Plan) -> Problem:
        """The next problem: difficulties take turns, and one that has run out is passed over.

        Raises ConfigError when no variant is left.
        """
        while self._levels:
            level = next(self._turns)
            for names in self._levels.get(level, ()):
                made = build(self.family, names, plan, known=self._admitted.marks)
                if made is None or not self._admitted.admit(made[0]):
                    continue
                self._admitted.marks.add(made[1])
                self._count += 1
                return made[0]
            self._levels.pop(level, None)
        raise exhausted(self.family.name, self.bounds, self._count, plan.hidden)


def exhausted(family: str, bounds: tuple[int, int], found: int, hidden: int) -> ConfigError:
    """The error when no variant is left that is distinct and that no other split's program solves."""
    return ConfigError(
        f"family {family!r} has no more than {found} distinct problems at difficulty {bounds[0]} to {bounds[1]} with "
        f"two sets of {hidden} hidden cases and apart from the other splits; widen the difficulty, name more families, "
        f"ask for fewer problems or lower [problems] hidden_cases"
    )


def refuse_too_many(family: Family, bounds: tuple[int, int], count: int) -> None:
    """Raise ConfigError when `count` is more than the variants there are."""
    known = sum(family.space.count(level) for level in range(bounds[0], bounds[1] + 1))
    if count > known:
        raise ConfigError(
            f"count {count} is more than the {known} variants of family {family.name!r} at difficulty "
            f"{bounds[0]} to {bounds[1]}; ask for at most {known} or widen the difficulty"
        )


def shuffled(family: Family, level: int, seed: int, purpose: str) -> Iterator[Names]:
    """The variants of one difficulty in random order."""
    order = permutation(family.space.count(level), seeds.stream(seed, "problems", family.name, purpose, level))
    return (family.space.names(level, index) for index in order)


def candidates(family: Family, bounds: tuple[int, int], seed: int) -> Iterator[Names]:
    """Every variant between two difficulties in random order, the difficulties in turn."""
    levels = [shuffled(family, level, seed, "stream") for level in range(bounds[0], bounds[1] + 1)]
    while levels:
        for one in list(levels):
            names = next(one, None)
            if names is None:
                levels.remove(one)
            else:
                yield names


def first_new(made: Iterable[tuple[Problem, str] | None], count: int) -> Iterator[Problem]:
    """At most `count` of the problems, those whose fingerprint has not come before."""
    seen: set[str] = set()
    for pair in made:
        if pair is None or pair[1] in seen:
            continue
        if len(seen) == count:
            return
        seen.add(pair[1])
        yield pair[0]


def questions_of(family: str, bounds: tuple[int, int], seed: int, admitted: Admitted) -> Questions:
    """A family's variants, or the questions of a source. Raises ConfigError for an unknown one."""
    if is_sourced(family):
        return source_of(family).questions(family, bounds, seed, admitted.marks)
    return VariantSource(family_named(family), bounds, seed, admitted)


def draw(sources: Sequence[Questions], plan: Plan, count: int) -> list[Problem]:
    """`count` problems, the sources taking turns."""
    turns = itertools.cycle(sources)
    return [next(turns).draw(plan) for _ in range(count)]
