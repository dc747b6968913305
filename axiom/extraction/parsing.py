"""Parsing a model's text: syntax trees and the names of a module, within a budget of work."""

import ast
import builtins
import functools
import symtable
import sys
import warnings
from dataclasses import dataclass

_FILE = "<completion>"
# What Python thinks of the style of a model's text, when it parses it, is no news to the user.
warnings.filterwarnings("ignore", module=_FILE)

WORK = 12
"""Characters that may be parsed for each character of a completion."""
_FREE = 20_000  # a short completion is never stopped
_BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Parser:
    """Parses the parts of one completion, each part once.

    The work is linear in the size of the completion: after `WORK` characters for each of its characters, whatever else
    is asked about counts as text that does not parse.
    """

    def __init__(self, size: int) -> None:
        self._left = WORK * size + _FREE
        self._known: dict[str, ast.Module | None] = {}

    def __call__(self, source: str) -> ast.Module | None:
        """The syntax tree, or None: a model's text may break the parser in every way it knows."""
        if source not in self._known:
            self._left -= len(source)
            self._known[source] = _parse(source) if self._left >= 0 else None
        return self._known[source]


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source, _FILE)
    except _BROKEN:
        return None


@dataclass(frozen=True, slots=True)
class Names:
    """The global names of a module: those it binds, and those it uses without binding them or finding them built in."""

    bound: frozenset[str]
    missing: frozenset[str]


@functools.lru_cache(8)
def names(source: str) -> Names | None:
    """The names of a module, or None when it does not compile."""
    try:
        top = symtable.symtable(source, _FILE, "exec")
    except _BROKEN:
        return None
    bound, used = set(), set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for name in table.get_identifiers():
            symbol = table.lookup(name)
            if table is top or symbol.is_global():
                if symbol.is_assigned() or symbol.is_imported():
                    bound.add(name)
                if symbol.is_referenced():
                    used.add(name)
    return Names(frozenset(bound), frozenset(name for name in used - bound if not _is_given(name)))


def _is_given(name: str) -> bool:
    return hasattr(builtins, name) or (name.startswith("__") and name.endswith("__"))


def module_statements(tree: ast.Module) -> list[ast.stmt]:
    """Every statement that runs in the module's own scope, also those inside `if`, `for`, `with`, `try`, `match`."""
    found: list[ast.stmt] = []
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            found.append(node)
        if not isinstance(node, SCOPES):
            inner = [
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
            ]
            waiting += reversed(inner)
    return found


def stores(node: ast.AST) -> set[str]:
    """The names that `node` and what is in it assign to."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def is_foreign(node: ast.AST) -> bool:
    """Whether a node imports from a module that is not of the standard library."""
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] not in sys.stdlib_module_names for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or (node.module or "").split(".")[0] not in sys.stdlib_module_names
    return False


def future_line(tree: ast.Module | None) -> int:
    """The last line of the imports from the future, 0 without one."""
    body = tree.body if tree else []
    imports = (node for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__")
    return max((node.end_lineno or 0 for node in imports), default=0)


def behind_future(program: str, added: str, parse: Parser) -> str:
    """`program` with the lines `added` where Python first allows them."""
    lines, line = program.split("\n"), future_line(parse(program))
    return "\n".join([*lines[:line], added, *lines[line:]])
