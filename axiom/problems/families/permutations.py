"""Arrangements of a list: which neighbours are allowed, what the ends must satisfy, what is asked."""

import itertools
import random
from collections import Counter

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_NEIGHBOURS = {
    **{f"differ_{k}": Option(0, f"differ by at most {k}", f"abs(x - y) <= {k}", lambda x, y, k=k: max(x, y) - min(x, y) < k + 1) for k in (2, 3, 4)},
    **{f"apart_{k}": Option(0, f"differ by at least {k}", f"abs(x - y) >= {k}", lambda x, y, k=k: max(x, y) - min(x, y) > k - 1) for k in (1, 2, 3)},
    "parity": Option(1, "have an odd sum", "(x + y) % 2 == 1", lambda x, y: bool((x ^ y) & 1)),
    "sum_3": Option(1, "have a sum that is not divisible by 3", "(x + y) % 3 != 0", lambda x, y: (x + y) // 3 * 3 != x + y),
    **{f"sum_{k}": Option(0, f"have a sum of at most {k}", f"x + y <= {k}", lambda x, y, k=k: x + y < k + 1) for k in (8, 10)},
    "product": Option(0, "have an even product", "x * y % 2 == 0", lambda x, y: not (x & 1 and y & 1)),
}
_ENDS = {
    "any": Option(0, "", "", lambda p: True),
    "rising": Option(1, "The first element must be less than the last.", "p[0] < p[-1]", lambda p: p[-1] > p[0]),
    "even": Option(1, "The first element must be even.", "p[0] % 2 == 0", lambda p: not p[0] & 1),
    "largest": Option(
        2,
        "The first element must be less than the largest of all.",
        "p[0] < max(p)",
        lambda p: any(x > p[0] for x in p),
    ),
    "smallest": Option(
        2,
        "The last element must be greater than the smallest of all.",
        "p[-1] > min(p)",
        lambda p: any(x < p[-1] for x in p),
    ),
}
_RESULTS = {
    "count": Option(2, "how many different arrangements there are", "len(found)", len),
    "first_sum": Option(3, "the sum of the first elements of the different arrangements", "sum(p[0] for p in found)", lambda ps: sum(p[0] for p in ps)),
    "smallest": Option(4, "the sum of index times element (indices from 0) over the arrangement that comes first in lexicographic order, or -1 if there is none",
                       "sum(i * x for i, x in enumerate(min(found))) if found else -1", lambda ps: sum(i * x for i, x in enumerate(sorted(ps)[0])) if ps else -1),
    "best": Option(4, "the greatest sum of index times element (indices from 0) of an arrangement, or -1 if there is none",
                   "max((sum(i * x for i, x in enumerate(p)) for p in found), default=-1)", lambda ps: max((sum(i * x for i, x in enumerate(p)) for p in ps), default=-1)),
    "firsts": Option(3, "how many different first elements the arrangements have", "len({p[0] for p in found})", lambda ps: len(Counter(p[0] for p in ps))),
}
_CHANGE = {
    "none": Option(0, "", "", lambda ls: ls),
    "distinct": Option(
        1, "Of equal elements only one is used.", "sorted(set(nums))", lambda ls: list(dict.fromkeys(ls))
    ),
    "absolute": Option(
        2,
        "Absolute values are used in place of the elements.",
        "[abs(x) for x in nums]",
        lambda ls: [max(x, -x) for x in ls],
    ),
    "shifted": Option(
        2, "x + 1 is used in place of each element x.", "[x + 1 for x in nums]", lambda ls: [1 + x for x in ls]
    ),
}


def describe(v: Variant) -> str:
    opening = f"An arrangement of the non-empty list nums has all its elements in some order, so that any two neighbours {v['near'].words}."
    return sentence(opening, v["change"].words, v["ends"].words, f"Return {v['result'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    change = f"nums = {v['change'].code}" if v["change"].code else ""
    test = f" and {v['ends'].code}" if v["ends"].code else ""
    near = v["near"].code
    return "from itertools import permutations\n\n\n" + function(
        FAMILY.signature, change, f"found = {{p for p in permutations(nums) if all({near} for x, y in zip(p, p[1:])){test}}}",
        f"return {finished(v['finish'], v['result'].code)}",
    )


def solve(v: Variant, nums: list[int]) -> int:
    bag = Counter(v["change"].run(nums))
    found = [p for p in _grow(v, (), bag, bag.total()) if v["ends"].run(p)]
    return v["finish"].run(v["result"].run(found))


def _grow(v: Variant, start: tuple[int, ...], bag: Counter[int], length: int) -> list[tuple[int, ...]]:
    if len(start) == length:
        return [start]
    nexts = [x for x in sorted(bag) if bag[x] and (not start or v["near"].run(start[-1], x))]
    return list(itertools.chain.from_iterable(_grow(v, (*start, x), bag - Counter((x,)), length) for x in nexts))


def sample(_v: Variant, rng: random.Random, stratum: str, _size: int) -> list[list[int]]:
    """One to five numbers that lie near each other."""
    length = {"empty": 1, "single": 1, "small": 3, "long": 5}.get(stratum, rng.randint(2, 4))
    low = -4 if stratum == "negative" else 0
    nums = [rng.randint(low, 7) for _ in range(length)]
    if stratum == "repeated":
        nums = [rng.choice(nums[:2]) for _ in nums]
    return [nums]


FAMILY = Family(
    name="permutations", title="Arrangements of a list", entry_point="arrangements", parameters="nums: list[int]", returns="int",
    axes={"near": _NEIGHBOURS, "ends": _ENDS, "result": _RESULTS, "change": _CHANGE, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
