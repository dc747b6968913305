"""Meanings that several families share: which numbers count, and what becomes of each.

Each row gives the words, the code and the interpreter's function of one meaning. Code and function are written
apart on purpose, so that a slip in one shows as a disagreement.
"""

from axiom.problems.space import Option


def places(n: int, base: int = 10) -> list[int]:
    """The digits of n, which is not negative, the highest first."""
    return [n] if n < base else [*places(n // base, base), n - n // base * base]


def _times(value: int, factor: int) -> int:
    return sum([value] * factor)


_ABOVE = {
    f"above_{k}": Option(0, f"numbers greater than {k}", f"x > {k}", lambda x, k=k: x - k >= 1)
    for k in (2, 3, 4, 5, 6, 8, 10)
}
_BELOW = {
    f"below_{k}": Option(0, f"numbers less than {k}", f"x < {k}", lambda x, k=k: x + 1 <= k) for k in (3, 4, 5, 6, 7, 9)
}
_MULTIPLE = {
    f"multiple_{k}": Option(1, f"numbers divisible by {k}", f"x % {k} == 0", lambda x, k=k: x // k * k == x)
    for k in (3, 4, 5, 6, 7)
} | {
    f"not_multiple_{k}": Option(1, f"numbers not divisible by {k}", f"x % {k} != 0", lambda x, k=k: x // k * k != x)
    for k in (3, 4, 5)
}
_RANGES = {
    f"between_{a}_{b}": Option(
        2, f"numbers from {a} to {b} (both included)", f"{a} <= x <= {b}", lambda x, a=a, b=b: min(max(x, a), b) == x
    )
    for a, b in ((-5, 5), (-3, 8), (0, 6), (1, 9), (2, 12), (-10, -1))
} | {
    f"outside_{a}_{b}": Option(
        2,
        f"numbers less than {a} or greater than {b}",
        f"x < {a} or x > {b}",
        lambda x, a=a, b=b: sorted((a, x, b))[1] != x,
    )
    for a, b in ((-5, 5), (-2, 7), (1, 9))
}
_DIGITS = {
    f"last_digit_{d}": Option(
        2, f"numbers whose last decimal digit is {d}", f"abs(x) % 10 == {d}", lambda x, d=d: str(x)[-1] == str(d)
    )
    for d in (1, 3, 5, 7)
} | {
    f"digit_sum_{parity}": Option(
        3, f"numbers whose decimal digits have an {parity} sum", f"sum(int(d) for d in str(abs(x))) % 2 == {bit}",
        lambda x, bit=bit: sum(places(max(x, -x))) & 1 == bit,
    )
    for bit, parity in enumerate(("even", "odd"))
}

PREDICATES: dict[str, Option] = {
    "all": Option(0, "numbers", "", lambda x: True),
    "even": Option(0, "even numbers", "x % 2 == 0", lambda x: not x & 1),
    "odd": Option(0, "odd numbers", "x % 2 == 1", lambda x: bool(x & 1)),
    "positive": Option(0, "positive numbers", "x > 0", lambda x: x >= 1),
    "negative": Option(0, "negative numbers", "x < 0", lambda x: str(x).startswith("-")),
    **_ABOVE, **_BELOW, **_MULTIPLE, **_RANGES, **_DIGITS,
}
"""Which integers count; `code` is a condition on x, empty where every integer does."""

MAPS: dict[str, Option] = {
    "same": Option(0, "{}", "x", lambda x: x),
    "square": Option(1, "the squares of {}", "x * x", lambda x: x**2),
    "double": Option(1, "twice each of {}", "2 * x", lambda x: x + x),
    "triple": Option(1, "three times each of {}", "3 * x", lambda x: _times(x, 3)),
    "negated": Option(1, "the negatives of {}", "-x", lambda x: 0 - x),
    "absolute": Option(1, "the absolute values of {}", "abs(x)", lambda x: max(x, -x)),
    **{f"plus_{k}": Option(1, f"{k} more than each of {{}}", f"x + {k}", lambda x, k=k: k + x) for k in (1, 2, 3, 5, 10)},
    **{f"minus_{k}": Option(1, f"{k} less than each of {{}}", f"x - {k}", lambda x, k=k: -k + x) for k in (1, 2, 4)},
    **{
        f"mod_{k}": Option(
            2, f"the remainders modulo {k} (0 to {k - 1}) of {{}}", f"x % {k}", lambda x, k=k: x - x // k * k
        )
        for k in (3, 4, 5, 7, 10)
    },
    **{
        f"clip_{a}_{b}": Option(
            3, f"{{}}, each clipped to the range {a} to {b}", f"min(max(x, {a}), {b})", lambda x, a=a, b=b: sorted((a, x, b))[1]
        )
        for a, b in ((-5, 5), (0, 9), (-3, 10))
    },
    "digit_sum": Option(
        3, "the sums of the decimal digits of {} (ignoring signs)", "sum(int(d) for d in str(abs(x)))",
        lambda x: sum(places(max(x, -x))),
    ),
    "square_plus_1": Option(2, "one more than the squares of {}", "x * x + 1", lambda x: 1 + x**2),
    "affine": Option(2, "twice each of {} plus 1", "2 * x + 1", lambda x: x + x + 1),
}
"""What becomes of each integer x; `words` has a place for the integers it is applied to."""


def comprehension(source: str, keep: Option, change: Option | None = None) -> str:
    """`change` of each x of `source` that `keep` lets through, as the inside of a comprehension."""
    condition = f" if {keep.code}" if keep.code else ""
    return f"{change.code if change else 'x'} for x in {source}{condition}"


FINISH: dict[str, Option] = {
    "none": Option(0, "", "{}", lambda r: r),
    **{f"plus_{k}": Option(1, f"Add {k} to the result.", f"{{}} + {k}", lambda r, k=k: r + k) for k in (1, 2, 3, 5, 10, 100)},
    **{f"times_{k}": Option(1, f"Multiply the result by {k}.", f"{{}} * {k}", lambda r, k=k: k * r) for k in (2, 3, 5, 10)},
    "negated": Option(1, "Return the negative of the result.", "-{}", lambda r: 0 - r),
    "absolute": Option(1, "Return the absolute value of the result.", "abs({})", lambda r: max(r, -r)),
    **{f"mod_{k}": Option(2, f"Return the remainder of the result modulo {k} (0 to {k - 1}).", f"{{}} % {k}",
                          lambda r, k=k: divmod(r, k)[1]) for k in (2, 5, 7, 10, 97)},
    **{f"floor_{k}": Option(2, f"Return the result, or {k} if it is less than {k}.", f"max({{}}, {k})",
                            lambda r, k=k: r if r > k else k) for k in (0, 1, 10)},
}
"""What becomes of the result; `code` has a place for an atom."""


def finished(finish: Option, code: str) -> str:
    """The expression `code` after `finish`, in brackets only where it needs them."""
    if not finish.words:
        return code
    called = code.endswith(")") and code.count("(") == 1 and code.partition("(")[0].replace(".", "").isidentifier()
    return finish.code.format(code if called or code.isidentifier() else f"({code})")


def sentence(*parts: str) -> str:
    """The parts that say something, as one text."""
    return " ".join(part for part in parts if part)


VIEWS: dict[str, Option] = {
    "plain": Option(0, "", "{}", lambda s: s),
    "any_case": Option(1, "Upper and lower case count as the same.", "{}.lower()", lambda s: "".join(c.lower() for c in s)),
    "no_spaces": Option(1, "Spaces are ignored.", "{}.replace(' ', '')", lambda s: "".join(s.split(" "))),
    "not_first": Option(1, "The first character is ignored.", "{}[1:]", lambda s: "".join(c for i, c in enumerate(s) if i)),
    "not_last": Option(1, "The last character is ignored.", "{}[:-1]", lambda s: s[: max(0, len(s) - 1)]),
    **{f"not_{c}": Option(1, f"The character {c!r} is ignored.", f"{{}}.replace({c!r}, '')",
                          lambda s, c=c: "".join(x for x in s if x != c)) for c in ("a", "b", "e")},
    "every_second": Option(1, "Only the characters at indices 0, 2, 4 and so on count.", "{}[::2]",
                           lambda s: "".join(c for i, c in enumerate(s) if not i & 1)),
    "letters": Option(2, "Only letters count.", "''.join(c for c in {} if c.isalpha())",
                      lambda s: "".join(c for c in s if c.lower() != c.upper())),
    "no_vowels": Option(2, "Vowels (aeiou, either case) are ignored.", "''.join(c for c in {} if c not in 'aeiouAEIOU')",
                        lambda s: s.translate({ord(c): None for c in "aeiouAEIOU"})),
    "no_digits": Option(2, "Digits are ignored.", "''.join(c for c in {} if not c.isdigit())",
                        lambda s: s.translate({ord(c): None for c in "0123456789"})),
    "letters_any_case": Option(3, "Only letters count, and upper and lower case are the same.",
                               "''.join(c for c in {}.lower() if c.isalpha())",
                               lambda s: "".join(c.lower() for c in s if c.lower() != c.upper())),
    "no_spaces_any_case": Option(2, "Spaces are ignored, and upper and lower case are the same.",
                                 "{}.lower().replace(' ', '')", lambda s: "".join(s.upper().split(" ")).lower()),
}
"""What of a string counts; `code` has a place for it."""
