"""What a run does while its Prefect server cannot be reached: it waits, for all it needs is in the store.

And what it does when its worker has died, which read what it prints: it goes on.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any, TypeVar

import httpx
from prefect.logging.handlers import PrefectConsoleHandler

from axiom.ending import signal_of
from axiom.progress import Progress, report

T = TypeVar("T")
PATIENCE_SECONDS = 3600.0
"""Long enough to restart or upgrade a server; a run that gives up is resumed without loss."""
POLL_SECONDS = 2.0


def patiently(call: Callable[[], T], *, patience_seconds: float = PATIENCE_SECONDS) -> T:
    """The result of `call`, called again as long as the server is away.

    `call` must be safe to repeat: stages are, because the store knows which are done. Any other failure of `call`, and
    an outage longer than `patience_seconds`, is raised.
    """
    end = time.monotonic() + patience_seconds
    while True:
        try:
            return call()
        except (httpx.TransportError, RuntimeError) as error:
            if asked_to_end(error) or not out_of_reach(error) or time.monotonic() > end:
                raise
            report(Progress(0, "server", 0, 1, "", note=f"the Prefect server is away ({error}); waiting for it"))
            time.sleep(POLL_SECONDS)


def out_of_reach(error: BaseException) -> bool:
    """Whether `error` says that the server could not be reached; Prefect wraps some of these in a RuntimeError."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx.TransportError):
            return True
        cause = cause.__cause__
    return False


def asked_to_end(error: BaseException) -> bool:
    """Whether `error` came up on the way out: who ends a process group ends a private server with the run."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if signal_of(one) is not None:
            return True
        met.add(id(one))
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None and id(other) not in met]
    return False


class Unheard:
    """A stream whose reader may die: what is written to it then is lost, and nobody is told."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or do as if."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            return len(text)

    def flush(self) -> None:
        """Flush, or do as if."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def outliving_the_worker() -> Iterator[None]:
    """Let what the run prints and logs be lost when the worker that reads it has died; it would end the run."""
    for handler in _handlers():
        if isinstance(handler, PrefectConsoleHandler) and not isinstance(handler.console.file, Unheard):
            # For good, as Prefect logs after the block too: rich, when it finds a pipe broken, raises SystemExit.
            handler.console.file = Unheard(handler.console.file)  # type: ignore[assignment]
    with redirect_stdout(Unheard(sys.stdout)), redirect_stderr(Unheard(sys.stderr)):
        yield


def _handlers() -> set[logging.Handler]:
    known = list(logging.root.manager.loggerDict.values())  # a copy, as other threads make loggers meanwhile
    loggers = [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]
    return {handler for logger in loggers for handler in logger.handlers}
