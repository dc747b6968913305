"""Programs without their literals: variants that differ in these alone share one compilation."""

import functools
import re
from collections.abc import Callable
from types import CodeType
from typing import Any

MARK = "_k"
"""What the names that stand for literals begin with; no printed program has such a name of its own."""

Literals = dict[str, Any]
"""Names and the literals that they stand for."""

_GAPS = re.compile(r"\n\n\n(?=\S)")
"""Between the top-level parts of a program; many variants share some of theirs."""

_LITERALS = re.compile(
    r"""return ([^\n]+)|(?<![\w.])(\d+)(?![\w.])|(?<!\w)'([^'\\\n]*)'|\b[bfr]{1,2}'[^'\n]*'|\b[bfr]{0,2}"[^"\n]*\""""
)
"""A line that returns something, a whole number, a plain string, and strings that stay as they are."""


def load_shared(source: str, entry_point: str) -> Callable[..., Any]:
    """`axiom.problems.family.load`, several times quicker where an outline of the program has been met before."""
    scope: dict[str, Any] = {"__name__": "reference"}
    for text, literals in outlines(source):
        scope |= literals
        exec(_compiled(text), scope)  # our own printed code
    loaded: Callable[..., Any] = scope[entry_point]
    return loaded


@functools.lru_cache(4)
def outlines(source: str) -> list[tuple[str, Literals]]:
    """Each part of a *trusted* printed program with names for its literals, and these."""
    return [_outline(part, f"{MARK}{place}_") for place, part in enumerate(_GAPS.split(source))]


@functools.lru_cache(16_384)
def _outline(part: str, prefix: str) -> tuple[str, Literals]:
    """Equal lines that return something get equal names."""
    literals: Literals = {}
    lines: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        kind = found.lastindex
        if kind is None:
            return found[0]
        value = found[kind]
        if kind == 1:
            if value not in lines:
                lines[value] = f"return {_LITERALS.sub(named, value)}"
            return lines[value]
        name = f"{prefix}{len(literals)}"
        literals[name] = int(value) if kind == 2 else value
        return name

    return _LITERALS.sub(named, part), literals


@functools.lru_cache(16_384)
def _compiled(text: str) -> CodeType:
    return compile(text, "<reference>", "exec")
