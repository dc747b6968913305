"""Folders under fsspec URLs: files that appear whole or not at all, and what the system says when they cannot.

An error of a disk becomes one sentence here, around the reads and writes themselves. What a stage's work meets
elsewhere (a model's folder, a cache) is not the store's and keeps its own words.
"""

import errno
import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError

from axiom.credentials import plain
from axiom.errors import FULL, ConfigError, DataError, of_the_system

TEMPORARY = ".tmp-"


class Folder:
    """Files under one fsspec URL, each written whole or not at all. Raises ConfigError for a URL with a password."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        if not self.url.endswith("://"):
            self.url = self.url.rstrip("/") or "/"
        self._fs, self.path = _located(self.url)
        self.local = isinstance(self._fs, LocalFileSystem)

    def join(self, *names: str) -> "Folder":
        """The folder below."""
        return Folder(self.url + ("" if self.url.endswith("/") else "/") + "/".join(names))

    def at(self, name: str) -> str:
        """The full path of a file."""
        return f"{self.path.rstrip('/')}/{name}"

    def check_writable(self) -> None:
        """Raise ConfigError, writing nothing, where no file can be written here. An object store is not asked."""
        if not self.local:
            return
        place = self.path
        while not os.path.lexists(place):
            place = os.path.dirname(place)
        if not os.path.isdir(place):
            number = errno.ENOTDIR
        elif os.access(place, os.W_OK | os.X_OK):
            return
        else:
            number = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
        raise of_the_system(OSError(number, os.strerror(number)), place, "written")

    def names(self) -> list[str]:
        """What lies directly in the folder, sorted; empty if it does not exist."""
        with storage_errors(self.path, "read"):
            if not self._fs.isdir(self.path):
                return []
            return sorted(str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(self.path, detail=False))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self._fs.exists(self.at(name)))

    def stamp(self, name: str) -> tuple[int, int, int] | None:
        """What changes whenever the file is replaced or written; None where that cannot be told without reading it."""
        if not self.local:
            return None
        try:
            found = os.stat(self.at(name))
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def read_bytes(self, name: str) -> bytes:
        """The whole file. Raises DataError when it is missing."""
        with storage_errors(self.at(name), "read"):
            try:
                return bytes(self._fs.cat_file(self.at(name)))
            except FileNotFoundError:
                raise DataError(f"{self.at(name)} does not exist; `axiom status` shows which stages are done") from None

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace the file in one step; the data is on disk when this returns."""
        with storage_errors(self.at(name)):
            path = Path(self._nearby() or tempfile.gettempdir(), f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                path.write_bytes(data)
                self.put({name: path})
            finally:
                path.unlink(missing_ok=True)

    def put(self, files: Mapping[str, Path]) -> None:
        """Move local files to their names: by sync and rename on a local disk, by an upload each elsewhere."""
        for name, source in files.items():
            target = self.at(name)
            if not self.local:
                self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                self._fs.put_file(str(source), target)
                continue
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            _sync(source)
            os.replace(source, target)
        for folder in {Path(self.at(name)).parent for name in files} if self.local else ():
            _sync(folder)

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""
        with storage_errors(self.at(name), "removed"):
            if self.exists(name):
                self._fs.rm_file(self.at(name))

    def remove_all(self) -> None:
        """Delete the folder with all that is in it. On a local disk it is gone at once, even when we are killed."""
        with storage_errors(self.path, "removed"):
            if not self.local:
                self._fs.rm(self.path, recursive=True)
                return
            place = Path(self.path)
            leaving = place.with_name(f"{TEMPORARY}{place.name}-{os.getpid()}")
            os.rename(place, leaving)
            shutil.rmtree(leaving)

    def size(self) -> int:
        """Bytes of all files in the folder and below it."""
        with storage_errors(self.path, "read"):
            return int(self._fs.du(self.path)) if self._fs.exists(self.path) else 0

    def digest(self, name: str) -> str | None:
        """SHA-256 of the file, or None if it is missing."""
        digest = hashlib.sha256()
        with storage_errors(self.at(name), "read"):
            try:
                with self._fs.open(self.at(name), "rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            except FileNotFoundError:
                return None
        return digest.hexdigest()

    def download(self, name: str, target: Path) -> None:
        """Copy a file of the folder to a local path. Raises StorageError when either cannot be had."""
        with storage_errors(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fs.get_file(self.at(name), str(target))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary local folder on the disk that the files will be renamed on."""
        with storage_errors(self.path):
            path = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._nearby()))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed writers left behind. Only the holder of the experiment's lock may call this."""
        for name in self.names() if self.local else []:
            if name.startswith(TEMPORARY):
                path = Path(self.at(name))
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _nearby(self) -> str | None:
        if not self.local:
            return None
        Path(self.path).mkdir(parents=True, exist_ok=True)
        return self.path


def _checked(url: str) -> str:
    try:
        plain(url, "the store's address")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if any("\ud800" <= sign <= "\udfff" for sign in url):
        raise ConfigError(
            f"the store's address {url!a} has signs that the locale {sys.getfilesystemencoding()} cannot read; "
            f"set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or name a folder with --root"
        )
    if not url or any(not sign.isprintable() for sign in url):
        raise ConfigError(f"the store's address {url!r} is empty or has a control character; name a folder with --root")
    return url


def _located(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system and the path there. A path without a protocol is local, whatever signs it holds."""
    protocol = url.partition("://")[0] if "://" in url else "file"
    if protocol in LocalFileSystem.protocol:  # not by fsspec's parser, to which `a::b` is b inside a
        return LocalFileSystem(), LocalFileSystem._strip_protocol(url)
    *outer, _ = url.split("::")
    if any("://" in link for link in outer):
        raise ConfigError(
            f"the store's address {url!r} names a place inside another; name one folder, like s3://bucket"
        )
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"the store's address {url!r} cannot be used: {error}") from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: str, done: str = "written") -> Iterator[None]:
    """Around reads and writes of the store: what the system says of `path`, in a sentence.

    Raises ConfigError where the place is wrong (rights, a file for a folder), StorageError where the disk failed.
    """
    try:
        yield
    except OSError as error:
        raise of_the_system(error, path, done) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A local file that appears whole or not at all: the block writes another beside it, of the same suffix.

    Raises as `storage_errors`; what stood there stays then.
    """
    target = path.resolve()
    scratch = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        with storage_errors(str(path)):
            yield scratch
            os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def errors_below(scratch: Path, path: str) -> Iterator[None]:
    """Around a stage's own work: only what befell the files it writes into `scratch` is an error of the store."""
    try:
        yield
    except SafetensorError as error:  # which hides the error's number in its text
        if os.strerror(errno.ENOSPC) in str(error) and _is_full(scratch):
            raise of_the_system(OSError(errno.ENOSPC, ""), path, "written") from error
        raise
    except OSError as error:
        if error.filename is None:  # a write does not say to which file
            if error.errno in FULL and _is_full(scratch):
                raise of_the_system(OSError(errno.ENOSPC, ""), path, "written") from error
        elif Path(os.fsdecode(error.filename)).is_relative_to(scratch):
            raise of_the_system(error, path, "written") from error
        raise


def _is_full(folder: Path) -> bool:
    """Whether the disk of `folder` has no room for one more megabyte."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 20)
    except OSError:
        return True
    return False
