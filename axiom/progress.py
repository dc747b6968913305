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
    """`done` of `total` `unit`s of a stage; `rate` in tokens a second; `solved` of `problems` have passed."""

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


@dataclass
class Meter:
    """Counts units and tokens of one stage and reports at most four times a second."""

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

    def step(self, units: int = 1, tokens: int = 0) -> None:
        """Count finished units and their tokens."""
        self.done += units
        self.tokens += tokens
        now = time.monotonic()
        if now - self._last >= 0.25 or self.done == self.total:
            self._last = now
            rate = self.tokens / max(now - self._start, 1e-9) if self.tokens else None
            report(
                Progress(self.iteration, self.stage, self.done, self.total, self.unit, rate, self.solved, self.problems)
            )
