"""A completion as regions: fenced blocks and what stands between them, with the reasoning set apart.

One pass over the lines. Inside a block, marks are text; a fence inside a string of three quotes does not close a block.
"""

import html
import re
from bisect import bisect_right
from dataclasses import dataclass

from axiom.extraction.marks import (
    CLOSING_SIGN,
    ENDING_SIGN,
    Mark,
    channels,
    end_of_turn,
    first_mark,
    reasoning_closes,
    without_next_turns,
    without_opening,
)
from axiom.extraction.mending import dedent, readings
from axiom.extraction.parsing import Parser

_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_CODE_IN_INFO = re.compile(r"(?:python\d?|py)\s+(?=(?:async def|def|class|import|from \S+ import|@))", re.IGNORECASE)
_SHELL = re.compile(r"(?:bash|sh|shell|zsh|console|terminal|powershell)\b", re.IGNORECASE)
"""Languages of a session, in which a program may stand: some commands parse as Python."""
_LANGUAGE = re.compile(r"\{?[ \t]*\.?[A-Za-z][\w+#.-]*")
_QUOTED = re.compile(r"[ \t]{0,3}>(?!>>)(?:[ \t]*>(?!>>))* ?")
_STRING = re.compile(r"#|\"\"\"|'''|\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?")
_OPENS_STRING = re.compile(r"[ \t]*(?:[\w.\[\]'\"]+[ \t]*=[ \t]*|return[ \t]+)?[rbfuRBFU]{0,2}(?:\"\"\"|''')")
TRIPLE = ('"""', "'''")
_LOOKS = 6  # how often each line may be looked at for its strings
_MOST_MARKS = 20  # that are looked for in one line


@dataclass(frozen=True, slots=True)
class Region:
    """A block of code, or text between blocks.

    `intro` is the last line of text above a block, `info` what stands behind its fence.
    """

    text: str
    fenced: bool
    intro: str = ""
    info: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The regions of the answer, in order, and the text of the reasoning.

    `passed` says that a fence was taken for text, because a string of three quotes stood open between the blocks.
    """

    answer: list[Region]
    reasoning: str
    passed: bool = False


def read(text: str, parse: Parser, strings: bool = True) -> Reading:
    """Regions and reasoning of a completion whose lines end in newlines alone.

    With `strings`, a fence inside a string of three quotes between the blocks is text.
    """
    if parts := channels(text):
        inner = _Reader(parts[0], parse, marks=True, strings=strings).read()
        return Reading(inner.answer, f"{parts[1]}\n{inner.reasoning}", inner.passed)
    return _Reader(without_next_turns(without_opening(text)), parse, marks=True, strings=strings).read()


def regions(text: str, parse: Parser) -> list[Region]:
    """The regions of a text in which reasoning is not set apart."""
    return _Reader(text, parse, marks=False).read().answer


class _Reader:
    def __init__(self, text: str, parse: Parser, marks: bool, strings: bool = True) -> None:
        self._lines = text.split("\n")
        self._parse, self._marks = parse, marks
        self._fences = [number for number, line in enumerate(self._lines) if "```" in line or "~~~" in line]
        quotes = [number for number, line in enumerate(self._lines) if '"""' in line or "'''" in line]
        self._last_quotes = quotes[-1] if quotes and strings else -1
        self._passed = False
        self._closes = self._note_closes() if marks and CLOSING_SIGN.search(text) else {}
        self._marks_left = _MOST_MARKS
        self._looks = _LOOKS * (len(text) + 1000)
        self._found: list[Region] = []
        self._bare: list[str] = []
        self._string = ""  # the quotes that a string of the text between blocks has opened
        self._html = False
        self._reasoning: list[str] = []
        self._start = 0  # the line behind the last reasoning

    def _note_closes(self) -> dict[str, list[int]]:
        """The lines in which each kind of reasoning closes."""
        closes: dict[str, list[int]] = {}
        for number, line in enumerate(self._lines):
            for mark in reasoning_closes(line):
                closes.setdefault(mark.name, []).append(number)
        return closes

    def read(self) -> Reading:
        at = 0
        while at < len(self._lines):
            at = self._step(at)
        self._flush()
        return Reading(self._found, "\n".join(self._reasoning), self._passed)

    def _step(self, at: int) -> int:
        """Read on from line `at`; the number of the next line to read."""
        line = self._lines[at]
        if not (self._string and self._in_string(at)):
            if ">" in line and _QUOTED.match(line):
                return self._quote(at)
            if "```" in line or "~~~" in line:
                if match := _FENCE.match(line):
                    return self._block(at, match[1], match[2])
                if late := self._late_fence(line):
                    return self._block(at, *late)
            mark = first_mark(line) if self._marks and self._marks_left else None
            if mark:
                self._marks_left -= 1
                return self._mark(at, mark)
        self._add(line)
        self._marks_left = _MOST_MARKS
        return at + 1

    def _add(self, line: str) -> None:
        if self._string or (self._last_quotes >= 0 and _OPENS_STRING.match(line)):
            self._string = string_after(line, self._string)
        self._bare.append(line)

    def _in_string(self, at: int) -> bool:
        if self._string and self._last_quotes < at:
            self._string = ""  # never closed: no string
        self._passed = self._passed or bool(self._string and _FENCE.match(self._lines[at]))
        return bool(self._string)

    def _late_fence(self, line: str) -> tuple[str, str] | None:
        """(mark, info) of a block that opens behind text, as in `Solution: ```python`."""
        place = line.rfind("```")
        if place < 0:
            return None
        info = line[place + 3 :].strip()
        before = line[:place].rstrip("`")
        mark = line[len(before) : place + 3]
        if "`" in before or not (before.rstrip().endswith(":") or (info and before[-1:].isspace())):
            return None
        if info and not _LANGUAGE.fullmatch(info):
            return None
        self._add(before)
        return mark, info

    # Blocks

    def _block(self, at: int, mark: str, info: str) -> int:
        stop, tail, rest = self._close(at, mark)
        body = self._lines[at + 1 : stop] + ([tail] if tail else [])
        if code := _CODE_IN_INFO.match(info):
            body.insert(0, info[code.end() :])
        cut = self._cut(at + 1, stop, body)
        intro = self._intro()
        self._flush()
        if cut is not None:
            place, kept = cut
            self._found.append(Region(dedent("\n".join([*body[: place - at - 1], kept])), True, intro, info))
            return place
        self._found.append(Region(dedent("\n".join(body)), not _SHELL.match(info), intro, info))
        if rest is None:
            return stop
        if rest.strip():
            self._lines[stop] = rest
            return stop
        return stop + 1

    def _close(self, at: int, mark: str) -> tuple[int, str, str | None]:
        """Where the block of line `at` ends: the line, what of it belongs to the block, and what stands behind.

        None behind: nothing closed it, and the line belongs to what follows.
        """
        string, seen, passed = "", at + 1, None
        for place in range(bisect_right(self._fences, at), len(self._fences)):
            number = self._fences[place]
            ending = _ending(self._lines[number], mark)
            if ending is None:
                continue
            string = self._string_at(seen, number, string)
            seen = number
            if not string_after(ending[0], string):
                return self._checked(at, (number, *ending), passed)
            passed = passed or (number, *ending)
        return self._checked(at, (len(self._lines), "", None), passed)

    def _checked(
        self, at: int, end: tuple[int, str, str | None], passed: tuple[int, str, str | None] | None
    ) -> tuple[int, str, str | None]:
        """`end`, unless fences were passed over as if in a string and what that gives is no program."""
        if passed:
            body = dedent("\n".join([*self._lines[at + 1 : end[0]], end[1]]))
            if all(self._parse(source) is None for source in (body, *readings(body))):
                return passed
        return end

    def _string_at(self, start: int, stop: int, string: str) -> str:
        """The quotes of the string that is open where line `stop` begins."""
        for number in range(start, stop):
            line = self._lines[number]
            self._looks -= len(line)
            if self._looks < 0:
                return ""
            if string or '"""' in line or "'''" in line:
                string = string_after(line, string)
        return string

    def _cut(self, start: int, stop: int, body: list[str]) -> tuple[int, str] | None:
        """Where a block that does not parse really ends: at a mark that no program holds there."""
        text = "\n".join(body) if self._marks else ""
        if not ENDING_SIGN.search(text) or self._parse(dedent(text)) is not None:
            return None
        for number in range(start, stop):
            line = self._lines[number]
            mark = end_of_turn(line) or first_mark(line)
            if mark is not None and mark.kind in ("end", "close"):
                if mark.kind == "close" and line[: mark.start].strip() and line[mark.stop :].strip():
                    continue
                self._lines[number] = line[mark.start :]
                return number, line[: mark.start]
        return None

    # Between the blocks

    def _quote(self, at: int) -> int:
        """A run of quoted lines, read without their quote marks."""
        stop = at
        while stop < len(self._lines) and (match := _QUOTED.match(self._lines[stop])):
            self._lines[stop] = self._lines[stop][match.end() :]
            stop += 1
        self._flush()
        self._found += regions("\n".join(self._lines[at:stop]), self._parse)
        return stop

    def _mark(self, at: int, mark: Mark) -> int:
        line = self._lines[at]
        self._add(line[: mark.start])
        self._lines[at] = line[mark.stop :]
        if mark.kind == "tag":
            self._flush()
            self._html = mark.html
            return at
        if mark.kind == "end":
            blank = not self._found and not any(kept.strip() for kept in self._bare)
            return at if blank else len(self._lines)
        if mark.kind == "close":
            self._flush()
            self._reasoning.append("\n".join([*self._lines[self._start : at], line[: mark.start]]))
            self._found.clear()
        else:
            at = self._skip_reasoning(at, mark.name)
        self._start = at
        return at

    def _skip_reasoning(self, at: int, name: str) -> int:
        """Set the reasoning that opens at the start of line `at` apart."""
        closes = self._closes.get(name, [])
        place = bisect_right(closes, at - 1)
        self._flush()
        if place == len(closes):
            self._reasoning.append("\n".join(self._lines[at:]))
            return len(self._lines)
        number = closes[place]
        line = self._lines[number]
        mark = next((mark for mark in reasoning_closes(line) if mark.name == name), None)
        if mark is None:  # a fence has taken it
            return number + 1
        self._reasoning.append("\n".join([*self._lines[at:number], line[: mark.start]]))
        self._lines[number] = line[mark.stop :]
        return number

    def _intro(self) -> str:
        return next((line for line in reversed(self._bare) if line.strip()), "")

    def _flush(self) -> None:
        text = "\n".join(self._bare)
        if text.strip():
            if self._html and "&" in text and "<" not in text:
                text = html.unescape(text)
            self._found.append(Region(text, False))
        self._bare, self._string, self._html = [], "", False


def _ending(line: str, mark: str) -> tuple[str, str | None] | None:
    """(what of `line` belongs to the block, what follows it) if the line ends a block that `mark` opened."""
    stripped = line.strip()
    if stripped.startswith(mark):
        rest = stripped.lstrip(mark[0])
        if len(rest) and rest[0] != "<" and _LANGUAGE.fullmatch(rest.split(" ")[0]) and mark[0] not in rest:
            is_word = " " not in rest or "=" in rest or rest.startswith("{")
            return ("", None) if is_word else ("", rest)
        return "", rest
    kept = stripped.rstrip(mark[0])
    if mark[0] == "`" and len(stripped) - len(kept) >= len(mark) and mark not in kept:
        return line.rstrip()[: len(line.rstrip()) - (len(stripped) - len(kept))], ""
    place = line.find(mark + "<")
    return (line[:place], line[place + len(mark) :]) if place > 0 and mark not in line[:place] else None


def string_after(line: str, string: str) -> str:
    """The quotes of the string that is open behind `line`, given the one that is open before it."""
    place = 0
    while True:
        if string:
            place = _find_unescaped(line, string, place)
            if place < 0:
                return string
            place, string = place + 3, ""
        token = _STRING.search(line, place)
        if token is None or token[0] == "#":
            return ""
        place = token.end()
        if token[0] in TRIPLE:
            string = token[0]


def _find_unescaped(line: str, quotes: str, place: int) -> int:
    while (place := line.find(quotes, place)) >= 0:
        start = place
        while start and line[start - 1] == "\\":
            start -= 1
        if (place - start) % 2 == 0:
            return place
        place += 1
    return -1
