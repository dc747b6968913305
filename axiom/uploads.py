"""Files on their way to an object store, behind the work that goes on.

The files of a stage are sent side by side, its manifest after the last of them, and one stage after the other. At most
one stage is on its way while the next is computed, so a process that dies loses the stage that it was at and the one
that it was sending.
"""

import tempfile
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

SIDE_BY_SIDE = 4
"""Files that are sent at a time."""
MOST = 16
"""Writes that may wait."""


@dataclass(frozen=True)
class Upload:
    """A file that is to be at `url`, of which `copy` is the local one."""

    url: str
    copy: Path
    send: Callable[[Path], None]


@dataclass
class Batch:
    """Files that may be sent in any order, and one that is sent after them."""

    files: list[Upload] = field(default_factory=list)
    last: Upload | None = None


class Uploads:
    """The queue. `check` is called before anything is sent; it raises when this process may write no longer.

    An upload that fails raises in the next `turn`, `write` or `flush`, and is tried again then.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._folder = tempfile.TemporaryDirectory(prefix="axiom-uploads-")
        self._copies: dict[str, Path] = {}
        self._queue: deque[Batch] = deque()
        self._open, self._count = Batch(), 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._sender = ThreadPoolExecutor(1, "axiom-uploads")
        self._senders = ThreadPoolExecutor(SIDE_BY_SIDE, "axiom-upload")

    def put(self, url: str, source: Path, send: Callable[[Path], None]) -> None:
        """Take a local file over. It is sent before the file of the next `write`."""
        upload = self._keep(url, send)
        source.replace(upload.copy)
        with self._changed:
            self._copies[url] = upload.copy
        self._open.files.append(upload)

    def write(self, url: str, data: bytes, send: Callable[[Path], None]) -> None:
        """Queue a small file, after all that came before it; then as `turn`."""
        upload = self._keep(url, send)
        upload.copy.write_bytes(data)
        batch, self._open = Batch(self._open.files, upload), Batch()
        with self._changed:
            self._copies[url] = upload.copy
            self._queue.append(batch)
        self._start()
        self.turn()

    def turn(self) -> None:
        """Wait until at most one stage is on its way. Raises what an upload raised."""
        self._wait(lambda: sum(bool(batch.files) for batch in self._queue) <= 1 and len(self._queue) <= MOST)

    def flush(self) -> None:
        """Wait until everything has arrived. Raises what an upload raised."""
        self._wait(lambda: not self._queue)

    def close(self) -> None:
        """Give up what has not arrived."""
        with self._changed:
            self._queue.clear()
        self._sender.shutdown()
        self._senders.shutdown()
        self._folder.cleanup()

    def waiting(self, url: str) -> bool:
        """Whether the file has not arrived yet."""
        with self._changed:
            return url in self._copies

    def opened(self, url: str) -> BinaryIO | None:
        """The local copy of a file that has not arrived yet, open for reading; None if it has arrived."""
        with self._changed:  # under which no copy is removed
            return self._copies[url].open("rb") if url in self._copies else None

    def names(self, folder: str) -> set[str]:
        """What lies directly in a folder and has not arrived yet."""
        with self._changed:
            inside = [url.removeprefix(f"{folder}/") for url in self._copies if url.startswith(f"{folder}/")]
        return {name.partition("/")[0] for name in inside}

    def _keep(self, url: str, send: Callable[[Path], None]) -> Upload:
        self._count += 1
        return Upload(url, Path(self._folder.name) / str(self._count), send)

    def _wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            while self._error is None and not until():
                self._changed.wait()
            error, self._error = self._error, None
        if error is not None:
            self._start()
            raise error

    def _start(self) -> None:
        self._sender.submit(self._drain).add_done_callback(self._drained)

    def _drain(self) -> None:
        """Send batch after batch. One that fails stays the first."""
        while self._error is None and self._queue:
            self._send(self._queue[0])
            with self._changed:
                if self._queue:
                    self._queue.popleft()
                self._changed.notify_all()

    def _drained(self, done: Future[None]) -> None:
        if error := done.exception():
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _send(self, batch: Batch) -> None:
        self._check()
        list(self._senders.map(self._send_one, batch.files))
        if batch.last is not None:
            if batch.files:
                self._check()
            self._send_one(batch.last)

    def _send_one(self, upload: Upload) -> None:
        if not upload.copy.exists():  # it arrived before another of its batch failed
            return
        upload.send(upload.copy)
        with self._changed:
            if self._copies.get(upload.url) == upload.copy:
                del self._copies[upload.url]
            upload.copy.unlink()
