"""Small wrong versions of a program: one edit of its source each, or a wrapper that mistreats arguments or results."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

_CONFUSED = ((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn))
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {a: b for pair in _CONFUSED for a, b in (pair, pair[::-1])}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
DIVISIONS: dict[type[ast.operator], str] = {ast.FloorDiv: "int(a / b)", ast.Mod: "a - int(a / b) * b"}
"""The wrong division rule: towards zero, and through a float; and the remainder of that division."""

NAMES = {
    "max": "min",
    "min": "max",
    "sorted": "list",
    "abs": "int",
    "sum": "len",
    "upper": "lower",
    "lower": "upper",
    "set": "list",
    "append": "count",
}

WRAPPERS = (
    "f(args[0][:-1], *args[1:])",
    "f(args[0][1:], *args[1:])",
    "f(args[0][::-1], *args[1:])",
    "f(args[0][:4], *args[1:])",
    "f(sorted(args[0]), *args[1:])",
    "f(list(dict.fromkeys(args[0])), *args[1:])",
    "f(args[0] + 1, *args[1:])",
    "f(args[0] - 1, *args[1:])",
    "f(abs(args[0]), *args[1:])",
    "f(int(float(args[0])), *args[1:])",
    "f(*args[::-1])",
    "f(*args) if args[0] else None",
    "f(*args) + 1",
    "f(*args) - 1",
    "-f(*args)",
    "abs(f(*args))",
    "int(float(f(*args)))",
    "f(*args)[::-1]",
    "f(*args)[:-1]",
    "f(*args)[1:]",
    "sorted(f(*args))",
    "f(*args).lower()",
    "f(*args).strip()",
    "[int(float(x)) for x in f(*args)]",
)
"""Off by one, reversed, cut short, swapped operands, lost precision above 2**53, a forgotten empty input."""


def edits(source: str) -> Iterator[str]:
    """Source texts with one edit each, all different from `source`; some may mean the same."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    count = sum(1 for _ in ast.walk(tree))
    for place in range(count):
        for change in _changes(_node(tree, place)):
            edited = copy.deepcopy(tree)
            change(_node(edited, place))
            text = ast.unparse(ast.fix_missing_locations(edited))
            if text not in seen:
                seen.add(text)
                yield text


def wrapped(source: str, entry_point: str) -> Iterator[str]:
    """`source` behind each of the wrappers. One that does not suit the arguments fails, and is a cheat all the same."""
    for expression in WRAPPERS:
        body = expression.replace("f(", "original(")
        yield f"{source}\noriginal = {entry_point}\n\n\ndef {entry_point}(*args):\n    return {body}\n"


def _node(tree: ast.AST, place: int) -> ast.AST:
    return next(node for index, node in enumerate(ast.walk(tree)) if index == place)


def _changes(node: ast.AST) -> Iterator[Callable[[Any], None]]:
    """Edits of a copy of `node`, in place."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield lambda n: n.ops.__setitem__(0, COMPARISONS[type(n.ops[0])]())
        case ast.Constant(value=bool()):
            yield lambda n: setattr(n, "value", not n.value)
        case ast.Constant(value=int()):
            yield lambda n: setattr(n, "value", n.value + 1)
            yield lambda n: setattr(n, "value", n.value - 1)
        case ast.BinOp() | ast.AugAssign():
            yield from _operator_changes(node)
        case ast.UnaryOp(op=ast.USub()):
            yield lambda n: setattr(n, "op", ast.UAdd())
        case ast.Name(id=name) if name in NAMES:
            yield lambda n: setattr(n, "id", NAMES[n.id])
        case ast.Attribute(attr=name) if name in NAMES:
            yield lambda n: setattr(n, "attr", NAMES[n.attr])
        case _:
            yield from _branch_changes(node)


def _branch_changes(node: ast.AST) -> Iterator[Callable[[Any], None]]:
    """A condition that always holds, never holds, or has lost one of its parts."""
    if isinstance(node, ast.If | ast.IfExp):
        yield lambda n: setattr(n, "test", ast.Constant(True))
        yield lambda n: setattr(n, "test", ast.Constant(False))
    elif isinstance(node, ast.BoolOp):
        yield lambda n: setattr(n, "op", ast.Or() if isinstance(n.op, ast.And) else ast.And())
        yield lambda n: n.values.pop(0)
        yield lambda n: n.values.pop()
    elif isinstance(node, ast.Compare) and len(node.ops) == 2:
        yield lambda n: setattr(n, "ops", [ast.Lt(), n.ops[1]])
        yield lambda n: setattr(n, "ops", [n.ops[0], ast.Lt()])
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield lambda n: n.ifs.pop()


def _operator_changes(node: ast.BinOp | ast.AugAssign) -> Iterator[Callable[[Any], None]]:
    if type(node.op) in OPERATORS:
        yield lambda n: setattr(n, "op", OPERATORS[type(n.op)]())
    if isinstance(node, ast.BinOp):
        yield lambda n: _swap(n)
        if type(node.op) in DIVISIONS:
            yield lambda n: _become(n, DIVISIONS[type(n.op)])


def _swap(node: ast.BinOp) -> None:
    node.left, node.right = node.right, node.left


def _become(node: ast.BinOp, formula: str) -> None:
    """Turn `node` into (formula) + 0, with a and b its operands."""
    parts = {"a": node.left, "b": node.right}

    class Fill(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return copy.deepcopy(parts.get(name.id, name))

    node.left = Fill().visit(ast.parse(formula, mode="eval").body)
    node.op, node.right = ast.Add(), ast.Constant(0)
