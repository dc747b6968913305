"""The variants of a family: products of named choices, counted and indexed at each difficulty.

An `Option` carries one meaning in three independent forms: words for the description, code for the printed
reference, and something the interpreter runs. Difficulty is 1 plus the costs of the options, at most 10.
"""

import bisect
import functools
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOP = 9
"""Highest cost that is distinguished: difficulty 10 holds every variant that costs this much or more."""


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
    """A sum of products: each product is one option an axis, the sum is over kinds of task that need other axes."""

    def __init__(self, *products: Axes) -> None:
        self.products = [{axis: dict(options) for axis, options in product.items()} for product in products]
        self._ways = functools.cache(self._count_from)
        self._ends = functools.cache(self._ends_from)

    def _count_from(self, product: int, axis: int, cost: int, target: int) -> int:
        axes = list(self.products[product].values())
        if axis == len(axes):
            return int(cost == target)
        costs = Counter(option.cost for option in axes[axis].values())
        return sum(n * self._ways(product, axis + 1, min(TOP, cost + more), target) for more, n in costs.items())

    def count(self, difficulty: int) -> int:
        """How many combinations have this difficulty."""
        return sum(self._ways(product, 0, 0, difficulty - 1) for product in range(len(self.products)))

    def names(self, difficulty: int, index: int) -> Names:
        """Combination number `index` of this difficulty, in mixed radix: axis name to option name."""
        product = 0
        while index >= (ways := self._ways(product, 0, 0, difficulty - 1)):
            product, index = product + 1, index - ways
        chosen, cost = {}, 0
        for position, axis in enumerate(self.products[product]):
            names, ends = self._ends(product, position, cost, difficulty - 1)
            place = bisect.bisect_right(ends, index)
            chosen[axis] = names[place]
            index -= ends[place - 1] if place else 0
            cost = min(TOP, cost + self.products[product][axis][chosen[axis]].cost)
        return chosen

    def _ends_from(self, product: int, axis: int, cost: int, target: int) -> tuple[list[str], list[int]]:
        """The options of an axis, and for each the index after the last combination that it or one before it is in."""
        options = list(self.products[product].values())[axis]
        ways = [self._ways(product, axis + 1, min(TOP, cost + one.cost), target) for one in options.values()]
        return list(options), list(itertools.accumulate(ways))

    def variant(self, names: Names) -> Variant:
        """The options behind `names`. Raises KeyError when no product of the space holds them."""
        for product in self.products:
            if product.keys() == names.keys() and all(name in product[axis] for axis, name in names.items()):
                return {axis: options[names[axis]] for axis, options in product.items()}
        raise KeyError(f"no product of this space holds {names}")

    def difficulty(self, names: Names) -> int:
        """1 to 10."""
        return difficulty_of(self.variant(names))


def difficulty_of(variant: Variant) -> int:
    """1 plus the costs of the options, at most 10."""
    return 1 + min(TOP, sum(option.cost for option in variant.values()))


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


def parsed(text: str) -> Names:
    """The variant that `canonical` wrote as `text`."""
    names: Names = json.loads(text)
    return names
