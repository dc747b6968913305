"""Sorting: which elements, by which key, in which direction, how ties fall, which part is returned."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import PREDICATES, comprehension

KEYS = {
    "value": Option(0, "", "", lambda x: x),
    "absolute": Option(1, "by absolute value", "abs(x)", lambda x: max(x, -x)),
    "square_distance": Option(2, "by their squares", "x * x", lambda x: x**2),
    **{f"near_{k}": Option(2, f"by their distance from {k}", f"abs(x - {k})", lambda x, k=k: max(x - k, k - x))
       for k in (2, 3, 5, 10)},
    **{f"mod_{k}": Option(2, f"by their remainder modulo {k} (0 to {k - 1})", f"x % {k}", lambda x, k=k: x - x // k * k)
       for k in (2, 3, 4, 5, 7)},
    "last_digit": Option(2, "by their last decimal digit", "abs(x) % 10", lambda x: int(str(x)[-1])),
    "digit_sum": Option(3, "by the sum of their decimal digits (ignoring signs)", "sum(int(d) for d in str(abs(x)))",
                        lambda x: sum(map(int, str(x).replace("-", "")))),
    "digits": Option(3, "by their number of decimal digits (ignoring signs)", "len(str(abs(x)))",
                     lambda x: sum(c.isdigit() for c in str(x))),
}

DIRECTIONS = {"ascending": Option(0, "ascending", "", 1), "descending": Option(0, "descending", "reverse=True", -1)}

TIES = {
    "stable": Option(0, "keep their original order", "", None),
    "smaller": Option(2, "come with the smaller value first", "x", lambda x: x),
    "larger": Option(2, "come with the larger value first", "-x", lambda x: -x),
}

PARTS = {
    "all": Option(0, "", "", lambda v: v),
    **{f"first_{k}": Option(1, f"Return a list of only the first {k} of them." if k > 1 else "Return a list of only the first of them.", f"[:{k}]", lambda v, k=k: v[: min(k, len(v))])
       for k in (1, 2, 3, 4)},
    **{f"last_{k}": Option(1, f"Return a list of only the last {k} of them." if k > 1 else "Return a list of only the last of them.", f"[-{k}:]", lambda v, k=k: v[max(0, len(v) - k) :])
       for k in (1, 2, 3)},
    "without_ends": Option(2, "Leave out the first and the last of them.", "[1:-1]", lambda v: v[1 : max(1, len(v) - 1)]),
    "every_second": Option(2, "Return only the first, third, fifth of them and so on.", "[::2]",
                           lambda v: [x for i, x in enumerate(v) if not i & 1]),
}

UNIQUE = {
    "no": Option(0, "", "{}", list),
    "yes": Option(2, "different ", "dict.fromkeys({})", lambda v: [x for i, x in enumerate(v) if x not in v[:i]]),
}


def describe(v: Variant) -> str:
    key = v["key"].words
    order = f"sorted {key + ' in ' if key else 'in '}{v['direction'].words} order"
    ties = f" Numbers that tie {v['ties'].words}." if key else ""
    return f"Return the {v['unique'].words}{v['keep'].words} in nums, {order}.{ties} {v['part'].words}".strip()


def program(v: Variant) -> str:
    items = f"[{comprehension('nums', v['keep'])}]" if v["keep"].code else "nums"
    items = v["unique"].code.format(items)
    key, ties, down = v["key"].code, v["ties"].code, v["direction"].code
    if key and ties:
        arguments = (
            f"key=lambda x: ({'-' if down else ''}({key}), {ties})" if down else f"key=lambda x: ({key}, {ties})"
        )
    else:
        arguments = ", ".join(part for part in (f"key=lambda x: {key}" if key else "", down) if part)
    return function(FAMILY.signature, f"return sorted({', '.join(p for p in (items, arguments) if p)}){v['part'].code}")


def solve(v: Variant, nums: list[int]) -> list[int]:
    ordered: list[int] = []
    for x in v["unique"].run([x for x in nums if v["keep"].run(x)]):
        place = len(ordered)
        while place and _before(v, x, ordered[place - 1]):
            place -= 1
        ordered.insert(place, x)
    return v["part"].run(ordered)


def _before(v: Variant, left: int, right: int) -> bool:
    """Whether `left`, which stands later in nums, is sorted before `right`."""
    rank, other = v["key"].run(left) * v["direction"].run, v["key"].run(right) * v["direction"].run
    tie = v["ties"].run
    return rank < other or (rank == other and tie is not None and bool(v["key"].words) and tie(left) < tie(right))


FAMILY = Family(
    name="list_sort", title="Sorting by a rule", entry_point="arrange", parameters="nums: list[int]",
    returns="list[int]",
    axes={"keep": PREDICATES, "key": KEYS, "direction": DIRECTIONS, "ties": TIES, "part": PARTS, "unique": UNIQUE},
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.ints), accepts_any=True,
)
