"""Evaluating postfix notation: operators, operand order, stack commands, surplus and missing operands, base, result."""

import functools
import random
from collections.abc import Callable, Sequence

from axiom.problems.cases.inputs import huge
from axiom.problems.family import Family, function
from axiom.problems.operators import NUMERALS, TELLING, VALUES, Algebra, algebras, weighted, with_reader
from axiom.problems.space import Axes, Option, Variant
from axiom.problems.vocabulary import FINISH, sentence

_PAIRS = [(0, ("+",)), (0, ("-",)), (0, ("*",)), (0, ("@",)), (1, ("/",)), (1, ("+-",)), (1, ("+*",)), (1, ("-*",)),
          (2, ("+-*",)), (2, ("+/",)), (2, ("-@",)), (2, ("*@",)), (2, ("*/",))]
_SETS = [(2, ("+-",)), (2, ("+*",)), (2, ("-*",)), (2, ("-@",)), (2, ("+-*",)), (2, ("*@",)), (2, ("-/",)),
         (2, ("*/",)), (3, ("+-*/",)), (3, ("+-*@",)), (3, ("+-/",)), (4, ("+-*/@",))]

_ORDER = {
    "usual": Option(0, "the number pushed first is a, the one pushed last is b", "b, a = {pop}, {pop}", False),
    "swapped": Option(1, "the number pushed last is a, the one pushed first is b", "a, b = {pop}, {pop}", True),
}
_SURPLUS = {
    "top": Option(0, "Return the top of the final stack.", "stack[-1]", lambda s: s[-1]),
    "bottom": Option(0, "Return the bottom of the final stack.", "stack[0]", lambda s: s[0]),
    "sum": Option(0, "Return the sum of the final stack.", "sum(stack)", lambda s: sum(s)),
    "largest": Option(0, "Return the largest number on the final stack.", "max(stack)", lambda s: sorted(s)[-1]),
    "height": Option(1, "Return the top of the final stack plus the number of items on it.", "(stack[-1] + len(stack))",
                     lambda s: s[-1] + len(s)),
}
_MISSING = {
    "never": Option(0, "", "", None),
    "zero": Option(2, "Where an operator or a command lacks an operand, zeros are put under the stack first.", "0", 0),
    "one": Option(2, "Where an operator or a command lacks an operand, ones are put under the stack first.", "1", 1),
}
_COMMANDS = {
    "none": Option(0, "", "", ""),
    **{
        "+".join(names): Option(
            len(names), "", "", names
        )
        for names in (("dup",), ("swap",), ("neg",), ("dup", "swap"), ("dup", "neg"), ("swap", "neg"), ("dup", "swap", "neg"))
    },
}
_WORDS = {
    "dup": "'dup' pushes a copy of the top",
    "swap": "'swap' exchanges the two topmost items",
    "neg": "'neg' replaces the top by its negative",
}
_CODE = {
    "dup": ("        top = {pop}", "        stack += [top, top]"),
    "swap": ("        b, a = {pop}, {pop}", "        stack += [b, a]"),
    "neg": ("        stack.append(-{pop})",),
}
_RUN: dict[str, Callable[[list[int]], list[int]]] = {
    "dup": lambda top: top * 2,
    "swap": lambda top: top[::-1],
    "neg": lambda top: [0 - top[0]],
}
"""What takes the place of the topmost items that a command needs."""
_NEEDS = {"dup": 1, "swap": 2, "neg": 1}
_LEAVES = {"dup": 2, "swap": 2, "neg": 1}
"""Items on a stack that was empty before the command."""


def describe(v: Variant) -> str:
    algebra: Algebra = v["operators"].run
    symbols = " ".join(algebra.symbols)
    rule = f"An operator takes two numbers: {v['order'].words}."
    if algebra.symbols in ("+", "*", "+*"):
        rule = ""
    notes = [f"{note}." for note in algebra.notes]
    if "surplus" not in v:
        opening = f"The string expression is two numbers and then an operator ({symbols}), separated by spaces."
        ending = "Return its value (postfix notation)."
    else:
        opening = (
            f"The string expression is in postfix notation: numbers and operators ({symbols}), separated by spaces."
        )
        notes += [f"{'; '.join(_WORDS[name] for name in v['commands'].run)}."] if v["commands"].run else []
        ending = f"{v['missing'].words} {v['surplus'].words}".strip()
    parts = [opening, v["numerals"].words, v["value"].words, rule, *notes, ending, v["finish"].words]
    return sentence(*parts)


def _main(v: Variant, read: str) -> str:
    algebra: Algebra = v["operators"].run
    if "surplus" not in v:
        names = "b, a, op" if v["order"].run else "a, b, op"
        body = [f"{names} = expression.split()", f"a, b = {read.format('a')}, {read.format('b')}"]
        branches = []
        for symbol in algebra.symbols[:-1]:
            branches += [
                f"if op == {symbol!r}:",
                f"    return {v['finish'].code.format(_atom(v, algebra.code[symbol]))}",
            ]
        last = v["finish"].code.format(_atom(v, algebra.code[algebra.symbols[-1]]))
        return function(FAMILY.signature, *body, *branches, f"return {last}")
    pop = "take(stack)" if v["missing"].words else "stack.pop()"
    lines = ["stack = []", "for token in expression.split():"]
    for name in v["commands"].run:
        lines += [f"    {'if' if len(lines) == 2 else 'elif'} token == {name!r}:", *_CODE[name]]
    lines += [
        f"    {'if' if len(lines) == 2 else 'elif'} token in {algebra.symbols!r}:",
        f"        {v['order'].code}",
        "        stack.append(apply(token, a, b))",
        "    else:",
        f"        stack.append({read.format('token')})",
        f"return {v['finish'].code.format(v['surplus'].code)}",
    ]
    parts = [
        function("def apply(op, a, b)", *algebra.apply_lines()),
        function("def take(stack)", f"return stack.pop() if stack else {v['missing'].code}"),
        function(FAMILY.signature, *(line.format(pop=pop) for line in lines)),
    ]
    return "\n\n\n".join(parts if v["missing"].words else [parts[0], parts[2]])


def _atom(v: Variant, code: str) -> str:
    return f"({code})" if v["finish"].words else code


def solve(v: Variant, expression: str) -> int:
    apply, swapped, base = v["operators"].run.run, v["order"].run, v["numerals"].run[0]
    filler = v["missing"].run if "missing" in v else None
    stack: list[int] = []
    for token in expression.split(" "):
        if token not in apply and token not in _RUN:
            stack.append(v["value"].run(int(token, base)))
            continue
        needed = _NEEDS.get(token, 2)
        if filler is not None and len(stack) < needed:
            stack[:0] = [filler] * (needed - len(stack))
        top = stack[-needed:]
        if token in _RUN:
            stack[-needed:] = _RUN[token](top)
        else:
            stack[-2:] = [apply[token](*(top[::-1] if swapped else top))]
    return v["finish"].run(v["surplus"].run(stack) if "surplus" in v else stack[0])


def _language(v: Variant) -> tuple[object, ...]:
    """What `sample` looks at."""
    symbols, numerals = v["operators"].run.symbols, v["numerals"].run
    if "surplus" in v:
        return symbols, numerals, v["commands"].run, v["missing"].words
    return symbols, numerals, v["order"].run


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """A postfix expression; long ones have twice `size` tokens."""
    symbols = v["operators"].run.symbols
    if "surplus" not in v:
        symbol = rng.choice(weighted(symbols, stratum))
        first, second = _numeral(v, rng, stratum), _numeral(v, rng, stratum)
        if symbol == "/" and stratum in ("big", "zero"):
            zero = stratum == "zero" and rng.random() < 0.6
            second = "0" if zero else rng.choice(_written(v["numerals"].run[1], "typical"))
        return [f"{second} {first} {symbol}" if v["order"].run else f"{first} {second} {symbol}"]
    if stratum == "zero" and "/" in symbols and rng.random() < 0.5:
        number = rng.choice(_written(v["numerals"].run[1], "typical"))
        return [rng.choice((f"0 {number} /", f"{number} 0 /"))]
    if stratum in TELLING or (stratum == "big" and rng.random() < 0.6):
        length = rng.choice((3, 3, 4, 5, 6))
    else:
        length = {"single": rng.choice((1, 2)), "small": 5, "long": 2 * size}.get(stratum, 0)
        length = length or rng.randint(5, 3 * size // 2)
    return [" ".join(_tokens(v, rng, stratum, length))]


def _tokens(v: Variant, rng: random.Random, stratum: str, length: int) -> list[str]:
    operators, draw = weighted(v["operators"].run.symbols, stratum), rng.random
    commands, allow = v["commands"].run, bool(v["missing"].words)
    lacking = 0 if not allow else 0.75 if stratum in TELLING else 0.3
    if allow and draw() < lacking:
        tokens = [rng.choice((rng.choice(operators), *commands))]
        height = _LEAVES.get(tokens[0], 1)
    else:
        tokens, height = [_numeral(v, rng, stratum)], 1
    while len(tokens) < length:
        roll = draw()
        if roll < 0.25 and commands and (allow or height >= 2):
            name = rng.choice(commands)
            tokens.append(name)
            height = max(height, _NEEDS[name]) + (name == "dup")
        elif roll < 0.65 and (height >= 2 or draw() < lacking):
            tokens.append(operators[int(draw() * len(operators))])
            height = height - 1 if height > 2 else 1
        else:
            tokens.append(_numeral(v, rng, stratum))
            height += 1
    return tokens


def _numeral(v: Variant, rng: random.Random, stratum: str) -> str:
    code = v["numerals"].run[1]
    if stratum == "big" and rng.random() < 0.8:
        return format(huge(rng) * rng.choice((1, -1)), code)
    return rng.choice(_written(code, stratum))


@functools.cache
def _written(code: str, stratum: str) -> Sequence[str]:
    """The numbers of a stratum, huge ones apart, each as often as it is likely."""
    usual = range(-9, 31)
    if stratum in ("zero", "empty"):
        numbers: Sequence[int] = (0, 0, 1, -1, 7)
    elif stratum == "small":
        numbers = range(1, 10)
    elif stratum == "negative":
        numbers = (*usual, *usual, *usual, *(n for n in range(-30, 0) for _ in range(9)))
    else:
        numbers = usual
    return [format(n, code) for n in numbers]


def _products(operators: dict[str, Option], **axes: dict[str, Option]) -> tuple[Axes, Axes]:
    """The axes for operators that hang on the order of their operands, and for those that do not."""
    shared = {**axes, "numerals": NUMERALS, "value": VALUES, "finish": FINISH}
    commuting = {name: option for name, option in operators.items() if option.run.commutes}
    others = {name: option for name, option in operators.items() if name not in commuting}
    return (
        {"operators": others, "order": _ORDER, **shared},
        {"operators": commuting, "order": {"usual": _ORDER["usual"]}, **shared},
    )


FAMILY = Family(
    name="rpn", title="Evaluate postfix notation", entry_point="evaluate_postfix", parameters="expression: str",
    returns="int",
    axes=(
        *_products(algebras(_PAIRS)),
        *_products(algebras(_SETS), surplus=_SURPLUS, missing=_MISSING, commands=_COMMANDS),
    ),
    describe=describe, program=functools.partial(with_reader, _main), solve=solve, sample=sample, language=_language, patience=16,
)
