"""Other readings of a piece of text that does not parse as it stands: what a web page or a shell did to a program."""

import html
import os
import re
from collections.abc import Iterator

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")
_ODD = re.compile("[\u00a0\u00ad\u1680\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff‘’‚‛“”„‟]")
_SIGNS = {"−": "-", "–": "-", "→": "->", "≥": ">=", "≤": "<=", "≠": "!=", "×": "*", "÷": "/", "⇒": "->"}
_SIGN = re.compile(rf"(\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*)|[{''.join(_SIGNS)}]")
"""A string or a comment, which keeps its signs, or a sign of typeset mathematics."""
_PROMPT = re.compile(r"[ \t]*(?:>>>|In \[\d*\]:) ?")
_CONTINUED = re.compile(r"[ \t]*\.\.\.+:? ?")
_NUMBER = re.compile(r"[ \t]*(\d{1,6})(?:[ \t]*[:|.)│]|(?=\D|$))(.*)")
_BREAK = re.compile(r"<br[ \t]*/?>", re.IGNORECASE)
_ENTITY = re.compile(rf"&(?:lt|gt|amp|quot|#39|#x27|nbsp);|{_BREAK.pattern}", re.IGNORECASE)
_HEADER = ("+++", "---", "@@", "diff ", "index ", "-", "\\ No newline")


def dedent(text: str) -> str:
    """`text` without common indentation and empty lines around it; nothing else of it changes."""
    if text[:1].strip():
        return text.strip("\n\f").rstrip()
    lines = text.split("\n")
    margins = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
    margin = os.path.commonprefix(margins)  # noqa: RUF071  (of texts, character by character)
    if margin:
        text = "\n".join(line.removeprefix(margin) for line in lines)
    return text.strip("\n\f").rstrip()


def readings(text: str) -> Iterator[str]:
    """What `text` may have been: plain quotes, spaces, operators; HTML read; no prompts, numbers or signs of a diff."""
    if _ODD.search(text):
        yield plain(text)
    if any(sign in text for sign in _SIGNS):
        yield _SIGN.sub(lambda match: match[1] or _SIGNS[match[0]], plain(text))
    if _ENTITY.search(text):
        yield html.unescape(_BREAK.sub("", text))
    lines = text.split("\n")
    if any(map(_PROMPT.match, lines)):
        yield dedent(_without_prompts(lines))
    if numbered := _without_numbers(lines):
        yield dedent(numbered)
    if any(line.startswith("+") for line in lines):
        yield dedent("\n".join(line[1:] for line in lines if not line.startswith(_HEADER)))


def plain(text: str) -> str:
    """Straight quotes for curly ones, ordinary spaces for wide ones, and no signs that cannot be seen."""
    return _INVISIBLE.sub("", _SPACES.sub(" ", text)).translate(_QUOTES) if _ODD.search(text) else text


def _without_prompts(lines: list[str]) -> str:
    """What was typed at the prompts of a Python shell, without what it printed."""
    typed, inside = [], False
    for line in lines:
        prompt = _PROMPT.match(line) or (_CONTINUED.match(line) if inside else None)
        inside = prompt is not None
        if prompt:
            typed.append(line[prompt.end() :])
    return "\n".join(typed)


def _without_numbers(lines: list[str]) -> str:
    """The longest run of lines that are numbered one after the other, without their numbers; nothing without one."""
    best: list[str] = []
    run: list[str] = []
    last = -1
    for line in lines:
        match = _NUMBER.fullmatch(line)
        if match is None:
            run = run if not line.strip() else []
            continue
        if not run or int(match[1]) != last + 1:
            run = []
        run.append(match[2])
        last = int(match[1])
        best = max(best, run, key=len)
    return "\n".join(best) if len(best) > 1 or len(lines) == 1 else ""
