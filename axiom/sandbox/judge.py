"""From how a child ended and the bytes it wrote to an outcome. Pure; runs in the parent, which holds the answers.

The kernel's account comes first (who killed it and with what), then the channel, read as a strict sequence of records.
Exact comparison is of bytes: the child writes canonical text, so equal text is equal type and value.
"""

import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from axiom.records import Outcome
from axiom.sandbox.host import Run
from axiom.sandbox.inside.harness import HEADER_SIZE, OUT_OF_MEMORY
from axiom.sandbox.inside.template import CPU_LIMIT, WALL_LIMIT
from axiom.values import close, decode
from axiom.visible import one_line

READY = b"R" + bytes(HEADER_SIZE - 1)
_HEADER = struct.Struct("<cHI")
_SHOWN = 200

_ENDINGS = {
    b"S": Outcome.SYNTAX_ERROR,
    b"P": Outcome.SYNTAX_ERROR,
    b"M": Outcome.MISSING_FUNCTION,
    b"L": Outcome.RUNTIME_ERROR,
    b"Y": Outcome.MEMORY_LIMIT,
    b"O": Outcome.OUTPUT_LIMIT,
}
_CASE_FAILURES = {b"E": Outcome.RUNTIME_ERROR, b"X": Outcome.MEMORY_LIMIT, b"U": Outcome.WRONG_ANSWER}


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, the cases that passed before it, and one line for the researcher."""

    outcome: Outcome
    cases_passed: int
    detail: str = ""


def judge(run: Run, expected: Sequence[bytes], close: bool = False) -> Judgement:
    """Judge `run` against the canonical text of each case's answer.

    The first case that fails gives the outcome; a process that was ended from outside has that outcome instead.
    """
    records = _records(run.answer)
    passed, failure = _compare(records, expected, close)
    ended = _ended_by_force(run)
    if ended is not None:
        return Judgement(ended[0], passed, ended[1])
    for tag, _, payload in records:
        if tag == b"P" and 2 * 1024 * run.peak_kib > run.memory_bytes:
            return Judgement(Outcome.MEMORY_LIMIT, passed, "out of memory while compiling")
        if tag in _ENDINGS:
            return Judgement(_ENDINGS[tag], passed, _text(payload))
    if not _complete(records, len(expected), run.answer):
        return Judgement(*_incomplete(run, passed))
    return Judgement(Outcome.PASSED, passed) if failure is None else Judgement(failure[0], passed, failure[1])


def needs_rich(run: Run) -> bool:
    """Whether the child left because its template lacked an extension module."""
    records = _records(run.answer)
    return bool(records) and records[-1][0] == b"N"


def answers(run: Run) -> list[bytes]:
    """The canonical text of every case's value; none when the run did not end as it should."""
    records = _records(run.answer)
    values = [payload for tag, _, payload in records[:-1] if tag == b"V"]
    return values if not run.status and _complete(records, len(values), run.answer) else []


def observed(run: Run, cases: int) -> tuple[str, ...]:
    """What became of each case: the canonical text of its value, how it failed, or `-` where it was not reached."""
    found = ["-"] * cases
    for tag, index, payload in _records(run.answer):
        if index < cases and tag in b"VEXU":
            found[index] = payload.decode("utf-8", "backslashreplace") if tag == b"V" else tag.decode()
    return tuple(found)


Record = tuple[bytes, int, bytes]


def _records(answer: bytes) -> list[Record]:
    """The whole records at the start of `answer`, without the ready one."""
    records, place = [], len(READY)
    while place + HEADER_SIZE <= len(answer):
        tag, index, size = _HEADER.unpack_from(answer, place)
        place += HEADER_SIZE
        if place + size > len(answer):
            break
        records.append((tag, index, answer[place : place + size]))
        place += size
    return records


def _compare(
    records: Sequence[Record], expected: Sequence[bytes], close: bool
) -> tuple[int, tuple[Outcome, str] | None]:
    """How many cases passed, and the first failure."""
    passed, failure = 0, None
    for (tag, index, payload), answer in zip(records, expected, strict=False):
        if tag == b"V" and (payload == answer or (close and _is_close(payload, answer))):
            passed += 1
        elif failure is None and tag in _CASE_FAILURES:
            failure = (_CASE_FAILURES[tag], f"case {index}: {_text(payload)}" if payload else f"case {index}")
        elif failure is None and tag == b"V":
            failure = (Outcome.WRONG_ANSWER, f"case {index}: got {_text(payload)}, expected {_text(answer)}")
    return passed, failure


def _ended_by_force(run: Run) -> tuple[Outcome, str] | None:
    number = run.status & 0x7F
    if run.overflowed:
        return Outcome.OUTPUT_LIMIT, "answered more than the output limit"
    if run.ended_by == CPU_LIMIT or (number in (signal.SIGXCPU, signal.SIGKILL) and run.ended_by != WALL_LIMIT):
        return Outcome.TIMEOUT, f"{run.cpu_seconds:.2f} s of CPU time"
    if run.ended_by == WALL_LIMIT:
        return Outcome.TIMEOUT, f"{run.wall_seconds:.2f} s of wall-clock time"
    if number == signal.SIGSYS:
        return Outcome.FORBIDDEN, "asked the kernel for something no candidate may have"
    if number:
        return Outcome.RUNTIME_ERROR, f"killed by {signal.Signals(number).name}"
    return None


def _complete(records: Sequence[Record], cases: int, answer: bytes) -> bool:
    size = len(READY) + sum(HEADER_SIZE + len(payload) for _, _, payload in records)
    ordered = all(index == place for place, (_, index, _) in enumerate(records))
    whole = len(records) == cases + 1 and records[-1][0] == b"D"
    return whole and ordered and size == len(answer) and all(tag in b"VEXU" for tag, _, _ in records[:-1])


def _incomplete(run: Run, passed: int) -> tuple[Outcome, int, str]:
    status = run.status >> 8
    if status == OUT_OF_MEMORY:
        return Outcome.MEMORY_LIMIT, passed, "out of memory while answering"
    return Outcome.RUNTIME_ERROR, passed, f"left with status {status} without a whole answer"


def _text(payload: bytes) -> str:
    text = one_line(payload.decode("utf-8", "backslashreplace"))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _is_close(payload: bytes, answer: bytes) -> bool:
    try:
        got = decode(payload.decode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    return close(got, decode(answer.decode("utf-8", "surrogatepass")))
