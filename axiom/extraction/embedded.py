"""Programs inside data: tool calls, answers in JSON, notebooks, texts in Python's own quotes."""

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
        try:
            value, place = _DECODER.raw_decode(source, begin)
            found += _texts(value)
        except (ValueError, RecursionError):
            place = begin + 1
    tree = None if found else parse(source.strip())
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return [text for text in found if name in text and text != source]


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
