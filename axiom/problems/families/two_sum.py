"""Pairs of a list: how the two must be related, where they may stand, what is asked of them."""

import itertools
import random

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_RELATIONS = {
    "sum": Option(0, "nums[i] + nums[j] equals target", "nums[i] + nums[j] == target", lambda a, b, t: t - a == b),
    "sum_below": Option(0, "nums[i] + nums[j] is less than target", "nums[i] + nums[j] < target", lambda a, b, t: t - a > b),
    "sum_above": Option(0, "nums[i] + nums[j] is greater than target", "nums[i] + nums[j] > target", lambda a, b, t: t - a < b),
    "gap": Option(1, "nums[i] and nums[j] differ by exactly target", "abs(nums[i] - nums[j]) == target", lambda a, b, t: max(a, b) - min(a, b) == t),
    "gap_below": Option(1, "nums[i] and nums[j] differ by less than target", "abs(nums[i] - nums[j]) < target", lambda a, b, t: max(a, b) - min(a, b) < t),
    "rise": Option(1, "nums[j] is greater than nums[i] by at least target", "nums[j] - nums[i] >= target", lambda a, b, t: a + t <= b),
    "product": Option(0, "nums[i] * nums[j] is greater than target", "nums[i] * nums[j] > target", lambda a, b, t: a * b - t >= 1),
    "double": Option(1, "nums[i] + 2 * nums[j] equals target", "nums[i] + 2 * nums[j] == target", lambda a, b, t: t - b - b == a),
    **{f"mod_{k}": Option(1, f"nums[i] + nums[j] - target is divisible by {k}", f"(nums[i] + nums[j] - target) % {k} == 0",
                          lambda a, b, t, k=k: (a + b) - (a + b - t) // k * k == t) for k in (3, 4, 5, 7)},
}
_PLACES = {
    "any": Option(0, "i < j", "range(i + 1, len(nums))", lambda i, j, n: True),
    "apart": Option(1, "i + 2 <= j", "range(i + 2, len(nums))", lambda i, j, n: j - i >= 2),
    "near_2": Option(2, "i < j <= i + 2", "range(i + 1, min(i + 3, len(nums)))", lambda i, j, n: j - i <= 2),
    "near_3": Option(2, "i < j <= i + 3", "range(i + 1, min(i + 4, len(nums)))", lambda i, j, n: j - i <= 3),
    "even": Option(2, "i < j with j - i even", "range(i + 2, len(nums), 2)", lambda i, j, n: not (i + j) & 1),
    "odd": Option(2, "i < j with j - i odd", "range(i + 1, len(nums), 2)", lambda i, j, n: bool((i + j) & 1)),
    "neighbours": Option(1, "j = i + 1", "range(i + 1, min(i + 2, len(nums)))", lambda i, j, n: j == i + 1),
}
_QUESTIONS = {
    "count": Option(0, "how many pairs of indices {} there are", "len(pairs)", lambda ps, ns: len(ps)),
    "any": Option(1, "1 if there is a pair of indices {}, else 0", "1 if pairs else 0", lambda ps, ns: int(bool(ps))),
    "first": Option(2, "i + j for the pair of indices {} that has the smallest i and, among those, the smallest j, or -1 if there is none",
                    "sum(pairs[0]) if pairs else -1", lambda ps, ns: sum(min(ps)) if ps else -1),
    "last": Option(2, "i + j for the pair of indices {} that has the greatest i and, among those, the greatest j, or -1 if there is none",
                   "sum(pairs[-1]) if pairs else -1", lambda ps, ns: sum(max(ps)) if ps else -1),
    "widest": Option(3, "the greatest j - i over all pairs of indices {}, or -1 if there is none",
                     "max((j - i for i, j in pairs), default=-1)", lambda ps, ns: max((j - i for i, j in ps), default=-1)),
    "best": Option(4, "the greatest nums[i] * nums[j] over all pairs of indices {}, or 0 if there is none",
                   "max((nums[i] * nums[j] for i, j in pairs), default=0)", lambda ps, ns: max((ns[i] * ns[j] for i, j in ps), default=0)),
    "values": Option(3, "how many different values of nums[i] occur in pairs of indices {}", "len({nums[i] for i, _ in pairs})",
                     lambda ps, ns: len(dict.fromkeys(ns[i] for i, _ in ps))),
    "total": Option(4, "the sum of nums[i] * nums[j] over all pairs of indices {}", "sum(nums[i] * nums[j] for i, j in pairs)",
                    lambda ps, ns: sum(ns[i] * ns[j] for i, j in ps)),
}


def describe(v: Variant) -> str:
    pair = f"({v['places'].words}) for which {v['relation'].words}"
    return sentence(f"Return {v['question'].words.format(pair)}.", v["finish"].words)


def program(v: Variant) -> str:
    return function(FAMILY.signature, "pairs = []", "for i in range(len(nums)):", f"    for j in {v['places'].code}:",
                    f"        if {v['relation'].code}:", "            pairs.append((i, j))",
                    f"return {finished(v['finish'], v['question'].code)}")


def solve(v: Variant, nums: list[int], target: int) -> int:
    pairs = {(i, j) for (i, a), (j, b) in itertools.combinations(enumerate(nums), 2)
             if v["places"].run(i, j, len(nums)) and v["relation"].run(a, b, target)}
    return v["finish"].run(v["question"].run(pairs, nums))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[object]:
    """A list of small numbers and a target that some pair often meets."""
    length = {"empty": 0, "single": 1, "small": rng.randint(3, 5), "long": 2 * size}.get(stratum, rng.randint(2, size))
    spread = 3 if stratum in ("repeated", "zero") else 12
    nums = [rng.randint(-spread, spread) for _ in range(length)]
    if stratum == "big":
        nums = [n * 2**61 + rng.randint(0, 3) for n in nums]
    if length < 2 or rng.random() < 0.25:
        return [nums, rng.randint(-8, 12)]
    a, b = rng.choice(nums), rng.choice(nums)
    words = v["relation"].words
    return [nums, a * b - 1 if "*" in words and "2 *" not in words else abs(a - b) if "differ" in words else a + b]


FAMILY = Family(
    name="two_sum", title="Pairs of a list", entry_point="pairs_of", parameters="nums: list[int], target: int", returns="int",
    axes={"relation": _RELATIONS, "places": _PLACES, "question": _QUESTIONS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: v["relation"].words,
)
