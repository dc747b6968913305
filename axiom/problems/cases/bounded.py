"""Trusted programs that may be endless: references on another variant's arguments, and small wrong versions of them."""

import ast
import copy
import functools
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from types import CodeType
from typing import Any

from axiom.problems.cases.outline import outlines

MOST_STEPS = 300_000
"""Rounds of `while` loops, items of ranges and recursive calls that a bounded program makes before it raises, and so
many rounds of `for` loops. A function that calls itself by another name, or an iterator without end outside a `for`
statement, is not counted.

Reference programs need at most a tenth of it for all of their own cases together.
"""

_LOOK = 1024
"""After so many steps the sizes of a function's texts and integers are steps too: a text that grows in a loop without
end would be copied for a minute before the rounds are over."""

_WORDS, _DEFINED = re.compile(r"\w+"), re.compile(r"\bdef\s+(\w+)")
_LOOP = re.compile(r"^\s*(?:for|while)\b", re.MULTILINE)
_steps = [MOST_STEPS]
_turns = [MOST_STEPS]
"""Rounds of `for` loops that are left: over a list that grows in its loop they have no end."""


def restart() -> None:
    """Let bounded programs make MOST_STEPS steps from now on."""
    _steps[0] = _turns[0] = MOST_STEPS


def _turn() -> None:
    _turns[0] -= 1
    if _turns[0] < 0:
        raise TimeoutError(f"more than {MOST_STEPS} steps")


def _step(count: int = 1) -> bool:
    before = _steps[0] // _LOOK
    _steps[0] -= count
    if _steps[0] // _LOOK < before:
        _steps[0] -= sum(map(_bytes, sys._getframe(1).f_locals.values()))
    if _steps[0] < 0:
        raise TimeoutError(f"more than {MOST_STEPS} steps")
    return True


def _bytes(value: Any) -> int:
    if type(value) is int:
        return value.bit_length() // 8
    return len(value) if type(value) in (str, bytes) else 0


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    _step(len(numbers))
    return numbers


def on_copies(run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` for programs that may change their arguments, or evaluate them, which can warn."""

    def call(*args: Any) -> Any:
        with warnings.catch_warnings(action="ignore"):
            return run(*copy.deepcopy(args))

    return call


def bounded(source: str, entry_point: str, printed: bool = True) -> Callable[..., Any]:
    """The function that *trusted* `source` defines, which raises once it has made MOST_STEPS steps.

    `printed` says that the source is as a family printed it, so that variants can share a compilation.
    """
    scope: dict[str, Any] = {"__name__": "reference", "range": _range, "_step": _step, "_turn": _turn}
    for text, literals in outlines(source) if printed else [(source, {})]:
        scope |= literals
        exec((_shared if printed else _compiled)(text), scope)  # our own code, HumanEval's solutions, edits of both
    run: Callable[..., Any] = scope[entry_point]
    return run


def _compiled(text: str) -> CodeType:
    """The program with a step in each round of a loop and in each call of a function that names itself."""
    if not _may_be_endless(text):
        return compile(text, "<reference>", "exec", dont_inherit=True)
    tree = ast.parse(text)
    loops, recursive = _endless(tree)
    for loop in loops:
        if isinstance(loop, ast.While):
            loop.test = ast.copy_location(ast.BoolOp(ast.And(), [_called("_step", loop), loop.test]), loop)
        else:
            loop.body.insert(0, ast.copy_location(ast.Expr(_called("_turn", loop)), loop))
    for function in recursive:
        function.body.insert(0, ast.copy_location(ast.Expr(_called("_step", function)), function))
    return compile(tree, "<reference>", "exec", dont_inherit=True)


def _endless(tree: ast.Module) -> tuple[list[ast.While | ast.For], list[ast.FunctionDef]]:
    """Its loops, and its functions that name themselves."""
    loops: list[ast.While | ast.For] = []
    recursive: dict[ast.FunctionDef, None] = {}
    waiting: list[tuple[ast.AST, tuple[ast.FunctionDef, ...]]] = [(tree, ())]
    while waiting:
        node, functions = waiting.pop()
        if isinstance(node, ast.Name):
            recursive.update((function, None) for function in functions if function.name == node.id)
        elif isinstance(node, ast.While | ast.For):
            loops.append(node)
        elif isinstance(node, ast.FunctionDef):
            functions = (*functions, node)
        waiting.extend((child, functions) for child in ast.iter_child_nodes(node))
    return loops, list(recursive)


def _called(function: str, at: ast.stmt) -> ast.Call:
    name = ast.copy_location(ast.Name(function, ast.Load()), at)
    return ast.copy_location(ast.Call(name, [], []), at)


def _may_be_endless(text: str) -> bool:
    """Whether the text has a loop, or a function's name a second time. To parse it would take longer."""
    words = Counter(_WORDS.findall(text))
    return bool(_LOOP.search(text)) or any(words[name] > 1 for name in _DEFINED.findall(text))


_shared = functools.lru_cache(16_384)(_compiled)
