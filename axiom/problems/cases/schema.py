"""Which drawn inputs kill mutants of a reference solution: its small mutants, all held in one compiled program.

A *mutant schema* (Untch, Offutt and Harrold 1993) is the program with each place that could be wrong looked up by
name. A mutant is another binding of one name, so dozens of them cost one compilation, where each of
`mutation.edits` costs its own: choosing cases takes about a millisecond of CPU a problem. What may be wrong is that
module's table; of it the schema holds the comparisons, operators, names, numbers and conditions that most often
survive.
"""

import ast
import builtins
import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from axiom.problems.cases.mutation import COMPARISONS, DIVISIONS, NAMES, OPERATORS
from axiom.problems.cases.outline import MARK, outlines

MOST_ROUNDS = 2_000
"""Rounds of `while` loops, or length of a range, beyond which a mutant counts as endless."""

MOST_TURNS = 100_000
"""Rounds of `for` loops beyond which it does: over a list that grows in its loop they have no end."""

ALONE = 3
"""Calls on which each mutant that is left is tried by itself."""

Run = Callable[..., Any]
Wrongs = dict[str, Any]
"""Names of doubtful places, and what each is bound to instead of its usual value."""
Call = tuple[Sequence[Any], Any]
"""Arguments and the right answer."""

_FUNCTIONS: dict[type[ast.AST], Run] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_BOUNDARIES: dict[type[ast.cmpop], tuple[Run, Run]] = {
    op: (_FUNCTIONS[op], _FUNCTIONS[COMPARISONS[op]]) for op in (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
}
_DIFFERENCES = {op: (_FUNCTIONS[op], _FUNCTIONS[OPERATORS[op]]) for op in (ast.Sub, ast.Mult)}
_DIVISIONS = {op: (_FUNCTIONS[op], eval(f"lambda a, b: {formula}")) for op, formula in DIVISIONS.items()}
_OPERATORS = _DIFFERENCES | _DIVISIONS
_BUILTINS: dict[str, Any] = {name: getattr(builtins, NAMES[name]) for name in ("max", "min", "set")}
_ALWAYS, _NEVER, _same = (lambda _: True), (lambda _: False), (lambda test: test)


class Mutants:
    """Mutants of *trusted* `source`, which defines `run`, and `run` behind wrappers.

    The wrappers suit a first argument of the type given; what may go wrong with a result suits the type of `result`.
    A mutant that a call has killed is forgotten.
    """

    def __init__(self, source: str, entry_point: str, run: Run, argument: Any, result: Any) -> None:
        self._usual: dict[str, Any] = {}
        self._scope: dict[str, Any] = {"__name__": "schema", "range": _bounded}
        self._left: list[Wrongs] = []
        for place, (text, literals) in enumerate(outlines(source)):
            schema = _schema(text, place)
            self._usual |= schema.usual
            self._usual |= literals
            self._left += schema.bindings
            for name in schema.numbers:
                if type(number := literals[name]) is int:
                    self._left += [{name: number + 1}, {name: number - 1}]
            self._scope |= self._usual
            exec(schema.code, self._scope)  # our own printed code, rewritten here
        self._run = self._scope[entry_point]
        self._behind = list(wrappers(run, argument))
        self._beyond = distortions(result)

    def __bool__(self) -> bool:
        """Whether there is a mutant or a wrapper that no call has killed."""
        return bool(self._left or self._behind)

    def killed_by_all(self, calls: Sequence[Call]) -> set[int]:
        """Places of the calls that killed a mutant, each tried on a few; what is left was tried on all of them.

        What the first few calls have not killed mostly means the same as the program. It is tried together from there
        on: a call that many wrong places together leave as it is kills, but for rare coincidences, none of them.
        """
        killers: set[int] = set()
        for place, call in enumerate(calls[:ALONE]):
            self._left, killed = self._parted(self._left, *call)
            if killed:
                killers.add(place)
        alive, self._left = _together(self._left), []
        killers |= {place for place, call in enumerate(calls[:ALONE]) if self.killed_by(*call)}
        self._left = alive
        return killers | {place for place, call in enumerate(calls[ALONE:], ALONE) if self and self.killed_by(*call)}

    def killed_by(self, args: Sequence[Any], expected: Any) -> bool:
        """Whether a call kills a mutant; those that it kills are forgotten."""
        self._left, killed = self._parted(self._left, args, expected)
        killed_any = False
        for wrongs in killed:
            apart: list[Wrongs] = [{name: wrong} for name, wrong in wrongs.items()] if len(wrongs) > 1 else []
            alive, differing = self._parted(apart, args, expected)
            if apart and not differing:
                self._left += [_joined(alive[::2]), _joined(alive[1::2])]  # together they would differ again
            else:
                self._left += _together(alive)
                killed_any = True
        behind = [wrong for wrong in self._behind if not _answers_otherwise(wrong, args, expected)]
        beyond = [wrong for wrong in self._beyond if not _answers_otherwise(wrong, (expected,), expected)]
        killed_any = killed_any or len(behind) < len(self._behind) or len(beyond) < len(self._beyond)
        self._behind, self._beyond = behind, beyond
        return killed_any

    def _parted(self, versions: list[Wrongs], args: Sequence[Any], expected: Any) -> tuple[list[Wrongs], list[Wrongs]]:
        """The versions with which the program answers a call as expected, and those with which it does not."""
        scope, usual, run = self._scope, self._usual, self._run
        alive: list[Wrongs] = []
        killed: list[Wrongs] = []
        for wrongs in versions:
            scope["_rounds"], scope["_turns"] = itertools.repeat(True, MOST_ROUNDS), itertools.repeat(True, MOST_TURNS)
            scope.update(wrongs)
            (killed if _answers_otherwise(run, args, expected) else alive).append(wrongs)
            for name in wrongs:
                scope[name] = usual[name]
        return alive, killed


def _joined(wrongs: Sequence[Wrongs]) -> Wrongs:
    return {name: wrong for one in wrongs for name, wrong in one.items()}


def _together(wrongs: Sequence[Wrongs]) -> list[Wrongs]:
    """As few bundles as hold every (name, wrong value) without a name twice in one."""
    bundles: list[Wrongs] = []
    for wrong in wrongs:
        free = next((bundle for bundle in bundles if not bundle.keys() & wrong.keys()), None)
        if free is None:
            bundles.append(dict(wrong))
        else:
            free.update(wrong)
    return bundles


def wrappers(run: Run, argument: Any) -> Iterator[Run]:
    """`run` with its first argument mistreated, as far as such an argument allows."""
    if isinstance(argument, str | list):
        yield lambda a, *rest: run(a[:-1], *rest)
        yield lambda a, *rest: run(a[1:], *rest)
        yield lambda a, *rest: run(a[:4], *rest)
    if isinstance(argument, list):
        yield lambda a, *rest: run(list(dict.fromkeys(a)), *rest)
    elif isinstance(argument, int):
        yield lambda a, *rest: run(a + 1, *rest)
        yield lambda a, *rest: run(a - 1, *rest)
        yield lambda a, *rest: run(int(float(a)), *rest)


def distortions(result: Any) -> list[Run]:
    """What may go wrong with a right answer of the type given."""
    if type(result) is int:
        return [abs, lambda found: int(float(found))]
    if type(result) is list:
        return [lambda found: [int(float(x)) for x in found], lambda found: found[:-1], sorted]
    return []


def _answers_otherwise(mutant: Run, args: Sequence[Any], expected: Any) -> bool:
    """Whether a wrong program answers a call otherwise than expected."""
    try:
        found = mutant(*args)
    except Exception:  # noqa: BLE001 (a wrong program may break in any way; then it has given itself away)
        return True
    return type(found) is not type(expected) or found != expected


@dataclass(frozen=True)
class _Schema:
    """A program whose doubtful places are names.

    `usual` holds what each name stands for, `bindings` a wrong value of one name for each mutant, `numbers` the names
    of literals that are wrong when one is added to them.
    """

    code: CodeType
    usual: dict[str, Any]
    bindings: tuple[Wrongs, ...]
    numbers: tuple[str, ...]


@functools.lru_cache(16_384)
def _schema(text: str, place: int) -> _Schema:
    """The schema of the part of a program that stands at `place`."""
    rewriting = _Rewriting(place)
    code = compile(rewriting.visit(ast.parse(text)), "<schema>", "exec")
    return _Schema(code, rewriting.usual, tuple(rewriting.bindings), tuple(rewriting.numbers))


class _Rewriting(ast.NodeTransformer):
    """Replaces the doubtful places of a part of a program by names and calls, inner ones first."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.usual: dict[str, Any] = {}
        self.bindings: list[Wrongs] = []
        self.numbers: dict[str, None] = {}

    def _named(self, usual: Any, *wrong: Any) -> str:
        name = f"_at{self.place}_{len(self.usual)}"
        self.usual[name] = usual
        self.bindings += [{name: other} for other in wrong]
        return name

    def visit(self, node: ast.AST) -> Any:
        """`node` rewritten, in place; tables stay as they are, because a slip in one shows at once or never."""
        if isinstance(node, ast.Dict):
            return node
        self.generic_visit(node)
        rewrite = getattr(self, f"_{type(node).__name__}", None)
        return rewrite(node) if rewrite else node

    def _BinOp(self, node: ast.BinOp) -> ast.AST:
        pair = _OPERATORS.get(type(node.op))
        return _call(self._named(*pair), node, node.left, node.right) if pair else node

    def _Compare(self, node: ast.Compare) -> ast.AST:
        pair = _BOUNDARIES.get(type(node.ops[0]))
        if len(node.ops) > 1 or pair is None:
            return node
        return _call(self._named(*pair), node, node.left, node.comparators[0])

    def _UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if not isinstance(node.op, ast.USub):
            return node
        return _call(self._named(operator.neg, operator.pos), node, node.operand)

    def _If(self, node: Any) -> ast.AST:
        node.test = _call(self._named(operator.truth, _ALWAYS, _NEVER), node.test, node.test)
        return node

    _IfExp = _If

    def _comprehension(self, node: ast.comprehension) -> ast.AST:
        node.ifs = [_call(self._named(operator.truth, _ALWAYS), test, test) for test in node.ifs]
        return node

    def _BoolOp(self, node: ast.BoolOp) -> ast.AST:
        neutral = _ALWAYS if isinstance(node.op, ast.And) else _NEVER
        for place in (0, -1):
            node.values[place] = _call(self._named(_same, neutral), node, node.values[place])
        return node

    def _While(self, node: ast.While) -> ast.AST:
        going = _call("next", node.test, _name("_rounds", node.test))
        node.test = ast.copy_location(ast.BoolOp(ast.And(), [node.test, going]), node.test)
        return node

    def _For(self, node: ast.For) -> ast.AST:
        node.body.insert(0, ast.copy_location(ast.Expr(_call("next", node, _name("_turns", node))), node))
        return node

    def _Name(self, node: ast.Name) -> ast.AST:
        if node.id.startswith(MARK):
            self.numbers[node.id] = None
        elif node.id in _BUILTINS and node.id not in self.usual:
            self.usual[node.id] = _USUAL[node.id]
            self.bindings.append({node.id: _BUILTINS[node.id]})
        return node


_USUAL: dict[str, Any] = {name: getattr(builtins, name) for name in _BUILTINS}


def _name(name: str, at: Any) -> ast.Name:
    return ast.Name(name, ast.Load(), lineno=at.lineno, col_offset=0, end_lineno=at.lineno, end_col_offset=0)


def _call(name: str, at: Any, *args: ast.expr) -> ast.Call:
    return ast.Call(
        _name(name, at), list(args), [], lineno=at.lineno, col_offset=0, end_lineno=at.lineno, end_col_offset=0
    )


def _bounded(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MOST_ROUNDS:
        raise TimeoutError(f"a range of more than {MOST_ROUNDS}")
    return numbers
