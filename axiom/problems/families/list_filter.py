"""A shorter list: which elements stay, what becomes of each, in which order they come."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import MAPS, PREDICATES, comprehension

ORDERS = {
    "kept": Option(0, "in their original order", "", list),
    "reversed": Option(1, "in reverse order", "[::-1]", lambda v: list(reversed(v))),
    "distinct": Option(3, "each value once, where it first appears", "list(dict.fromkeys({}))",
                       lambda v: [x for i, x in enumerate(v) if x not in v[:i]]),
    "distinct_last": Option(4, "each value once, where it last appears", "list(dict.fromkeys({}[::-1]))[::-1]",
                            lambda v: [x for i, x in enumerate(v) if x not in v[i + 1 :]]),
}


def _elements(count: int) -> str:
    return "element" if count == 1 else f"{count} elements"


PARTS = {
    "all": Option(0, "", "", lambda v: v),
    **{f"first_{k}": Option(1, f"Keep only the first {_elements(k)} of the result.", f"[:{k}]", lambda v, k=k: v[: min(k, len(v))])
       for k in (1, 2, 3, 4)},
    **{f"last_{k}": Option(1, f"Keep only the last {_elements(k)} of the result.", f"[-{k}:]", lambda v, k=k: v[max(0, len(v) - k) :])
       for k in (1, 2, 3)},
    **{f"without_{k}": Option(2, f"Drop the first {_elements(k)} of the result.", f"[{k}:]", lambda v, k=k: v[min(k, len(v)) :])
       for k in (1, 2)},
    "every_second": Option(2, "Of the result keep the first, third, fifth and so on.", "[::2]",
                           lambda v: [x for i, x in enumerate(v) if not i & 1]),
}

PLACES = {
    "everywhere": Option(0, "nums", "nums", lambda v: v),
    "even_places": Option(3, "nums, looking only at indices 0, 2, 4 and so on", "nums[::2]", lambda v: [v[i] for i in range(0, len(v), 2)]),
    "odd_places": Option(3, "nums, looking only at indices 1, 3, 5 and so on", "nums[1::2]", lambda v: [v[i] for i in range(1, len(v), 2)]),
    "not_first": Option(2, "nums, leaving out its first element", "nums[1:]", lambda v: [x for i, x in enumerate(v) if i]),
    "not_last": Option(2, "nums, leaving out its last element", "nums[:-1]", lambda v: v[: max(0, len(v) - 1)]),
}


def describe(v: Variant) -> str:
    items = v["map"].words.format(f"the {v['keep'].words} in {v['place'].words}")
    return f"Return a list of {items}, {v['order'].words}. {v['part'].words}".strip()


def program(v: Variant) -> str:
    items = f"[{comprehension(v['place'].code, v['keep'], v['map'])}]"
    order = v["order"].code
    ordered = order.format(items) if "{}" in order else items + order
    return function(FAMILY.signature, f"return {ordered}{v['part'].code}")


def solve(v: Variant, nums: list[int]) -> list[int]:
    kept = [v["map"].run(x) for x in v["place"].run(nums) if v["keep"].run(x)]
    return v["part"].run(v["order"].run(kept))


FAMILY = Family(
    name="list_filter", title="Choosing from a list", entry_point="choose", parameters="nums: list[int]",
    returns="list[int]",
    axes={"keep": PREDICATES, "map": MAPS, "order": ORDERS, "part": PARTS, "place": PLACES},
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.ints), accepts_any=True,
)
