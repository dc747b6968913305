"""The commonest completion, one block between two texts of plain prose, read without the full rules.

It gives the program that the full rules give, or nothing, and then the full rules decide. Each condition below excludes
one thing by which another part of the text could change the answer.
"""

import ast
import re

from axiom.extraction.assembly import may_use_typing, missing_names
from axiom.extraction.definitions import is_stub
from axiom.extraction.doubt import is_doubted
from axiom.extraction.files import may_import_files
from axiom.extraction.mending import dedent
from axiom.extraction.parsing import Parser

_PYTHON = {"", "python", "py", "python3"}
_NOT_PROSE = re.compile(
    r"""[\\◁]|<(?![ =\d])|\[(?=[/|A-Za-z])|\"\"\"|'''|^[ \t]*>|^\#\#+[ ](?:Instruction|Human|User)""",
    re.MULTILINE,
)
"""Marks, quoted lines, escapes, and quotes that could swallow a fence."""
_MAY_BIND = re.compile(
    r"[=&\u00ad\u200b-\u200f\u2060]|:[ \t]*\S|def|class|import|with|(?<![a-z])for(?![a-z])"
    r"""|["'][\s,]*[A-Za-z]{0,2}["'\#]"""
)
"""What a text must hold to define anything, whichever way it is read: also in strings that stand side by side."""


def one_block(text: str, name: str, parse: Parser) -> str | None:
    """The program of a completion that is one closed block with the function `name` in plain prose, else None."""
    parts = _parts(text)
    if parts is None:
        return None
    before, body, after = parts
    source = dedent(body)
    if name not in source or _NOT_PROSE.search(before) or _NOT_PROSE.search(after):
        return None
    binds_after = _MAY_BIND.search(after) is not None
    if binds_after and name in after:
        return None
    tree = parse(source)
    if tree is None or not any(_is_the_function(statement, name) for statement in tree.body):
        return None
    if may_import_files(source, tree):
        return None
    if is_doubted(before.rstrip().rpartition("\n")[2], source, after.lstrip().partition("\n")[0]):
        return None
    if binds_after or _MAY_BIND.search(before) or may_use_typing(source):
        return None if missing_names(source, tree) else source
    return source


def _parts(text: str) -> tuple[str, str, str] | None:
    """(text before, block, text behind) of a completion with exactly one block, closed and at the margin."""
    if text.count("```") != 2 or "~~~" in text or "<|channel|>" in text or text.startswith("analysis"):
        return None
    start = text.find("```")
    stop = text.find("```", start + 3)
    before, (info, _, body) = text[:start], text[start + 3 : stop].partition("\n")
    rest, _, after = text[stop + 3 :].partition("\n")
    at_margin = (not before or before.endswith("\n")) and body.endswith("\n")
    if not at_margin or rest.strip(" \t") or info.strip(" \t").lower() not in _PYTHON:
        return None
    return before, body[:-1], after


def _is_the_function(statement: ast.stmt, name: str) -> bool:
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return statement.name == name and not is_stub(statement)
