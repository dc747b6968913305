"""A small machine that reads numbers: stack or queue, what zeros and negatives do, a limit, what is left."""

import random
from collections.abc import Callable

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_ENDS = {
    "stack": Option(0, "last", "pop()", -1),
    "queue": Option(0, "first", "pop(0)", 0),
}


def _at_end(change: Callable[[list[int], int], list[int]]) -> Callable[[list[int], int, int], list[int]]:
    """What `change` does to items and a number at the last item, at the first one where `at` is 0; nothing without items."""
    return lambda ls, x, at: ls and (change(ls, x) if at else change(ls[::-1], x)[::-1])


_ZERO = {
    "pop": Option(0, "A zero removes the {end} item, if there is one.", "if items:\n    items.{pop}", _at_end(lambda ls, x: ls[:-1])),
    "clear": Option(0, "A zero removes all items.", "items = []", lambda ls, x, at: []),
    "double": Option(1, "A zero doubles the {end} item, if there is one.", "if items:\n    items[{at}] *= 2", _at_end(lambda ls, x: [*ls[:-1], ls[-1] + ls[-1]])),
    "copy": Option(1, "A zero adds a copy of the {end} item at the end, if there is one.", "if items:\n    items.append(items[{at}])",
                   lambda ls, x, at: ls + ls[at:][:1]),
    "rotate": Option(1, "A zero moves the {end} item to the other end, if there is one.",
                     "if items:\n    items.insert({other}, items.{pop})", _at_end(lambda ls, x: ls[-1:] + ls[:-1])),
    "reverse": Option(0, "A zero reverses the order of the items.", "items.reverse()", lambda ls, x, at: ls[::-1]),
}
_NEGATIVE = {
    "push": Option(0, "A negative number is added at the end like any other.", "items.append(x)", lambda ls, x, at: [*ls, x]),
    "absolute": Option(0, "Of a negative number the absolute value is added at the end.", "items.append(-x)", lambda ls, x, at: [*ls, abs(x)]),
    "ignore": Option(0, "A negative number is ignored.", "pass", lambda ls, x, at: ls),
    "remove": Option(2, "A negative number -k removes items from the {end} on, one by one, k of them or as many as there are.",
                     "for _ in range(-x):\n    if items:\n        items.{pop}", _at_end(lambda ls, x: ls[: max(0, len(ls) + x)])),
    "add": Option(2, "A negative number is added to the value of the {end} item, if there is one.", "if items:\n    items[{at}] += x",
                  _at_end(lambda ls, x: [*ls[:-1], ls[-1] + x])),
    "sum": Option(3, "A negative number replaces all items by their sum, if there are any.", "if items:\n    items = [sum(items)]",
                  lambda ls, x, at: [sum(ls)] if ls else []),
}
_LIMITS = {"none": Option(0, "", "", 10**9)} | {
    f"{how}_{k}": Option(2, f"When after a number there are more than {k} items, the {words} are removed until {k} are left.",
                         f"items = {code.format(k=k)}", (k, how))
    for k in (2, 3, 4, 6) for how, words, code in (("newest", "last ones", "items[:{k}]"), ("oldest", "first ones", "items[-{k}:]"))
}
_RESULTS = {
    "sum": Option(0, "the sum of the items that are left", "sum(items)", sum),
    "count": Option(0, "the number of items that are left", "len(items)", len),
    "last": Option(1, "the last item that is left, or 0 if there is none", "items[-1] if items else 0", lambda ls: ls[-1] if ls else 0),
    "first": Option(1, "the first item that is left, or 0 if there is none", "items[0] if items else 0", lambda ls: ls[0] if ls else 0),
    "largest": Option(1, "the largest item that is left, or 0 if there is none", "max(items, default=0)", lambda ls: sorted(ls)[-1] if ls else 0),
    "distinct": Option(1, "the number of different values among the items that are left", "len(set(items))", lambda ls: len(dict.fromkeys(ls))),
}


def describe(v: Variant) -> str:
    end = v["end"].words
    rules = [v["zero"].words.format(end=end), v["negative"].words.format(end=end), v["limit"].words]
    return sentence("Begin with an empty list of items and read nums from left to right. A positive number is added at the end.", *rules,
                    f"Return {v['result'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    names = {"pop": v["end"].code, "at": v["end"].run, "other": "0" if v["end"].run else "len(items)"}
    lines = ["items = []", "for x in nums:", "    if x > 0:", "        items.append(x)", "    elif x == 0:"]
    lines += [f"        {line.format(**names)}" for line in v["zero"].code.split("\n")]
    lines += ["    else:", *(f"        {line.format(**names)}" for line in v["negative"].code.split("\n"))]
    if v["limit"].code:
        lines.append(f"    {v['limit'].code}")
    return function(FAMILY.signature, *lines, f"return {finished(v['finish'], v['result'].code)}")


def solve(v: Variant, nums: list[int]) -> int:
    items: list[int] = []
    for x in nums:
        items = [*items, x] if x > 0 else v["negative" if x else "zero"].run(items, x, v["end"].run)
        if v["limit"].words and len(items) > v["limit"].run[0]:
            keep, how = v["limit"].run
            items = items[:keep] if how == "newest" else items[len(items) - keep :]
    return v["finish"].run(v["result"].run(items))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[list[int]]:
    """Mostly positive numbers, with zeros and small negatives among them."""
    length = {"empty": 0, "single": 1, "small": rng.randint(4, 6), "long": 4 * size}.get(
        stratum, rng.randint(4, 2 * size)
    )
    top = 2**65 if stratum == "big" else 20
    kinds = {"zero": (2, 3, 1), "negative": (3, 1, 3)}.get(stratum, (6, 2, 2))
    return [
        [rng.choices((rng.randint(1, rng.choice((2, top))), 0, -rng.randint(1, 4)), kinds)[0] for _ in range(length)]
    ]


FAMILY = Family(
    name="stack_machine", title="Stack and queue machines", entry_point="run_machine", parameters="nums: list[int]", returns="int",
    axes={"end": _ENDS, "zero": _ZERO, "negative": _NEGATIVE, "limit": _LIMITS, "result": _RESULTS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
