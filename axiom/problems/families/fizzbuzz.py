"""FizzBuzz with other rules: two tests, what both mean, what neither means."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import places, sentence


def _tests(first: bool) -> dict[str, Option]:
    divisors = (2, 3, 4, 6) if first else (5, 7, 9)
    digits = (1, 3, 7) if first else (2, 5, 9)
    return {
        **{f"divides_{k}": Option(0, f"n is divisible by {k}", f"n % {k} == 0", lambda n, k=k: n // k * k == n) for k in divisors},
        **{f"digit_{d}": Option(1, f"n contains the decimal digit {d}", f"'{d}' in str(n)",
                                lambda n, d=d: d in places(n)) for d in digits},
        **{f"rest_{k}": Option(1, f"n leaves remainder 1 modulo {k}", f"n % {k} == 1", lambda n, k=k: (n - 1) // k * k == n - 1)
           for k in divisors if k > 2},
        **{f"sum_{k}": Option(2, f"the sum of n's decimal digits is divisible by {k}", f"sum(int(d) for d in str(n)) % {k} == 0",
                              lambda n, k=k: sum(places(n)) // k * k == sum(places(n))) for k in ((2, 4) if first else (5, 7))},
    }


_WORDS = {
    f"{a}/{b}": Option(0, "", "", (a, b)) for a, b in (("Fizz", "Buzz"), ("tic", "tac"), ("A", "B"), ("red", "blue"))
}
_BOTH = {
    "joined": Option(1, "If both hold, return {a!r} followed by {b!r}.", "{a!r} + {b!r}", lambda a, b: a + b),
    "first": Option(0, "If both hold, return {a!r}.", "", lambda a, b: a),
    "swapped": Option(1, "If both hold, return {b!r} followed by {a!r}.", "{b!r} + {a!r}", lambda a, b: b + a),
    "both": Option(1, "If both hold, return 'both'.", "'both'", lambda a, b: "both"),
    "number": Option(1, "If both hold, return n itself as a string.", "str(n)", None),
}
_NEITHER = {
    "number": Option(0, "If neither holds, return n as a string.", "str(n)", str),
    "empty": Option(0, "If neither holds, return the empty string.", "''", lambda n: ""),
    "dash": Option(0, "If neither holds, return '-'.", "'-'", lambda n: "-"),
    "parity": Option(2, "If neither holds, return 'even' or 'odd' as n is.", "'even' if n % 2 == 0 else 'odd'", lambda n: ("even", "odd")[n & 1]),
    "length": Option(2, "If neither holds, return the number of n's decimal digits as a string.", "str(len(str(n)))", lambda n: str(len(places(n)))),
    "reversed": Option(2, "If neither holds, return n's decimal digits in reverse order as a string.", "str(n)[::-1]",
                       lambda n: "".join(map(str, reversed(places(n))))),
}
_UP_TO = {
    "n": Option(0, "", "", False),
    "joined": Option(3, "Return that for every number from 1 to n in place of n, joined by single spaces.", "", True),
}


def describe(v: Variant) -> str:
    a, b = v["words"].run
    opening = f"For a natural number n: if {v['first'].words}, return {a!r}. If {v['second'].words}, return {b!r}."
    both = v["both"].words.format(a=a, b=b)
    return sentence(opening, both, v["neither"].words, v["range"].words)


def program(v: Variant) -> str:
    a, b = v["words"].run
    first, second = v["first"].code, v["second"].code
    lines = []
    if v["both"].code:
        lines += [f"if {first} and {second}:", f"    return {v['both'].code.format(a=a, b=b)}"]
    lines += [f"if {first}:", f"    return {a!r}", f"if {second}:", f"    return {b!r}", f"return {v['neither'].code}"]
    if not v["range"].run:
        return function(FAMILY.signature, *lines)
    inner = function("def word(n)", *lines)
    return (
        f"{inner}\n\n\n{function(FAMILY.signature, 'return ' + repr(' ') + '.join(word(k) for k in range(1, n + 1))')}"
    )


def solve(v: Variant, n: int) -> str:
    return " ".join(_word(v, k) for k in range(1, n + 1)) if v["range"].run else _word(v, n)


def _word(v: Variant, n: int) -> str:
    a, b = v["words"].run
    match (v["first"].run(n), v["second"].run(n)):
        case (True, True):
            return v["both"].run(a, b) if v["both"].run else str(n)
        case (True, False):
            return a
        case (False, True):
            return b
    return v["neither"].run(n)


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """A natural number, for which each test holds or fails equally often."""
    draw = inputs.between(1, 60 if v["range"].run else 400)
    wanted = rng.random() < 0.5, rng.random() < 0.5
    for _ in range(40):
        n = draw(rng, stratum, size)
        if (v["first"].run(n), v["second"].run(n)) == wanted:
            break
    return [n]


FAMILY = Family(
    name="fizzbuzz", title="FizzBuzz with rules", entry_point="fizz", parameters="n: int", returns="str",
    axes={"first": _tests(True), "second": _tests(False), "words": _WORDS, "both": _BOTH, "neither": _NEITHER, "range": _UP_TO},
    describe=describe, program=program, solve=solve, sample=sample,
)
