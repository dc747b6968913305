"""One holder of a name at a time on this machine, whoever its users are and wherever they keep temporary files.

The name is bound in Linux' abstract socket namespace. Unlike a lock file it needs no folder and no rights to one, and
the kernel frees it when its holder dies. Who connects to it is told who holds it.
"""

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL_SECONDS = 1.0
EVERY = 5
"""Polls from one call of `at_times` to the next."""
LONGEST = 100
"""Bytes of a name; the kernel's limit is 107."""


@contextmanager
def turn(
    name: str, holder: str, waiting: Callable[[str], None], at_times: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Wait for `name`, then hold it while the block runs.

    Whoever waits meanwhile reads `holder`; `waiting` is called with what we read, once for each holder we wait for.
    What `at_times` raises, which is called every few seconds of the wait, ends it.
    """
    address = f"\0axiom {name}".encode()[:LONGEST]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ours:
        told, polls = None, 0
        while not _bound(ours, address):
            found = _read(address)
            if found and found != told:
                waiting(found)
                told = found
            polls += 1
            if polls % EVERY == 0:
                at_times()
            time.sleep(POLL_SECONDS)
        ours.listen()
        threading.Thread(target=_answer, args=(ours, holder.encode()), name="turn", daemon=True).start()
        try:
            yield
        finally:
            ours.shutdown(socket.SHUT_RDWR)  # wakes the thread, which would keep the name while it waits


def _bound(ours: socket.socket, address: bytes) -> bool:
    try:
        ours.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _answer(ours: socket.socket, holder: bytes) -> None:
    while True:
        try:
            asker, _ = ours.accept()
        except OSError:  # shut down
            return
        with asker:
            asker.settimeout(POLL_SECONDS)
            try:
                asker.sendall(holder)
            except OSError:  # who asked has gone
                continue


def _read(address: bytes) -> str:
    """Who holds the name; empty if it was given back meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
        theirs.settimeout(POLL_SECONDS)
        try:
            theirs.connect(address)
            return theirs.recv(1000).decode(errors="replace")
        except OSError:
            return ""
