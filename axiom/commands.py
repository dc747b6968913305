"""Commands that a message suggests: they work as they are pasted, from any root and without `axiom` on the path."""

import os
import shlex
import shutil
import sys
from pathlib import Path

DEFAULT_ROOT = "artifacts"
"""Folder of the experiments where neither `--root` nor AXIOM_ROOT names another."""


def suggest(*words: str, root: str | None = None) -> str:
    """`axiom WORDS`, quoted for a shell, with `--root` where a pasted command would look under another root."""
    elsewhere = root is not None and root != os.environ.get("AXIOM_ROOT", DEFAULT_ROOT)
    return shlex.join([_program(), *words, *(("--root", root) if root is not None and elsewhere else ())])


def _program() -> str:
    """`axiom` if the shell finds the program of this environment by that name, else its path."""
    ours = Path(sys.executable).parent / "axiom"
    found = shutil.which("axiom")
    if not ours.exists() or (found is not None and Path(found).samefile(ours)):
        return "axiom"
    return str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours)
