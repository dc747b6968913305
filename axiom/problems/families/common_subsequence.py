"""Longest common subsequences and substrings: what matches, what a match is worth, what is asked."""

import functools
import itertools
import random
from collections.abc import Callable

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, VIEWS, finished, sentence

_KINDS = {
    "subsequence": Option(
        2, "common subsequence (characters in order, not necessarily neighbours)", "subsequence",
        lambda a, b, match, worth: _longest(a, b, match, worth),
    ),
    "substring": Option(1, "common substring (neighbouring characters)", "substring",
                        lambda a, b, match, worth: max((_stretch(a[i:], b[j:], match, worth) for i in range(len(a)) for j in range(len(b))), default=0)),
    "prefix": Option(0, "common prefix", "prefix", lambda a, b, match, worth: _stretch(a, b, match, worth)),
    "suffix": Option(0, "common suffix", "suffix", lambda a, b, match, worth: _stretch(a[::-1], b[::-1], match, worth)),
}
_MATCH = {
    "equal": Option(0, "", "x == y", lambda x, y: x == y),
    "case": Option(1, "Upper and lower case of a letter match each other.", "x.lower() == y.lower()", lambda x, y: x.upper() == y.upper()),
    "vowels": Option(2, "Any two vowels (aeiou, lower case) match each other, besides equal characters.", "x == y or (x in 'aeiou' and y in 'aeiou')",
                     lambda x, y: x == y or {x, y} <= {*"aeiou"}),
    "near": Option(2, "Two characters match if their character codes differ by at most 1.", "abs(ord(x) - ord(y)) <= 1", lambda x, y: ord(x) - ord(y) in (-1, 0, 1)),
}
_WORTH = {
    "one": Option(0, "its length", "1", lambda x: 1),
    "vowels": Option(
        1,
        "its length, with vowels of a (aeiou, lower case) counting twice",
        "(2 if x in 'aeiou' else 1)",
        lambda x: 1 + (x in {*"aeiou"}),
    ),
    "code": Option(
        2,
        "the sum, over its characters as they stand in a, of the character code modulo 5",
        "(ord(x) % 5)",
        lambda x: ord(x) - ord(x) // 5 * 5,
    ),
    "upper": Option(
        1,
        "its length, with upper-case letters of a counting three times",
        "(3 if x.isupper() else 1)",
        lambda x: 3 if "A" <= x <= "Z" else 1,
    ),
}
_SCORE = {
    "plain": Option(0, "Return {}.", "{}", lambda r, a, b: r),
    "short_of_a": Option(1, "Return the length of a minus {}.", "len(a) - {}", lambda r, a, b: len(a) - r),
    "union": Option(1, "Return the sum of the lengths of a and b minus {}.", "len(a) + len(b) - {}", lambda r, a, b: len(b) + len(a) - r),
    "times": Option(1, "Return {} times the length of b.", "{} * len(b)", lambda r, a, b: len(b) * r),
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of both strings a and b: {v['view'].words}"
    worth = v["worth"].words
    best = f"the greatest value of a {v['kind'].words} of a and b, where its value is {worth} (0 if there is none)"
    return sentence(view, v["match"].words, v["score"].words.format(best), v["finish"].words)


def program(v: Variant) -> str:
    view = f"a, b = {v['view'].code.format('a')}, {v['view'].code.format('b')}" if v["view"].words else ""
    match, worth, kind = v["match"].code, v["worth"].code, v["kind"].code
    result = finished(v["finish"], v["score"].code.format("best"))
    if kind in ("prefix", "suffix"):
        pairs = "zip(a, b)" if kind == "prefix" else "zip(a[::-1], b[::-1])"
        return function(
            FAMILY.signature,
            view,
            "best = 0",
            f"for x, y in {pairs}:",
            f"    if not ({match}):",
            "        break",
            f"    best += {worth}",
            f"return {result}",
        )
    lines = ["best = 0", "rows = [[0] * (len(b) + 1)]", "for i, x in enumerate(a):", "    row = [0]", "    for j, y in enumerate(b):",
             f"        here = rows[i][j] + {worth} if {match} else 0"]
    if kind == "subsequence":
        lines.append("        here = max(here, rows[i][j + 1], row[j])")
    lines += ["        row.append(here)", "        best = max(best, here)", "    rows.append(row)"]
    return function(FAMILY.signature, view, *lines, f"return {result}")


def solve(v: Variant, a: str, b: str) -> int:
    a, b = v["view"].run(a), v["view"].run(b)
    best = v["kind"].run(a, b, v["match"].run, v["worth"].run)
    return v["finish"].run(v["score"].run(best, a, b))


def _stretch(a: str, b: str, match: Callable[[str, str], bool], worth: Callable[[str], int]) -> int:
    """Value of the matching characters that both begin with."""
    matched = itertools.takewhile(lambda pair: match(*pair), zip(a, b, strict=False))
    return sum(worth(x) for x, _ in matched)


def _longest(a: str, b: str, match: Callable[[str, str], bool], worth: Callable[[str], int]) -> int:
    """Value of the best common subsequence."""

    @functools.cache
    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        skip = max(longest(i + 1, j), longest(i, j + 1))
        return max(skip, worth(a[i]) + longest(i + 1, j + 1)) if match(a[i], b[j]) else skip

    return longest(0, 0)


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """Two strings that share their beginning, their end, or pieces."""
    letters = "aeb" if stratum == "repeated" else "abceiAB"
    length = {"empty": 0, "single": 1, "small": rng.randint(3, 6), "long": 2 * size}.get(stratum, rng.randint(2, size))
    a = "".join(rng.choice(letters) for _ in range(length))
    other = "".join(rng.choice(letters) for _ in range(rng.randint(0, max(2, length // 2))))
    cut = rng.randint(0, length)
    b = rng.choice(
        (a[:cut] + other, other + a[cut:], a[:cut] + rng.choice(letters) + a[cut + 1 :], a[cut:] + a[:cut], other)
    )
    return [a, b.swapcase() if rng.random() < 0.15 else b]


FAMILY = Family(
    name="common_subsequence", title="What two strings share in order", entry_point="shared", parameters="a: str, b: str", returns="int",
    axes={"kind": _KINDS, "match": _MATCH, "worth": _WORTH, "score": _SCORE, "view": VIEWS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
