"""Palindromes: what of the string counts, and what is asked: whole, ends, parts, repair."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, VIEWS, finished, sentence

_QUESTIONS = {
    "is": Option(0, "1 if it reads the same forwards and backwards, else 0", "1 if s == s[::-1] else 0", lambda s: int(not _mismatches(s))),
    "is_not": Option(0, "0 if it reads the same forwards and backwards, else 1", "0 if s == s[::-1] else 1", lambda s: int(_mismatches(s) > 0)),
    "equal": Option(1, "the number of indices at which it has the same character as its reverse",
                    "sum(1 for a, b in zip(s, s[::-1]) if a == b)", lambda s: len(s) - 2 * _mismatches(s)),
    "differ": Option(2, "the least number of characters to change so that it reads the same forwards and backwards",
                     "sum(1 for i in range(len(s) // 2) if s[i] != s[-1 - i])", lambda s: _mismatches(s)),
    "prefix": Option(3, "the length of its longest prefix that reads the same forwards and backwards",
                     "max(k for k in range(len(s) + 1) if s[:k] == s[:k][::-1])", lambda s: _longest(s, start=0)),
    "suffix": Option(3, "the length of its longest suffix that reads the same forwards and backwards",
                     "max(len(s) - k for k in range(len(s) + 1) if s[k:] == s[k:][::-1])", lambda s: _longest(s, end=len(s))),
    "append": Option(3, "the least number of characters to append at its end so that it reads the same forwards and "
                     "backwards", "min(k for k in range(len(s) + 1) if s[k:] == s[k:][::-1])", lambda s: len(s) - _longest(s, end=len(s))),
    "longest": Option(5, "the length of its longest substring that reads the same forwards and backwards (0 for the empty string)",
                      "max((j - i for i in range(len(s)) for j in range(i + 1, len(s) + 1) if s[i:j] == s[i:j][::-1]), default=0)",
                      lambda s: _longest(s)),
    **{f"substrings_{k}": Option(5, f"the number of pairs of a start and an end that cut out a substring of at least {k} "
                                 "characters that reads the same forwards and backwards",
                                 f"sum(1 for i in range(len(s)) for j in range(i + {k}, len(s) + 1) if s[i:j] == s[i:j][::-1])",
                                 lambda s, k=k: sum(1 for a, b in _spans(s) if b - a >= k)) for k in (2, 3, 4, 5)},
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of the string s: {v['view'].words}"
    return sentence(view, f"For {'what is left' if view else 'the string s'} return {v['question'].words}.",
                    v["finish"].words)


def program(v: Variant) -> str:
    view = f"s = {v['view'].code.format('s')}" if v["view"].words else ""
    return function(FAMILY.signature, view, f"return {finished(v['finish'], v['question'].code)}")


def solve(v: Variant, s: str) -> int:
    return v["finish"].run(v["question"].run(v["view"].run(s)))


def _mismatches(s: str) -> int:
    return sum(x != y for x, y in zip(s[: len(s) // 2], reversed(s), strict=False))


def _longest(s: str, start: int | None = None, end: int | None = None) -> int:
    """Length of the longest palindrome in s that begins at `start` and ends at `end`, where they are given."""
    return max((b - a for a, b in _spans(s) if start in (None, a) and end in (None, b)), default=0)


def _spans(s: str) -> list[tuple[int, int]]:
    spans = [(c - r, c + r + odd) for odd in (0, 1) for c in range(len(s) + 1) for r in range(_radius(s, c, odd) + 1)]
    return [(a, b) for a, b in spans if b > a]


def _radius(s: str, center: int, odd: int) -> int:
    """Greatest r for which s[center - r : center + r + odd] is a palindrome; -1 where there is no center."""
    if odd and center == len(s):
        return -1
    r = 0
    while center - r - 1 >= 0 and center + r + odd < len(s) and s[center - r - 1] == s[center + r + odd]:
        r += 1
    return r


FAMILY = Family(
    name="palindrome", title="Palindromes", entry_point="palindrome", parameters="s: str", returns="int",
    axes={"question": _QUESTIONS, "view": VIEWS, "finish": FINISH}, describe=describe, program=program, solve=solve,
    sample=inputs.of(inputs.mirrored), accepts_any=True,
)
