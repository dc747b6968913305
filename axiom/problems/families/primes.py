"""Primes and divisors: which numbers up to n count, or what n is made of."""

import math
import random
from collections.abc import Callable

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_SIEVED = {
    "count": Option(2, "how many primes p with {range} there are", "len(primes)", len),
    "sum": Option(2, "the sum of the primes p with {range}", "sum(primes)", sum),
    "largest": Option(3, "the largest prime p with {range}, or 0 if there is none", "max(primes, default=0)", lambda ps: sorted(ps)[-1] if ps else 0),
    "smallest": Option(3, "the smallest prime p with {range}, or 0 if there is none", "min(primes, default=0)", lambda ps: sorted(ps)[0] if ps else 0),
    "gap": Option(5, "the largest difference of two neighbouring ones among the primes p with {range}, or 0 if there are fewer than two",
                  "max((b - a for a, b in zip(primes, primes[1:])), default=0)",
                  lambda ps: max((ps[i + 1] - ps[i] for i in range(len(ps) - 1)), default=0)),
}
_RANGES = {
    "upto": Option(0, "p <= n", "range(2, n + 1)", lambda n: (2, n)),
    "below": Option(0, "p < n", "range(2, n)", lambda n: (2, n - 1)),
    "double": Option(1, "n < p <= 2 * n", "range(n + 1, 2 * n + 1)", lambda n: (n + 1, n + n)),
    "half": Option(1, "n // 2 <= p <= n", "range(max(2, n // 2), n + 1)", lambda n: (n >> 1, n)),
    "next": Option(1, "n <= p <= n + 50", "range(max(2, n), n + 51)", lambda n: (n, n + 50)),
}
_WHICH = {
    "all": Option(0, "", "", lambda p: True),
    **{f"digit_{d}": Option(1, f"Only primes whose last decimal digit is {d} count.", f"p % 10 == {d}", lambda p, d=d: str(p).endswith(str(d))) for d in (1, 3, 7, 9)},
    **{f"mod_{m}_{r}": Option(1, f"Only primes that leave remainder {r} modulo {m} count.", f"p % {m} == {r}", lambda p, m=m, r=r: (p - r) // m * m == p - r)
       for m, r in ((3, 1), (3, 2), (4, 1), (4, 3), (6, 1), (6, 5))},
}
_MADE_OF = {
    "divisors": Option(0, "how many natural numbers divide n", "sum(1 for d in range(1, n + 1) if n % d == 0{extra})", (1, len)),
    "divisor_sum": Option(0, "the sum of the natural numbers that divide n", "sum(d for d in range(1, n + 1) if n % d == 0{extra})", (1, sum)),
    "proper": Option(0, "the sum of the natural numbers less than n that divide n", "sum(d for d in range(1, n) if n % d == 0{extra})", (0, sum)),
    "proper_count": Option(0, "how many natural numbers less than n divide n", "sum(1 for d in range(1, n) if n % d == 0{extra})", (0, len)),
    "largest_proper": Option(1, "the largest natural number less than n that divides n (0 if there is none)",
                             "max((d for d in range(1, n) if n % d == 0{extra}), default=0)", (0, lambda ds: max(ds, default=0))),
    "smallest": Option(1, "the smallest natural number greater than 1 that divides n (0 if there is none)",
                       "min((d for d in range(2, n + 1) if n % d == 0{extra}), default=0)", (2, lambda ds: min(ds, default=0))),
}
_EXTRA = {
    "all": Option(0, "", "", lambda d: True),
    "odd": Option(1, "Only odd divisors count.", " and d % 2 == 1", lambda d: bool(d & 1)),
    "even": Option(1, "Only even divisors count.", " and d % 2 == 0", lambda d: not d & 1),
    **{f"above_{k}": Option(1, f"Only divisors greater than {k} count.", f" and d > {k}", lambda d, k=k: d - k >= 1) for k in (2, 5, 10)},
    **{f"not_{k}": Option(1, f"Divisors that are multiples of {k} do not count.", f" and d % {k} != 0", lambda d, k=k: d // k * k != d) for k in (3, 4, 5)},
}
_FACTORS = {
    "count": Option(5, "the number of prime factors of n, counted as often as they divide it", "len(factors)", len),
    "distinct": Option(5, "the number of different prime factors of n", "len(set(factors))", lambda fs: len(dict.fromkeys(fs))),
    "sum": Option(5, "the sum of the prime factors of n, each as often as it divides n", "sum(factors)", sum),
    "distinct_sum": Option(5, "the sum of the different prime factors of n", "sum(set(factors))", lambda fs: sum(dict.fromkeys(fs))),
    "largest": Option(5, "the largest prime factor of n, or 1 if there is none", "max(factors, default=1)", lambda fs: sorted([1, *fs])[-1]),
    "power": Option(6, "the greatest number of times that one prime divides n (0 if there is none)",
                    "max((factors.count(p) for p in factors), default=0)", lambda fs: max([0, *map(fs.count, fs)])),
}


def describe(v: Variant) -> str:
    if "made_of" in v:
        return sentence("n is a natural number.", f"Return {v['made_of'].words}.", v["extra"].words, v["finish"].words)
    if "factors" in v:
        return sentence(f"n is a natural number. Return {v['factors'].words} (1 has none).", v["finish"].words)
    question = v["sieved"].words.format(range=v["range"].words)
    return sentence(f"n is a natural number. Return {question}.", v["which"].words, v["finish"].words)


def program(v: Variant) -> str:
    if "made_of" in v:
        return function(
            FAMILY.signature, f"return {finished(v['finish'], v['made_of'].code.format(extra=v['extra'].code))}"
        )
    if "factors" in v:
        return function(FAMILY.signature, "factors, d = [], 2", "while d <= n:", "    if n % d == 0:", "        factors.append(d)",
                        "        n //= d", "    else:", "        d += 1", f"return {finished(v['finish'], v['factors'].code)}")
    also = f" and {v['which'].code}" if v["which"].code else ""
    listed = f"primes = [p for p in {v['range'].code} if all(p % d for d in range(2, int(p**0.5) + 1)){also}]"
    return function(FAMILY.signature, listed, f"return {finished(v['finish'], v['sieved'].code)}")


def solve(v: Variant, n: int) -> int:
    if "made_of" in v:
        least, ask = v["made_of"].run
        divisors = [d for d in _divisors(n) if (d != n or least) and (d > 1 or least < 2) and v["extra"].run(d)]
        return v["finish"].run(ask(divisors))
    if "factors" in v:
        return v["finish"].run(v["factors"].run(_factors(n)))
    low, high = v["range"].run(n)
    return v["finish"].run(v["sieved"].run([p for p in _sieve(high) if p >= low and v["which"].run(p)]))


def _divisors(n: int) -> list[int]:
    small = [d for d in range(1, math.isqrt(n) + 1) if not n % d]
    return sorted({*small, *(n // d for d in small)})


def _factors(n: int) -> list[int]:
    first: Callable[[int], int] = lambda k: next((d for d in range(2, math.isqrt(k) + 1) if not k % d), k)  # noqa: E731
    return [] if n == 1 else [first(n), *_factors(n // first(n))]


def _sieve(high: int) -> list[int]:
    marks = [True] * (high + 1)
    for p in range(2, math.isqrt(max(high, 0)) + 1):
        marks[p * p :: p] = [False] * len(marks[p * p :: p])
    return [p for p in range(2, high + 1) if marks[p]]


_PRIMES = _sieve(150)


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """A natural number; often one where a range begins or ends at a prime that counts."""
    if stratum == "zero":
        return [rng.choice((2, 3, 5, 7)) * rng.choice((2, 3, 5, 7, 11, 13))]
    if stratum in ("negative", "big", "repeated"):
        counting = [p for p in _PRIMES if v["which"].run(p)] if "which" in v else []
        p = rng.choice(counting or _PRIMES)
        return [max(1, rng.choice((p, p, p - 1, p + 1, p // 2)))]
    return [rng.randint(1, 30) if stratum == "typical" else _DRAW(rng, stratum, size)]


_DRAW = inputs.between(1, 150)

FAMILY = Family(
    name="primes", title="Primes and divisors", entry_point="number_property", parameters="n: int", returns="int",
    axes=(
        {"made_of": _MADE_OF, "extra": _EXTRA, "finish": FINISH},
        {"sieved": _SIEVED, "range": _RANGES, "which": _WHICH, "finish": FINISH},
        {"factors": _FACTORS, "finish": FINISH},
    ),
    describe=describe, program=program, solve=solve, sample=sample,
    language=lambda v: v["which"].words if "which" in v else None,
)
