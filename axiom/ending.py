"""That a signal ends a process: what its handler raises in the midst of a library's work may be lost there.

asyncio, a weak reference's callback and `__del__` print an exception and go on; native code makes another error of it,
or ends in a panic. A run would then go on as if nobody had asked it to end, or wait for what never comes.
"""

import atexit
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit status after SIGTERM, which batch systems and containers send before they kill."""
AGAIN_SECONDS = 8.0
"""From a signal to the next, while the process has not begun to end."""
LAST_SECONDS = 25.0
"""From a signal to the end of the process in any case. What it was writing is whole afterwards, or not there."""
SOON_SECONDS = 0.02
"""From a signal that came at a bad moment, or whose exception was lost, to its return."""
PATIENCE_SECONDS = 2.0
"""From a signal to its exception, wherever the main thread is by then."""
WAITING = {
    "asyncio.base_events",
    "asyncio.runners",
    "concurrent",
    "contextlib",
    "prefect",
    "queue",
    "selectors",
    "threading",
}
"""Modules that let an exception pass that comes up in them, and wait for others."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""

    signal = signal.SIGTERM


def signal_of(error: BaseException | None) -> int | None:
    """The number of the signal that `error` is raised for, or None; Prefect's `TerminationSignal` has it, too."""
    if isinstance(error, Exception):
        return None
    number = getattr(error, "signal", None)
    return int(number) if number else signal.SIGINT if isinstance(error, KeyboardInterrupt) else None


Handler = Callable[[int, FrameType | None], object]


def between_calls(handler: Handler) -> Handler:
    """A signal's handler that calls `handler` once axiom's own code runs or waits, or after `PATIENCE_SECONDS`.

    What `handler` raises would be lost in many a library, which calls Python from native code or a callback.
    """
    since: list[float] = []  # when the signal came that waits

    def again(number: int) -> None:
        while since:
            _send(number)
            time.sleep(SOON_SECONDS)

    def deferred(number: int, frame: FrameType | None) -> None:
        if passes(frame) or (since and time.monotonic() - since[0] > PATIENCE_SECONDS):
            since.clear()
            handler(number, frame)
        elif not since:
            since.append(time.monotonic())
            threading.Thread(target=again, args=(number,), name="signal again", daemon=True).start()

    return deferred


def passes(frame: FrameType | None) -> bool:
    """Whether an exception raised in `frame` reaches the code of axiom that called it."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        package = name.partition(".")[0]
        if name == __name__:  # a handler at work, called from who knows where
            return False
        if package in ("axiom", "__main__"):
            return frame.f_code.co_name != "__del__"
        if name not in WAITING and package not in WAITING:
            return False
        frame = frame.f_back
    return True


@functools.cache
def recover_lost_signals() -> None:
    """Raise a signal again when Python or asyncio reports that its exception went nowhere, in place of the report.

    What a library drops without a report is left to `insisted`.
    """
    report = sys.unraisablehook

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if (number := signal_of(lost.exc_value)) is None:
            report(lost)
        else:
            _return(number)

    def logged(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if (number := signal_of(error)) is not None and not isinstance(error, KeyboardInterrupt):  # that it passes on
            _return(number)
        return number is None

    sys.unraisablehook = unraisable
    logging.getLogger("asyncio").addFilter(logged)


def _return(number: int) -> None:
    timer = threading.Timer(SOON_SECONDS, _send, (number,))
    timer.daemon = True
    with suppress(RuntimeError):  # no thread starts as Python ends
        timer.start()


def _send(number: int) -> None:
    if callable(signal.getsignal(number)):  # not when the block that wanted to know has ended
        signal.pthread_kill(threading.main_thread().ident or 0, number)


@dataclass
class Ending:
    """How a process that was asked to end will end: its exit status, None as long as nobody has asked."""

    status: int | None = None

    def conclude(self) -> None:
        """End the process without what Python does last: a library that begins a thread then waits for it for ever."""
        if self.status is not None:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(self.status)


@contextmanager
def insisted(last_words: Callable[[], str], last_act: Callable[[], object] = lambda: None) -> Iterator[Ending]:
    """Have SIGINT and SIGTERM end the block, and then this process; only in the main thread.

    A signal is raised again when it is seen to be lost, and every `AGAIN_SECONDS` until the block ends. After
    `LAST_SECONDS` the process ends with the status of the `Ending`, after `last_act`, and with `last_words` if the
    block had not ended.
    """
    ending, left, known, asked, (heard, told) = Ending(), Event(), Event(), list[int](), socket.socketpair()

    def listen() -> None:
        with heard:
            while number := heard.recv(1):
                if number[0] in (signal.SIGINT, signal.SIGTERM):
                    asked.append(number[0])
                    ending.status = TERMINATED if number[0] == signal.SIGTERM else INTERRUPTED
                    known.set()
                    _insist(number[0], ending, left, last_words, last_act)
        known.set()

    recover_lost_signals()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)  # whichever handler others install
    threading.Thread(target=listen, name="signals", daemon=True).start()
    atexit.register(ending.conclude)  # what is registered from here on is done before it
    try:
        yield ending
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        told.close()
        known.wait()  # on a busy machine the thread may hear of a signal after this one
    if asked:
        raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt


def _insist(
    number: int, ending: Ending, left: Event, last_words: Callable[[], str], last_act: Callable[[], object]
) -> NoReturn:
    end = time.monotonic() + LAST_SECONDS
    while not left.wait(AGAIN_SECONDS) and time.monotonic() < end:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    if left.is_set():
        time.sleep(max(0.0, end - time.monotonic()))
    else:
        os.write(2, f"{last_words()}\n".encode(errors="replace"))
    last_act()  # what would be done as Python ends is not
    os._exit(ending.status or INTERRUPTED)
