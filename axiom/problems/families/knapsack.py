"""Choosing items under a limit: how often each, how full, what is to be greatest."""

import itertools
import random

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_VALUES = {
    "value": Option(0, "the sum of their values", "v", lambda w, v: v),
    "count": Option(0, "their number", "1", lambda w, v: 1),
    "weight": Option(0, "the sum of their weights", "w", lambda w, v: w),
    "both": Option(1, "the sum of their weights and values", "w + v", lambda w, v: v + w),
    "double": Option(1, "the sum of their values plus twice their number", "v + 2", lambda w, v: 2 + v),
    "capped": Option(
        2, "the sum of their values, of which each counts as at most 5,", "min(v, 5)", lambda w, v: v if v < 5 else 5
    ),
    "square": Option(1, "the sum of the squares of their values", "v * v", lambda w, v: v**2),
}
_TIMES = {
    "once": Option(2, "at most once", "1", 1),
    "twice": Option(3, "at most twice (and then counts twice)", "2", 2),
    "thrice": Option(3, "at most three times (and counts as often)", "3", 3),
}
_FULL = {
    "most": Option(0, "the sum of the chosen weights is at most limit", "total <= limit", lambda total, limit: not total > limit),
    "below": Option(0, "the sum of the chosen weights is less than limit", "total < limit", lambda total, limit: total + 1 <= limit),
    "even": Option(1, "the sum of the chosen weights is even and at most limit", "total <= limit and total % 2 == 0", lambda total, limit: not total > limit and not total & 1),
    "exact": Option(0, "the sum of the chosen weights is exactly limit", "total == limit", lambda total, limit: not total - limit),
    "least": Option(0, "the sum of the chosen weights is at least limit", "total >= limit", lambda total, limit: not total < limit),
}
_NUMBER = {"any": Option(0, "", "", lambda n: True)} | {
    f"max_{k}": Option(1, f"At most {k} items may be chosen.", f"chosen <= {k}", lambda n, k=k: n < k + 1) for k in (1, 2, 3)
} | {"even": Option(1, "The number of chosen items must be even.", "chosen % 2 == 0", lambda n: not n & 1)}
_GOALS = {"greatest": Option(0, "greatest", "max", max), "least": Option(0, "least", "min", min)}


def describe(v: Variant) -> str:
    return sentence(f"items is a list of pairs [weight, value]. Each item may be chosen {v['times'].words}, so that {v['full'].words}.", v["number"].words,
                    f"Choosing nothing is a choice too. Of all such choices return the {v['goal'].words} possible value of: {v['score'].words.rstrip(',')}. Return -1 if there is no such choice.",
                    v["finish"].words)


def program(v: Variant) -> str:
    number = f" and {v['number'].code}" if v["number"].code else ""
    uses = {1: "for times in (0, 1):", 2: "for times in (0, 1, 2):", 3: "for times in (0, 1, 2, 3):"}[v["times"].run]
    score = v["score"].code if v["score"].code.isalnum() or "(" in v["score"].code else f"({v['score'].code})"
    return function(
        FAMILY.signature, "states = {(0, 0, 0)}", "for w, v in items:", "    grown = set()", "    for total, chosen, score in states:", f"        {uses}",
        f"            grown.add((total + times * w, chosen + times, score + times * {score}))", "    states = grown",
        f"result = {v['goal'].code}((score for total, chosen, score in states if {v['full'].code}{number}), default=-1)",
        f"return {finished(v['finish'], 'result')}",
    )


def solve(v: Variant, items: list[list[int]], limit: int) -> int:
    scores = [
        sum(k * v["score"].run(*item) for k, item in zip(uses, items, strict=True))
        for uses in itertools.product(range(v["times"].run + 1), repeat=len(items))
        if v["number"].run(sum(uses))
        and v["full"].run(sum(k * item[0] for k, item in zip(uses, items, strict=True)), limit)
    ]
    return v["finish"].run(v["goal"].run(scores) if scores else -1)


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[object]:
    """A few items; few enough that every choice can be tried."""
    most = {1: 6, 2: 5, 3: 4}[v["times"].run]
    count = {"empty": 0, "single": 1, "small": 3, "long": most}.get(stratum, rng.randint(2, most - 1))
    scale = 2**53 if stratum == "big" else 1
    items = [[rng.randint(1, 9), rng.randint(0 if stratum != "small" else 1, 12) * scale] for _ in range(count)]
    if stratum == "repeated" and items:
        items[-1] = list(items[0])
    total = sum(w for w, _ in items)
    reach = sum(rng.choice(items)[0] for _ in range(rng.randint(1, 3))) if items else 0
    if stratum in ("zero", "negative"):  # a limit that nothing stays below, and one that nothing reaches
        return [items, 0 if stratum == "zero" else 3 * total + 1]
    return [items, rng.choice((reach, reach, total, total // 2, rng.randint(0, 2 * total + 3)))]


FAMILY = Family(
    name="knapsack", title="Choosing under a limit", entry_point="best_choice", parameters="items: list[list[int]], limit: int", returns="int",
    axes={"score": _VALUES, "times": _TIMES, "full": _FULL, "number": _NUMBER, "goal": _GOALS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: v["times"].run,
)
