"""Counting characters of a string: which ones, where, and what is asked about them."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, VIEWS, finished, sentence

_CLASSES = {
    "vowels": Option(0, "vowels (aeiou, lower case)", "c in 'aeiou'", lambda c: c in {"a", "e", "i", "o", "u"}),
    "upper": Option(0, "upper-case letters", "c.isupper()", lambda c: "A" <= c <= "Z"),
    "lower": Option(0, "lower-case letters", "c.islower()", lambda c: "a" <= c <= "z"),
    "digits": Option(0, "digits", "c.isdigit()", lambda c: "0" <= c <= "9"),
    "not_vowels": Option(1, "characters that are not vowels (aeiou, lower case)", "c not in 'aeiou'",
                         lambda c: "aeiou".find(c) < 0),
    **{f"is_{k}": Option(0, f"characters equal to {k!r}", f"c == {k!r}", lambda c, k=k: {c} == {k}) for k in "abeiost "},
    **{f"after_{k}": Option(1, f"lower-case letters that come after {k!r} in the alphabet", f"{k!r} < c <= 'z'",
                            lambda c, k=k: 122 >= ord(c) > ord(k)) for k in "cgmt"},
    **{f"in_{k}": Option(0, f"characters among {k!r}", f"c in {k!r}", lambda c, k=k: any(c == x for x in k))
       for k in ("abc", "xyz", "aei", "012")},
}
_QUESTIONS = {
    "count": Option(0, "how many of its characters are {}", "sum(1 for c in s if {test})", sum),
    "absent": Option(1, "how many of its characters are not {}", "sum(1 for c in s if not ({test}))",
                     lambda hits: len(hits) - sum(hits)),
    "first": Option(2, "the index of the first of its {}, or -1 if there are none",
                    "next((i for i, c in enumerate(s) if {test}), -1)",
                    lambda hits: hits.index(True) if True in hits else -1),
    "last": Option(3, "the index of the last of its {}, or -1 if there are none",
                   "max((i for i, c in enumerate(s) if {test}), default=-1)",
                   lambda hits: len(hits) - 1 - hits[::-1].index(True) if True in hits else -1),
    "sum": Option(3, "the sum of the indices of its {}", "sum(i for i, c in enumerate(s) if {test})",
                  lambda hits: sum(i * hit for i, hit in enumerate(hits))),
    "run": Option(5, "the length of the longest run of neighbouring {}", "", lambda hits: max(_runs(hits), default=0)),
    "runs": Option(5, "the number of maximal runs of neighbouring {}", "", lambda hits: len(_runs(hits))),
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of the string s: {v['view'].words} Indices count what is left."
    return sentence(view, f"For the string s return {v['question'].words.format(v['class'].words)}.", v["finish"].words)


def program(v: Variant) -> str:
    view = f"s = {v['view'].code.format('s')}" if v["view"].words else ""
    test, question = v["class"].code, v["question"].code
    if question:
        result = finished(v["finish"], question.format(test=test))
        return function(FAMILY.signature, view, f"return {result}")
    longest = "longest" in v["question"].words
    grow = ["run += 1", "best = max(best, run)"] if longest else ["run += 1", "if run == 1:", "    best += 1"]
    return function(FAMILY.signature, view, "best = run = 0", "for c in s:", f"    if {test}:",
                    *(f"        {line}" for line in grow), "    else:", "        run = 0",
                    f"return {finished(v['finish'], 'best')}")


def solve(v: Variant, s: str) -> int:
    return v["finish"].run(v["question"].run([v["class"].run(c) for c in v["view"].run(s)]))


def _runs(hits: list[bool]) -> list[int]:
    return [len(run) for run in "".join("x" if hit else " " for hit in hits).split()]


FAMILY = Family(
    name="string_count", title="Counting characters", entry_point="count_characters", parameters="s: str",
    returns="int", axes={"class": _CLASSES, "question": _QUESTIONS, "view": VIEWS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.text), accepts_any=True,
)
