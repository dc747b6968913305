"""Digits of a number: in which base, which of them, what becomes of each, how they are put together."""

import math
import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, places, sentence

_BASES = {"10": Option(0, "decimal", "[int(d) for d in str(n)]", 10)} | {
    str(k): Option(2, f"base-{k}", str(k), k) for k in (2, 3, 5, 7, 8, 16)
}
_WHICH = {
    "all": Option(0, "digits", "", lambda d: True),
    "even": Option(1, "even digits", "d % 2 == 0", lambda d: not d & 1),
    "odd": Option(1, "odd digits", "d % 2 == 1", lambda d: bool(d & 1)),
    "nonzero": Option(1, "digits other than 0", "d != 0", bool),
    **{f"above_{k}": Option(1, f"digits greater than {k}", f"d > {k}", lambda d, k=k: d - k >= 1) for k in (1, 2, 4, 6)},
    **{f"below_{k}": Option(1, f"digits less than {k}", f"d < {k}", lambda d, k=k: d + 1 <= k) for k in (4, 7)},
}
_EACH = {
    "same": Option(0, "the {}", "d", lambda d: d),
    "square": Option(1, "the squares of the {}", "d * d", lambda d: d**2),
    "cube": Option(1, "the cubes of the {}", "d ** 3", lambda d: d * d * d),
    "double": Option(1, "twice each of the {}", "2 * d", lambda d: d + d),
    "plus_1": Option(1, "one more than each of the {}", "d + 1", lambda d: 1 + d),
    "fold": Option(2, "twice each of the {}, less 9 where that is above 9,", "(2 * d if d < 5 else 2 * d - 9)", lambda d: d + d - (9 if d + d > 9 else 0)),
}
_TOGETHER = {
    "sum": Option(0, "the sum of {}", "sum({})", sum),
    "largest": Option(1, "the largest of {} (0 if there are none)", "max({}, default=0)", lambda ds: max([0, *ds])),
    "smallest": Option(1, "the smallest of {} (0 if there are none)", "min({}, default=0)", lambda ds: sorted(ds)[0] if ds else 0),
    "count": Option(1, "how many there are of {}", "len({})", len),
    "distinct": Option(1, "the number of different values among {}", "len(set({}))", lambda ds: len(dict.fromkeys(ds))),
    "product": Option(3, "the product of {} (1 if there are none)", "", math.prod),
    "alternating": Option(3, "the alternating sum of {} (the one at the highest place minus the next plus the one after that and so on)",
                          "sum(d if i % 2 == 0 else -d for i, d in enumerate({}))", lambda ds: sum(ds[::2]) - sum(ds[1::2])),
}


def describe(v: Variant) -> str:
    digits = v["each"].words.format(f"{v['base'].words} {v['which'].words} of n")
    return sentence(
        "n is a natural number or 0, whose one digit is 0.",
        f"Return {v['together'].words.format(digits)}.",
        v["finish"].words,
    )


def program(v: Variant) -> str:
    if v["base"].run == 10:
        body, source = [], "map(int, str(n))"
    else:
        body = ["digits = [n % B]".replace("B", v["base"].code), f"while n >= {v['base'].code}:", f"    n //= {v['base'].code}",
                f"    digits.insert(0, n % {v['base'].code})"]
        source = "digits"
    inside = f"{v['each'].code} for d in {source}" + (f" if {v['which'].code}" if v["which"].code else "")
    if not v["together"].code:
        return function(
            FAMILY.signature,
            *body,
            "result = 1",
            f"for d in [{inside}]:",
            "    result *= d",
            f"return {finished(v['finish'], 'result')}",
        )
    return function(
        FAMILY.signature, *body, f"return {finished(v['finish'], v['together'].code.format(f'[{inside}]'))}"
    )


def solve(v: Variant, n: int) -> int:
    digits = places(n, v["base"].run)
    return v["finish"].run(v["together"].run([v["each"].run(d) for d in digits if v["which"].run(d)]))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """A natural number of any length, often next to a power of the base."""
    if stratum == "single" or (stratum in ("repeated", "negative") and rng.random() < 0.5):
        return [rng.choice((1, 1, 2)) * v["base"].run ** rng.choice((1, 1, 2, 3)) + rng.choice((-1, -1, 0, 0, 1))]
    return [inputs.wide(rng, stratum, size)]


FAMILY = Family(
    name="digit_sums", title="Digits of a number", entry_point="digits", parameters="n: int", returns="int",
    axes={"base": _BASES, "which": _WHICH, "each": _EACH, "together": _TOGETHER, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: v["base"].run,
)
