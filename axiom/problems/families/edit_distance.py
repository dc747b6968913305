"""Turning one string into another at the least cost: what each step costs, which steps there are."""

import functools
import random

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, VIEWS, finished, sentence

_REMOVE = {str(k): Option(cost, f"removing a character costs {k}", str(k), k) for k, cost in ((1, 3), (2, 3), (3, 3))}
_ADD = {str(k): Option(0, f"adding a character costs {k}", str(k), k) for k in (1, 2, 3)}
_REPLACE = {str(k): Option(0, f"replacing a character by another costs {k}", str(k), lambda a, b, k=k: k) for k in (1, 2, 3)} | {
    "vowels": Option(2, "replacing a vowel (aeiou) by another vowel costs 1, and any other replacement costs 2", "(1 if a[i] in 'aeiou' and b[j] in 'aeiou' else 2)",
                     lambda a, b: 2 - ({a, b} <= {*"aeiou"})),
    "near": Option(2, "replacing a character by another costs the difference of their character codes, but at most 3", "min(3, abs(ord(a[i]) - ord(b[j])))",
                   lambda a, b: sorted((ord(a) - ord(b), ord(b) - ord(a)))[1] if abs(ord(a) - ord(b)) < 3 else 3),
    "never": Option(0, "characters cannot be replaced", "99", lambda a, b: 99),
}
_SWAP = {
    "no": Option(0, "", "", None),
    **{
        str(k): Option(
            3,
            f"swapping two neighbouring characters of a costs {k}, and neither may be changed in another way",
            str(k),
            k,
        )
        for k in (1, 2)
    },
}
_VIEWS = {
    name: Option(option.cost, option.words, option.code, option.run)
    for name, option in VIEWS.items()
    if name in ("plain", "not_first", "any_case", "not_a", "not_last", "every_second", "no_vowels")
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of both strings: {v['view'].words}"
    swap = f"; {v['swap'].words}" if v["swap"].words else ""
    costs = f"{v['remove'].words}; {v['add'].words}; {v['replace'].words}{swap}"
    return sentence(
        view,
        f"Return the least total cost of turning the string a into the string b: {costs}. Leaving a character as it is costs nothing.",
        v["finish"].words,
    )


def program(v: Variant) -> str:
    view = f"a, b = {v['view'].code.format('a')}, {v['view'].code.format('b')}" if v["view"].words else ""
    swap = [
        "        if i > 0 and j > 0 and a[i] == b[j - 1] and a[i - 1] == b[j]:",
        f"            best = min(best, rows[i - 1][j - 1] + {v['swap'].code})",
    ]
    return function(
        FAMILY.signature, view, f"rows = [[j * {v['add'].code} for j in range(len(b) + 1)]]", "for i in range(len(a)):",
        f"    row = [(i + 1) * {v['remove'].code}]", "    for j in range(len(b)):",
        f"        best = rows[i][j] + (0 if a[i] == b[j] else {v['replace'].code})",
        f"        best = min(best, rows[i][j + 1] + {v['remove'].code}, row[j] + {v['add'].code})", *(swap if v["swap"].code else []),
        "        row.append(best)", "    rows.append(row)", f"return {finished(v['finish'], 'rows[-1][-1]')}",
    )


def solve(v: Variant, a: str, b: str) -> int:
    a, b = v["view"].run(a), v["view"].run(b)
    remove, add, swap = v["remove"].run, v["add"].run, v["swap"].run

    @functools.cache
    def cost(i: int, j: int) -> int:
        """Least cost of turning a[i:] into b[j:]."""
        ways = [remove + cost(i + 1, j)] if i < len(a) else []
        ways += [add + cost(i, j + 1)] if j < len(b) else []
        if i < len(a) and j < len(b):
            ways.append(cost(i + 1, j + 1) + (v["replace"].run(a[i], b[j]) if a[i] != b[j] else 0))
            if swap and a[i : i + 2] == b[j : j + 2][::-1] and len(a[i : i + 2]) == 2:
                ways.append(swap + cost(i + 2, j + 2))
        return min(ways, default=0)

    return v["finish"].run(cost(0, 0))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """Two strings, of which the view most often leaves a string and an edited copy of it."""
    return [
        _shown(v["view"].code, text, rng) if text and rng.random() < 0.9 else text for text in _pair(rng, stratum, size)
    ]


def _shown(view: str, text: str, rng: random.Random) -> str:
    """A string of which `text` is what counts, for the views that leave out places."""
    if "::2" in view:
        return "".join(character + rng.choice("aexb") for character in text)
    if "[1:]" in view:
        return rng.choice("aexb") + text
    return text + rng.choice("aexb") if "[:-1]" in view else text


def _pair(rng: random.Random, stratum: str, size: int) -> list[str]:
    """A string and an edited copy of it; now and then two that have little in common."""
    letters = "aeb" if stratum == "repeated" else "aeixbcdAB"
    length = {"empty": 0, "single": rng.randint(1, 2), "negative": rng.randint(2, 3), "small": rng.randint(3, 5),
              "long": size + 5}.get(stratum, rng.randint(2, size))
    a = [rng.choice(letters) for _ in range(length)]
    b = list(a) if a and rng.random() < 0.7 else [rng.choice(letters) for _ in range(rng.randint(0, max(3, length)))]
    if stratum == "negative":  # two neighbours exchanged at the very beginning or end
        place = rng.choice((0, length - 2))
        b[place : place + 2] = a[place : place + 2][::-1]
        return ["".join(a), "".join(b)]
    if a and stratum in ("zero", "repeated", "big") and rng.random() < 0.6:
        return [*_around(a[:4], rng)]
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(b))
        kind = rng.choice(("add", "cut", "swap", "change"))
        if kind == "add":
            b.insert(place, rng.choice(letters))
        elif place < len(b):
            b[place : place + 2] = {
                "cut": b[place + 1 : place + 2],
                "swap": b[place : place + 2][::-1],
                "change": [rng.choice(letters), *b[place + 1 : place + 2]],
            }[kind]
    return ["".join(a), "" if stratum == "zero" else "".join(b)]


def _around(short: list[str], rng: random.Random) -> tuple[str, str]:
    """Two strings in which the ends of one meet within the other, where an index below 0 would reach round."""
    text = "".join(short)
    ends = text[0] + text[-1]
    tail = "".join(rng.choice("aexb") for _ in range(rng.randint(0, 2)))
    return (
        (f"{text}{ends}{tail}", text + tail)
        if rng.random() < 0.5
        else (text, f"{ends}{text[rng.randint(0, 1) :]}{tail}")
    )


FAMILY = Family(
    name="edit_distance", title="Edit distance with costs", entry_point="distance", parameters="a: str, b: str", returns="int",
    axes={"remove": _REMOVE, "add": _ADD, "replace": _REPLACE, "swap": _SWAP, "view": _VIEWS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: v["view"].code,
)
