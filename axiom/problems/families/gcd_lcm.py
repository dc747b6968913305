"""Common divisors and multiples of two numbers, each changed first."""

import math
import random

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence


def _changes(name: str) -> dict[str, Option]:
    return {
        "same": Option(0, "", "", lambda x: x),
        **{f"plus_{k}": Option(1, f"Take {name} + {k} in place of {name}.", f"{name} + {k}", lambda x, k=k: k + x) for k in (1, 2, 6)},
        **{f"times_{k}": Option(1, f"Take {k} * {name} in place of {name}.", f"{name} * {k}", lambda x, k=k: sum([x] * k)) for k in (2, 3)},
        "square": Option(1, f"Take the square of {name} in place of {name}.", f"{name} * {name}", lambda x: x**2),
        "half": Option(1, f"Take {name} // 2 (rounded down) in place of {name}.", f"{name} // 2", lambda x: x >> 1),
        "reversed": Option(3, f"Take the number whose decimal digits are those of {name} in reverse order in place of {name}.",
                           f"int(str({name})[::-1])", lambda x: sum(int(d) * 10**i for i, d in enumerate(str(x)))),
    }


_QUESTIONS = {
    "gcd": Option(0, "their greatest common divisor (that of 0 and 0 is 0)", "x", lambda a, b: math.gcd(a, b)),
    "lcm": Option(1, "their least common multiple (0 if one of them is 0)", "a * b // x if x else 0", lambda a, b: math.lcm(a, b)),
    "coprime": Option(1, "1 if their greatest common divisor is 1, else 0", "1 if x == 1 else 0", lambda a, b: int(math.gcd(a, b) == 1)),
    "reduced": Option(1, "the first divided by their greatest common divisor (0 if both are 0)", "a // x if x else 0",
                      lambda a, b: a // math.gcd(a, b) if a or b else 0),
    "both": Option(2, "the sum of their greatest common divisor (that of 0 and 0 is 0) and their least common multiple (0 if one of them is 0)",
                   "x + (a * b // x if x else 0)", lambda a, b: math.gcd(a, b) + math.lcm(a, b)),
    "count": Option(4, "how many natural numbers divide both (0 if both are 0)", "sum(1 for d in range(1, x + 1) if x % d == 0)",
                    lambda a, b: len(_divisors(math.gcd(a, b)))),
    "sum": Option(4, "the sum of the natural numbers that divide both (0 if both are 0)", "sum(d for d in range(1, x + 1) if x % d == 0)",
                  lambda a, b: sum(_divisors(math.gcd(a, b)))),
    "digits": Option(4, "the sum of the decimal digits of their greatest common divisor (that of 0 and 0 is 0)", "sum(int(d) for d in str(x))",
                     lambda a, b: sum(map(int, str(math.gcd(a, b))))),
}


def _divisors(n: int) -> set[int]:
    small = [d for d in range(1, math.isqrt(n) + 1) if n // d * d == n] if n else []
    return {*small, *(n // d for d in small)}


def describe(v: Variant) -> str:
    pair = "the two" if v["a"].words or v["b"].words else "a and b"
    return sentence("a and b are natural numbers or 0.", v["a"].words, v["b"].words, f"Of {pair} return {v['question'].words}.",
                    v["finish"].words)


def program(v: Variant) -> str:
    changes = [f"{name} = {v[name].code}" for name in ("a", "b") if v[name].code]
    return function(
        FAMILY.signature,
        *changes,
        "x, y = a, b",
        "while y:",
        "    x, y = y, x % y",
        f"return {finished(v['finish'], v['question'].code)}",
    )


def solve(v: Variant, a: int, b: int) -> int:
    return v["finish"].run(v["question"].run(v["a"].run(a), v["b"].run(b)))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """Two numbers that often share a factor; beyond 2**53 in the big stratum."""
    if stratum in ("big", "long", "negative"):  # naturals are never negative, and a long number is a huge one
        return _huge(rng)
    if "range" in v["question"].code:  # that loop runs up to the greatest common divisor itself
        small = (0, 1, 12, 24, 30, 36, 60, rng.randint(1, 60))
        return [0, 0] if stratum == "empty" else [rng.choice(small) for _ in "ab"]
    common = rng.choice((1, 1, 2, 3, 4, 6, 10, 12, 30))
    top = {"small": 9}.get(stratum, 12 * size)
    a, b = common * rng.randint(1, top), common * rng.randint(1, top)
    if stratum in ("empty", "zero") or (stratum == "single" and rng.random() < 0.5):
        return [0, 0] if stratum == "empty" and rng.random() < 0.7 else rng.choice(([0, b], [a, 0]))
    if stratum == "repeated":
        b = a * rng.randint(1, 4)
    return [a, b]


def _huge(rng: random.Random) -> list[int]:
    """A number far beyond 2**53 and a small one that share an odd factor, in either order."""
    common = rng.choice((3, 5, 7, 9, 15))
    pair = [common * rng.randrange(2**70, 2**71), common * rng.randint(1, 9)]
    return pair if rng.random() < 0.5 else pair[::-1]


FAMILY = Family(
    name="gcd_lcm", title="Common divisors and multiples", entry_point="common", parameters="a: int, b: int", returns="int",
    axes={"a": _changes("a"), "b": _changes("b"), "question": _QUESTIONS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: "range" in v["question"].code,
)
