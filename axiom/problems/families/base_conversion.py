"""Numbers written in another base: digits, their order, sign, prefix, width, groups."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import places, sentence

_BASES = {str(k): Option(0, f"base {k}", str(k), k) for k in (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16)}
_DIGITS = {
    "lower": Option(0, "", "'0123456789abcdef'", "0123456789abcdef"),
    "upper": Option(0, "Digits above 9 are A, B, C and so on.", "'0123456789ABCDEF'", "0123456789ABCDEF"),
    "letters": Option(
        1, "The digits are the letters a (for 0), b (for 1), c and so on.", "'abcdefghijklmnop'", "abcdefghijklmnop"
    ),
    "shifted": Option(
        1, "The digits for 0, 1, 2, ... are 1, 2, ..., 9, a, b, c and so on.", "'123456789abcdefg'", "123456789abcdefg"
    ),
}
_ORDER = {
    "high": Option(0, "", "out = {d} + out", False),
    "low": Option(1, "The lowest digit comes first.", "out = out + {d}", True),
}
_NEGATIVE = {
    "minus": Option(1, "A negative number gets a '-' in front.", "'-' + {}", lambda text: "-" + text),
    "trailing": Option(1, "A negative number gets a '-' at the end.", "{} + '-'", lambda text: text + "-"),
    "brackets": Option(
        2, "A negative number is put in round brackets, without a sign.", "'(' + {} + ')'", lambda text: f"({text})"
    ),
    "none": Option(0, "The sign is left out.", "", lambda text: text),
}
_WIDTH = {"none": Option(0, "", "", 0)} | {
    str(k): Option(
        2,
        f"Pad with the digit for 0 at the side of the highest digit to at least {k} digits (the sign does not count).",
        str(k),
        k,
    )
    for k in (4, 6, 8)
}
_PREFIX = {"none": Option(0, "", "", "")} | {
    mark: Option(1, f"Put {mark!r} directly before the digits.", repr(mark), mark) for mark in ("#", "0x", "n=")
}
_STEP = {
    "same": Option(0, "", "", lambda n: n),
    "square": Option(2, "Write the square of n in place of n.", "n * n", lambda n: n**2),
    "plus_1": Option(2, "Write n + 1 in place of n.", "n + 1", lambda n: 1 + n),
    "double": Option(2, "Write 2 * n in place of n.", "2 * n", lambda n: n + n),
}


def describe(v: Variant) -> str:
    return sentence(v["step"].words, f"Return the integer n in {v['base'].words} as a string (0 is written as the single digit for 0).", v["digits"].words,
                    v["order"].words, v["width"].words, v["prefix"].words, v["negative"].words)


def program(v: Variant) -> str:
    digits, base = v["digits"].code, v["base"].code
    step = f"n = {v['step'].code}" if v["step"].code else ""
    body = [step, "m = abs(n)", f"out = {digits}[0] if m == 0 else ''", "while m:", f"    {v['order'].code.format(d=f'{digits}[m % {base}]')}",
            f"    m //= {base}"]
    if v["width"].code:
        pad = f"out.{'ljust' if v['order'].run else 'rjust'}({v['width'].code}, {digits}[0])"
        body.append(f"out = {pad}")
    if v["prefix"].code:
        body.append(f"out = {v['prefix'].code} + out")
    last = f"return {v['negative'].code.format('out')} if n < 0 else out" if v["negative"].code else "return out"
    return function(FAMILY.signature, *body, last)


def solve(v: Variant, n: int) -> str:
    n = v["step"].run(n)
    digits = places(abs(n), v["base"].run)
    digits = [0] * (v["width"].run - len(digits)) + digits
    if v["order"].run:
        digits.reverse()
    text = v["prefix"].run + "".join(v["digits"].run[digit] for digit in digits)
    return v["negative"].run(text) if n < 0 else text


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[int]:
    """An integer of either sign, often near 0, where `step` may have moved it across."""
    if stratum in ("empty", "zero", "single"):
        return [{"empty": 0, "zero": -1}.get(stratum, rng.randint(-20, 20))]
    value = inputs.wide(rng, stratum, min(size, 12)) if stratum != "small" else rng.randint(3, 60)
    return [-value if stratum == "negative" or rng.random() < 0.3 else value]


FAMILY = Family(
    name="base_conversion", title="Numbers in another base", entry_point="to_base", parameters="n: int", returns="str",
    axes={"base": _BASES, "digits": _DIGITS, "order": _ORDER, "negative": _NEGATIVE, "width": _WIDTH, "prefix": _PREFIX, "step": _STEP},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language, accepts_any=True,
)
