"""The variants of a family: a product of named choices, counted and indexed at each difficulty.

An `Option` carries one meaning in three independent forms: words for the description, code for the printed
reference, and something the interpreter runs. Difficulty is 1 plus the costs of the options, at most 10.
"""

import functools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOP = 9
"""Highest cost that is told apart: difficulty 10 holds every variant that costs this much or more."""


@dataclass(frozen=True)
class Option:
    """One choice on an axis: what it costs, how a reader, the printed function and the interpreter know it."""

    cost: int
    words: str = ""
    code: str = ""
    run: Any = None


Axes = Mapping[str, Mapping[str, Option]]
Variant = dict[str, Option]
Names = dict[str, str]


def numbers(cost: int, *values: int) -> dict[str, Option]:
    """Options that are just a number each."""
    return {str(value): Option(cost, str(value), str(value), value) for value in values}


class Space:
    """All combinations of one option an axis."""

    def __init__(self, axes: Axes) -> None:
        self.axes = {name: dict(options) for name, options in axes.items()}
        self._order = list(self.axes)
        self._ways = functools.cache(self._count_from)

    def _count_from(self, axis: int, cost: int, target: int) -> int:
        if axis == len(self._order):
            return int(cost == target)
        options = self.axes[self._order[axis]].values()
        return sum(self._ways(axis + 1, min(TOP, cost + option.cost), target) for option in options)

    def count(self, difficulty: int) -> int:
        """How many combinations have this difficulty."""
        return self._ways(0, 0, difficulty - 1)

    def names(self, difficulty: int, index: int) -> Names:
        """Combination number `index` of this difficulty, in mixed radix: axis name to option name."""
        chosen, cost = {}, 0
        for position, axis in enumerate(self._order):
            for name, option in self.axes[axis].items():
                ways = self._ways(position + 1, min(TOP, cost + option.cost), difficulty - 1)
                if index < ways:
                    chosen[axis], cost = name, min(TOP, cost + option.cost)
                    break
                index -= ways
        return chosen

    def variant(self, names: Names) -> Variant:
        """The options behind `names`."""
        return {axis: self.axes[axis][names[axis]] for axis in self._order}

    def difficulty(self, names: Names) -> int:
        """1 to 10."""
        return 1 + min(TOP, sum(option.cost for option in self.variant(names).values()))


def canonical(names: Names) -> str:
    """The variant as the JSON text that identifies it within its family."""
    return json.dumps(names, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def permutation(count: int, rng: random.Random) -> Iterator[int]:
    """range(count) in random order, in memory that grows only with what was taken (a sparse Fisher-Yates)."""
    moved: dict[int, int] = {}
    for last in range(count - 1, -1, -1):
        pick = rng.randint(0, last)
        yield moved.get(pick, pick)
        moved[pick] = moved.pop(last, last)
