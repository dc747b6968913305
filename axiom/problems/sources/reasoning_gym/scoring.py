"""Scores direct answers inside the sandbox: a dataset's scorer is third-party code that reads a model's text.

One template imports the package before it is locked down; each text has a child of its own, with limits.
"""

import atexit
import functools
import marshal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from axiom.errors import SandboxError
from axiom.problems.sources import Judged
from axiom.records import Outcome
from axiom.sandbox.host import Program, Run, Template
from axiom.sandbox.judge import READY, answers, judge
from axiom.sandbox.selftest import self_test
from axiom.values import decode

SOLVED = 1.0
"""Score from which an answer counts as right; the scorers give less for what is merely close."""

_CODE = (Path(__file__).parent / "scorer.py").read_text(encoding="utf-8")
_MODULES = (
    "reasoning_gym.factory",
    "reasoning_gym.games.contrib.sokoban.src.game",
    "reasoning_gym.games.contrib.sokoban.src.utils",
    "sympy.integrals.heurisch",
    "sympy.integrals.manualintegrate",
    "sympy.integrals.risch",
    "sympy.assumptions.wrapper",
    "sympy.physics.units",
    "sympy.sets.setexpr",
    "sympy.tensor.array.array_derivatives",
)
"""The package, and what its scorers import only when they need it: a child can import no more."""
_CPU_SECONDS, _WALL_SECONDS = 2.0, 8.0
_MEMORY, _OUTPUT = 2 << 30, 1 << 12
_ATTEMPTS = 3


class Scorer:
    """A template with the package in it, started and self-tested when first needed. Any thread may ask it."""

    def __init__(self, without: tuple[str, ...]) -> None:
        self._without = without
        self._template: Template | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the template. The next text starts another one."""
        if self._template is not None:
            self._template.close()
            self._template = None

    def score(self, parts: bytes, text: str) -> Judged:
        """Run the scorer on `text`; `parts` come from `portable`. Raises SandboxError when the machine fails."""
        program = Program(
            _CODE, "score", (marshal.dumps((parts, text)),), _CPU_SECONDS, _WALL_SECONDS, _MEMORY, _OUTPUT
        )
        with self._lock:
            run = self._run(program)
        if run is None:
            return Judged(0.0, Outcome.FORBIDDEN, f"quarantined: it ended {_ATTEMPTS} scorers")
        found = answers(run)
        if len(found) == 1 and type(value := decode(found[0].decode())) is float:
            return Judged(value, Outcome.PASSED if value >= SOLVED else Outcome.WRONG_ANSWER, "")
        ended = judge(run, (b"",))
        raised = ended.outcome == Outcome.RUNTIME_ERROR and not run.status
        return Judged(0.0, Outcome.WRONG_ANSWER if raised else ended.outcome, ended.detail)

    def _run(self, program: Program) -> Run | None:
        """How the child ended, None when it took several templates with it."""
        begun = False
        for _ in range(_ATTEMPTS):
            if self._template is None:
                self._template = Template(self._without, rich=True, modules=_MODULES)
                self_test(self._template, self._without)
            try:
                run = self._template.run_now(program)
            except SandboxError:
                self.close()
                continue
            if run.answer.startswith(READY) and not run.killed_from_outside:
                return run
            begun = begun or run.answer.startswith(READY)
        if not begun:
            raise SandboxError(f"{_ATTEMPTS} scorers in a row died before they read an answer")
        return None


@functools.cache
def scorer(without: tuple[str, ...]) -> Scorer:
    """The scorer of this process, without the layers that are named; it ends with the process."""
    found = Scorer(without)
    atexit.register(found.close)
    return found


def portable(name: str, dataset: Any, entry: dict[str, Any]) -> bytes:
    """The question `entry` and those attributes of `dataset` that its scorer names, as a child takes them."""
    plain: dict[str, Any] = {}
    named: dict[str, tuple[str, str]] = {}  # classes and functions, by module and name
    objects: dict[str, tuple[str, str, dict[str, Any]]] = {}  # others by their class, and their attributes
    for attribute in vars(dataset).keys() & set(_names(type(dataset), "score_answer", set())):
        value = vars(dataset)[attribute]
        if isinstance(value, type | FunctionType):
            named[attribute] = value.__module__, value.__qualname__
        elif hasattr(value, "__dict__"):
            read = {key: item for key, item in vars(value).items() if _is_plain(item)}
            objects[attribute] = type(value).__module__, type(value).__qualname__, read
        else:
            plain[attribute] = value
    return marshal.dumps((name, plain, named, objects, entry))


def _is_plain(value: Any) -> bool:
    try:
        return bool(marshal.dumps(value))
    except ValueError:
        return False


def _names(member: type, method: str, seen: set[str]) -> Iterator[str]:
    """Every name in the code of `method` and of the methods that it names."""
    seen.add(method)
    function = getattr(member, method, None)
    code = getattr(function, "__code__", None)
    for name in _names_in(code) if code else ():
        yield name
        if name not in seen:
            yield from _names(member, name, seen)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
