"""Folders under fsspec URLs: files that appear whole or not at all, and what the system says when they cannot.

An error of a disk becomes one sentence here, around the reads and writes themselves. What a stage's work meets
elsewhere (a model's folder, a cache) is not the store's and keeps its own words.
"""

import errno
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError

from axiom.credentials import plain
from axiom.errors import FULL, AxiomError, ConfigError, DataError, StorageError, of_the_system
from axiom.objects import WITH_BUCKETS, check_bucket, connect, errors, put_new
from axiom.uploads import Uploads

TEMPORARY = ".tmp-"


class Folder:
    """Files under one fsspec URL, each written whole or not at all. Raises ConfigError for a URL with a password.

    With `uploads` what is written goes to an object store behind the work that goes on, and is read from there until
    it has arrived.
    """

    def __init__(self, url: str, uploads: Uploads | None = None) -> None:
        self.url = _checked(url)
        if not self.url.endswith("://"):
            self.url = self.url.rstrip("/") or "/"
        self._fs, self._place = _located(self.url)
        self.local = isinstance(self._fs, LocalFileSystem)
        self.path = self._place if self.local else self.url
        """What a message names: the local path, or the URL with its scheme."""
        self.uploads = uploads

    @contextmanager
    def uploading(self, check: Callable[[], None]) -> Iterator[None]:
        """Send what is written to this folder of an object store in the block behind the work; it has arrived after.

        `check` is called before anything is sent, and raises when this process may write no longer.
        """
        self.uploads = Uploads(check)
        try:
            yield
            self.uploads.flush()
        except BaseException:
            with suppress(AxiomError):  # what was computed is kept if it can be; the first error is the one to know
                self.uploads.flush()
            raise
        finally:
            self.uploads.close()
            self.uploads = None

    def join(self, *names: str) -> "Folder":
        """The folder below."""
        return Folder(self.url + ("" if self.url.endswith("/") else "/") + "/".join(names), self.uploads)

    def at(self, name: str) -> str:
        """The full path of a file, or its URL in an object store."""
        return self.path + ("" if self.path.endswith("/") else "/") + name

    def check_writable(self) -> None:
        """Raise ConfigError, writing nothing, where no file can be written here.

        Of an object store only the bucket is looked for.
        """
        if not self.local:
            check_bucket(self._fs, self.url)
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
        """What lies directly in the folder, sorted; empty if it does not exist. Raises ConfigError without a bucket."""
        waiting = self.uploads.names(self.url) if self.uploads else set()
        with self._errors("", "read"):
            if self.local and not os.path.isdir(self.path):
                return []
            try:
                found = self._fs.ls(self._place, detail=False)
            except FileNotFoundError:
                found = []
            if not found and not self.local:
                check_bucket(self._fs, self.url)
        there = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in found if str(entry).rstrip("/") != self._place}
        return sorted(there | waiting)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        if self.local:
            return os.path.exists(self.at(name))
        if self.uploads and self.uploads.waiting(self.at(name)):
            return True
        with self._errors(name, "read"):
            try:
                self._fs.info(self._in_fs(name))
            except FileNotFoundError:
                return False
        return True

    def stamp(self, name: str) -> tuple[int, int, int] | None:
        """What changes whenever the file is replaced or written; None where that cannot be told without reading it."""
        if not self.local:
            return None
        try:
            found = os.stat(self.at(name))
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def modified(self, name: str) -> datetime:
        """When a file of an object store was written, by the store's clock. Raises DataError when it is missing."""
        with self._errors(name, "read"):
            try:
                found: datetime = self._fs.modified(self._in_fs(name))
            except FileNotFoundError:
                raise DataError(f"{self.at(name)} does not exist") from None
        return found

    def read_bytes(self, name: str) -> bytes:
        """The whole file. Raises DataError when it is missing."""
        with self._errors(name, "read"):
            try:
                waiting = self._waiting(name)
                if waiting is None:
                    return bytes(self._fs.cat_file(self._in_fs(name)))
                with waiting:
                    return waiting.read()
            except FileNotFoundError:
                raise DataError(f"{self.at(name)} does not exist; `axiom status` shows which stages are done") from None

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace the file in one step; the data is on disk when this returns, or on its way behind `uploads`."""
        if self.uploads:
            self.uploads.write(self.at(name), data, lambda path: self._send(name, path))
            return
        if not self.local:
            self._send(name, data)
            return
        with storage_errors(self.path):
            path = Path(self._nearby() or tempfile.gettempdir(), f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                path.write_bytes(data)
                self.put({name: path})
            finally:
                path.unlink(missing_ok=True)

    def write_new(self, name: str, data: bytes) -> bool:
        """Write the file to an object store if there is none, in one step of the store; whether there was none."""
        with self._errors(name, "written"), self._found(name):
            return put_new(self._fs, self._in_fs(name), data)

    def put(self, files: Mapping[str, Path]) -> None:
        """Move local files to their names: by sync and rename on a local disk, by an upload each elsewhere."""
        for name, source in files.items():
            if self.uploads:
                self.uploads.put(self.at(name), source, functools.partial(self._send, name))
            elif not self.local:
                self._send(name, source)
            else:
                Path(self.at(name)).parent.mkdir(parents=True, exist_ok=True)
                _sync(source)
                os.replace(source, self.at(name))
        for folder in {Path(self.at(name)).parent for name in files} if self.local else ():
            _sync(folder)

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""
        if self.uploads:
            self.uploads.flush()
        with self._errors(name, "removed"):
            if self.exists(name):
                self._fs.rm_file(self._in_fs(name))

    def remove_all(self) -> None:
        """Delete the folder with all that is in it. On a local disk it is gone at once, even when we are killed."""
        with self._errors("", "removed"):
            if not self.local:
                self._fs.rm(self._place, recursive=True)
                return
            place = Path(self.path)
            leaving = place.with_name(f"{TEMPORARY}{place.name}-{os.getpid()}")
            os.rename(place, leaving)
            shutil.rmtree(leaving)

    def size(self) -> int:
        """Bytes of all files in the folder and below it."""
        with self._errors("", "read"):
            return int(self._fs.du(self._place)) if self._fs.exists(self._place) else 0

    def digest(self, name: str) -> str | None:
        """SHA-256 of the file, or None if it is missing."""
        digest = hashlib.sha256()
        with self._errors(name, "read"):
            try:
                with self._waiting(name) or self._fs.open(self._in_fs(name), "rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            except FileNotFoundError:
                return None
        return digest.hexdigest()

    def download(self, name: str, target: Path) -> None:
        """Copy a file of the folder to a local path. Raises StorageError when either cannot be had."""
        with storage_errors(str(target)), errors(self.at(name), "read"):
            target.parent.mkdir(parents=True, exist_ok=True)
            waiting = self._waiting(name)
            if waiting is None:
                self._fs.get_file(self._in_fs(name), str(target))
                return
            with waiting, target.open("wb") as copy:
                shutil.copyfileobj(waiting, copy)

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

    def _in_fs(self, name: str) -> str:
        return f"{self._place.rstrip('/')}/{name}"

    def _waiting(self, name: str) -> BinaryIO | None:
        """The local copy of a file that has not arrived in the store yet, open."""
        return self.uploads.opened(self.at(name)) if self.uploads else None

    def _send(self, name: str, what: Path | bytes) -> None:
        """Upload a file or its bytes in one step: it is there whole or not at all."""
        target = self._in_fs(name)
        with self._errors(name, "written"), self._found(name):
            if self.url.partition("://")[0] not in WITH_BUCKETS:
                self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            if isinstance(what, bytes):
                self._fs.pipe_file(target, what)
            else:
                self._fs.put_file(str(what), target)

    @contextmanager
    def _found(self, name: str) -> Iterator[None]:
        """Around a write to an object store: what is not found then is the bucket."""
        try:
            yield
        except FileNotFoundError as error:
            check_bucket(self._fs, self.url)
            raise StorageError(f"{self.at(name)} cannot be written ({error})") from error

    def _errors(self, name: str, done: str) -> AbstractContextManager[None]:
        place = self.at(name) if name else self.path
        return storage_errors(place, done) if self.local else errors(place, done)


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
    return connect(url)


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
