"""Two strings as bags of characters: equal, shared, missing; with or without multiplicity."""

import random
from collections import Counter

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, VIEWS, finished, sentence

_QUESTIONS = {
    "same": Option(0, "1 if they hold the same characters equally often, else 0", "1 if sorted(a) == sorted(b) else 0",
                   lambda x, y: int(x == y)),
    "same_set": Option(0, "1 if the same characters occur in both, however often, else 0", "1 if set(a) == set(b) else 0",
                       lambda x, y: int(x.keys() == y.keys())),
    "common": Option(1, "the number of different characters that occur in both", "len(set(a) & set(b))",
                     lambda x, y: sum(1 for c in x if c in y)),
    "either": Option(1, "the number of different characters that occur in at least one", "len(set(a) | set(b))",
                     lambda x, y: len({*x, *y})),
    "first_only": Option(1, "the number of different characters that occur in a but not in b", "len(set(a) - set(b))",
                         lambda x, y: sum(1 for c in x if c not in y)),
    "one_only": Option(1, "the number of different characters that occur in exactly one of them", "len(set(a) ^ set(b))",
                       lambda x, y: sum(1 for c in {*x, *y} if (c in x) != (c in y))),
    "shared": Option(3, "how many characters of a can be paired with equal characters of b, each used once",
                     "sum(min(a.count(c), b.count(c)) for c in set(a))", lambda x, y: (x & y).total()),
    "missing": Option(3, "how many characters must be added to a so that b can be made from it by rearranging and leaving out",
                      "sum(max(0, b.count(c) - a.count(c)) for c in set(b))", lambda x, y: (y - x).total()),
    "distance": Option(3, "how many characters must be removed from the two so that they hold the same characters equally often",
                       "sum(abs(a.count(c) - b.count(c)) for c in set(a + b))", lambda x, y: (x - y).total() + (y - x).total()),
    "largest": Option(4, "the greatest difference between how often a character occurs in one and in the other, 0 if both are empty",
                      "max((abs(a.count(c) - b.count(c)) for c in set(a + b)), default=0)",
                      lambda x, y: max([0, *((x - y) + (y - x)).values()])),
    "equally": Option(4, "the number of different characters that occur in both equally often",
                      "sum(1 for c in set(a) if a.count(c) == b.count(c))", lambda x, y: sum(1 for c in x if x[c] == y[c])),
    "spell": Option(5, "how many times b can be spelt with the characters of a, or 0 if b is empty",
                    "min(a.count(c) // b.count(c) for c in b) if b else 0",
                    lambda x, y: min((x[c] // k for c, k in y.items()), default=0)),
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of both strings a and b: {v['view'].words} The rest is about what is left."
    return sentence(view, f"For the strings a and b return {v['question'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    view = f"a, b = {v['view'].code.format('a')}, {v['view'].code.format('b')}" if v["view"].words else ""
    return function(FAMILY.signature, view, f"return {finished(v['finish'], v['question'].code)}")


def solve(v: Variant, a: str, b: str) -> int:
    return v["finish"].run(v["question"].run(*(Counter(v["view"].run(s)) for s in (a, b))))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """Two strings over few characters, often one a rearrangement of the other."""
    a = inputs.text(rng, stratum, size, "abcdeABE1 -")
    letters = list(a)
    rng.shuffle(letters)
    if rng.random() < 0.6:
        for _ in range(rng.randint(1, 3)):
            letters.insert(rng.randint(0, len(letters)), rng.choice("abcdeABE1 "))
    if rng.random() < 0.4 and letters:
        letters = letters[: rng.randint(1, len(letters))]
    return [a, "".join(letters)]


FAMILY = Family(
    name="anagram", title="Anagrams and shared characters", entry_point="compare_characters",
    parameters="a: str, b: str", returns="int", axes={"question": _QUESTIONS, "view": VIEWS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language, accepts_any=True,
)
