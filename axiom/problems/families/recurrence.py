"""Fibonacci-like sequences: starts, weights, a constant, a modulus, and what is asked of the terms."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_STARTS = {
    f"{a},{b}": Option(0, f"f(0) = {a}, f(1) = {b}", f"{a}, {b}", (a, b))
    for a, b in ((0, 1), (1, 1), (2, 1), (1, 2), (1, 3), (0, 2), (3, 5), (2, 7))
}
_STEPS = {
    f"{p},{q}": Option(cost, f"{_p} + {_q}", f"{_p.replace('f(n - 1)', 'b')} + {_q.replace('f(n - 2)', 'a')}", (p, q))
    for cost, p, q, _p, _q in (
        (0, 1, 1, "f(n - 1)", "f(n - 2)"), (1, 2, 1, "2 * f(n - 1)", "f(n - 2)"), (1, 1, 2, "f(n - 1)", "2 * f(n - 2)"),
        (1, 3, 1, "3 * f(n - 1)", "f(n - 2)"), (1, 1, 3, "f(n - 1)", "3 * f(n - 2)"), (2, 2, 3, "2 * f(n - 1)", "3 * f(n - 2)"),
        (2, -1, 2, "-f(n - 1)", "2 * f(n - 2)"), (2, 2, -3, "2 * f(n - 1)", "-3 * f(n - 2)"),
    )
}
_EXTRA = {
    "none": Option(0, "", "", lambda n: 0),
    **{f"plus_{k}": Option(1, f" + {k}", f" + {k}", lambda n, k=k: k) for k in (1, 2, 3)},
    "plus_n": Option(2, " + n", " + i", lambda n: n),
    "parity": Option(2, " + (n modulo 2)", " + i % 2", lambda n: n & 1),
}
_MODULI = {"none": Option(0, "", "", None)} | {
    str(k): Option(1, f", all of it modulo {k} (0 to {k - 1})", str(k), k) for k in (10, 13, 100, 1009)
}
_QUESTIONS = {
    "term": Option(0, "Return f(n).", "", lambda fs: fs[-1]),
    "sum": Option(3, "Return the sum of f(0) to f(n).", "sum(terms)", sum),
    "even": Option(4, "Return how many of f(0) to f(n) are even.", "sum(1 for t in terms if t % 2 == 0)", lambda fs: len([f for f in fs if not f & 1])),
    "largest": Option(3, "Return the largest of f(0) to f(n).", "max(terms)", lambda fs: sorted(fs)[-1]),
    "alternating": Option(4, "Return f(0) - f(1) + f(2) - f(3) and so on up to f(n).", "sum(terms[::2]) - sum(terms[1::2])",
                          lambda fs: sum(f if i % 2 == 0 else -f for i, f in enumerate(fs))),
    "difference": Option(3, "Return f(n) - f(n // 2), where // rounds down.", "terms[-1] - terms[n // 2]", lambda fs: fs[-1] - fs[(len(fs) - 1) // 2]),
}


def describe(v: Variant) -> str:
    rule = f"f(n) = {v['step'].words}{v['extra'].words}{v['modulus'].words}, for n of 2 and more"
    return sentence(f"A sequence begins with {v['start'].words}, and {rule}.", v["question"].words, v["finish"].words)


def program(v: Variant) -> str:
    term = v["step"].code + v["extra"].code
    term = f"({term}) % {v['modulus'].code}" if v["modulus"].code else term
    if not v["question"].code:
        steps = "for i in range(2, n + 2):" if "i" in v["extra"].code else "for _ in range(n):"
        return function(FAMILY.signature, f"a, b = {v['start'].code}", steps, f"    a, b = b, {term}",
                        f"return {finished(v['finish'], 'a')}")
    return function(FAMILY.signature, f"terms = [{v['start'].code}]", "for i in range(2, n + 1):", "    a, b = terms[-2:]",
                    f"    terms.append({term})", "terms = terms[: n + 1]", f"return {finished(v['finish'], v['question'].code)}")


def solve(v: Variant, n: int) -> int:
    known: dict[int, int] = dict(enumerate(v["start"].run))
    p, q = v["step"].run
    for k in range(2, n + 1):
        value = p * known[k - 1] + q * known[k - 2] + v["extra"].run(k)
        known[k] = value - value // v["modulus"].run * v["modulus"].run if v["modulus"].run else value
    return v["finish"].run(v["question"].run([known[k] for k in range(n + 1)]))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """A small n, at most twelve times `size`."""
    if stratum in ("empty", "zero", "single"):
        return [{"empty": 0, "zero": 1}.get(stratum, rng.choice((2, 3)))]
    if stratum == "small":
        return [rng.randint(2, 8)]
    return [rng.randint(6 * size, 12 * size) if stratum in ("big", "long") else rng.randint(2, 4 * size)]


FAMILY = Family(
    name="recurrence", title="Fibonacci-like sequences", entry_point="sequence", parameters="n: int", returns="int",
    axes={"start": _STARTS, "step": _STEPS, "extra": _EXTRA, "modulus": _MODULI, "question": _QUESTIONS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
