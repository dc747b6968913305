"""Variants dealt in random order, each once, and never one that the program of another split's problem solves."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from axiom import seeds
from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan, build
from axiom.problems.family import Family
from axiom.problems.registry import family_named
from axiom.problems.sources.reasoning_gym import DirectDeck, is_direct
from axiom.problems.space import Names, permutation
from axiom.problems.splits.overlap import Groups, Subject, subject
from axiom.records import Problem


class Dealt:
    """The problems that the splits hold so far. A further one is admitted only where it keeps the splits apart.

    `marks` holds the fingerprints of all of them, and the questions of direct answers.
    """

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self._splits: defaultdict[str, Groups] = defaultdict(Groups)

    def admit(self, problem: Problem, beside: Collection[str] = ()) -> bool:
        """Whether a problem and those of all other splits, but the ones `beside` it, do not solve each other.

        If so it is one of its split's from now on.
        """
        one = subject(problem)
        others = [groups for split, groups in self._splits.items() if split != problem.split and split not in beside]
        if any(next(groups.clashes(one), None) for groups in others):
            return False
        self.add(one)
        return True

    def add(self, one: Subject) -> None:
        """Take a problem without asking."""
        self._splits[one.problem.split].add(one)


class Deck:
    """The variants of one family in random order, a pile for each difficulty, none dealt twice.

    A variant that behaves like one already dealt is discarded, and so is one that `dealt` does not admit.
    """

    def __init__(
        self, family: Family, bounds: tuple[int, int], seed: int, dealt: Dealt, purpose: str = "difficulty"
    ) -> None:
        self.family, self.bounds, self._dealt, self._count = family, bounds, dealt, 0
        levels = range(bounds[0], bounds[1] + 1)
        self._piles = {level: pile(family, level, seed, purpose) for level in levels}
        self._turns = itertools.cycle(list(self._piles))

    def deal(self, plan: Plan) -> Problem:
        """The next problem: difficulties take turns, and one that has run out is passed over.

        Raises ConfigError when no variant is left.
        """
        while self._piles:
            level = next(self._turns)
            for names in self._piles.get(level, ()):
                made = build(self.family, names, plan, known=self._dealt.marks)
                if made is None or not self._dealt.admit(made[0]):
                    continue
                self._dealt.marks.add(made[1])
                self._count += 1
                return made[0]
            self._piles.pop(level, None)
        raise exhausted(self.family.name, self.bounds, self._count, plan.hidden)


def exhausted(family: str, bounds: tuple[int, int], dealt: int, hidden: int) -> ConfigError:
    """What to say when no variant is left that is distinct and that no other split's program solves."""
    return ConfigError(
        f"family {family!r} has no more than {dealt} distinct problems at difficulty {bounds[0]} to {bounds[1]} with "
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


def pile(family: Family, level: int, seed: int, purpose: str) -> Iterator[Names]:
    """The variants of one difficulty in random order."""
    order = permutation(family.space.count(level), seeds.stream(seed, "problems", family.name, purpose, level))
    return (family.space.names(level, index) for index in order)


def candidates(family: Family, bounds: tuple[int, int], seed: int) -> Iterator[Names]:
    """Every variant between two difficulties in random order, the difficulties in turn."""
    piles = [pile(family, level, seed, "stream") for level in range(bounds[0], bounds[1] + 1)]
    while piles:
        for one in list(piles):
            names = next(one, None)
            if names is None:
                piles.remove(one)
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


def deck_of(family: str, bounds: tuple[int, int], seed: int, dealt: Dealt) -> "Deck | DirectDeck":
    """The deck of a family, or of a reasoning-gym dataset. Raises ConfigError for an unknown one."""
    if is_direct(family):
        return DirectDeck(family, bounds, seed, dealt.marks)
    return Deck(family_named(family), bounds, seed, dealt)


def deal(decks: Sequence["Deck | DirectDeck"], plan: Plan, count: int) -> list[Problem]:
    """`count` problems, the decks taking turns."""
    turns = itertools.cycle(decks)
    return [next(turns).deal(plan) for _ in range(count)]
