"""From the piece that defines the function to a program: with what it needs from other pieces, and nothing else."""

import ast
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeGuard

from axiom.extraction.definitions import method_owner
from axiom.extraction.files import Files, with_files
from axiom.extraction.parsing import (
    SCOPES,
    Parser,
    behind_future,
    future_line,
    is_foreign,
    module_statements,
    names,
    stores,
)

NOT_IMPORTED = "# not imported by the completion"
"""Ends the line that gives a program the names of `typing` which it uses and does not import."""
_TYPING = {*typing.__all__, "typing"}
_WORD = re.compile(r"\w+")
_ALSO_IN_COLLECTIONS = {"ChainMap", "Counter", "OrderedDict"}
_EFFECTS = {"input", "open", "exit", "quit", "breakpoint"}


def assemble(
    main: str, files: Callable[[], Files], others: Callable[[set[str]], Sequence[str]], name: str, parse: Parser
) -> str:
    """`main` with what it lacks of `others` and of `typing`, and with a function that calls a method.

    `files` gives the blocks that are files with a name. `others` gives the sources to borrow from, the likeliest first,
    or none when none of them has the names it is given.
    """
    led, given_names = with_files(main, files, parse) or ("", set())
    program = led or _without_imports_of_pieces(main, others, parse)
    tree = parse(program)
    assert tree is not None
    if missing := missing_names(program, tree) - given_names:
        helpers, future = _helpers(missing, others(missing), name, parse)
        program = _led_by(program, helpers, future, parse)
    if owner := method_owner(tree, name):
        program += f"\n\n\ndef {name}(*args):\n    return {owner}().{name}(*args)"
    return _with_typing(program, parse)


def given(code: str) -> list[str]:
    """The names of `typing` that a program was given."""
    lines = [line.removesuffix(NOT_IMPORTED) for line in code.split("\n") if line.endswith(NOT_IMPORTED)]
    return [name for line in lines for name in line.rpartition("import ")[2].strip().split(", ")]


def replaces(source: str, main: str, parse: Parser) -> bool:
    """Whether `source` is nothing but new versions of functions and classes that `main` has."""
    trees = parse(source), parse(main)
    if trees[0] is None or trees[1] is None or not trees[0].body:
        return False
    known = {statement.name for statement in trees[1].body if isinstance(statement, SCOPES)}
    return all(isinstance(statement, SCOPES) and statement.name in known for statement in trees[0].body)


def _without_imports_of_pieces(main: str, others: Callable[[set[str]], Sequence[str]], parse: Parser) -> str:
    """`main` without its imports from modules that other pieces of the completion are: they define every name."""
    tree = parse(main)
    imports = [statement for statement in tree.body if _is_foreign(statement)] if tree else []
    if not imports:
        return main
    wanted = {alias.name for statement in imports for alias in statement.names}
    defined = _defined(others(wanted), parse)
    lines = main.split("\n")
    for statement in reversed(imports):
        found = [(alias.name, alias.asname or alias.name) for alias in statement.names]
        if all(name in defined for name, _ in found):
            aliases = [f"{alias} = {name}" for name, alias in found if alias != name]
            lines[statement.lineno - 1 : statement.end_lineno] = aliases
    program = "\n".join(lines).strip("\n")
    return program if parse(program) else main


def _is_foreign(statement: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    """Whether a statement imports names from a module that is not of the standard library."""
    return isinstance(statement, ast.ImportFrom) and is_foreign(statement)


def _defined(others: Sequence[str], parse: Parser) -> set[str]:
    """The names that statements of `others` bind, imports from elsewhere left out."""
    trees = filter(None, map(parse, others))
    return {
        name for tree in trees for statement in tree.body if not _is_foreign(statement) for name in _bound(statement)
    }


def missing_names(source: str, tree: ast.Module) -> set[str]:
    """Names that a module uses and does not bind, or binds by a statement that already uses them."""
    found = names(source)
    if found is None:
        return set()
    missing = set(found.missing)
    seen: set[str] = set()
    for statement in module_statements(tree):
        if not isinstance(statement, SCOPES):
            missing |= _used(statement) & found.bound - seen
        seen |= _stored([statement])
    return missing


def _used(statement: ast.stmt) -> set[str]:
    """The names that a statement's own expressions use at once: bodies of `lambda` and names of comprehensions not."""
    used: set[str] = set()
    stored: set[str] = set()
    inner: set[str] = set()  # to a comprehension
    waiting: list[ast.AST] = [
        node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr | ast.withitem)
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else stored).add(node.id)
        elif isinstance(node, ast.comprehension):
            inner |= stores(node.target)
        if not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    if isinstance(statement, ast.AugAssign):
        return used | stores(statement.target)
    return used - inner if isinstance(statement, ast.Assign) else used - inner - stored


def _helpers(missing: set[str], others: Sequence[str], name: str, parse: Parser) -> tuple[list[str], bool]:
    """(statements that define `missing` and what they need in turn, whether one comes from a module of the future)."""
    taken: dict[int, set[ast.stmt]] = {}
    index = _index(others, parse)
    waiting, asked = sorted(missing, reverse=True), set(missing)
    while waiting:
        wanted = waiting.pop()
        for number, statements in (index.get(wanted) or index.get("*", {})).items():
            safe = [statement for statement in statements if _is_safe(statement, name)]
            if any({wanted, "*"} & _bound(statement) for statement in safe):
                taken.setdefault(number, set()).update(safe)
                text = "\n".join(_sources(others[number], safe))
                tree = parse(text)
                new = sorted(missing_names(text, tree) - asked) if tree else []
                waiting += new
                asked |= set(new)
                break
    future = any(future_line(parse(others[number])) for number in taken)
    return [text for number in sorted(taken, reverse=True) for text in _sources(others[number], taken[number])], future


def _index(others: Sequence[str], parse: Parser) -> dict[str, dict[int, list[ast.stmt]]]:
    """For each name the sources that bind it, and the statements that bind or change it there."""
    index: dict[str, dict[int, list[ast.stmt]]] = {}
    defined = _defined(others, parse)
    for number, other in enumerate(others):
        tree = parse(other)
        for statement in tree.body if tree else []:
            bound = _bound(statement)
            if bound and _is_foreign(statement) and bound <= defined:
                continue  # a module of the completion itself, whose definitions are taken instead
            for name in bound | _changed(statement):
                index.setdefault(name, {}).setdefault(number, []).append(statement)
    return index


def _is_safe(statement: ast.stmt, name: str) -> bool:
    """Whether a statement defines without doing: no input, no call of the function itself, no endless loop."""
    if isinstance(statement, SCOPES):
        return True
    if isinstance(statement, ast.ImportFrom):
        return not statement.level and statement.module != "__future__"
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {*_EFFECTS, name}:
            return False
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant):
            return False
    return True


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module binds."""
    return _stored(module_statements(ast.Module([statement], [])))


def _stored(statements: Iterable[ast.stmt]) -> set[str]:
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, SCOPES):
            found.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With):
            targets = _targets(statement)
            found |= {name for target in targets for name in stores(target)}
    return found


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    if isinstance(statement, ast.With):
        return [item.optional_vars for item in statement.items if item.optional_vars]
    assert isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For)
    return [statement.target]


def _changed(statement: ast.stmt) -> set[str]:
    """The names whose items or attributes a statement of a module sets, or whose methods it calls."""
    found = set()
    for inner in module_statements(ast.Module([statement], [])):
        changed = _targets(inner) if isinstance(inner, ast.Assign | ast.AugAssign) else []
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            changed = [inner.value.func]
        for target in changed:
            if isinstance(target, ast.Subscript | ast.Attribute):
                found |= {node.id for node in ast.walk(target.value) if isinstance(node, ast.Name)}
    return found


def _sources(source: str, statements: Iterable[ast.stmt]) -> Iterator[str]:
    """The texts of some statements of `source`, in their order there."""
    lines = source.split("\n")
    for statement in sorted(statements, key=lambda statement: (statement.lineno, statement.col_offset)):
        decorators = getattr(statement, "decorator_list", [])
        start = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        yield "\n".join(lines[start - 1 : statement.end_lineno])


def _led_by(program: str, helpers: list[str], future: bool, parse: Parser) -> str:
    """`program` with `helpers` in front, behind the imports from the future that Python wants first."""
    if not helpers:
        return program
    lines = program.split("\n")
    line = future_line(parse(program))
    head = lines[:line] or (["from __future__ import annotations"] if future else [])
    unique = list(dict.fromkeys(helpers))  # two statements on one line are one
    rest = "\n".join(lines[line:]).strip("\n")
    return "\n\n\n".join(filter(None, ["\n".join(head), *unique, rest]))


def may_use_typing(source: str) -> bool:
    """Whether `source` may use a name of `typing`: Python reads other letters as plain ones."""
    return not source.isascii() or not _TYPING.isdisjoint(_WORD.findall(source))


def _with_typing(program: str, parse: Parser) -> str:
    """`program` with the names of `typing` that it uses without importing them, and a remark that says so."""
    if not may_use_typing(program):
        return program
    found, tree = names(program), parse(program)
    if found is None or tree is None:
        return program
    used = found.missing & set(typing.__all__)
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call)) if used else ()
    used -= {call.id for call in calls if isinstance(call, ast.Name)} & _ALSO_IN_COLLECTIONS
    added = [f"from typing import {', '.join(sorted(used))}  {NOT_IMPORTED}"] if used else []
    if "typing" in found.missing:
        added.append(f"import typing  {NOT_IMPORTED}")
    return behind_future(program, "\n".join(added), parse) if added else program
