"""The standard library as one block of memory, so that a child can import it without opening a file.

The parent packs the modules once (`axiom.sandbox.packing`), every template maps the same block, and `Library` loads
from it. Extension modules cannot come that way, since no child may map executable memory: the template loads the
useful ones beforehand.
"""

import _sitebuiltins
import marshal
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LEAN = (
    "abc",
    "bisect",
    "collections",
    "collections.abc",
    "copy",
    "functools",
    "heapq",
    "itertools",
    "json",
    "keyword",
    "math",
    "operator",
    "re",
    "reprlib",
    "string",
    "types",
    "typing",
    "warnings",
    "weakref",
)
"""Loaded in every template. Each extension module costs each fork about 25 us (its five mappings are copied)."""

RICH = (
    "array",
    "base64",
    "calendar",
    "cmath",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "hashlib",
    "inspect",
    "locale",
    "numbers",
    "queue",
    "random",
    "select",
    "socket",
    "statistics",
    "struct",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "traceback",
    "unicodedata",
    "uuid",
    "zlib",
    "zoneinfo",
)
"""Loaded as well in the templates for candidates that need an extension module which `LEAN` has not."""

EXTENSIONS = (
    "_asyncio",
    "_bisect",
    "_blake2",
    "_contextvars",
    "_csv",
    "_datetime",
    "_decimal",
    "_heapq",
    "_md5",
    "_opcode",
    "_pickle",
    "_posixsubprocess",
    "_queue",
    "_random",
    "_sha1",
    "_sha2",
    "_sha256",
    "_sha3",
    "_sha512",
    "_socket",
    "_statistics",
    "_struct",
    "_typing",
    "_zoneinfo",
    "array",
    "binascii",
    "cmath",
    "fcntl",
    "math",
    "mmap",
    "pyexpat",
    "resource",
    "select",
    "unicodedata",
    "zlib",
)
"""All extension modules a candidate may have. A name that this Python lacks or has built in is passed over."""

WITHHELD = frozenset(
    {
        "_bz2",
        "_crypt",
        "_ctypes",
        "_curses",
        "_curses_panel",
        "_dbm",
        "_elementtree",
        "_gdbm",
        "_hashlib",
        "_lzma",
        "_multiprocessing",
        "_posixshmem",
        "_sqlite3",
        "_ssl",
        "_tkinter",
        "_uuid",
        "audioop",
        "grp",
        "nis",
        "ossaudiodev",
        "pwd",
        "readline",
        "spwd",
        "syslog",
        "termios",
    }
)
"""Extension modules no candidate gets, whatever the machine has: the verdict must not depend on the machine."""

INDEX_SIZE = 8


class Library:
    """A finder and loader, for `sys.meta_path`, over a packed block.

    `absent` is called with the name of an extension module that this template has not loaded.
    """

    def __init__(self, block: memoryview, absent: Callable[[str], object] | None) -> None:
        head = int.from_bytes(block[:INDEX_SIZE], "little")
        start = INDEX_SIZE
        self._index: dict[str, tuple[bool, bool, int, int]] = marshal.loads(block[start : start + head])
        self._body = block[start + head :]
        self._absent = absent

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a packed module, None for any other."""
        entry = self._index.get(name)
        if entry is None:
            if self._absent is not None and name in EXTENSIONS:
                self._absent(name)
            return None
        loader: Any = self
        return ModuleSpec(name, loader, origin=f"<{name}>", is_package=entry[0])

    def create_module(self, spec: ModuleSpec) -> None:
        """None: the default module is right."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in its namespace."""
        _, is_bytecode, offset, length = self._index[module.__name__]
        body = self._body[offset : offset + length]
        code = marshal.loads(body) if is_bytecode else compile(bytes(body), f"<{module.__name__}>", "exec", 0, True)
        exec(code, module.__dict__)


def load_installed(names: list[str], path: list[str]) -> None:
    """Import installed modules by the parent's module path. Children can import no other ones."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork takes no threads along
    sys.path.extend(path)
    for name in names:
        __import__(name)


def preload(rich: bool) -> None:
    """Import what candidates use most, and put out of reach what no candidate gets."""
    builtins = vars(sys.modules["builtins"])
    builtins |= {name: _sitebuiltins.Quitter(name, "Ctrl-D") for name in ("exit", "quit")}  # `-S` left them out
    sys.modules.update(dict.fromkeys(WITHHELD))  # type: ignore[arg-type]  # an import of None raises ImportError
    for name in (*EXTENSIONS, *LEAN, *RICH) if rich else LEAN:
        try:
            __import__(name)
        except ImportError:
            continue  # this Python has no such module, or has it built in
