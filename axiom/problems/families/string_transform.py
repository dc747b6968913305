"""A string through one to four plain steps."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant

_LETTERS = "abeiostz"


def _steps(cost: int) -> dict[str, Option]:
    plain = {
        "reverse": Option(cost, "reversed", "{}[::-1]", lambda s: "".join(reversed(s))),
        "upper": Option(cost, "in upper case", "{}.upper()", lambda s: "".join(c.upper() for c in s)),
        "lower": Option(cost, "in lower case", "{}.lower()", lambda s: "".join(c.lower() for c in s)),
        "swapcase": Option(cost, "with upper case and lower case swapped", "{}.swapcase()",
                           lambda s: "".join(c.lower() if c.isupper() else c.upper() for c in s)),
        "no_spaces": Option(cost, "without its spaces", "{}.replace(' ', '')", lambda s: "".join(s.split(" "))),
        "twice": Option(cost, "repeated twice", "{} * 2", lambda s: s + s),
        "thrice": Option(cost, "repeated three times", "{} * 3", lambda s: s + s + s),
        "every_second": Option(cost, "reduced to its characters at indices 0, 2, 4 and so on", "{}[::2]",
                               lambda s: "".join(c for i, c in enumerate(s) if not i & 1)),
        "vowels_gone": Option(cost + 1, "without its vowels (aeiou, either case)",
                              "''.join(c for c in {} if c not in 'aeiouAEIOU')",
                              lambda s: s.translate({ord(c): None for c in "aeiouAEIOU"})),
        "sorted": Option(cost + 1, "with its characters in ascending order", "''.join(sorted({}))",
                         lambda s: "".join(c for k in range(256) for c in s if ord(c) == k)),
        "mirrored": Option(cost + 1, "followed by its own reverse", "{0} + {0}[::-1]", lambda s: s + "".join(reversed(s))),
        "words_back": Option(cost + 1, "with the parts between its single spaces in reverse order", "' '.join({}.split(' ')[::-1])",
                             lambda s: s if " " not in s else " ".join(reversed(s.split(" ")))),
        "rotated": Option(cost + 1, "with its first character moved to the end", "{0}[1:] + {0}[:1]", lambda s: "".join((*s[1:], *s[:1]))),
        "digits_gone": Option(cost + 1, "without its digits", "''.join(c for c in {} if not c.isdigit())",
                              lambda s: s.translate({ord(c): None for c in "0123456789"})),
        "doubled": Option(cost + 1, "with each character doubled", "''.join(c * 2 for c in {})",
                          lambda s: "".join(map("".join, zip(s, s, strict=True)))),
    }
    ends = {f"without_first_{k}": Option(cost, f"without its first {k} characters" if k > 1 else "without its first character",
                                         f"{{}}[{k}:]", lambda s, k=k: "".join(c for i, c in enumerate(s) if i >= k))
            for k in (1, 2, 3)} | {
        f"first_{k}": Option(cost, f"cut to its first {k} characters", f"{{}}[:{k}]", lambda s, k=k: s[: min(k, len(s))])
        for k in (2, 3, 4, 5)} | {
        f"last_{k}": Option(cost, f"cut to its last {k} characters", f"{{}}[-{k}:]", lambda s, k=k: s[max(0, len(s) - k) :])
        for k in (2, 3)}
    added = {f"prefix_{c}": Option(cost, f"with {c!r} added at the front", f"{c!r} + {{}}", lambda s, c=c: c + s)
             for c in ("x", "ab", ">", "no ")} | {
        f"suffix_{c}": Option(cost, f"with {c!r} added at the end", f"{{}} + {c!r}", lambda s, c=c: s + c)
        for c in ("x", "!", "ing", "?")}
    swaps = {f"replace_{a}": Option(cost, f"with every {a!r} replaced by {b!r}", f"{{}}.replace({a!r}, {b!r})",
                                    lambda s, a=a, b=b: b.join(s.split(a)))
             for a, b in zip(_LETTERS, "oxau_9-y", strict=True)} | {
        f"remove_{a}": Option(cost, f"with every {a!r} removed", f"{{}}.replace({a!r}, '')",
                              lambda s, a=a: "".join(c for c in s if c != a)) for a in _LETTERS}
    return plain | ends | added | swaps


_ORDER = ("first", "second", "third", "fourth", "fifth")
_COSTS = (0, 1, 2, 2, 2)


def describe(v: Variant) -> str:
    words = [step.words for step in v.values()]
    if len(words) == 1:
        return f"Return the string s {words[0]}."
    return f"Start from the string s and apply these steps in order: {'; then '.join(words)}. Return the result."


def program(v: Variant) -> str:
    steps = [step.code for step in v.values()]
    body = [f"s = {step.format('s')}" for step in steps[:-1]]
    return function(FAMILY.signature, *body, f"return {steps[-1].format('s')}")


def solve(v: Variant, s: str) -> str:
    for step in v.values():
        s = step.run(s)
    return s


FAMILY = Family(
    name="string_transform", title="A string in steps", entry_point="transform", parameters="s: str", returns="str",
    axes=[{axis: _steps(cost) for axis, cost in zip(_ORDER[:count], _COSTS, strict=False)} for count in range(1, 6)],
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.text), accepts_any=True,
)
