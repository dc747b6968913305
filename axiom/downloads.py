"""Files of an object store's stages on the local disk, for what reads only a local path.

They are kept in `adapters` of axiom's cache folder, one folder a content, so that the next run or a resumed one
downloads none again. Processes may share the cache: each locks what it uses, and what nobody uses is removed, the
longest unused first.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from axiom.content import content_digest
from axiom.environment import cache_dir
from axiom.errors import StorageError
from axiom.folders import TEMPORARY, Folder, storage_errors
from axiom.store import Manifest, hash_json

KEPT = 4
"""Copies that stay on the disk; older ones are removed unless a process uses them."""
USED = 2
"""Copies that a process uses at a time: a round trains from one adapter and samples with the next."""
MARK = ".in-use"
ABANDONED_SECONDS = 86_400.0


class Downloads:
    """The copies that this process uses."""

    def __init__(self) -> None:
        self._used: OrderedDict[Path, BinaryIO] = OrderedDict()

    def get(self, root: Folder, manifest: Manifest, name: str) -> Path:
        """The sub-folder `name` of a finished stage under `root`: itself on a local disk, else a copy with its digests.

        The copy stays until `USED` others were asked for, or `close`. Raises StorageError when a file is missing or
        not what the manifest says.
        """
        place = root.join(manifest.folder)
        if place.local:
            return Path(place.at(name))
        wanted = {
            file.removeprefix(f"{name}/"): entry.sha256
            for file, entry in manifest.files.items()
            if file.startswith(f"{name}/")
        }
        copy = cache_dir() / "adapters" / hash_json(wanted)[:32]
        with storage_errors(str(copy)):
            while copy not in self._used and not self._use(copy, wanted):
                _fetch(place, name, wanted, copy)
            self._used.move_to_end(copy)
            os.utime(copy)
            while len(self._used) > USED:
                self._used.popitem(last=False)[1].close()
            _prune(copy.parent)
        return copy

    def close(self) -> None:
        """Let go of the copies."""
        while self._used:
            self._used.popitem()[1].close()

    def _use(self, copy: Path, wanted: dict[str, str]) -> bool:
        """Lock a copy so that nobody removes it; whether there is one and it is whole."""
        try:
            mark = (copy / MARK).open("rb")
        except FileNotFoundError:
            return False
        fcntl.flock(mark, fcntl.LOCK_SH)
        if not (copy / MARK).exists() or not os.path.samestat(os.fstat(mark.fileno()), (copy / MARK).stat()):
            mark.close()  # it was removed meanwhile
            return False
        if any(not (copy / file).is_file() or content_digest(copy / file) != digest for file, digest in wanted.items()):
            mark.close()
            shutil.rmtree(copy, ignore_errors=True)
            return False
        self._used[copy] = mark
        return True


def _fetch(place: Folder, name: str, wanted: dict[str, str], copy: Path) -> None:
    """Download beside the copy's place and move it there, unless another process was quicker."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=copy.parent, ignore_cleanup_errors=True) as scratch:
        made = Path(scratch) / "copy"
        made.mkdir()
        for file, digest in wanted.items():
            place.download(f"{name}/{file}", made / file)
            if content_digest(made / file) != digest:
                raise StorageError(
                    f"{place.at(f'{name}/{file}')} does not have the digest in its manifest; resume, which computes it "
                    f"again"
                )
        (made / MARK).touch()
        if not copy.exists():
            made.rename(copy)


def _prune(folder: Path) -> None:
    """Remove what has been unused for longest, and what a killed download left a day ago."""
    found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    copies = [path for path in found if (path / MARK).exists()]
    for path in copies[:-KEPT]:
        with (path / MARK).open("r+b") as mark, suppress(BlockingIOError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    for path in found:
        now = time.time()  # noqa: TID251  (file times are of this clock)
        if path.name.startswith(TEMPORARY) and now - path.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
