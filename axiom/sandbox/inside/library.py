"""The standard library as one block of memory, so that a child can import it without opening a file.

The parent packs the modules once (`pack`), every template maps the same block, and `Finder` loads from it. Extension
modules cannot come that way, since no child may map executable memory: the template loads the useful ones beforehand.
"""

import contextlib
import importlib.util
import marshal
import os
import struct
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType

_LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "distutils", "pydoc_data",
    "site-packages", "dist-packages", "__pycache__", "venv", "ctypes", "lib-dynload",
}  # fmt: skip
_PYC_HEADER = 16

PRELOADED = (
    "abc", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc", "contextlib",
    "copy", "copyreg", "csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq",
    "io", "inspect", "itertools", "json", "keyword", "locale", "math", "numbers", "operator", "os", "pprint", "queue",
    "random", "re", "reprlib", "secrets", "select", "shlex", "signal", "socket", "statistics", "string", "struct",
    "subprocess", "sys", "tempfile", "textwrap", "threading", "time", "timeit", "token", "tokenize", "traceback",
    "types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib", "zoneinfo",
    "_bisect", "_contextvars", "_csv", "_datetime", "_decimal", "_heapq", "_opcode", "_pickle", "_posixsubprocess",
    "_queue", "_random", "_statistics", "_struct", "_typing", "_zoneinfo", "_blake2", "_md5", "_sha1", "_sha256",
    "_sha2", "_sha3", "_sha512", "binascii", "fcntl", "mmap", "pyexpat", "resource",
)  # fmt: skip
"""Imported by each template before it is locked. Names that this Python lacks are left out."""

WITHHELD = ("_hashlib", "_ssl", "_ctypes", "_sqlite3", "_tkinter", "readline", "_curses", "_posixshmem", "_asyncio")
"""Extension modules no candidate gets, whatever the machine has: the verdict must not depend on the machine."""


_INDEX_SIZE = struct.Struct("<Q")


def pack(root: str) -> bytes:
    """Every pure module below the standard library's folder `root`: index size, index, then the modules' bytes.

    The index is marshalled: {name: (is_package, is_bytecode, offset, length)}. A module is its cached bytecode where
    the interpreter has written it, else its source, which is compiled on import.
    """
    index: dict[str, tuple[bool, bool, int, int]] = {}
    blob = bytearray()
    for name, path, is_package in _sources(root):
        code = _read(importlib.util.cache_from_source(path))
        is_bytecode = code[:4] == importlib.util.MAGIC_NUMBER
        body = code[_PYC_HEADER:] if is_bytecode else _read(path)
        index[name] = (is_package, is_bytecode, len(blob), len(body))
        blob += body
    head = marshal.dumps(index)
    return _INDEX_SIZE.pack(len(head)) + head + blob


def _sources(root: str) -> Iterator[tuple[str, str, bool]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        package = [] if folder == root else os.path.relpath(folder, root).split(os.sep)
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            if suffix == ".py" and stem not in _LEFT_OUT:
                is_package = stem == "__init__"
                yield ".".join(package if is_package else [*package, stem]), os.path.join(folder, file), is_package


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class Library:
    """A finder and loader, for `sys.meta_path`, over a packed block."""

    def __init__(self, block: memoryview) -> None:
        head = _INDEX_SIZE.unpack_from(block)[0]
        start = _INDEX_SIZE.size
        self._index: dict[str, tuple[bool, bool, int, int]] = marshal.loads(block[start : start + head])
        self._body = block[start + head :]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a packed module, None for any other."""
        entry = self._index.get(name)
        return None if entry is None else ModuleSpec(name, self, origin=f"<{name}>", is_package=entry[0])

    def create_module(self, spec: ModuleSpec) -> None:
        """None: the default module is right."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in its namespace."""
        _, is_bytecode, offset, length = self._index[module.__name__]
        body = self._body[offset : offset + length]
        code = marshal.loads(body) if is_bytecode else compile(bytes(body), f"<{module.__name__}>", "exec", 0, True)
        exec(code, module.__dict__)


def preload() -> None:
    """Import what candidates use most, and put out of reach what no candidate gets."""
    for name in WITHHELD:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises ImportError
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
