"""Files of one completion that import each other: the program gets the modules that it and they import.

A file has its name behind the fence, in its first line, or in the line of text above it.
"""

import ast
import re
from collections.abc import Callable, Mapping

from axiom.extraction.parsing import SCOPES, Parser, behind_future, is_foreign, module_statements, names

_NAME = r"(?:[\w.-]+[/\\])*(?P<name>[^\W\d]\w*)\.py\b"
_ANY = re.compile(_NAME)
_FIRST = re.compile(rf"\s*(?:#|\"\"\"|'''|%%(?:writefile|file))[ \t]*(?:[Ff]ile(?:name)?[ \t]*:)?[ \t]*`?{_NAME}")
_SECTION = re.compile(rf"^#[ \t#=-]*(?:[Ff]ile(?:name)?[ \t]*:)?[ \t]*{_NAME}[ \t#=:-]*$", re.MULTILINE)

Files = Mapping[str, str]
"""Sources by the names of their modules."""


def file_name(source: str, info: str, intro: str) -> str:
    """The module that a block with this text, behind this fence and below this line is, or nothing."""
    if match := _FIRST.match(source):
        return match["name"]
    for line in (info, intro):
        found = {match["name"] for match in _ANY.finditer(line[:1000])}
        if len(found) == 1:
            return found.pop()
    return ""


def with_files(main: str, others: Callable[[], Files], parse: Parser) -> tuple[str, set[str]] | None:
    """`main`, led by the files of the completion as modules of their own, and the names that `import *` gives it.

    None when it needs no module: what it imports by `from file import name` can stand before it as it is, unless two
    files bind one name.
    """
    tree = parse(main)
    if tree is None or not may_import_files(main, tree):
        return None
    sections = _sections(main)
    files = {**others(), **sections}
    used = _imported(main, files, parse)
    if not used:
        return None
    order = _in_order(main, files, parse)
    in_one_block = used & sections.keys()
    if in_one_block:
        main = _without_sections(main, used)
    elif not _needs_modules(main, [files[name] for name in order], files, parse):
        return None
    modules = [_module(name, _rewritten(files[name], files, parse)) for name in order]
    starred = {
        _target(node, files)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and _target(node, files)
    }
    given = {name for file in starred if (found := names(files[file])) for name in found.bound}
    return behind_future(_rewritten(main, files, parse), "\n".join(modules), parse), given


def may_import_files(source: str, tree: ast.Module) -> bool:
    """Whether a program imports from outside the standard library."""
    return "import" in source and any(map(is_foreign, ast.walk(tree)))


def _target(node: ast.AST, files: Files) -> str:
    """The file that a node imports names from, or imports, or nothing."""
    if isinstance(node, ast.Import | ast.ImportFrom) and is_foreign(node):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        last = module.rpartition(".")[2]
        if last in files:
            return last
        if isinstance(node, ast.ImportFrom) and node.names[0].name in files:
            return node.names[0].name
    return ""


def _imported(source: str, files: Files, parse: Parser) -> set[str]:
    tree = parse(source)
    return {name for node in ast.walk(tree) if (name := _target(node, files))} if tree else set()


def _in_order(main: str, files: Files, parse: Parser) -> list[str]:
    """The files that `main` needs, each behind those it needs itself."""
    order: list[str] = []
    waiting = [(name, False) for name in sorted(_imported(main, files, parse), reverse=True)]
    seen: set[str] = set()
    while waiting:
        name, is_done = waiting.pop()
        if is_done:
            order.append(name)
        elif name not in seen:
            seen.add(name)
            inner = sorted(_imported(files[name], files, parse) - seen, reverse=True)
            waiting += [(name, True), *((other, False) for other in inner)]
    return order


def _needs_modules(main: str, sources: list[str], files: Files, parse: Parser) -> bool:
    """Whether names put before `main` would not do: a module is used as one, or two files bind the same name."""
    bound: set[str] = set()
    for source in (main, *sources):
        tree = parse(source)
        if tree is None:
            return False
        at_top = module_statements(tree)
        first = set(tree.body)
        imports = [node for node in ast.walk(tree) if _target(node, files)]
        if any(node not in first or _names_a_file_or_all(node, files) for node in imports):
            return True
        found = {statement.name for statement in at_top if isinstance(statement, SCOPES)}
        found |= {
            node.id
            for statement in at_top
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name)
        }
        if found & bound:
            return True
        bound |= found
    return False


def _names_a_file_or_all(node: ast.AST, files: Files) -> bool:
    if isinstance(node, ast.Import):
        return True
    assert isinstance(node, ast.ImportFrom)
    return node.names[0].name == "*" or (node.module or "").rpartition(".")[2] not in files


def _sections(source: str) -> dict[str, str]:
    """The files that stand in one block, each below a comment with its name."""
    heads = list(_SECTION.finditer(source))
    stops = [*(head.start() for head in heads[1:]), len(source)]
    return {head["name"]: source[head.start() : stop].strip("\n") for head, stop in zip(heads, stops, strict=False)}


def _without_sections(source: str, names: set[str]) -> str:
    for name, section in _sections(source).items():
        if name in names:
            source = source.replace(section, "", 1)
    return source.strip("\n")


def _rewritten(source: str, files: Files, parse: Parser) -> str:
    """`source` with imports of files by their names alone, without packages."""
    tree = parse(source)
    lines = source.encode("utf-8", "surrogatepass").split(b"\n")
    nodes = [node for node in ast.walk(tree) if _target(node, files)] if tree else []
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0), reverse=True):
        assert isinstance(node, ast.Import | ast.ImportFrom)
        stop = node.end_lineno or node.lineno
        before, behind = lines[node.lineno - 1][: node.col_offset], lines[stop - 1][node.end_col_offset :]
        lines[node.lineno - 1 : stop] = [before + _flat(node, files).encode() + behind]
    return b"\n".join(lines).decode("utf-8", "surrogatepass")


def _flat(node: ast.Import | ast.ImportFrom, files: Files) -> str:
    """The import without packages."""
    parts = []
    if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] in files:
        return ast.unparse(ast.ImportFrom((node.module or "").rpartition(".")[2], node.names, 0))
    for alias in node.names:
        name = alias.name.rpartition(".")[2] if alias.asname or isinstance(node, ast.ImportFrom) else alias.name
        parts.append(f"{name} as {alias.asname}" if alias.asname else name)
    return f"import {', '.join(parts)}"


def _module(name: str, source: str) -> str:
    """A statement that makes a module of a file, so that it can be imported."""
    empty = f"__import__('types').ModuleType({name!r})"
    return f"exec({source!r}, vars(__import__('sys').modules.setdefault({name!r}, {empty})))  # {name}.py"
