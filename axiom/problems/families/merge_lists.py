"""Two lists made one: which elements, in which order, how ties fall, which part."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import PREDICATES, sentence

_JOINS = {
    "all": Option(0, "all elements of a and then all of b", "a + b", lambda a, b: [*a, *b]),
    "back": Option(0, "all elements of b and then all of a", "b + a", lambda a, b: [*b, *a]),
    "common": Option(1, "the elements of a that also occur in b", "[x for x in a if x in b]", lambda a, b: list(filter({*b}.__contains__, a))),
    "minus": Option(1, "the elements of a that do not occur in b", "[x for x in a if x not in b]", lambda a, b: [x for x in a if not b.count(x)]),
    "either": Option(3, "the elements of a that do not occur in b and then those of b that do not occur in a", "[x for x in a + b if (x in a) != (x in b)]",
                     lambda a, b: [x for x in a if not b.count(x)] + [x for x in b if not a.count(x)]),
    "sums": Option(1, "the sums of the elements of a and b at the same index, as far as both go", "[x + y for x, y in zip(a, b)]",
                   lambda a, b: [a[i] + b[i] for i in range(min(len(a), len(b)))]),
    "larger": Option(2, "the larger of the elements of a and b at the same index, as far as both go", "[max(x, y) for x, y in zip(a, b)]",
                     lambda a, b: [a[i] if a[i] > b[i] else b[i] for i in range(min(len(a), len(b)))]),
    "products": Option(1, "the products of the elements of a and b at the same index, as far as both go", "[x * y for x, y in zip(a, b)]",
                       lambda a, b: [a[i] * b[i] for i in range(min(len(a), len(b)))]),
    "in_turn": Option(3, "an element of a, one of b, one of a and so on, as far as both go, and then the rest of the longer one",
                      "[z for pair in zip(a, b) for z in pair] + a[len(b):] + b[len(a):]",
                      lambda a, b: [s[i] for i in range(max(len(a), len(b))) for s in (a, b) if i < len(s)]),
}
_ORDERS = {
    "kept": Option(0, "", "{}", list),
    "ascending": Option(1, "Sort the result in ascending order.", "sorted({})", lambda ls: [x for x in sorted({*ls}) for _ in range(ls.count(x))]),
    "descending": Option(1, "Sort the result in descending order.", "sorted({}, reverse=True)", lambda ls: sorted(ls)[::-1]),
    "backwards": Option(1, "Reverse the result.", "({})[::-1]", lambda ls: list(reversed(ls))),
    "by_size": Option(2, "Sort the result by absolute value in ascending order; ties keep their order.", "sorted({}, key=abs)",
                      lambda ls: [x for k in sorted({max(x, -x) for x in ls}) for x in ls if k in (x, -x)]),
    "distinct": Option(2, "Of equal elements of the result keep only the first.", "list(dict.fromkeys({}))", lambda ls: [x for i, x in enumerate(ls) if x not in ls[:i]]),
    "distinct_sorted": Option(2, "Sort the different values of the result in ascending order.", "sorted(set({}))", lambda ls: [x for i, x in enumerate(sorted(ls)) if x not in sorted(ls)[:i]]),
}
_PARTS = {
    "all": Option(0, "", "", lambda ls: ls),
    **{f"first_{k}": Option(1, f"Return only its first {k} elements.", f"[:{k}]", lambda ls, k=k: ls[: min(k, len(ls))]) for k in (2, 3, 5)},
    **{f"last_{k}": Option(1, f"Return only its last {k} elements.", f"[-{k}:]", lambda ls, k=k: ls[max(0, len(ls) - k) :]) for k in (2, 3)},
    "every_second": Option(1, "Return only its first, third, fifth element and so on.", "[::2]", lambda ls: [x for i, x in enumerate(ls) if not i & 1]),
}
_KEPT = {"all": PREDICATES["all"]} | {
    name: Option(option.cost + 2, option.words, option.code, option.run) for name, option in PREDICATES.items() if name in (
        "even", "odd", "positive", "negative", "above_3", "above_5", "below_4", "below_7", "multiple_3", "not_multiple_3", "multiple_5", "between_-5_5", "outside_-5_5",
        "last_digit_3", "digit_sum_even", "digit_sum_odd", "between_1_9", "last_digit_1")
}


def describe(v: Variant) -> str:
    kept = f"Of that keep only the {v['kept'].words}." if v["kept"].code else ""
    return sentence(
        f"Make a list of {v['join'].words}.",
        kept,
        v["order"].words,
        v["part"].words,
        "Return it." if not v["part"].words else "",
    )


def program(v: Variant) -> str:
    result = v["join"].code
    lines = []
    if v["kept"].code:
        lines, result = [f"both = {result}"], f"[x for x in both if {v['kept'].code}]"
    ordered = v["order"].code.format(result)
    bare = v["part"].code and v["order"].code == "{}" and not result.startswith("[x for x in both")
    return function(FAMILY.signature, *lines, f"return {f'({ordered})' if bare else ordered}{v['part'].code}")


def solve(v: Variant, a: list[int], b: list[int]) -> list[int]:
    joined = [x for x in v["join"].run(a, b) if v["kept"].run(x)]
    return v["part"].run(v["order"].run(joined))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[list[int]]:
    """Two lists that share elements, one of them sometimes empty."""
    a = inputs.ints(rng, stratum, size)
    b = inputs.ints(rng, "typical" if stratum in ("empty", "single") else stratum, size)
    b = b[: rng.randint(0, 2)] if rng.random() < 0.3 else b
    b = [rng.choice(a) if a and rng.random() < 0.4 else x for x in b]
    if stratum == "empty":
        return [a, b]
    return [b, a] if rng.random() < 0.4 else [a, b]


FAMILY = Family(
    name="merge_lists", title="Merging two lists", entry_point="merge", parameters="a: list[int], b: list[int]", returns="list[int]",
    axes={"join": _JOINS, "kept": _KEPT, "order": _ORDERS, "part": _PARTS},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language, accepts_any=True,
)
