"""Programs inside data: tool calls, answers in JSON, notebooks, dictionaries as Python prints them."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from axiom.extraction.parsing import Parser

_DECODER = json.JSONDecoder(strict=False, parse_int=str)
_THOUGHTS = re.compile(r"think|thought|reason|analysis|plan|draft", re.IGNORECASE)
_START = re.compile(r"[\[{]\s*[\[{\"']|^\s*[\"']")
_MOST = 8  # values that are looked for in one text


def texts(source: str, name: str, parse: Parser) -> list[str]:
    """The texts inside the data of `source` that mention `name`, thoughts left out."""
    found: list[str] = []
    place = 0
    for _ in range(_MOST):
        start = _START.search(source, place)
        if start is None:
            break
        begin = start.start() + len(start[0]) - len(start[0].lstrip())
        value, place = _value(source, begin, parse)
        found += [text for text in _texts(value) if name in text and text != source]
    return found


def _value(source: str, start: int, parse: Parser) -> tuple[Any, int]:
    """The JSON or Python value that begins at `start`, and where it ends; None where there is none."""
    try:
        value, stop = _DECODER.raw_decode(source, start)
        return value, stop
    except (ValueError, RecursionError):
        tree = parse(source[start:].strip()) if start == len(source) - len(source.lstrip()) else None
    if tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        try:
            return ast.literal_eval(tree.body[0].value), len(source)
        except (ValueError, TypeError, RecursionError, MemoryError):
            pass
    return None, start + 1


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list | tuple) and item and all(isinstance(line, str) for line in item):
            yield "".join(item)
        elif isinstance(item, list | tuple):
            waiting += reversed(item)
        elif isinstance(item, dict):
            waiting += [inner for key, inner in reversed(item.items()) if not _THOUGHTS.search(str(key))]
