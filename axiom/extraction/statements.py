"""Programs without a fence: the runs of whole top-level statements in a text of prose and code."""

import ast
import builtins
import keyword
import re
import typing
from collections.abc import Iterator, Set
from dataclasses import dataclass

from axiom.extraction.mending import dedent, plain
from axiom.extraction.parsing import SCOPES, Parser

_GOES_ON = re.compile(r"(?:else|elif|except|finally)\b")
_TWO_WORDS = re.compile(r"([^\W\d_][\w'’]*)[,;]?[ \t]+([^\W\d_][\w'’]*)")
_WORD = re.compile(r"\s*[^\W\d]\w*[.:!]?\s*(?<!pass)")
_OPERATORS = {"in", "is", "if", "or", "and", "not", "for"}
_LABEL = re.compile(r"[^:\n]{1,60}:[ \t]+(?=(?:async def|def|class|import|from|@)\b)")
_ORDERS = {"O", "Θ", "Ω"}
_TOKEN = re.compile(r"#|\"\"\"|'''|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[()\[\]{}]")
_KEYWORDS = frozenset(keyword.kwlist) | {"match", "type"}
_HEADING = re.compile(r"(?:async[ \t]+def|def|class)[ \t]+\w[^\n]*:[ \t]*(?:\#[^\n]*)?\Z")
"""The first line of a function or class: what is indented below it is its body."""
_MOST_FAILURES = 20  # attempts to read a statement that seems to reach over the margin
_DEEPEST = 3  # indented code below a line of prose, below a line of prose


@dataclass(frozen=True, slots=True)
class Run:
    """Statements that stand together, and the line of prose above them."""

    source: str
    intro: str


def runs(text: str, parse: Parser, depth: int = 0) -> Iterator[Run]:
    """The runs of statements in `text`, in order; each parses."""
    lines = text.split("\n")
    bound: set[str] = set()
    kept: list[str] = []
    intro = ""
    for start, stop in _chunks(lines, parse):
        chunk = lines[start:stop]
        code = _code("\n".join(chunk), parse, bound)
        if code is not None:
            kept.append(code)
            continue
        if kept:
            yield Run(_joined(kept), intro)
            kept = []
        intro = chunk[0]
        below = "\n".join(chunk[1:] if chunk[0][:1].strip() else chunk)
        if depth < _DEEPEST and below.strip() and not _HEADING.match(chunk[0]):
            yield from (Run(run.source, run.intro or intro) for run in runs(dedent(below), parse, depth + 1))
    if kept:
        yield Run(_joined(kept), intro)


def _joined(chunks: list[str]) -> str:
    return "\n".join(chunks).strip("\n").rstrip()


def _chunks(lines: list[str], parse: Parser) -> Iterator[tuple[int, int]]:
    """(start, stop) of each top-level statement or line of prose, with the lines that belong to it."""
    depths, closed = _depths(lines)
    start, failures = 0, 0
    while start < len(lines):
        stop = longer = _end_of_chunk(lines, start)
        if failures < _MOST_FAILURES:
            if depths[stop - 1] > (depths[start - 1] if start else 0):  # a bracket that closes further down
                longer = _end_of_chunk(lines, closed[start] - 1) if closed[start] > stop else stop
            else:
                longer = _end_of_string(lines, start, stop)
        if longer > stop:
            if parse(_text(lines, start, longer)) is not None:
                stop = longer
            else:
                failures += 1
        yield start, stop
        start = stop


def _text(lines: list[str], start: int, stop: int) -> str:
    return "\n".join(lines[start:stop])


def _end_of_chunk(lines: list[str], start: int) -> int:
    """The line behind the statement that starts at `start`: the next that stands at the margin and is new."""
    stop = start + 1
    decorated = lines[start].startswith("@")
    while stop < len(lines):
        line = lines[stop]
        goes_on = decorated or lines[stop - 1].endswith("\\") or _GOES_ON.match(line)
        if line[:1].strip() and line[0] not in ")]}#" and not goes_on:
            break
        decorated = line.startswith("@") or (decorated and not line[:1].strip())
        stop += 1
    return stop


def _end_of_string(lines: list[str], start: int, stop: int) -> int:
    """The line behind the statement when a string of three quotes that it opens reaches over the margin."""
    text = _text(lines, start, stop)
    for quotes in ('"""', "'''"):
        if text.count(quotes) % 2:
            while stop < len(lines):
                closed = quotes in lines[stop]
                stop = _end_of_chunk(lines, stop)
                if closed:
                    return stop
    return stop


def _depths(lines: list[str]) -> tuple[list[int], list[int]]:
    """The depth of brackets behind each line, and for each line the first line behind which its brackets are closed."""
    depths: list[int] = []
    depth = 0
    for line in lines:
        for token in _TOKEN.finditer(line):
            if token[0] == "#":
                break
            depth += (token[0] in "([{") - (token[0] in ")]}") if len(token[0]) == 1 else 0
        depths.append(depth)
    closed = [0] * len(lines)
    waiting: list[int] = []
    for number, after in enumerate(depths):
        waiting.append(number)
        while waiting and after <= (depths[waiting[-1] - 1] if waiting[-1] else 0):
            closed[waiting.pop()] = number + 1
    return depths, closed


def _code(text: str, parse: Parser, bound: set[str]) -> str | None:
    """The source of a chunk that is code, else None; its names are added to `bound`."""
    if not text.strip():
        return text
    first = _TWO_WORDS.match(text)
    prose = (first and first[1] not in _KEYWORDS and first[2] not in _OPERATORS) or _WORD.fullmatch(text)
    for source in () if prose else dict.fromkeys((text, plain(text))):
        tree = parse(source)
        if tree is not None:
            return source if _is_code(tree, bound) else None
    if label := _LABEL.match(text):
        source = text[label.end() :]
        tree = parse(source)
        return source if tree is not None and _is_code(tree, bound) else None
    return None


def _is_code(tree: ast.Module, bound: set[str]) -> bool:
    """Whether statements that parse are meant as such: a word or a sum of unknown names is prose."""
    stops = any(isinstance(statement, ast.Return | ast.Break | ast.Continue) for statement in tree.body)
    return not stops and not has_prose(tree, bound)


def has_prose(tree: ast.Module, bound: set[str]) -> bool:
    """Whether one of the module's statements is prose. `bound` are the names that are known before the first."""
    for statement in tree.body:
        if _is_prose(statement, bound):
            return True
        _bind(statement, bound)
    return False


def _is_prose(statement: ast.stmt, bound: set[str]) -> bool:
    """Whether a statement is a word, a label, a list item or a formula: it has no effect and uses a foreign name."""
    if isinstance(statement, ast.AnnAssign):
        known = bound | vars(builtins).keys() | set(typing.__all__)
        return _uses_others(statement.annotation, known)
    if not isinstance(statement, ast.Expr):
        return False
    if isinstance(statement.value, ast.Call):
        return isinstance(statement.value.func, ast.Name) and statement.value.func.id in _ORDERS
    return _uses_others(statement, bound)


def _uses_others(node: ast.AST, bound: Set[str]) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id not in bound for inner in ast.walk(node))


def _bind(statement: ast.stmt, bound: set[str]) -> None:
    """Add the names that a module's statement binds to `bound`, with those that its own parts bind."""
    if isinstance(statement, SCOPES):
        bound.add(statement.name)
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
