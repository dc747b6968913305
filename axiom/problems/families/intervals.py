"""Intervals of integers: what an interval holds, which count, what is asked of them together."""

import random
from collections import Counter

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_ENDS = {
    "closed": Option(0, "the integers from a to b, both included", "range(a, b + 1)", lambda a, b: (a, b)),
    "half": Option(0, "the integers from a to b, b not included", "range(a, b)", lambda a, b: (a, b - 1)),
    "open": Option(1, "the integers between a and b, neither included", "range(a + 1, b)", lambda a, b: (a + 1, b - 1)),
    "wide": Option(
        1, "the integers from a - 1 to b + 1, both included", "range(a - 1, b + 2)", lambda a, b: (a - 1, b + 1)
    ),
}
_WHICH = {
    "all": Option(0, "", "", lambda a, b: True),
    **{f"long_{k}": Option(1, f"Intervals with b - a < {k} are ignored.", f"b - a >= {k}", lambda a, b, k=k: a + k <= b) for k in (2, 3, 4)},
    **{f"short_{k}": Option(1, f"Intervals with b - a > {k} are ignored.", f"b - a <= {k}", lambda a, b, k=k: a + k >= b) for k in (4, 6)},
    "even": Option(1, "Intervals with odd a are ignored.", "a % 2 == 0", lambda a, b: not a & 1),
    "positive": Option(1, "Intervals with a <= 0 are ignored.", "a > 0", lambda a, b: a >= 1),
}
_QUESTIONS = {
    "covered": Option(0, "how many integers lie in at least one interval", "len(depth)", lambda c: len(c)),
    "once": Option(2, "how many integers lie in exactly one interval", "sum(1 for d in depth.values() if d == 1)", lambda c: list(c.values()).count(1)),
    "twice": Option(2, "how many integers lie in two or more intervals", "sum(1 for d in depth.values() if d > 1)", lambda c: len([d for d in c.values() if d != 1])),
    "depth": Option(1, "the greatest number of intervals that one integer lies in, 0 if there are none", "max(depth.values(), default=0)", lambda c: max([0, *c.values()])),
    "least": Option(2, "the smallest integer that lies in the greatest number of intervals, 0 if no integer lies in any",
                    "min(depth, key=lambda p: (-depth[p], p), default=0)", lambda c: min((p for p in c if c[p] == max(c.values())), default=0)),
    "sum": Option(1, "the sum of the integers that lie in at least one interval", "sum(depth)", lambda c: sum(c.keys())),
    "groups": Option(3, "into how many unbroken stretches of neighbouring integers the integers fall that lie in at least one interval",
                     "sum(1 for p in depth if p - 1 not in depth)", lambda c: len(_stretches(c))),
    "longest": Option(4, "the length of the longest unbroken stretch of neighbouring integers that each lie in at least one interval, 0 if there is none", "",
                      lambda c: max((len(s) for s in _stretches(c)), default=0)),
    "gap": Option(4, "how many integers lie in no interval but between two that do", "max(depth) - min(depth) + 1 - len(depth) if depth else 0",
                  lambda c: sum(b[0] - a[-1] - 1 for a, b in zip(_stretches(c), _stretches(c)[1:], strict=False))),
}


def _stretches(c: Counter[int]) -> list[list[int]]:
    stretches: list[list[int]] = []
    for p in sorted(c):
        if stretches and stretches[-1][-1] == p - 1:
            stretches[-1].append(p)
        else:
            stretches.append([p])
    return stretches


def describe(v: Variant) -> str:
    opening = f"spans is a list of pairs [a, b] with a <= b. Each is an interval that holds {v['ends'].words}."
    return sentence(opening, v["which"].words, f"Return {v['question'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    lines = ["depth = {}", "for a, b in spans:"]
    indent = "    "
    if v["which"].code:
        lines.append(f"    if {v['which'].code}:")
        indent = "        "
    lines += [f"{indent}for p in {v['ends'].code}:", f"{indent}    depth[p] = depth.get(p, 0) + 1"]
    result = v["question"].code
    if not result:
        lines += [
            "best = 0",
            "for p in depth:",
            "    end = p",
            "    while end in depth:",
            "        end += 1",
            "    best = max(best, end - p)",
        ]
        result = "best"
    return function(FAMILY.signature, *lines, f"return {finished(v['finish'], result)}")


def solve(v: Variant, spans: list[list[int]]) -> int:
    counts: Counter[int] = Counter()
    for a, b in spans:
        low, high = v["ends"].run(a, b)
        if v["which"].run(a, b):
            counts.update(range(low, high + 1))
    return v["finish"].run(v["question"].run(counts))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[list[list[int]]]:
    """Intervals that overlap, touch and contain each other; some hold one integer."""
    count = {"empty": 0, "single": 1, "small": rng.randint(2, 3), "long": 2 * size}.get(
        stratum, rng.randint(2, max(3, size // 2))
    )
    shift = 2**53 if stratum == "big" else 0
    spans = []
    for _ in range(count):
        a = (
            rng.randint(-10, 10)
            if stratum == "negative"
            else rng.randint(0 if stratum == "small" else -5, 8 if stratum == "small" else 4 * size)
        )
        spans.append([shift + a, shift + a + (0 if stratum == "zero" and rng.random() < 0.5 else rng.randint(0, 9))])
    if stratum == "repeated":
        spans += [list(rng.choice(spans)) for _ in range(2)]
    return [spans]


FAMILY = Family(
    name="intervals", title="Intervals", entry_point="cover", parameters="spans: list[list[int]]", returns="int",
    axes={"ends": _ENDS, "which": _WHICH, "question": _QUESTIONS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
