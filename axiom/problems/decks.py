"""Variants dealt in random order, each once: what one split has taken, no other gets."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from axiom import seeds
from axiom.errors import ConfigError
from axiom.problems.building import Plan, build
from axiom.problems.direct import DirectDeck, is_direct
from axiom.problems.family import Family
from axiom.problems.registry import family_named
from axiom.problems.space import Names, permutation
from axiom.records import Problem


class Deck:
    """The variants of one family in random order, a pile for each difficulty, none dealt twice.

    A variant that behaves like one already dealt, by this deck or by another that shares `seen`, is discarded.
    """

    def __init__(
        self, family: Family, bounds: tuple[int, int], seed: int, seen: set[str], purpose: str = "difficulty"
    ) -> None:
        self.family, self.bounds, self.seen, self.dealt = family, bounds, seen, 0
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
                made = build(self.family, names, plan)
                if made is None or made[1] in self.seen:
                    continue
                self.seen.add(made[1])
                self.dealt += 1
                return made[0]
            self._piles.pop(level, None)
        raise exhausted(self.family.name, self.bounds, self.dealt)


def exhausted(family: str, bounds: tuple[int, int], dealt: int) -> ConfigError:
    """What to say when no distinct variant is left."""
    return ConfigError(
        f"family {family!r} has no more than {dealt} distinct problems at difficulty {bounds[0]} to {bounds[1]}; "
        f"widen the difficulty, name more families or ask for fewer problems"
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


def deck_of(family: str, bounds: tuple[int, int], seed: int, seen: set[str]) -> "Deck | DirectDeck":
    """The deck of a family, or of a reasoning-gym dataset. Raises ConfigError for an unknown one."""
    if is_direct(family):
        return DirectDeck(family, bounds, seed, seen)
    return Deck(family_named(family), bounds, seed, seen)


def deal(decks: Sequence["Deck | DirectDeck"], plan: Plan, count: int) -> list[Problem]:
    """`count` problems, the decks taking turns."""
    turns = itertools.cycle(decks)
    return [next(turns).deal(plan) for _ in range(count)]
