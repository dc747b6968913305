"""One writer at a time: a lock that the system frees when its holder dies, and a note of who holds it.

The lock is the file `.lock`. The note beside it, `.lock.json`, is for people and for those who only look: a look that
took the lock for a moment would refuse a run that starts at that moment.
"""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from axiom.errors import LockedError
from axiom.folders import storage_errors, whole

FILE, NOTE = ".lock", ".lock.json"
_OLD_NOTE = re.compile(r"process (\d+) on (\S+) since (.*)")


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock. `started` is the kernel's clock tick at which it began, None where unknown."""

    process: int
    host: str
    since: str
    started: int | None = None

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"

    def alive(self) -> bool:
        """Whether the process still runs, as far as this machine can tell: one of another host counts as running."""
        return self.host != socket.gethostname() or self.runs()

    def runs(self) -> bool:
        """Whether there is such a process on this machine."""
        began = _began(self.process)
        return began is not None and self.started in (None, began)


@contextmanager
def held(folder: Path, what: str, next_step: str) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if it is missing.

    Raises LockedError that names the holder when there is one, and as `storage_errors` for a folder that cannot be
    written.
    """
    lock, note = FileLock(folder / FILE), folder / NOTE
    with storage_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = read_note(folder) or "another process"
            raise LockedError(f"{what} is being written by {who}; {next_step}") from None
    try:
        _write_note(note)
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> Holder | None:
    """Who holds the lock of `folder` now, found without taking it; None if nobody does."""
    found = read_note(folder)
    return found if found and found.alive() else None


def read_note(folder: Path) -> Holder | None:
    """Who wrote the note, alive or not; None where it is missing or damaged. Notes that are no JSON are older."""
    try:
        text = (folder / NOTE).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    old = _OLD_NOTE.fullmatch(text)
    try:
        return Holder(int(old[1]), old[2], old[3]) if old else Holder(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def this_process() -> Holder:
    """Ourselves, as the holder of a lock that is taken now."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Holder(os.getpid(), socket.gethostname(), now, _began(os.getpid()))


def _write_note(note: Path) -> None:
    ours = this_process()
    with whole(note) as scratch:
        # Spaces around the commas: the process is the second word, for `kill $(awk '{print $2}' .lock.json)`.
        scratch.write_text(json.dumps(asdict(ours), separators=(" , ", ": ")), encoding="utf-8")


def _began(process: int) -> int | None:
    """The clock tick at which a process began (field 22 of proc(5)'s stat); None if it has ended."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "XZ" else int(fields[18])
