"""Subsets of a list: what their sum must be, which may stand together, what is asked."""

import itertools
import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_SUMS = {
    "exact": Option(0, "sum is exactly target", "total == target", lambda s, t: not s - t),
    "most": Option(0, "sum is at most target", "total <= target", lambda s, t: s < t + 1),
    "least": Option(0, "sum is at least target", "total >= target", lambda s, t: s > t - 1),
    **{f"mod_{k}": Option(1, f"sum minus target is divisible by {k}", f"(total - target) % {k} == 0", lambda s, t, k=k: (s - t) // k * k == s - t) for k in (2, 3, 4, 5)},
}
_TOGETHER = {
    "any": Option(0, "", "", lambda picks: True),
    "apart": Option(2, "No two chosen indices may be neighbours.", "all(b - a > 1 for a, b in zip(picked, picked[1:]))", lambda picks: not any(p + 1 in picks for p in picks)),
    "near": Option(2, "Chosen indices must not leave a gap of more than one index between neighbouring ones.", "all(b - a <= 2 for a, b in zip(picked, picked[1:]))",
                   lambda picks: all(any(q in picks for q in (p + 1, p + 2)) for p in picks if p != max(picks))),
    "block": Option(2, "The chosen indices must be consecutive.", "all(b - a == 1 for a, b in zip(picked, picked[1:]))",
                    lambda picks: not picks or max(picks) - min(picks) + 1 == len(picks)),
    "first_even": Option(1, "All chosen indices must be even.", "all(p % 2 == 0 for p in picked)", lambda picks: not any(p & 1 for p in picks)),
    "no_first": Option(1, "Index 0 must not be chosen.", "0 not in picked", lambda picks: all(picks)),
}
_SIZES = {
    "any": Option(0, "", "", lambda n: True),
    "some": Option(0, "At least one element must be chosen.", "picked", lambda n: n != 0),
    **{
        f"max_{k}": Option(1, f"At most {k} elements may be chosen.", f"len(picked) <= {k}", lambda n, k=k: n < k + 1)
        for k in (2, 3)
    },
    "even": Option(1, "The number of chosen elements must be even.", "len(picked) % 2 == 0", lambda n: not n & 1),
}
_RESULTS = {
    "count": Option(1, "how many such choices of indices there are", "len(found)", lambda fs, ns: len(fs)),
    "fewest": Option(2, "the least number of elements of such a choice, or -1 if there is none", "min((len(p) for p in found), default=-1)", lambda fs, ns: min(map(len, fs), default=-1)),
    "most": Option(2, "the greatest number of elements of such a choice, or -1 if there is none", "max((len(p) for p in found), default=-1)", lambda fs, ns: max(map(len, fs), default=-1)),
    "largest": Option(4, "the greatest sum of such a choice, or -1 if there is none", "max((sum(nums[i] for i in p) for p in found), default=-1)",
                      lambda fs, ns: max((sum(ns[i] for i in f) for f in fs), default=-1)),
    "sums": Option(4, "how many different sums such choices have", "len({sum(nums[i] for i in p) for p in found})", lambda fs, ns: len(dict.fromkeys(sum(ns[i] for i in f) for f in fs))),
}


def describe(v: Variant) -> str:
    return sentence(f"Choose elements of nums by their indices, each at most once, so that their {v['sum'].words}; choosing none is allowed and has sum 0.",
                    v["together"].words, v["size"].words.replace("At least one", "But at least one"), f"Return {v['result'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    tests = " and ".join(code for code in (v["sum"].code, v["size"].code, v["together"].code) if code)
    return function(
        FAMILY.signature, "found = []", "for mask in range(2 ** len(nums)):", "    picked = [i for i in range(len(nums)) if mask >> i & 1]",
        "    total = sum(nums[i] for i in picked)", f"    if {tests}:", "        found.append(picked)", f"return {finished(v['finish'], v['result'].code)}",
    )


def solve(v: Variant, nums: list[int], target: int) -> int:
    choices = itertools.chain.from_iterable(itertools.combinations(range(len(nums)), k) for k in range(len(nums) + 1))
    found = [
        picks
        for picks in choices
        if v["sum"].run(sum(nums[i] for i in picks), target) and v["size"].run(len(picks)) and v["together"].run(picks)
    ]
    return v["finish"].run(v["result"].run(found, nums))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[object]:
    """Up to six numbers and a target that some of them often reach."""
    length = {"empty": 0, "single": 1, "small": 3, "long": 6}.get(stratum, rng.randint(2, 5))
    scale, spread = (2**61, 3) if stratum == "big" else (1, 0)
    low = -6 if stratum in ("negative", "zero") else 1
    nums = [rng.randint(low, 9) * scale + rng.randint(0, spread) for _ in range(length)]
    if stratum == "repeated":
        nums = [rng.choice(nums[:2]) for _ in nums]
    share = rng.choice((0.2, 0.5, 0.8))
    picked = [x for x in nums if rng.random() < share]
    return [nums, sum(picked) if rng.random() < 0.75 else rng.randint(-3, 12) * scale]


FAMILY = Family(
    name="subsets", title="Subsets with a sum", entry_point="choices", parameters="nums: list[int], target: int", returns="int",
    axes={"sum": _SUMS, "together": _TOGETHER, "size": _SIZES, "result": _RESULTS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
