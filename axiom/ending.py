"""That a signal ends a process: what its handler raises in the midst of a library's work may be lost there.

asyncio, a weak reference's callback and `__del__` print an exception and go on. A run would then go on as if nobody had
asked it to end, or wait for what never comes.
"""

import atexit
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
from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit status after SIGTERM, which batch systems and containers send before they kill."""
AGAIN_SECONDS = 8.0
"""From a signal to the next, while the process has not begun to end."""
LAST_SECONDS = 25.0
"""From a signal to the end of the process in any case. What it was writing is whole afterwards, or not there."""


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

    A signal is raised again every `AGAIN_SECONDS` until the block ends. After `LAST_SECONDS` the process ends with
    the status of the `Ending`, after `last_act`, and with `last_words` if the block had not ended.
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
        signal.raise_signal(asked[0])


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
