"""What a run is doing, reported to its listeners: the terminal, the workflow's pages, a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

Listener = Callable[["Progress"], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@dataclass(frozen=True)
class Progress:
    """`done` of `total` `unit`s of a stage; `rate` in tokens a second; `solved` of `problems` have passed.

    `note` is a finished thing in a sentence; `parts` are the same in pieces that a narrow terminal may leave out, each
    short and with its interval. `doing` names what is at work before anything can be counted.
    """

    iteration: int
    stage: str
    done: int
    total: int
    unit: str
    rate: float | None = None
    solved: int | None = None
    problems: int | None = None
    reused: bool = False
    note: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    """Of a finished iteration."""
    left: float | None = None
    """Seconds that the iterations still to come may take."""
    doing: str = ""


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Tell `listener` of all progress that the block's own calls report."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def report(progress: Progress) -> None:
    """Tell every listener."""
    for listener in _listeners.get():
        listener(progress)


def doing(what: str) -> None:
    """Tell every listener what is at work where nothing can be counted: a model that loads, an engine that starts."""
    report(Progress(0, "", 0, 0, "", doing=what))


@dataclass
class Pace:
    """How long an iteration takes, from the latest that were computed, and so how long the rest will."""

    iterations: int
    _begun: float = field(default_factory=time.monotonic)
    _seconds: list[float] = field(default_factory=list)

    def done(self, number: int, reused: bool) -> tuple[float | None, float | None]:
        """Seconds that iteration `number` took, and seconds that are left; None where nothing was computed yet.

        Iteration 0 only evaluates, so the time left is read from later ones as soon as there are some.
        """
        took, self._begun = time.monotonic() - self._begun, time.monotonic()
        if reused:
            return None, None
        if number <= 1:
            self._seconds.clear()
        self._seconds = [*self._seconds, took][-LATEST:]
        return took, sum(self._seconds) / len(self._seconds) * (self.iterations - number)


LATEST = 5
"""Iterations from which the pace is read: programs grow shorter or longer over a run."""


@dataclass
class Meter:
    """Counts units and tokens of one stage and reports when it begins and then at most four times a second."""

    iteration: int
    stage: str
    total: int
    unit: str
    done: int = 0
    tokens: int = 0
    solved: int | None = None
    problems: int | None = None
    _start: float = field(default_factory=time.monotonic)
    _last: float = 0.0

    def __post_init__(self) -> None:
        self._report(None)

    def step(self, units: int = 1, tokens: int = 0) -> None:
        """Count finished units and their tokens."""
        self.done += units
        self.tokens += tokens
        now = time.monotonic()
        if now - self._last >= 0.25 or self.done == self.total:
            self._last = now
            self._report(self.tokens / max(now - self._start, 1e-9) if self.tokens else None)

    def _report(self, rate: float | None) -> None:
        report(Progress(self.iteration, self.stage, self.done, self.total, self.unit, rate, self.solved, self.problems))
