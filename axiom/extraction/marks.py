"""The marks that models and pages put around text: reasoning, ends of a turn, tags, channels.

A mark inside quotes or backticks is text about the mark, and so is one in a line of data.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_WORDS = (
    "think(?:ing)?|thoughts?|reason(?:ing)?|analysis|scratch_?pad|reflection|ant_?thinking|seed:think|inner_monologue|"
    "internal_monologue|chain_of_thought|thought_process|rationale|planning|plan|draft"
)
_REASONING = re.compile(
    rf"""(?<!["'`])(?:
        <(?P<end>/?)(?P<name>{_WORDS})(?:\s[^<>\n]{{0,200}})?>
      | \[(?P<end2>/?)(?P<name2>think(?:ing)?|thoughts?|reasoning|analysis|scratchpad)\]
      | <\|(?P<end3>begin|start|end)_(?:of_)?(?P<name3>think(?:ing)?|thought|reasoning)\|>
      | ◁(?P<end4>/?)(?P<name4>think)▷
      | <\|(?P<name5>channel)>thought\b | <(?P<end5>channel)\|>
    )(?!["'`])""",
    re.IGNORECASE | re.VERBOSE,
)
_ENDS = (
    "im_end|endoftext|end_of_text|eot_id|eom_id|end|return|call|user|system|im_start|start_header_id|end_of_turn|"
    "END_OF_TURN_TOKEN|end_of_solution|END_RESPONSE|file_sep"
)
_END = re.compile(
    rf"""(?<!["'`])(?:<\|(?:{_ENDS})\|>|</s>|<eos>|<end_of_turn>|<(?:file_sep|filename|reponame)>|\[INST\]|\[DONE\]|\[\|endofturn\|\]
    |^\#\#+[ ](?:Instruction|Human|User)[ ]?:
    |<｜(?:end▁of▁sentence|User)｜>)(?!["'`])""",
    re.VERBOSE,
)
CLOSING_SIGN = re.compile(r"</|\[/|◁/|\|>")
"""A part of every mark that closes reasoning."""
ENDING_SIGN = re.compile(rf"{CLOSING_SIGN.pattern}|<(?:eos|end_of|file|repo)|\[(?:INST|DONE|\|)|<｜|^##", re.MULTILINE)
"""A part of every mark that ends the turn or closes reasoning."""
_SIGN = re.compile(r"[<\[◁\\]")
_NOTHING_OR_MARK = re.compile(r"\s*(?:$|[<\[])")
_OPENING = re.compile(
    r"(?:<\|(?:im_start|start_header_id|assistant|begin_of_text|start)\|>(?:assistant\b)?(?:<\|end_header_id\|>)?|<s>"
    r"|<bos>|<start_of_turn>model\b|\[/INST\]|<｜(?:Assistant|begin▁of▁sentence)｜>|\s)+"
)
_NEXT_TURN = re.compile(r"^(?:Human|User)[ ]?:", re.MULTILINE)
_ONE_TAG = (
    r"<!\[CDATA\[|\]\]>|<[/!]?[A-Za-z][\w:.-]{0,40}(?:=[\w.-]{1,80})?(?:\s[^<>\n]{0,300})?>|<[|｜][^|｜<>\n]{1,40}[|｜]>"
    r"|\[/?(?:TOOL_CALLS|PYTHON|CODE|ANSWER|BEGIN|INST)\]|\\(?:begin|end)\{[^{}\n]{1,40}\}(?:\[[^\[\]\n]{0,200}\])?"
)
_TAG = re.compile(_ONE_TAG)
_TAGS = re.compile(rf"(?:{_ONE_TAG})+")
_CODE_TOKENS = re.compile(r"(?:<(?:jupyter|issue|commit|fim|empty)_[a-z]{1,20}>)+$")
"""Tokens of models that were trained on notebooks and commits, such as `<jupyter_output>`."""
_OPENS_CODE = re.compile(r"<(?:pre|code)\b[^<>\n]{0,300}>$", re.IGNORECASE)
_DATA = re.compile(r"\s*(?:<[^<>\n]{1,300}>|\[[A-Z_]+\])*\s*(?:\{\s*[\"']|\[\{|\".*\"\s*$)")
_CHANNEL = re.compile(r"""(?<!["'`])<\|channel\|>\s*(\w+)[^<\n]{0,200}(?:<\|constrain\|>\s*\w+)?\s*<\|message\|>""")
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start)\|>(?!['\"`])")
_HTML = re.compile(r"<(?:code|pre)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in a line: its kind, the place where it starts and the place behind it."""

    kind: Literal["open", "close", "end", "tag"]
    start: int
    stop: int
    name: str = ""
    html: bool = False


def first_mark(line: str) -> Mark | None:
    """The first mark that counts in a line outside code.

    Reasoning opens at the start of a line and closes anywhere; a turn ends at either end of a line; other tags count at
    the start of a line, and closing ones also at its end.
    """
    if not _SIGN.search(line) and not line.startswith("##"):
        return None
    readers = (_tag,) if _DATA.match(line) else (_reasoning, end_of_turn, _tag)
    marks = [mark for mark in (reader(line) for reader in readers) if mark]
    return min(marks, key=lambda mark: mark.start, default=None)


def _reasoning(line: str) -> Mark | None:
    lead = len(line) - len(line.lstrip(" \t*_>#"))
    marks = map(_reasoning_mark, _REASONING.finditer(line))
    return next((mark for mark in marks if mark.kind == "close" or mark.start <= lead), None)


def reasoning_closes(line: str) -> Iterator[Mark]:
    """The marks in a line that close reasoning."""
    if ("<" in line or "[" in line or "◁" in line) and not _DATA.match(line):
        yield from (mark for mark in map(_reasoning_mark, _REASONING.finditer(line)) if mark.kind == "close")


def _reasoning_mark(match: re.Match[str]) -> Mark:
    name = match["name"] or match["name2"] or match["name3"] or match["name4"] or "channel"
    closes = match["end"] or match["end2"] or match["end4"] or match["end5"] or (match["end3"] or "").lower() == "end"
    return Mark("close" if closes else "open", match.start(), match.end(), name.lower())


def end_of_turn(line: str) -> Mark | None:
    """The end of the model's turn, if the line has one at its start, at its end or before another mark."""
    if "<" not in line and "[" not in line and not line.startswith("#"):
        return None
    lead = len(line) - len(line.lstrip())
    for match in _END.finditer(line):
        if match.start() <= lead or _NOTHING_OR_MARK.match(line, match.end()):
            return Mark("end", match.start(), match.end())
    return None


def _tag(line: str) -> Mark | None:
    start = len(line) - len(line.lstrip())
    match = _TAG.match(line, start)
    bare = line.rstrip()
    if match is None and bare.endswith((">", "}")):
        start = max(map(line.rfind, ("</", "<|", "<｜", "]]>", "\\end{")))
        tail = max(0, len(bare) - 300)
        match = (
            (_TAGS.fullmatch(bare, start) if start >= 0 else None)
            or _OPENS_CODE.search(bare, tail)
            or _CODE_TOKENS.search(bare, tail)
        )
    return None if match is None else Mark("tag", match.start(), match.end(), html=bool(_HTML.search(match[0])))


def without_opening(text: str) -> str:
    """`text` without the marks that begin a turn."""
    match = _OPENING.match(text) if text.lstrip()[:1] in ("<", "[") else None
    return text[match.end() :] if match else text


def without_next_turns(text: str) -> str:
    """`text` up to the user's next turn, `Human: ...` and then `Assistant: ...`, when a program stands above it."""
    last = max(text.rfind("\nAssistant:"), text.rfind("\nAI:"))
    match = _NEXT_TURN.search(text, 0, last) if last > 0 else None
    return text[: match.start()] if match and "def " in text[: match.start()] else text


def channels(text: str) -> tuple[str, str] | None:
    """Answer and reasoning of a text in channels, or None. `final` is the answer, without it `commentary`."""
    if text.startswith("analysis") and "assistantfinal" in text:  # the marks themselves were dropped
        thoughts, _, answer = text.removeprefix("analysis").rpartition("assistantfinal")
        return answer, thoughts
    found = list(_CHANNEL.finditer(text)) if "<|channel|>" in text else []
    if not found or without_opening(text[: found[0].start()]).strip():
        return None
    has_final = any(match[1] == "final" for match in found)
    answers: list[str] = []
    reasoning: list[str] = []
    for number, match in enumerate(found):
        last = number + 1 == len(found)
        stop = len(text) if last else found[number + 1].start()
        body = text[match.end() : stop]
        if not last and (ends := list(_MESSAGE_END.finditer(body))):
            body = body[: ends[-1].start()].removesuffix("<|end|>")
        (answers if match[1] == "final" or (match[1] == "commentary" and not has_final) else reasoning).append(body)
    return "\n".join(answers), "\n".join(reasoning)
