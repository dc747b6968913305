"""The SHA-256 of a file, taken once: it is kept by the file's place, size and times.

A file is read at about 1.8 GB/s on one core; the 15 GB of a model of 7 billion parameters take some eight seconds.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from axiom.environment import cache_dir

SETTLED_SECONDS = 2.0
"""A file that changed so lately may change again within one tick of its clock, so its digest is not kept yet."""


def content_digest(file: Path) -> str:
    """SHA-256 of all bytes of `file`, from the cache (`digests` in axiom's cache folder) if it is known."""
    found = file.stat()
    mark = f"{file.resolve()} {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    kept = cache_dir() / "digests" / hashlib.sha256(os.fsencode(mark)).hexdigest()[:32]
    try:
        return kept.read_text(encoding="ascii")
    except OSError:
        pass
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    now = time.time()  # noqa: TID251  (file times are of this clock)
    if now - max(found.st_mtime, found.st_ctime) > SETTLED_SECONDS:
        write_whole(kept, digest)
    return digest


def write_whole(file: Path, text: str) -> None:
    """A file of a cache, whole or not at all; a cache that cannot be written only costs the next run its work."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as stream:
            stream.write(text)
        os.replace(stream.name, file)
    except OSError:
        return


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold the lock `file` of a cache while the block fills it; the system frees it when its holder dies.

    Where the cache cannot be written there is no lock: each process does the work.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file))
        yield
