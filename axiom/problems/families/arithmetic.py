"""Evaluating an infix expression: operators, precedence, associativity, division, brackets, base, result."""

import functools
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from axiom.problems.cases.inputs import huge
from axiom.problems.family import Family, function
from axiom.problems.operators import NUMERALS, TELLING, VALUES, Algebra, algebras, weighted, with_reader
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, sentence

_FLAT = [(0, ("+",)), (0, ("-",)), (0, ("*",)), (1, ("+-",)), (1, ("+*",)), (1, ("-*",)), (2, ("+-*",)), (1, ("/",)),
         (2, ("+/",)), (2, ("-/",)), (2, ("*/",)), (3, ("+-*/",)), (0, ("@",)), (1, ("+@",)), (1, ("-@",)),
         (2, ("*@",)), (2, ("+-@",)), (3, ("+-*@",)), (4, ("+-*/@",))]
_LADDERS = [(0, ("+-", "*")), (0, ("*", "+-")), (0, ("+", "*")), (0, ("*", "+")), (0, ("-", "*")), (0, ("*", "-")),
            (1, ("+", "-", "*")), (1, ("*", "-", "+")), (1, ("-", "+", "*")), (1, ("*", "+", "-")),
            (1, ("+-", "*/")), (1, ("*/", "+-")), (1, ("+-", "/")), (1, ("/", "+-")), (1, ("+*", "-/")),
            (1, ("-/", "+*")), (2, ("+-", "*", "/")), (2, ("/", "*", "+-")), (1, ("+-", "*@")), (1, ("*@", "+-")),
            (1, ("@", "+-", "*")), (1, ("+-", "*", "@")), (1, ("+-@", "*")), (2, ("@", "+-", "*/")),
            (2, ("+-", "*/", "@")), (2, ("*/", "+-", "@"))]

_CHAINS = {
    "left": Option(2, "from left to right", "", "left"),
    "right": Option(2, "from right to left", "", "right"),
}
_BRACKETS = {"no": Option(0, "", "", False), "yes": Option(2, "There may be round brackets.", "", True)}

_TOKENS = "Tokens are separated by single spaces. Numbers may be negative, such as -7."


def describe(v: Variant) -> str:
    algebra: Algebra = v["operators"].run
    notes = [f"{note}." for note in algebra.notes]
    if "grouping" not in v:
        opening = f"The string expression is a number, an operator ({_spoken(algebra.symbols)}) and a number."
    else:
        opening = f"The string expression holds numbers and the operators {_spoken(algebra.symbols)}."
        notes.insert(0, _binding(algebra, v["grouping"].words))
        notes.append(v["brackets"].words)
    parts = [
        opening,
        _TOKENS,
        v["numerals"].words,
        v["value"].words,
        *notes,
        "Return its value.",
        v["finish"].words,
    ]
    return sentence(*parts)


def _spoken(symbols: str) -> str:
    return symbols if len(symbols) == 1 else f"{', '.join(symbols[:-1])} and {symbols[-1]}"


def _binding(algebra: Algebra, grouping: str) -> str:
    if len(algebra.levels) == 1:
        return f"All operators have equal precedence and are applied {grouping}."
    order = "; ".join(
        f"{_spoken(tight)} before {_spoken(loose)}" for loose, tight in reversed(list(pairwise(algebra.levels)))
    )
    return f"Precedence: {order}. Operators of equal precedence are applied {grouping}."


def _main(v: Variant, read: str) -> str:
    algebra: Algebra = v["operators"].run
    if "grouping" not in v:
        body = ["a, op, b = expression.split()", f"a, b = {read.format('a')}, {read.format('b')}"]
        if len(algebra.symbols) == 1:
            code = algebra.code[algebra.symbols]
            if v["finish"].words:
                code = v["finish"].code.format(f"({code})")
            return function(FAMILY.signature, *body, f"return {code}")
        branches: list[str] = []
        for symbol in algebra.symbols[:-1]:
            branches += [f"{'el' if branches else ''}if op == {symbol!r}:", f"    result = {algebra.code[symbol]}"]
        branches += ["else:", f"    result = {algebra.code[algebra.symbols[-1]]}"]
        return function(FAMILY.signature, *body, *branches, f"return {v['finish'].code.format('result')}")
    apply = function("def apply(op, a, b)", *algebra.apply_lines())
    walk = _climb if len(algebra.levels) > 1 or v["brackets"].run else _fold
    return f"{apply}\n\n\n{walk(v, algebra, read)}"


def _fold(v: Variant, algebra: Algebra, read: str) -> str:
    forward = v["grouping"].run == "left"
    steps = "range(1, len(tokens), 2)" if forward else "reversed(range(1, len(tokens), 2))"
    number = read.format("tokens[i + 1]" if forward else "tokens[i - 1]")
    return function(
        FAMILY.signature,
        "tokens = expression.split()",
        f"value = {read.format('tokens[0]' if forward else 'tokens[-1]')}",
        f"for i in {steps}:",
        f"    value = apply(tokens[i], {'value, ' + number if forward else number + ', value'})",
        f"return {v['finish'].code.format('value')}",
    )


def _climb(v: Variant, algebra: Algebra, read: str) -> str:
    level = {symbol: rank for rank, symbols in enumerate(algebra.levels, 1) for symbol in symbols}
    whole = "parse(min(LEVEL.values()))"
    atom = ["token = tokens.pop(0)", f"left = {read.format('token')}"]
    if v["brackets"].run:
        atom = ["token = tokens.pop(0)", "if token == '(':", f"    left = {whole}", "    tokens.pop(0)", "else:",
                f"    left = {read.format('token')}"]
    tighter = "parse(LEVEL[op] + 1)" if v["grouping"].run == "left" else "parse(LEVEL[op])"
    parse = function(
        "def parse(lowest)", *atom, "while tokens and tokens[0] in LEVEL and LEVEL[tokens[0]] >= lowest:", "    op = tokens.pop(0)",
        f"    left = apply(op, left, {tighter})", "return left",
    )
    main = function(
        FAMILY.signature, f"tokens = expression.split()\n\n{parse}\n", f"return {v['finish'].code.format(whole)}"
    )
    return f"LEVEL = {level}\n\n\n{main}"


def solve(v: Variant, expression: str) -> int:
    algebra: Algebra = v["operators"].run
    base, right = v["numerals"].run[0], "grouping" in v and v["grouping"].run == "right"
    change = v["value"].run
    items = [t if t in algebra.run or t in "()" else change(int(t, base)) for t in expression.split()]
    while "(" in items:
        end = items.index(")")
        start = max(place for place in range(end) if items[place] == "(")
        items[start : end + 1] = [_swept(items[start + 1 : end], algebra, right)]
    return v["finish"].run(_swept(items, algebra, right))


def _swept(items: list[Any], algebra: Algebra, right: bool) -> int:
    """Value of numbers with operators between them: sweep after sweep applies those of one level, tightest first."""
    for level in reversed(algebra.levels):
        place = len(items) - 2 if right else 1
        while 0 < place < len(items):
            operator = items[place]
            if operator in level:
                items[place - 1 : place + 2] = [algebra.run[operator](items[place - 1], items[place + 1])]
            if right:
                place -= 2
            elif operator not in level:
                place += 2
    return items[0]


def _language(v: Variant) -> tuple[object, ...]:
    """What `sample` looks at."""
    nested = "brackets" in v and v["brackets"].run
    return v["operators"].run.symbols, "grouping" in v, nested, v["numerals"].run


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """An expression of the variant's language; long ones have half as many numbers again as `size`."""
    if "grouping" not in v:
        count = 2
    elif stratum in TELLING:
        count = rng.choice((2, 2, 3, 3, 4))
    else:
        count = {"single": 1, "small": 3, "long": 3 * size // 2}.get(stratum) or rng.randint(2, size)
    numbers = _numerals(v, rng, stratum, count)
    operators = rng.choices(weighted(v["operators"].run.symbols, stratum), k=count - 1)
    if stratum in ("zero", "big") and "/" in operators:
        _set_divisors(v, rng, stratum, numbers, operators)
    if count > 1 and "brackets" in v and v["brackets"].run:
        _bracket(rng, numbers, 0, count)
    tokens = [""] * (2 * count - 1)
    tokens[::2], tokens[1::2] = numbers, operators
    return [" ".join(tokens)]


def _set_divisors(v: Variant, rng: random.Random, stratum: str, numbers: list[str], operators: Sequence[str]) -> None:
    """Put zeros after divisions where zeros are wanted, and small numbers even where large ones are."""
    for place, operator in enumerate(operators, 1):
        if operator == "/":
            zero = stratum == "zero" and rng.random() < 0.6
            numbers[place] = "0" if zero else rng.choice(_written(v["numerals"].run[1], "typical"))


def _bracket(rng: random.Random, numbers: list[str], start: int, end: int) -> None:
    """Put brackets around some runs of the numbers from `start` to `end`, and around some within these."""
    place = start
    while place < end - 1:
        run = rng.randint(2, end - place) if rng.random() < 0.35 else 1
        if run > 1:
            if run < end - place:
                _bracket(rng, numbers, place, place + run)
            numbers[place] = f"( {numbers[place]}"
            numbers[place + run - 1] += " )"
        place += run


def _numerals(v: Variant, rng: random.Random, stratum: str, count: int) -> list[str]:
    code = v["numerals"].run[1]
    numbers = rng.choices(_written(code, stratum), k=count)
    if stratum == "big":
        for place in range(count):
            if rng.random() < 0.7:
                sign = "-" if rng.random() < 0.3 else ""
                numbers[place] = sign + format(huge(rng), code)
    return numbers


@functools.cache
def _written(code: str, stratum: str) -> Sequence[str]:
    """The numbers of a stratum, huge ones apart, each as often as it is likely."""
    unsigned = (0, 0, 1, 2, 7, 9) if stratum in ("zero", "empty") else range(1, 10 if stratum == "small" else 41)
    negative = 8 if stratum == "negative" else 3
    return [format(n * sign, code) for n in unsigned for sign in (1,) * (10 - negative) + (-1,) * negative]


_SHARED = {"numerals": NUMERALS, "value": VALUES, "finish": FINISH}

FAMILY = Family(
    name="arithmetic", title="Evaluate an infix expression", entry_point="evaluate", parameters="expression: str",
    returns="int",
    axes=(
        {"operators": algebras(_FLAT), **_SHARED},
        {"operators": algebras(_FLAT), "grouping": _CHAINS, "brackets": {"no": _BRACKETS["no"]}, **_SHARED},
        {
            "operators": algebras([(c + 2, a) for c, a in _LADDERS]),
            "grouping": _CHAINS,
            "brackets": _BRACKETS,
            **_SHARED,
        },
    ),
    describe=describe, program=functools.partial(with_reader, _main), solve=solve, sample=sample, language=_language, patience=12,
)
