"""Shifting letters: how far, which alphabet, how the shift changes along the string, what else happens."""

import random
import string

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import sentence

_SHIFTS = {str(k): Option(0, f"{k} places", str(k), k) for k in (1, 2, 3, 4, 5, 6, 7, 10, 11, 13, 17, 20, 25)}
_CHANGES = {
    "fixed": Option(0, "", "{k}", lambda k, i: k),
    "index": Option(2, "At index i of s the shift is {k} plus i.", "{k} + i", lambda k, i: i + k),
    "double_index": Option(2, "At index i of s the shift is {k} plus twice i.", "{k} + 2 * i", lambda k, i: i + k + i),
    "alternate": Option(3, "At odd indices of s the shift goes the other way.", "({k} if i % 2 == 0 else -{k})",
                        lambda k, i: -k if i & 1 else k),
    "every_third": Option(3, "Only letters at indices of s divisible by 3 are shifted.", "({k} if i % 3 == 0 else 0)",
                          lambda k, i: 0 if i % 3 else k),
}
_DIRECTIONS = {
    "forward": Option(0, "forward", "+", 1),
    "backward": Option(0, "back", "-", -1),
}
_ALPHABETS = {
    "lower": Option(0, "lower-case letter", "", ("abcdefghijklmnopqrstuvwxyz",)),
    "upper": Option(0, "upper-case letter", "", ("ABCDEFGHIJKLMNOPQRSTUVWXYZ",)),
    "both": Option(2, "letter, which keeps its case,", "", (string.ascii_lowercase, string.ascii_uppercase)),
    "digits": Option(1, "digit (9 is followed by 0)", "", (string.digits,)),
    "lower_digits": Option(2, "lower-case letter, and likewise each digit among the digits,", "", (string.ascii_lowercase, string.digits)),
    "hex": Option(1, "character of '0123456789abcdef', in that order,", "", ("0123456789abcdef",)),
}
_OTHERS = {
    "kept": Option(0, "Other characters stay as they are.", "c", lambda c: c),
    "dropped": Option(1, "Other characters are removed.", "''", lambda c: ""),
    "star": Option(1, "Other characters become '*'.", "'*'", lambda c: "*"),
    "doubled": Option(1, "Other characters are doubled.", "c * 2", lambda c: c + c),
}
_SKIPPED = {
    "none": Option(0, "", "", ""),
    **{name: Option(1, f"{words} stay as they are.", f"c in {marks!r}", marks)
       for name, words, marks in (("vowels", "Vowels (aeiou, either case)", "aeiouAEIOU"), ("xyz", "The letters x, y and z (either case)", "xyzXYZ"),
                                  ("ends", "The characters a, z, 0 and 9", "az09"))},
}
_ENDS = {
    "plain": Option(0, "", "{}", lambda s: s),
    "reversed": Option(1, "Return the result reversed.", "{}[::-1]", lambda s: "".join(reversed(s))),
}


def describe(v: Variant) -> str:
    places = v["shift"].words if v["shift"].code != "1" else "1 place"
    opening = f"Return the string s with each {v['alphabet'].words} shifted {v['direction'].words} by {places}, wrapping around."
    return sentence(
        opening, v["change"].words.format(k=v["shift"].code), v["skipped"].words, v["others"].words, v["end"].words
    )


def program(v: Variant) -> str:
    by, sign = v["change"].code.format(k=v["shift"].code), v["direction"].code
    by = f"({by})" if sign == "-" and " " in by and not by.startswith("(") else by
    lines = ["out = ''", "for i, c in enumerate(s):" if "i" in by.split() or "(" in by else "for c in s:"]
    tests = [(v["skipped"].code, "c")] if v["skipped"].code else []
    for letters in v["alphabet"].run:
        alphabet = repr(letters)
        tests.append((f"c in {alphabet}", f"{alphabet}[({alphabet}.index(c) {sign} {by}) % {len(letters)}]"))
    for place, (test, result) in enumerate(tests):
        lines += [f"    {'elif' if place else 'if'} {test}:", f"        out += {result}"]
    lines += ["    else:", f"        out += {v['others'].code}"]
    return function(FAMILY.signature, *lines, f"return {v['end'].code.format('out')}")


def solve(v: Variant, s: str) -> str:
    tables = {letters: {c: place for place, c in enumerate(letters)} for letters in v["alphabet"].run}
    return v["end"].run("".join(_shifted(v, tables, i, c) for i, c in enumerate(s)))


def _shifted(v: Variant, tables: dict[str, dict[str, int]], i: int, c: str) -> str:
    if c in v["skipped"].run:
        return c
    for letters, places in tables.items():
        if c in places:
            target = places[c] + v["direction"].run * v["change"].run(v["shift"].run, i)
            return (letters * 2)[target - len(letters) * (target // len(letters))]
    return v["others"].run(c)


def _text(rng: random.Random, stratum: str, size: int) -> str:
    return inputs.text(
        rng, stratum, size, string.ascii_lowercase * 3 + string.ascii_uppercase + "0123456789012345678901234 -!"
    )


FAMILY = Family(
    name="caesar", title="Shifting letters", entry_point="shift", parameters="s: str", returns="str",
    axes={"shift": _SHIFTS, "direction": _DIRECTIONS, "alphabet": _ALPHABETS, "change": _CHANGES, "others": _OTHERS,
          "skipped": _SKIPPED, "end": _ENDS},
    describe=describe, program=program, solve=solve, sample=inputs.of(_text), accepts_any=True,
)
