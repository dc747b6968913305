"""Runs one candidate on its cases, inside the forked child.

Nothing here decides a verdict and nothing here knows an answer: values go back over the channel and the parent
compares. A candidate may rewrite every object of this process; all it gains is the power to answer differently. What
it must not do is break an honest run by accident, so the template loads this module with its own copy of the builtins,
and what is used here is bound before the candidate's first line.

Records, in order: `R` (ready, sent before the candidate is read), then for each case `V` (value), `E` (exception),
`X` (out of memory) or `U` (a value without a form), then `D` (done). Or one of the endings `S` (does not compile),
`P` (the parser ran out of memory or depth), `L` (raises while loading), `Y` (out of memory while loading), `M` (no
such function), `O` (too much output), `N` (needs an extension module that only a rich template has).
"""

import io
import marshal
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

CHANNEL = 3
MODULE = "candidate"
HEADER_SIZE = 7  # tag, case index in two bytes, payload length in four, little-endian
LENGTH_SIZE = 4
OUT_OF_MEMORY = 77
_DETAIL = 300
_SIZED = (str, bytes, list, tuple, dict, set, frozenset)
_PRINTS = 4  # what may be printed, in multiples of what may be answered

_read, _write, _leave, _load_job, _load_values = os.read, os.write, os._exit, marshal.loads, marshal.loads
_builtins = vars(sys.modules["builtins"])
_modules, _get_recursion_limit, _set_recursion_limit = sys.modules, sys.getrecursionlimit, sys.setrecursionlimit
_RECURSION_LIMIT = 1000  # for the encoder, whatever the candidate chose for itself
_type_name = type.__dict__["__name__"].__get__
_exception_args = BaseException.args.__get__  # type: ignore[attr-defined]


def send(tag: bytes, index: int = 0, payload: bytes = b"") -> None:
    """Write one record, whole."""
    record = tag + index.to_bytes(2, "little") + len(payload).to_bytes(4, "little") + payload
    while record:
        record = record[_write(CHANNEL, record) :]


class Output(io.RawIOBase):
    """Where prints go: nowhere, until they pass the limit, which ends the process."""

    left = 0

    def writable(self) -> bool:
        """True: text can be printed."""
        return True

    def write(self, data: Any) -> int:
        """Count `data` and drop it."""
        self.left -= len(data)
        if self.left < 0:
            _end(b"O", "printed more than the output limit")
        return len(data)


def run(encode: Callable[[Any], str], output: Output) -> NoReturn:
    """Say that the child is ready, read the job, run it, answer, leave."""
    send(b"R")
    code, entry_point, limit, cases = _read_job()
    output.left = _PRINTS * limit
    try:
        function = _load(code, entry_point)
        for index, arguments in enumerate(cases):
            _run_case(function, index, arguments, encode, limit)
        send(b"D", len(cases))
    except MemoryError:
        _leave(OUT_OF_MEMORY)
    _leave(0)


def _read_job() -> tuple[str, str, int, Sequence[bytes]]:
    """(code, entry point, output limit in bytes, arguments of each case)."""
    size = int.from_bytes(_read_exactly(LENGTH_SIZE), "little")
    job: tuple[str, str, int, Sequence[bytes]] = _load_job(_read_exactly(size))
    return job


def _read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = _read(CHANNEL, size - len(data))
        if not part:
            _leave(0)  # the parent withdrew the job
        data += part
    return data


def _load(code: str, entry_point: str) -> Any:
    try:
        program = compile(code.removeprefix("\ufeff"), "<candidate>", "exec", 0, True)
    except MemoryError:
        _end(b"P", "too large or too deeply nested for the parser")
    except BaseException as error:  # noqa: BLE001  (the candidate's failure, whatever it is, is data)
        _end(b"S", _describe(error))
    module = ModuleType(MODULE)
    _modules[MODULE] = _modules["__main__"] = module
    space = module.__dict__
    space["__builtins__"] = _builtins  # as in any module; without it, exec would hand over those of this one
    try:
        exec(program, space)
        function = space.get(entry_point)
    except MemoryError:
        space.clear()
        _end(b"Y", "out of memory while loading")
    except BaseException as error:  # noqa: BLE001  (the candidate's failure, whatever it is, is data)
        _end(b"L", _describe(error))
    if function is None:
        _end(b"M", f"no function {entry_point!r} is defined")
    if not callable(function):
        _end(b"M", f"{entry_point!r} cannot be called")
    return function


def _run_case(function: Any, index: int, arguments: bytes, encode: Callable[[Any], str], limit: int) -> None:
    try:
        value = function(*_load_values(arguments))
    except MemoryError:
        send(b"X", index)
        return
    except BaseException as error:  # noqa: BLE001  (the candidate's failure, whatever it is, is data)
        send(b"E", index, _describe(error).encode("utf-8", "backslashreplace"))
        return
    kind = type(value)
    if any(kind is sized for sized in _SIZED) and len(value) > limit:  # each item takes a byte or more
        _end(b"O", f"case {index}: answered more than the output limit")
    chosen = _get_recursion_limit()
    try:
        _set_recursion_limit(_RECURSION_LIMIT)
        text = encode(value).encode("utf-8", "surrogatepass")
        _set_recursion_limit(chosen)
    except MemoryError:
        send(b"X", index)
        return
    except BaseException as error:  # noqa: BLE001  (the candidate's failure, whatever it is, is data)
        _set_recursion_limit(chosen)
        reason = f"returned {_type_name(type(value))}, which cannot be answered: {_describe(error)}"
        send(b"U", index, reason.encode("utf-8", "backslashreplace"))
        return
    send(b"V", index, text)


def needs_rich(name: str) -> NoReturn:
    """Leave: `name` is an extension module that this template has not loaded."""
    _end(b"N", name)


def _end(tag: bytes, text: str) -> NoReturn:
    send(tag, 0, text.encode("utf-8", "backslashreplace"))
    _leave(0)


def _describe(error: BaseException) -> str:
    """Type and first text argument of `error`, read without running any code of the candidate's."""
    arguments = _exception_args(error)
    text = arguments[0] if arguments and type(arguments[0]) is str else ""
    name = _type_name(type(error))
    return f"{name}: {text[:_DETAIL]}" if text else str(name)
