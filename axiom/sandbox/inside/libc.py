"""System calls by name, over the bare `_ctypes` module.

The package ctypes would bring `struct` and its mappings into every fork; one variadic function is all that is needed.
"""

import _ctypes
import os
import sys
from typing import Any

from .syscalls import ALLOWED, AUDIT_ARCH, CHECKED, FATAL, TEMPLATE_ONLY

_CDECL, _USE_ERRNO = 1, 8


class _Long(_ctypes._SimpleCData):
    _type_ = "l"


class _Byte(_ctypes._SimpleCData):
    _type_ = "B"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _CDECL | _USE_ERRNO
    _restype_ = _Long


_ARRAYS: dict[int, Any] = {}


def _array(size: int) -> Any:
    if size not in _ARRAYS:  # types are dear and never freed
        _ARRAYS[size] = type("Bytes", (_ctypes.Array,), {"_type_": _Byte, "_length_": size})
    return _ARRAYS[size]


class Buffer:
    """Bytes at a fixed address, for the kernel to read or write."""

    def __init__(self, content: bytes) -> None:
        self._memory = _array(len(content))()
        self.bytes = memoryview(self._memory).cast("B")
        self.bytes[:] = content
        self.address: int = _ctypes.addressof(self._memory)

    @staticmethod
    def at(address: int, size: int) -> memoryview:
        """The bytes that are already at `address`."""
        return memoryview(_array(size).from_address(address)).cast("B")


def words(*values: int, size: int = 8) -> bytes:
    """Integers as the kernel's structures hold them, `size` bytes each."""
    return b"".join(value.to_bytes(size, sys.byteorder) for value in values)


_MACHINE = os.uname().machine  # read now: a locked process may not ask


def machine() -> str:
    """The architecture. Raises OSError naming one that has no table."""
    name = _MACHINE
    if name not in AUDIT_ARCH:
        raise OSError(0, f"no system call table for {name}; known: {', '.join(AUDIT_ARCH)}")
    return name


def numbers(*tables: dict[str, tuple[int | None, int | None]], architecture: str = "") -> dict[str, int]:
    """{name: number} of the calls in `tables` that `architecture` (by default this one) has."""
    column = list(AUDIT_ARCH).index(architecture or machine())
    return {name: both[column] for table in tables for name, both in table.items() if both[column] is not None}  # type: ignore[misc]


class Kernel:
    """Calls the kernel: `kernel("prctl", 38, 1)`. Raises OSError with the call's name."""

    def __init__(self) -> None:
        self._numbers = numbers(ALLOWED, CHECKED, TEMPLATE_ONLY, FATAL)
        own_symbols: Any = None  # dlopen's word for the running program; the stubs do not know it
        self._call = _Function(_ctypes.dlsym(_ctypes.dlopen(own_symbols, os.RTLD_NOW), "syscall"))
        self._call.argtypes = (_Long,) * 7

    def resolve(self, calls: list[tuple[str, tuple[int, ...]]]) -> list[tuple[int, ...]]:
        """(name, arguments) as `raw` takes them: the number and six arguments."""
        return [(self._numbers[name], *(*arguments, 0, 0, 0, 0, 0, 0)[:6]) for name, arguments in calls]

    def raw(self, *call: int) -> int:
        """Make one resolved call. Raises OSError."""
        result: int = self._call(*call)
        if result < 0:
            error = _ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    def __call__(self, name: str, *arguments: int) -> int:
        """The call's result; missing arguments are zero."""
        try:
            return self.raw(*self.resolve([(name, arguments)])[0])
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror}") from None
