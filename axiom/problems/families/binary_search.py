"""Where a value stands in a sorted list: ties, missing values, direction, what is compared."""

import random
from collections.abc import Callable

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_TARGETS = {
    "same": Option(0, "x", "", lambda x: x),
    "next": Option(1, "x + 1", "x + 1", lambda x: 1 + x),
    "previous": Option(1, "x - 1", "x - 1", lambda x: -1 + x),
    "double": Option(1, "2 * x", "2 * x", lambda x: x + x),
    "negative": Option(1, "-x", "-x", lambda x: 0 - x),
    "half": Option(1, "x // 2 (rounded down)", "x // 2", lambda x: x >> 1),
}
_DIRECTIONS = {
    "ascending": Option(0, "ascending", "<", 1),
    "descending": Option(1, "descending", ">", -1),
}
_QUESTIONS = {
    "first": Option(1, "the index of the first element equal to {}", "left", lambda ls, t: _where(ls, t, min)),
    "last": Option(2, "the index of the last element equal to {}", "right", lambda ls, t: _where(ls, t, max)),
    "insert_left": Option(0, "the least index at which {} can be inserted so that the list stays sorted", "left", lambda ls, t: sum(1 for e in ls if e < t)),
    "insert_right": Option(0, "the greatest index at which {} can be inserted so that the list stays sorted", "right", lambda ls, t: sum(1 for e in ls if e <= t)),
    "count": Option(5, "how many elements are equal to {}", "", lambda ls, t: ls.count(t)),
    "different": Option(5, "how many elements are not equal to {}", "", lambda ls, t: len(ls) - ls.count(t)),
    "steps": Option(2, "the number of times the loop body of this search for {t} runs: low = 0, high = len(nums); while low < high: mid = (low + high) // 2; "
                    "if nums[mid] stands before {t} in the sort order, low = mid + 1, else high = mid", "steps", lambda ls, t: _steps(ls, t, 0, len(ls))),
}
_MISSING = {
    "minus": Option(0, "-1", "-1", lambda ls, place: -1),
    "length": Option(0, "len(nums)", "len(nums)", lambda ls, place: len(ls)),
    "place": Option(1, "-p - 1, where p is the least index at which it can be inserted so that the list stays sorted,", "-low - 1", lambda ls, place: -(place + 1)),
    "neighbour": Option(1, "the least index at which it can be inserted so that the list stays sorted", "low", lambda ls, place: place),
}
_FINDING = {name: _QUESTIONS[name] for name in ("first", "last")}
_OTHER = {name: option for name, option in _QUESTIONS.items() if name not in _FINDING}


def _where(ls: list[int], t: int, pick: Callable[[list[int]], int]) -> int | None:
    places = [i for i, e in enumerate(ls) if e == t]
    return pick(places) if places else None


def describe(v: Variant) -> str:
    opening = f"nums is a list of integers in {v['direction'].words} order."
    target = v["target"].words
    question = f"Return {v['question'].words.format(target, t=target)}"
    missing = f", or {v['missing'].words} if there is none" if "missing" in v else ""
    return sentence(opening, f"{question}{missing}.", v["finish"].words)


def _search(before: str, name: str = "low") -> list[str]:
    return [f"{name}, high = 0, len(nums)", f"while {name} < high:", f"    mid = ({name} + high) // 2", f"    if nums[mid] {before} x:",
            f"        {name} = mid + 1", "    else:", "        high = mid"]


def program(v: Variant) -> str:
    step = f"x = {v['target'].code}" if v["target"].code else ""
    before, side = v["direction"].code, v["question"].code
    if side == "steps":
        loop = [line.replace("    mid", "    steps += 1\n    mid", 1) for line in _search(before)]
        return function(FAMILY.signature, step, "steps = 0", *loop, f"return {finished(v['finish'], 'steps')}")
    if not side:
        count = "low - start" if "how many elements are equal" in v["question"].words else "len(nums) - (low - start)"
        return function(
            FAMILY.signature,
            step,
            *_search(before, "start"),
            *_search(f"{before}="),
            f"return {finished(v['finish'], count)}",
        )
    lines = _search(before if side == "left" else f"{before}=")
    if "missing" not in v:
        return function(FAMILY.signature, step, *lines, f"return {finished(v['finish'], 'low')}")
    place = "low" if side == "left" else "low - 1"
    found = "low < len(nums) and nums[low] == x" if side == "left" else "low > 0 and nums[low - 1] == x"
    return function(FAMILY.signature, step, *lines, f"if {found}:", f"    return {finished(v['finish'], place)}",
                    f"return {finished(v['finish'], v['missing'].code)}")


def solve(v: Variant, nums: list[int], x: int) -> int:
    sign = v["direction"].run
    keys, target = [sign * n for n in nums], sign * v["target"].run(x)
    result = v["question"].run(keys, target)
    if result is None:
        result = v["missing"].run(keys, sum(1 for k in keys if k < target))
    return v["finish"].run(result)


def _steps(keys: list[int], target: int, low: int, high: int) -> int:
    if low >= high:
        return 0
    mid = (low + high) >> 1
    return 1 + (_steps(keys, target, mid + 1, high) if keys[mid] < target else _steps(keys, target, low, mid))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[object]:
    """A sorted list with ties, and a number that is often in it."""
    length = {"empty": 0, "single": 1, "small": rng.randint(3, 5), "long": 4 * size}.get(
        stratum, rng.randint(3, 2 * size)
    )
    spread = 3 if stratum == "repeated" else max(4, length)
    top = 2**53 if stratum == "big" else 0
    nums = sorted(
        (top + rng.randint(-spread, spread) * (2 if rng.random() < 0.3 else 1) for _ in range(length)),
        reverse=v["direction"].run < 0,
    )
    if stratum == "repeated" and nums:
        nums = sorted([*nums, *[rng.choice(nums)] * 3], reverse=v["direction"].run < 0)
    wanted = rng.choice(nums) if nums and rng.random() < 0.65 else top + rng.randint(-spread - 2, spread + 2)
    exact = [
        x
        for x in (wanted, wanted - 1, wanted + 1, wanted // 2, -wanted, 2 * wanted, 2 * wanted + 1)
        if v["target"].run(x) == wanted
    ]
    return [nums, exact[0] if exact else wanted]


_SHARED = {"target": _TARGETS, "direction": _DIRECTIONS, "finish": FINISH}

FAMILY = Family(
    name="binary_search", title="Searching a sorted list", entry_point="search", parameters="nums: list[int], x: int", returns="int",
    axes=({"question": _FINDING, "missing": _MISSING, **_SHARED}, {"question": _OTHER, **_SHARED}),
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: (v["direction"].run, v["target"].words),
)
