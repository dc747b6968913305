"""Roman numerals with other letters, other subtractive pairs, other dress."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import sentence

_LETTERS = {
    letters: Option(0, letters, letters, letters)
    for letters in ("IVXLCDM", "ivxlcdm", "abcdefg", "GFEDCBA", "1aAbBcC", "iVxLcDm", "qwertyu", "uvwxyz!")
}
_PAIRS = {
    "".join(f"{a}{b}" for a, b in pairs) or "none": Option(len(pairs), "", "", pairs)
    for mask in range(8)
    for pairs in [tuple(p for bit, two in enumerate((((0, 1), (0, 2)), ((2, 3), (2, 4)), ((4, 5), (4, 6)))) if mask >> bit & 1 for p in two)]
}
_DRESS = {
    "plain": Option(0, "", "out", lambda s: s),
    "reversed": Option(1, "Return it reversed.", "out[::-1]", lambda s: "".join(reversed(s))),
    "dotted": Option(1, "Put '.' between its letters.", "'.'.join(out)", lambda s: "".join(c + "." for c in s)[:-1]),
    "dashed": Option(1, "Put '-' between its letters.", "'-'.join(out)", lambda s: "".join(c + "-" for c in s)[:-1]),
    "starred": Option(1, "Put '*' before it.", "'*' + out", lambda s: f"*{s}"),
    "ended": Option(1, "Put '.' after it.", "out + '.'", lambda s: f"{s}."),
    "sorted": Option(2, "Return its letters in ascending order of their character codes.", "''.join(sorted(out))",
                     lambda s: "".join(c for k in range(128) for c in s if ord(c) == k)),
    "length": Option(2, "Return its length, as a string, in place of it.", "str(len(out))", lambda s: str(sum(1 for _ in s))),
}
_NUMBERS = {
    "n": Option(0, "", "", lambda n: n),
    "double": Option(1, "Write 2 * n in place of n.", "n * 2", lambda n: n + n),
    "mod_1000": Option(1, "Write n modulo 1000 in place of n; 0 gives the empty string.", "n % 1000", lambda n: n - n // 1000 * 1000),
    "next": Option(1, "Write n + 1 in place of n.", "n + 1", lambda n: 1 + n),
    "complement": Option(1, "Write 2000 - n in place of n; nothing above 0 gives the empty string.", "2000 - n", lambda n: -(n - 2000)),
    "digits": Option(2, "Write the number whose decimal digits are those of n in reverse order in place of n.", "int(str(n)[::-1])",
                     lambda n: sum(int(d) * 10**i for i, d in enumerate(str(n)))),
}
_VALUES = (1, 5, 10, 50, 100, 500, 1000)


def describe(v: Variant) -> str:
    letters = v["letters"].run
    table = ", ".join(f"{letter} = {value}" for letter, value in zip(letters, _VALUES, strict=True))
    pairs = [f"{letters[a]}{letters[b]} = {_VALUES[b] - _VALUES[a]}" for a, b in v["pairs"].run]
    rule = f"Numerals go from the largest value to the smallest, as few symbols as possible, with the symbols {table}"
    return sentence("Return n, a number from 1 to 1999, as a Roman numeral." if not v["number"].words else "n is a number from 1 to 1999. Return a Roman numeral.",
                    v["number"].words, rule + (f" and the pairs {', '.join(pairs)}." if pairs else ", none of them put before a larger one."), v["dress"].words)


def program(v: Variant) -> str:
    letters = v["letters"].run
    table = [(value, letter) for value, letter in zip(_VALUES, letters, strict=True)]
    table += [(_VALUES[b] - _VALUES[a], letters[a] + letters[b]) for a, b in v["pairs"].run]
    step = f"n = {v['number'].code}" if v["number"].code else ""
    return function(FAMILY.signature, step, "out = ''", f"for value, symbol in {sorted(table, reverse=True)!r}:", "    while n >= value:",
                    "        out += symbol", "        n -= value", f"return {v['dress'].code}")


def solve(v: Variant, n: int) -> str:
    n = max(0, v["number"].run(n))
    letters, pairs = v["letters"].run, set(v["pairs"].run)
    text = letters[6] * (n // 1000)
    for place in (4, 2, 0):
        digit = n // 10 ** (place // 2) % 10
        one, five, ten = letters[place], letters[place + 1], letters[place + 2]
        if digit == 9 and (place, place + 2) in pairs:
            text += one + ten
        elif digit == 4 and (place, place + 1) in pairs:
            text += one + five
        else:
            text += five * (digit // 5) + one * (digit % 5)
    return v["dress"].run(text)


def _natural(rng: random.Random, stratum: str, size: int) -> int:
    """A number up to 1999, most often of digits that are written in a way of their own."""
    if stratum in ("empty", "single", "small"):
        return _DRAW(rng, stratum, size)
    return max(1, int("".join((rng.choice("01"), *(rng.choice("0134456899") for _ in range(3))))))


_DRAW = inputs.between(1, 1999)

FAMILY = Family(
    name="roman_numerals", title="Roman numerals", entry_point="to_roman", parameters="n: int", returns="str",
    axes={"letters": _LETTERS, "pairs": _PAIRS, "dress": _DRESS, "number": _NUMBERS},
    describe=describe, program=program, solve=solve, sample=inputs.of(_natural),
)
