"""Brackets: which kinds count, what may nest in what, how deep, what else may appear, what is asked."""

import functools
import random
from collections.abc import Sequence
from itertools import combinations

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant, numbers
from axiom.problems.vocabulary import FINISH, sentence

_KINDS = ("()", "[]", "{}", "<>")
_ALL = "".join(_KINDS)
_CLOSING = ")]}>"

_SINGLE = {mark: Option(0, f"{mark!r}", f"{mark!r}", mark) for mark in _ALL}
_COUNTED = _SINGLE | {
    f"{a}{b}": Option(1, f"{a!r} or {b!r}", f"{a + b!r}", a + b) for a, b in combinations(_ALL, 2)
}
_DIFFERENCES = {
    f"{a}-{b}": Option(1, f"the number of {a!r} minus the number of {b!r} in s", f"s.count({a!r}) - s.count({b!r})", (a, b))
    for a in _ALL for b in _ALL if a != b
}

_ALPHABETS = {
    " ".join(kinds): Option(2 + min(count, 3), " and ".join(kinds), "", kinds)
    for count in range(1, 5) for kinds in combinations(_KINDS, count)
}
_RULES = {
    "free": Option(0, "", "", lambda inner, outer, first: True),
    "no_same": Option(1, "A bracket may not stand directly inside one of its own kind.", "stack and stack[-1] == char",
                      lambda inner, outer, first: inner != outer),
    "no_other": Option(1, "A bracket may only stand directly inside one of its own kind or outside all others.",
                       "stack and char not in stack", lambda inner, outer, first: outer in ("", inner)),
    "not_in_first": Option(1, "Nothing may stand directly inside a {first} pair, except other characters.",
                           "{open!r} in stack", lambda inner, outer, first: outer != first),
    "first_outside": Option(1, "A {first} pair may only stand outside all others.",
                            "char == {open!r} and stack", lambda inner, outer, first: not outer or inner != first),
}
_DEPTHS = {"any": Option(0, "", "", 10**9)} | {
    str(k): Option(1, f"Brackets may be nested at most {k} deep.", f"len(stack) == {k}", k) for k in (2, 3, 4, 5)
}
_OTHERS = {
    "ignored": Option(0, "Other characters are ignored.", "", True),
    "forbidden": Option(0, "No other characters may appear.", "", False),
    "letters": Option(1, "Lower-case letters are ignored; no other characters may appear.", "", "letters"),
}
_QUESTIONS = {
    "valid": Option(0, "Return 1 if the brackets in s are balanced, else {otherwise}.", "1", lambda s: 1),
    "pairs": Option(1, "Return the number of pairs if the brackets in s are balanced, else {otherwise}.", "pairs", lambda s: s["pairs"]),
    "depth": Option(1, "Return the greatest nesting depth if the brackets in s are balanced (0 without brackets), else {otherwise}.",
                    "depth", lambda s: s["depth"]),
    "top": Option(1, "Return the number of outermost pairs if the brackets in s are balanced, else {otherwise}.", "outer", lambda s: s["outer"]),
    "empty": Option(1, "Return the number of pairs with nothing at all between them if the brackets in s are balanced, else {otherwise}.",
                    "empty", lambda s: s["empty"]),
}


_FINISH = {name: option for name, option in FINISH.items() if name != "floor_10"}
"""Counts of marks are seldom above 10."""

_OF_A_BIT = {name: option for name, option in _FINISH.items() if not name.startswith(("absolute", "mod_", "floor_"))}
"""What changes an answer that is 0 or 1."""

_ANSWERS = (
    {"question": {"valid": _QUESTIONS["valid"]}, "otherwise": numbers(0, 0) | numbers(1, -1, 2, 10, -7), "finish": _OF_A_BIT},
    {"question": {name: option for name, option in _QUESTIONS.items() if name != "valid"},
     "otherwise": numbers(0, -1) | numbers(1, -2, -10, 100, 1000), "finish": _FINISH},
)
_ONE = {name: option for name, option in _ALPHABETS.items() if " " not in name}
_LAWS = (
    {"kinds": {name: option for name, option in _ALPHABETS.items() if name not in _ONE}, "rule": _RULES, "depth": _DEPTHS},
    {"kinds": _ONE, "rule": {"free": _RULES["free"]}, "depth": _DEPTHS},
    {"kinds": _ONE, "rule": {"no_same": _RULES["no_same"]}, "depth": {"any": _DEPTHS["any"]}},
)
"""With one kind of bracket every rule says the same: no nesting."""


def describe(v: Variant) -> str:
    finish = v["finish"].words
    if "marks" in v:
        return f"Return how many of the characters of s are {v['marks'].words}. {finish}".strip()
    if "difference" in v:
        return f"Return {v['difference'].words}. {finish}".strip()
    kinds = v["kinds"].run
    parts = [f"The brackets are {v['kinds'].words}.", v["question"].words.format(otherwise=v["otherwise"].words), v["others"].words,
             v["rule"].words.format(first=kinds[0]), v["depth"].words,
             "A string that breaks a rule is not balanced." if v["rule"].words or v["depth"].words or v["others"].run is not True else "",
             finish]
    return sentence(*parts)


def program(v: Variant) -> str:
    finish = v["finish"].code.format
    if "marks" in v:
        marks = v["marks"].run
        count = f"s.count({marks!r})" if len(marks) == 1 else f"s.count({marks[0]!r}) + s.count({marks[1]!r})"
        return function(FAMILY.signature, f"return {finish(_atom(v, count))}")
    if "difference" in v:
        return function(FAMILY.signature, f"return {finish(_atom(v, v['difference'].code))}")
    if not v["finish"].words:
        return function(FAMILY.signature, *_reading(v))
    reading = function("def read(s)", *_reading(v))
    return reading + "\n\n\n" + function(FAMILY.signature, f"return {finish('read(s)')}")


def _reading(v: Variant) -> list[str]:
    """Lines that answer the question, without what is done to the answer."""
    answer, others = v["question"].code, v["others"].run
    failure = f"return {v['otherwise'].code}"
    lines = [
        f"pairs_of = {dict(v['kinds'].run)!r}",
        "stack = []",
        *_counters(answer),
        "for i, char in enumerate(s):" if answer == "empty" else "for char in s:",
        "    if char in pairs_of:",
    ]
    for test in _tests(v):
        lines += [f"        if {test}:", f"            {failure}"]
    lines += ["        stack.append(char)", *(["        depth = max(depth, len(stack))"] if answer == "depth" else [])]
    lines += [*_closing(v, failure), *_on_close(answer)]
    if others == "letters":
        lines += ["    elif not ('a' <= char <= 'z'):", f"        {failure}"]
    elif not others and len(v["kinds"].run) == 1:
        lines += ["    else:", f"        {failure}"]
    return [*lines, "if stack:", f"    {failure}", f"return {answer}"]


def _atom(v: Variant, code: str) -> str:
    return f"({code})" if v["finish"].words and " " in code else code


def _counters(answer: str) -> list[str]:
    return [] if answer == "1" else [f"{answer} = 0"]


def _closing(v: Variant, failure: str) -> list[str]:
    """Lines for a closing bracket. They reject other characters too where none is allowed and kinds are compared."""
    if len(v["kinds"].run) == 1:
        return [
            "    elif char in pairs_of.values():",
            "        if not stack:",
            f"            {failure}",
            "        stack.pop()",
        ]
    head = "    elif char in pairs_of.values():" if v["others"].run else "    else:"
    return [head, "        if not stack or pairs_of[stack.pop()] != char:", f"            {failure}"]


def _on_close(answer: str) -> list[str]:
    return {
        "pairs": ["        pairs += 1"],
        "outer": ["        if not stack:", "            outer += 1"],
        "empty": ["        if s[i - 1] in pairs_of:", "            empty += 1"],
    }.get(answer, [])


def _tests(v: Variant) -> list[str]:
    rule = v["rule"].code.format(open=v["kinds"].run[0][0])
    return [test for test in (rule, v["depth"].code) if test]


def solve(v: Variant, s: str) -> int:
    if "marks" in v:
        return v["finish"].run(sum(1 for c in s if c in v["marks"].run))
    if "difference" in v:
        plus, minus = v["difference"].run
        return v["finish"].run(sum((c == plus) - (c == minus) for c in s))
    facts = _read(v, s)
    return v["finish"].run(v["otherwise"].run if facts is None else v["question"].run(facts))


def _read(v: Variant, s: str) -> dict[str, int] | None:
    """Facts about a balanced string, found by tearing innermost pairs out of it; None if it is not balanced.

    What is left before a pair when it is torn out are the brackets around it, or else the string is not balanced.
    """
    kinds = v["kinds"].run
    brackets = "".join(kinds)
    others = "" if v["others"].run is True else s.translate({ord(mark): None for mark in brackets})
    if others and (v["others"].run is False or not all("a" <= c <= "z" for c in others)):
        return None
    rest = [c for c in s if c in brackets]
    torn: list[tuple[str, str, int]] = []
    k = 0
    while k + 1 < len(rest):
        if rest[k] + rest[k + 1] in kinds:
            torn.append((rest[k], rest[k - 1] if k else "", k + 1))
            del rest[k : k + 2]
            k = max(0, k - 1)
        else:
            k += 1
    depths = [depth for _, _, depth in torn]
    if rest or max(depths, default=0) > v["depth"].run:
        return None
    if v["rule"].words and not all(_nests(v, inner, outer) for inner, outer, _ in torn):
        return None
    empty = sum(s.count(kind) for kind in kinds)
    return {"pairs": len(torn), "depth": max(depths, default=0), "outer": depths.count(1), "empty": empty}


def _nests(v: Variant, inner: str, outer: str) -> bool:
    return inner in _lawful(v["rule"].words, v["kinds"].run, outer)


@functools.cache
def _lawful(words: str, kinds: tuple[str, ...], outer: str) -> str:
    """The opening brackets that may stand directly inside `outer`, by the rule with these words."""
    rule = next(option.run for option in _RULES.values() if option.words == words)
    return "".join(mark for mark in _ALL if rule(mark, outer, kinds[0][0]))


def _language(v: Variant) -> tuple[object, ...] | None:
    """What `sample` looks at."""
    return (v["kinds"].run, v["rule"].words, v["depth"].run, v["others"].run) if "kinds" in v else None


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """A string of brackets: half of them well nested, some of those then damaged, with other characters in between."""
    if stratum == "empty":
        return [""]
    length = {"single": 1, "small": 3, "long": 3 * size // 2}.get(stratum) or rng.randint(2, size)
    kinds = v["kinds"].run if "kinds" in v else _KINDS
    if "kinds" not in v or stratum == "single" or rng.random() < 0.1:
        text = rng.choices("".join(kinds), k=2 * length)
    elif stratum == "repeated" or (stratum == "zero" and rng.random() < 0.5):
        limit = v["depth"].run if v["depth"].words else 5
        text = list(_nested(v, rng, kinds, limit + (stratum == "zero") * rng.randint(0, 1), deep=True))
    elif stratum == "big":
        text = list(_unlawful(v, rng, kinds))
    else:
        text = _damaged(list(_nested(v, rng, kinds, length)), rng, kinds, stratum)
    if "kinds" in v and v["others"].run is not True:
        noise = "1" if stratum == "typical" and rng.random() < 0.4 else "az" if v["others"].run else ""
    else:
        noise = "abcxyz" if stratum == "long" or rng.random() < 0.6 else "ab1 +" + _ALL
    for char in rng.choices(noise, k=rng.randint(1, 1 + length // 2)) if noise else ():
        text.insert(int(rng.random() * (len(text) + 1)), char)
    return ["".join(text)]


def _damaged(text: list[str], rng: random.Random, kinds: tuple[str, ...], stratum: str) -> list[str]:
    """`text` as it is, or with a bracket changed, or missing, or one too many; where negative cut short, or with its first at its end."""
    if stratum == "negative":
        cut = rng.randint(1, len(text))
        return text[:cut] if rng.random() < 0.6 else text[1:] + text[:1]
    if stratum == "typical":
        return text
    roll = rng.random() * (0.5 if stratum == "zero" else 1)
    if roll < 0.3:
        place = rng.randint(0, len(text) - 1)
        other = rng.choice([kind for kind in kinds if text[place] not in kind] or kinds)
        text[place] = other[text[place] in _CLOSING]
    elif roll < 0.4:
        text.pop(rng.randint(0, len(text) - 1))
    elif roll < 0.5:
        text.append(rng.choice(kinds)[1])
    return text


def _unlawful(v: Variant, rng: random.Random, kinds: tuple[str, ...]) -> str:
    """A balanced string, but for one pair that stands where it may not, or too deep."""
    inner, outer = rng.choice(_outlawed(v["rule"].words, kinds))
    if not inner or (v["depth"].words and rng.random() < 0.5):
        core = _nested(v, rng, kinds, (v["depth"].run if v["depth"].words else 3) + 1, deep=True)
    else:
        core = f"{outer[0]}{inner}{outer[1]}"
        around = rng.choice(kinds)
        if _nests(v, outer[0], around[0]):
            core = f"{around[0]}{core}{around[1]}"
    beside = [_nested(v, rng, kinds, rng.randint(0, 1)) for _ in range(2)]
    return core.join(beside)


@functools.cache
def _outlawed(words: str, kinds: tuple[str, ...]) -> Sequence[tuple[str, str]]:
    """The pairs that may not stand one directly inside the other; one of nothing where all may."""
    pairs = [(a, b) for a in kinds for b in kinds if a[0] not in _lawful(words, kinds, b[0])]
    return pairs or [("", "")]


def _nested(v: Variant, rng: random.Random, kinds: tuple[str, ...], pairs: int, deep: bool = False) -> str:
    """Up to that many pairs, each where it may stand; one in the other, however deep, if `deep`."""
    return "".join(_pairs(v, rng, kinds, pairs, "", 99 if deep else v["depth"].run, deep))


@functools.cache
def _choices(words: str, kinds: tuple[str, ...], outer: str, deep: bool) -> Sequence[str]:
    """The kinds that may stand directly inside `outer`; if `deep`, those of them that others may stand in, if any."""
    legal = [kind for kind in kinds if not outer or kind[0] in _lawful(words, kinds, outer)]
    holding = [kind for kind in legal if any(other[0] in _lawful(words, kinds, kind[0]) for other in kinds)]
    return (holding or legal) if deep else legal


def _pairs(
    v: Variant, rng: random.Random, kinds: tuple[str, ...], pairs: int, outer: str, room: int, deep: bool
) -> list[str]:
    """`_nested`, directly inside a pair that opens with `outer`, where `room` more may stand one in the other."""
    legal: Sequence[str] = kinds
    if v["rule"].words and (outer or deep):
        legal = _choices(v["rule"].words, kinds, outer, deep and pairs > 1)
    if not legal or room < 1:
        return []
    parts: list[str] = []
    draw = rng.random
    while pairs > 0:
        kind = legal[int(draw() * len(legal))]
        inside = pairs - 1 if deep else int(draw() * pairs)
        parts.append(kind[0])
        if inside:
            parts += _pairs(v, rng, kinds, inside, kind[0], room - 1, deep)
        parts.append(kind[1])
        pairs -= 1 + inside
    return parts


FAMILY = Family(
    name="parentheses", title="Brackets", entry_point="brackets", parameters="s: str", returns="int",
    axes=(
        {"marks": _COUNTED, "finish": _FINISH},
        {"difference": _DIFFERENCES, "finish": _FINISH},
        *({**law, "others": _OTHERS, **answer} for law in _LAWS for answer in _ANSWERS),
    ),
    describe=describe, program=program, solve=solve, sample=sample, language=_language, patience=12, accepts_any=True,
)
