"""Which drawn inputs tell a reference solution from wrong ones: small mutants, all held in one compiled program.

A *mutant schema* (Untch, Offutt and Harrold 1993) is the program with each place that could be wrong looked up by
name: constants, comparisons, subtraction, products, division, remainders, conditions and a few builtins. A mutant is
another binding of one name, so dozens of them cost one compilation.
"""

import ast
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MOST_ROUNDS = 2_000
"""Rounds of `while` loops, or length of a range, beyond which a mutant counts as endless."""

Run = Callable[..., Any]

_BOUNDARIES: dict[type[ast.cmpop], tuple[Run, Run]] = {
    ast.Lt: (operator.lt, operator.le), ast.LtE: (operator.le, operator.lt), ast.Gt: (operator.gt, operator.ge),
    ast.GtE: (operator.ge, operator.gt),
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], tuple[Run, Run]] = {
    ast.Sub: (operator.sub, operator.add),
    ast.Mult: (operator.mul, operator.add),
    ast.FloorDiv: (operator.floordiv, lambda a, b: int(a / b)),
    ast.Mod: (operator.mod, lambda a, b: a - int(a / b) * b),
}
_BUILTINS: dict[str, Any] = {"max": min, "min": max, "set": list}
_ALWAYS, _NEVER, _same = (lambda _: True), (lambda _: False), (lambda test: test)


def planted(source: str, entry_point: str, run: Run, argument: Any, result: Any) -> list[Run]:
    """Wrong versions of *trusted* `source`, which defines `run`: its mutants, and `run` behind wrappers.

    The wrappers suit a first argument and a result of the types given.
    """
    return [*_Schema(source, entry_point).mutants(), *wrappers(run, argument, result)]


def wrappers(run: Run, argument: Any, result: Any) -> Iterator[Run]:
    """`run` with its first argument or its result mistreated, as far as such an argument and result allow."""
    if isinstance(argument, str | list):
        yield lambda a, *rest: run(a[:-1], *rest)
        yield lambda a, *rest: run(a[1:], *rest)
        yield lambda a, *rest: run(a[:4], *rest)
    elif isinstance(argument, int):
        yield lambda a, *rest: run(a + 1, *rest)
        yield lambda a, *rest: run(a - 1, *rest)
    if isinstance(result, list):
        yield lambda *args: [int(float(x)) for x in run(*args)]


def differs(mutant: Run, args: Sequence[Any], expected: Any) -> bool:
    """Whether a mutant answers a call otherwise than expected."""
    try:
        found = mutant(*args)
    except Exception:  # noqa: BLE001 (a wrong program may break in any way; then it has given itself away)
        return True
    return type(found) is not type(expected) or found != expected


_PARTS = (ast.expr, ast.stmt, ast.comprehension, ast.keyword, ast.arguments)
"""The kinds of node under which a doubtful place may lie."""


class _Schema:
    """A program whose doubtful places are names in `scope`; `bindings` holds (name, usual, wrong) for each mutant."""

    def __init__(self, source: str, entry_point: str) -> None:
        self.bindings: list[tuple[str, Any, Any]] = []
        self.rounds = 0
        self.scope: dict[str, Any] = {"__name__": "schema", "range": _bounded, "_going": self._going}
        tree = ast.parse(source)
        for statement in tree.body:
            self._visit(statement)
        exec(compile(tree, "<schema>", "exec"), self.scope)  # our own printed code, rewritten here
        self._run: Run = self.scope[entry_point]

    def mutants(self) -> Iterator[Run]:
        """One function for each binding."""
        return (functools.partial(self._bound, *binding) for binding in self.bindings)

    def _bound(self, name: str, usual: Any, wrong: Any, *args: Any) -> Any:
        """What the mutant with `name` bound to `wrong` answers."""
        self.scope[name], self.rounds = wrong, 0
        try:
            return self._run(*args)
        finally:
            self.scope[name] = usual

    def _going(self, test: Any) -> Any:
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            raise TimeoutError(f"more than {MOST_ROUNDS} rounds")
        return test

    def _named(self, usual: Any, *wrong: Any) -> str:
        name = f"_{len(self.scope)}"
        self.scope[name] = usual
        self.bindings += [(name, usual, other) for other in wrong]
        return name

    def _visit(self, node: ast.AST) -> ast.AST:
        """`node` with its doubtful places replaced by names and calls; changes the tree in place."""
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                for place, item in enumerate(value):
                    if isinstance(item, _PARTS):
                        value[place] = self._visit(item)
            elif isinstance(value, _PARTS):
                setattr(node, field, self._visit(value))
        rewrite = _REWRITES.get(type(node))
        return rewrite(self, node) if rewrite else node

    def _constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is not int:
            return node
        return _name(self._named(node.value, node.value + 1, node.value - 1), node)

    def _operator(self, node: ast.BinOp) -> ast.AST:
        pair = _OPERATORS.get(type(node.op))
        return _call(self._named(*pair), node, node.left, node.right) if pair else node

    def _comparison(self, node: ast.Compare) -> ast.AST:
        pair = _BOUNDARIES.get(type(node.ops[0]))
        if len(node.ops) > 1 or pair is None:
            return node
        return _call(self._named(*pair), node, node.left, node.comparators[0])

    def _branch(self, node: Any) -> ast.AST:
        node.test = _call(self._named(operator.truth, _ALWAYS, _NEVER), node.test, node.test)
        return node

    def _filter(self, node: ast.comprehension) -> ast.AST:
        node.ifs = [_call(self._named(operator.truth, _ALWAYS), test, test) for test in node.ifs]
        return node

    def _either(self, node: ast.BoolOp) -> ast.AST:
        neutral = _ALWAYS if isinstance(node.op, ast.And) else _NEVER
        for place in (0, -1):
            node.values[place] = _call(self._named(_same, neutral), node, node.values[place])
        return node

    def _loop(self, node: ast.While) -> ast.AST:
        node.test = _call("_going", node.test, node.test)
        return node

    def _builtin(self, node: ast.Name) -> ast.AST:
        if node.id in _BUILTINS and node.id not in self.scope:
            usual = _USUAL[node.id]
            self.scope[node.id] = usual
            self.bindings.append((node.id, usual, _BUILTINS[node.id]))
        return node


_USUAL: dict[str, Any] = {"max": max, "min": min, "set": set}
_REWRITES: dict[type[ast.AST], Callable[[_Schema, Any], ast.AST]] = {
    ast.Constant: _Schema._constant, ast.BinOp: _Schema._operator, ast.Compare: _Schema._comparison,
    ast.If: _Schema._branch, ast.IfExp: _Schema._branch, ast.comprehension: _Schema._filter,
    ast.BoolOp: _Schema._either, ast.While: _Schema._loop, ast.Name: _Schema._builtin,
}  # fmt: skip


def _name(name: str, at: Any) -> ast.Name:
    return ast.Name(name, ast.Load(), lineno=at.lineno, col_offset=0, end_lineno=at.lineno, end_col_offset=0)


def _call(name: str, at: Any, *args: ast.expr) -> ast.Call:
    return ast.Call(_name(name, at), list(args), [], lineno=at.lineno, col_offset=0, end_lineno=at.lineno,
                    end_col_offset=0)  # fmt: skip


def _bounded(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MOST_ROUNDS:
        raise TimeoutError(f"a range of more than {MOST_ROUNDS}")
    return numbers
