"""Looking at the machine while something runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_SECONDS = 1.0


@contextmanager
def watching(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` once a second, in a thread of its own, while the block runs."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_SECONDS):
            look()

    thread = threading.Thread(target=watch, name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
