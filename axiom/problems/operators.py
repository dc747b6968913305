"""Binary operators on integers, with their rules for division: shared by arithmetic and rpn."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from axiom.problems.family import function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import MAPS

PLAIN: dict[str, Option] = {
    "+": Option(0, "", "a + b", lambda a, b: a - (-b)),
    "-": Option(0, "", "a - b", lambda a, b: a + (-b)),
    "*": Option(0, "", "a * b", lambda a, b: ((a + b) ** 2 - (a - b) ** 2) // 4),
}
"""The operators that need no explanation."""

SPECIAL: dict[str, Option] = {
    "max": Option(1, "a @ b is the larger of a and b", "max(a, b)", lambda a, b: a if a >= b else b),
    "min": Option(1, "a @ b is the smaller of a and b", "min(a, b)", lambda a, b: a if a <= b else b),
    "gap": Option(1, "a @ b is the absolute difference of a and b", "abs(a - b)", lambda a, b: max(a, b) - min(a, b)),
    "mean": Option(2, "a @ b is (a + b) / 2 rounded down", "(a + b) // 2", lambda a, b: (a + b) >> 1),
    "lean": Option(2, "a @ b is 2 * a + b", "2 * a + b", lambda a, b: a + a + b),
    "pull": Option(2, "a @ b is a - 2 * b", "a - 2 * b", lambda a, b: a - b - b),
}
"""What the extra operator @ may mean."""


def _towards_zero(a: int, b: int) -> int:
    quotient, rest = divmod(a, b)
    return quotient + 1 if rest and quotient < 0 else quotient


def _nearest(a: int, b: int) -> int:
    quotient, rest = divmod(a, b)
    return quotient + 1 if abs(2 * rest) >= abs(b) else quotient


_ROUNDING: dict[str, Option] = {
    "down": Option(1, "rounds down (towards minus infinity)", "a // b", lambda a, b: (a - a % b) // b),
    "zero": Option(2, "rounds towards zero", "max(a // b, 0) + min(-(-a // b), 0)", _towards_zero),
    "up": Option(2, "rounds up (towards plus infinity)", "-(-a // b)", lambda a, b: a // b + (a % b != 0)),
    "near": Option(3, "rounds to the nearest integer, halves up", "(2 * a + b) // (2 * b)", _nearest),
    "rest": Option(
        2, "gives the remainder with the sign of b, as in Python's a % b", "a % b", lambda a, b: divmod(a, b)[1]
    ),
}

_BY_ZERO: dict[str, Option] = {
    "0": Option(0, "0", "0", lambda a: 0),
    "a": Option(0, "a", "a", lambda a: a),
    "-1": Option(0, "-1", "-1", lambda a: -1),
}


@dataclass(frozen=True)
class Algebra:
    """Operators by level, loosest binding first, each with its code and its function."""

    levels: tuple[str, ...]
    code: dict[str, str]
    run: dict[str, Callable[[int, int], int]]
    notes: tuple[str, ...]

    @functools.cached_property
    def symbols(self) -> str:
        """Every operator, in the order of the levels."""
        return "".join(self.levels)

    @functools.cached_property
    def commutes(self) -> bool:
        """Whether the operands of each operator may be exchanged."""
        pairs = ((3, 8), (-5, 2), (7, 0), (4, 4))
        return all(run(a, b) == run(b, a) for run in self.run.values() for a, b in pairs)

    def apply_lines(self) -> list[str]:
        """Body of a function that applies `op` to a and b."""
        lines = []
        for symbol in self.symbols[:-1]:
            lines += [f"if op == {symbol!r}:", f"    return {self.code[symbol]}"]
        return [*lines, f"return {self.code[self.symbols[-1]]}"]


def _divisions() -> Iterator[tuple[str, Option]]:
    """Every rule for a / b, by name: words that explain it, code and function."""
    for how, rounding in _ROUNDING.items():
        for name, zero in _BY_ZERO.items():

            def run(a: int, b: int, rounding: Option = rounding, zero: Option = zero) -> int:
                return rounding.run(a, b) if b else zero.run(a)

            words = f"a / b {rounding.words}, and is {zero.words} if b is 0"
            yield f"{how}_{name}", Option(rounding.cost, words, f"{rounding.code} if b else {zero.code}", run)


def algebras(arrangements: Sequence[tuple[int, tuple[str, ...]]]) -> dict[str, Option]:
    """One option for each arrangement of levels, and for each meaning of / and @ where the arrangement has them.

    `arrangements` holds (cost, levels); the option's `run` is its Algebra.
    """
    options = {}
    for cost, levels in arrangements:
        symbols = "".join(levels)
        explained = {symbol: meanings for symbol, meanings in _EXPLAINED.items() if symbol in symbols}
        for chosen in itertools.product(*(meanings.items() for meanings in explained.values())):
            names, notes = [name for name, _ in chosen], [option.words for _, option in chosen]
            meaning = {symbol: PLAIN[symbol] for symbol in symbols if symbol in PLAIN}
            meaning |= {symbol: option for symbol, (_, option) in zip(explained, chosen, strict=True)}
            code, run = ({symbol: getattr(one, part) for symbol, one in meaning.items()} for part in ("code", "run"))
            price = cost + sum(option.cost for _, option in chosen)
            options[" ".join(["|".join(levels), *names])] = Option(
                price, "", "", Algebra(levels, code, run, tuple(notes))
            )
    return options


_EXPLAINED = {"/": dict(_divisions()), "@": SPECIAL}
"""The meanings of the operators that need an explanation."""

NUMERALS: dict[str, Option] = {
    "decimal": Option(0, "", "int({})", (10, "d")),
    "binary": Option(2, "Numbers are written in binary.", "int({}, 2)", (2, "b")),
    "octal": Option(2, "Numbers are written in octal.", "int({}, 8)", (8, "o")),
    "hexadecimal": Option(2, "Numbers are written in hexadecimal, in lower case.", "int({}, 16)", (16, "x")),
}
"""How numbers are written; `run` is the base and the format code."""


VALUES: dict[str, Option] = {"same": Option(0, "", "", lambda x: x)} | {
    name: Option(
        one.cost, f"Calculate with {one.words.format('the numbers')} in place of the numbers.", one.code, one.run
    )
    for name, one in MAPS.items()
    if name != "same"
}
"""What is calculated with in place of each number that is written; `code` is empty where it is the number itself."""


def with_reader(main: Callable[[Variant, str], str], v: Variant) -> str:
    """The program of `main`, which is given the code that reads a token, led by the function that this code needs."""
    number: str = v["numerals"].code
    if not v["value"].code:
        return main(v, number)
    reader = function("def read(token)", f"x = {number.format('token')}", f"return {v['value'].code}")
    return f"{reader}\n\n\n{main(v, 'read({})')}"


@functools.cache
def weighted(symbols: str, stratum: str) -> str:
    """Each operator as often as it is likely: among zeros and negative numbers most are divisions or differences."""
    if stratum not in TELLING:
        return symbols
    divisions, differences = (sign * len(symbols) if sign in symbols else symbols for sign in "/-")
    return 2 * divisions + differences + symbols


TELLING = ("zero", "empty", "negative")
"""Strata of short expressions, where a slip in one operator is not lost among the others."""
