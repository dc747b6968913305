"""Variants dealt in random order, each once: what one split has taken, no other gets."""

import itertools
from collections.abc import Iterator, Sequence

from axiom import seeds
from axiom.errors import ConfigError
from axiom.problems.building import Plan, build
from axiom.problems.family import Family
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
        self._piles = {
            level: self._pile(level, seeds.derive(seed, "problems", family.name, purpose, level))
            for level in range(bounds[0], bounds[1] + 1)
        }
        self._turns = itertools.cycle(list(self._piles))

    def _pile(self, level: int, seed: int) -> Iterator[Names]:
        space = self.family.space
        order = permutation(space.count(level), seeds.stream(seed, "order"))
        return (space.names(level, index) for index in order)

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
        low, high = self.bounds
        raise ConfigError(
            f"family {self.family.name!r} has no more than {self.dealt} distinct problems at difficulty {low} to {high}; "
            f"widen the difficulty, name more families or ask for fewer problems"
        )


def deal(decks: Sequence[Deck], plan: Plan, count: int) -> list[Problem]:
    """`count` problems, the decks taking turns."""
    turns = itertools.cycle(decks)
    return [next(turns).deal(plan) for _ in range(count)]
