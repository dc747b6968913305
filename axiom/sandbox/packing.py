"""Packs the standard library's pure modules into one block, which templates map and children import from."""

import importlib.util
import marshal
import os
from collections.abc import Iterator

from axiom.sandbox.inside.library import INDEX_SIZE

_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "distutils",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "venv",
    "ctypes",
    "lib-dynload",
}
_PYC_HEADER = 16


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
    return len(head).to_bytes(INDEX_SIZE, "little") + head + blob


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
