"""One number out of a list: which elements count, what becomes of each, how they are put together."""

import statistics

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, MAPS, PREDICATES, comprehension, finished

AGGREGATES = {
    "sum": Option(0, "the sum of {}", "sum({items})", sum),
    "count": Option(0, "the count of {bare}", "len([{inside}])", len),
    "max": Option(1, "the largest of {}, or 0 if there are none", "max({items}, default=0)", lambda v: sorted(v)[-1]),
    "min": Option(1, "the smallest of {}, or 0 if there are none", "min({items}, default=0)", lambda v: sorted(v)[0]),
    "distinct": Option(2, "the number of different values among {}", "len(set({items}))", lambda v: len(dict.fromkeys(v))),
    "first": Option(2, "the first of {}, or 0 if there are none", "next(iter({items}), 0)", lambda v: v[0]),
    "last": Option(2, "the last of {}, or 0 if there are none", "([0] + {items})[-1]", lambda v: v[-1]),
    "spread": Option(3, "the largest minus the smallest of {}, or 0 if there are none",
                     "max({items}, default=0) - min({items}, default=0)", lambda v: sorted(v)[-1] - sorted(v)[0]),
    "second": Option(4, "the second largest different value among {}, or 0 if there are fewer than two different values",
                     "([0, 0] + sorted(set({items})))[-2] if len(set({items})) > 1 else 0",
                     lambda v: sorted(set(v), reverse=True)[1] if len(set(v)) > 1 else 0),
    "median": Option(4, "the lower median of {} (the middle one after sorting, the left of the two middle ones if their "
                     "number is even), or 0 if there are none",
                     "sorted({items})[(len({items}) - 1) // 2] if {items} else 0", statistics.median_low),
    "alternating": Option(4, "the alternating sum of {} (the first minus the second plus the third and so on)",
                          "sum(v if i % 2 == 0 else -v for i, v in enumerate({items}))",
                          lambda v: sum(v[::2]) - sum(v[1::2])),
}


def describe(v: Variant) -> str:
    bare = f"{v['keep'].words} in nums"
    items = v["map"].words.format(f"the {bare}")
    return f"Return {v['aggregate'].words.format(items, bare=bare)}. {v['finish'].words}".strip()


def program(v: Variant) -> str:
    inside, aggregate = comprehension("nums", v["keep"], v["map"]), v["aggregate"].code
    body, items = [], f"[{inside}]"
    if inside == "x for x in nums":
        items = "nums"
    elif aggregate.count("{items}") > 1 or "next" in aggregate:
        body, items = [f"items = [{inside}]"], "items"
    result = aggregate.format(items=items, inside=inside)
    return function(FAMILY.signature, *body, f"return {finished(v['finish'], result)}")


def solve(v: Variant, nums: list[int]) -> int:
    chosen = [v["map"].run(x) for x in nums if v["keep"].run(x)]
    total = v["aggregate"].run(chosen) if chosen else 0
    return v["finish"].run(total)


FAMILY = Family(
    name="list_aggregate", title="One number from a list", entry_point="aggregate", parameters="nums: list[int]",
    returns="int",
    axes={"keep": PREDICATES, "map": MAPS, "aggregate": AGGREGATES, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.ints), accepts_any=True,
)
