"""Whether, and how well, a piece of source defines the function that was asked for."""

import ast
import re
from enum import IntEnum

from axiom.extraction.parsing import is_foreign, module_statements, stores

_NOT_CALLABLE = (
    ast.Constant,
    ast.JoinedStr,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.Compare,
    ast.BinOp,
    ast.UnaryOp,
)
_BUILDS = re.compile(r"\b(?:globals|locals|vars|exec|setattr)\s*\(|__dict__")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ANYWHERE = re.compile(rf"{_BUILDS.pattern}|[\\\\&\u00ad\u200b-\u200f\u2060\ufeff]")
"""What may bind any name, or hide how it is bound: escapes, entities, invisible signs."""
_BEFORE = re.compile(r"(?:(?:def|class)\W{1,60}|import\b[^=:]*|\bfor\s[\s\w,()*\[\].]*)\Z")
_BEHIND = re.compile(r"\s*(?:=(?!=)|[:,)\]][\s\S]{0,200}?=)")
_NEAR = 200  # characters, in which a statement that binds a name has its keyword


class Definition(IntEnum):
    """How a source defines a name, weakest first."""

    NONE = 0
    STUB = 1
    """A function without a body: `pass`, `...`, `return None`, `raise NotImplementedError` or its docstring alone."""
    BUILT = 2
    """Perhaps: the name stands in a string of a source that calls `globals`, `exec` or the like."""
    METHOD = 3
    """A method of some class."""
    WHOLE = 4
    """A function, a class, an assigned callable, an import of the standard library, or a method of `Solution`."""


def may_define(text: str, name: str) -> bool:
    """Whether `text` has what a definition of `name` needs, whichever way it is read; most prose has not."""
    place = text.find(name)
    if place >= 0 and _ANYWHERE.search(text):
        return True
    while place >= 0:
        behind = place + len(name)
        whole = not (_is_in_a_word(text, place - 1) or _is_in_a_word(text, behind))
        if whole and (_BEHIND.match(text, behind) or _BEFORE.search(text, max(0, place - _NEAR), place)):
            return True
        place = text.find(name, behind)
    return False


def _is_in_a_word(text: str, place: int) -> bool:
    """Whether the character at `place`, if there is one, may stand in a name."""
    sign = text[max(place, 0) : place + 1]
    return sign.isalnum() or sign == "_"


def definition(tree: ast.Module, source: str, name: str) -> Definition:
    """The strongest way in which the module binds `name` to something that can be called."""
    best = Definition.NONE
    if name in source:
        for statement in module_statements(tree):
            best = max(best, _of_statement(statement, name))
        if "global" in source and _is_declared_global(tree, name):
            best = Definition.WHOLE
        if best < Definition.BUILT and _BUILDS.search(source) and _in_a_string(tree, name):
            best = Definition.BUILT
    return best


def method_owner(tree: ast.Module, name: str) -> str | None:
    """The class whose method `name` is the answer, when nothing else of the module has that name."""
    owners = []
    for statement in module_statements(tree):
        if isinstance(statement, ast.ClassDef) and statement.name != name:
            if _has_method(statement, name):
                owners.append(statement.name)
        elif _of_statement(statement, name) > Definition.NONE:
            return None
    if not owners:
        return None
    return "Solution" if "Solution" in owners else owners[-1]


def _of_statement(node: ast.stmt, name: str) -> Definition:
    if isinstance(node, ast.ClassDef):
        if node.name == name:
            return Definition.WHOLE
        if _has_method(node, name):
            return Definition.WHOLE if node.name == "Solution" else Definition.METHOD
        return Definition.NONE
    if isinstance(node, _FUNCTIONS):
        whole = Definition.STUB if is_stub(node) else Definition.WHOLE
        return whole if node.name == name else Definition.NONE
    return Definition.WHOLE if _binds(node, name) else Definition.NONE


def _has_method(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(item, ast.FunctionDef) and item.name == name for item in node.body)


def is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function has nothing to run."""
    return not node.decorator_list and all(map(_is_empty, node.body))


def _is_empty(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return node.exc is not None and "NotImplementedError" in ast.dump(node.exc)
    value = node.value if isinstance(node, ast.Expr | ast.Return) else None
    if isinstance(node, ast.Return):
        return value is None or (isinstance(value, ast.Constant) and value.value is None)
    return isinstance(node, ast.Pass) or isinstance(value, ast.Constant)


def _binds(node: ast.stmt, name: str) -> bool:
    """Whether a simple or compound statement itself binds `name` to what may be a function."""
    if isinstance(node, ast.ImportFrom):
        return not is_foreign(node) and any((alias.asname or alias.name) == name for alias in node.names)
    if isinstance(node, ast.Assign):
        return any(name in stores(target) for target in node.targets) and _may_be_called(node.value, name, node.targets)
    if isinstance(node, ast.AnnAssign):
        return node.value is not None and name in stores(node.target) and _may_be_called(node.value, name, [])
    if isinstance(node, ast.For):
        return name in stores(node.target)
    return isinstance(node, ast.Expr) and any(
        isinstance(inner, ast.NamedExpr) and inner.target.id == name for inner in ast.walk(node)
    )


def _may_be_called(value: ast.expr, name: str, targets: list[ast.expr]) -> bool:
    """Whether a value may be a function: no literal, no arithmetic, and no result of the function itself."""
    if any(isinstance(target, ast.Tuple | ast.List) for target in targets):
        return True
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id not in {name, "int", "float", "str", "list", "dict", "set", "tuple", "len", "sum", "input"}
    return not isinstance(value, _NOT_CALLABLE)


def _is_declared_global(tree: ast.Module, name: str) -> bool:
    return any(isinstance(node, ast.Global) and name in node.names for node in ast.walk(tree))


def _in_a_string(tree: ast.Module, name: str) -> bool:
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and name in node.value for node in ast.walk(tree)
    )
