"""Tables to Parquet and back: atomic, schema-checked, content-addressed, on any fsspec URL.

    <root>/<experiment>/
      experiment.json                     resolved config, versions, hardware
      problems/{train,val,...}.parquet    problems.manifest.json
      iterations/0007/*.parquet           one <stage>.manifest.json beside the files of each stage
      metrics.parquet  events.parquet  report.html

A stage's key is the hash of its settings, of its inputs' digests and of the version of its code. The stage is done
when its manifest names that key and its files have the digests the manifest says. Files are written under a temporary
name, synced and renamed, the manifest last, so a kill at any instant loses at most the stage in flight, and a
damaged file is noticed and recomputed.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from axiom.credentials import plain
from axiom.errors import ConfigError, DataError, StorageError
from axiom.records import Record

R = TypeVar("R", bound=Record)
TEMPORARY = ".tmp-"


class FileEntry(BaseModel, frozen=True):
    """A file of a stage: its digest, its size in bytes and, for a table, its rows."""

    sha256: str
    size: int
    rows: int | None = None


class Manifest(BaseModel):
    """What a finished stage wrote and from what. `info` holds its figures: seconds, tokens, what was chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    folder: str
    key: str
    inputs: dict[str, str]
    files: dict[str, FileEntry]
    info: dict[str, Any]
    pruned: tuple[str, ...] = ()
    """Files deleted since; the digest still speaks of them."""

    @property
    def digest(self) -> str:
        """Of the content alone: equal files give equal digests, whenever and wherever they were written."""
        return hash_json({name: entry.sha256 for name, entry in self.files.items()})


class Handle(BaseModel):
    """A small pointer to a finished stage; this is all that a workflow engine ever sees."""

    model_config = ConfigDict(frozen=True)

    stage: str
    folder: str
    digest: str
    rows: dict[str, int]
    info: dict[str, Any]
    reused: bool


def hash_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Writer:
    """The open stage: `table` and `directory` add files, `info` its figures. Nothing is visible until it closes."""

    def __init__(self, folder: "Folder", scratch: Path) -> None:
        self._folder, self._scratch = folder, scratch
        self.info: dict[str, Any] = {}
        self.files: dict[str, FileEntry] = {}
        self.storage_seconds = 0.0

    def table(self, name: str, rows: Iterable[R], record: type[R]) -> None:
        """Write `rows` as `<name>.parquet`."""
        start = time.perf_counter()
        table = record.to_table(rows)
        path = self._scratch / f"{name}.parquet"
        with path.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
        self._add(f"{name}.parquet", path, table.num_rows)
        self.storage_seconds += time.perf_counter() - start

    def json(self, name: str, value: Any) -> None:
        """Write `value` as `<name>.json`."""
        path = self._scratch / f"{name}.json"
        path.write_text(json.dumps(value, indent=1, sort_keys=True))
        self._add(path.name, path, None)

    def directory(self, name: str) -> Path:
        """An empty local folder whose files become the stage's, under `<name>/`."""
        path = self._scratch / name
        path.mkdir()
        return path

    def publish(self) -> dict[str, FileEntry]:
        """Move every file to its place. Called by the store."""
        start = time.perf_counter()
        for path in sorted(p for p in self._scratch.rglob("*") if p.is_file()):
            name = path.relative_to(self._scratch).as_posix()
            if name not in self.files:
                self._add(name, path, None)
            self._folder.put(name, path)
        self.storage_seconds += time.perf_counter() - start
        return self.files

    def _add(self, name: str, path: Path, rows: int | None) -> None:
        self.files[name] = FileEntry(sha256=_digest_file(path), size=path.stat().st_size, rows=rows)


class Folder:
    """Files under one fsspec URL, each written whole or not at all. Raises ConfigError for a URL with a password."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url).rstrip("/")
        self._fs, self.path = fsspec.core.url_to_fs(self.url)
        self.local = "file" in ((self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol)

    def join(self, *names: str) -> "Folder":
        """The folder below."""
        return Folder("/".join((self.url, *names)))

    def at(self, name: str) -> str:
        """The full path of a file."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """What lies directly in the folder, sorted; empty if it does not exist."""
        if not self._fs.isdir(self.path):
            return []
        return sorted(str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(self.path, detail=False))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self._fs.exists(self.at(name)))

    def read_bytes(self, name: str) -> bytes:
        """The whole file. Raises DataError when it is missing."""
        try:
            return bytes(self._fs.cat_file(self.at(name)))
        except FileNotFoundError:
            raise DataError(f"{self.at(name)} does not exist; `axiom status` tells which stages are done") from None

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace the file in one step; the data is on disk when this returns."""
        with (
            _storage_errors(self.at(name)),
            tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self._nearby()) as scratch,
        ):
            path = Path(scratch) / "file"
            path.write_bytes(data)
            self.put(name, path)

    def put(self, name: str, source: Path) -> None:
        """Move a local file to `name`: by sync and rename on a local disk, by one upload elsewhere."""
        target = self.at(name)
        if not self.local:
            self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            self._fs.put_file(str(source), target)
            return
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        _sync(source)
        os.replace(source, target)
        _sync(Path(target).parent)

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""
        if self.exists(name):
            self._fs.rm_file(self.at(name))

    def digest(self, name: str) -> str | None:
        """SHA-256 of the file, or None if it is missing."""
        digest = hashlib.sha256()
        try:
            with self._fs.open(self.at(name), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def local_directory(self, name: str, files: Iterable[str]) -> Path:
        """A local path with the files of a sub-folder: itself on a local disk, else a download."""
        if self.local:
            return Path(self.at(name))
        copy = Path(tempfile.mkdtemp(prefix="axiom-"))
        for file in files:
            target = copy / file.removeprefix(f"{name}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read_bytes(file))
        return copy

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary local folder on the disk that the files will be renamed on."""
        with _storage_errors(self.path):
            path = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._nearby()))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed writers left behind. Only the holder of the experiment's lock may call this."""
        for name in self.names() if self.local else []:
            if name.startswith(TEMPORARY):
                shutil.rmtree(self.at(name), ignore_errors=True)

    def _nearby(self) -> str | None:
        if not self.local:
            return None
        Path(self.path).mkdir(parents=True, exist_ok=True)
        return self.path


class StageStore:
    """The stages of one experiment."""

    def __init__(self, root: Folder) -> None:
        self.root = root
        self._verified: dict[str, str] = {}

    def manifest(self, stage: str, folder: str) -> Manifest | None:
        """The manifest of a finished stage, or None if there is none that can be read."""
        place, name = self.root.join(folder), f"{stage}.manifest.json"
        if not place.exists(name):
            return None
        try:
            return Manifest.model_validate_json(place.read_bytes(name))
        except ValidationError:  # a damaged manifest is no manifest: the stage is computed again
            return None

    def run(
        self, stage: str, folder: str, *, settings: Any, version: str, inputs: Mapping[str, Handle],
        work: Callable[[Writer], None], need_files: bool = True,
    ) -> Handle:  # fmt: skip
        """The stage's handle: of the finished stage where key and digests hold, else of what `work` writes now.

        `need_files=False` accepts a stage whose files were pruned after it was done.
        """
        key, digests = _key(stage, folder, settings, version, inputs)
        done = self.done(stage, folder, key, need_files)
        if done is not None:
            return done
        place = self.root.join(folder)
        start = time.perf_counter()
        with place.scratch() as scratch, _storage_errors(place.path):
            writer = Writer(place, scratch)
            work(writer)
            files = writer.publish()
            writer.info["seconds"] = round(time.perf_counter() - start, 3)
            writer.info["storage_seconds"] = round(writer.storage_seconds, 3)
        manifest = Manifest(stage=stage, folder=folder, key=key, inputs=digests, files=files, info=writer.info)
        place.write_bytes(f"{stage}.manifest.json", manifest.model_dump_json(indent=1).encode())
        return _handle(manifest, reused=False)

    def find(
        self, stage: str, folder: str, *, settings: Any, version: str, inputs: Mapping[str, Handle]
    ) -> Handle | None:
        """The handle of the stage if it is done for just these settings, code and inputs, else None."""
        return self.done(stage, folder, _key(stage, folder, settings, version, inputs)[0], need_files=True)

    def done(self, stage: str, folder: str, key: str, need_files: bool) -> Handle | None:
        """The handle of the stage if its manifest names `key` and its files are intact, else None."""
        manifest = self.manifest(stage, folder)
        if manifest is None or manifest.key != key:
            return None
        return _handle(manifest, reused=True) if self.intact(manifest, need_files) else None

    def intact(self, manifest: Manifest, need_files: bool = True) -> bool:
        """Whether every file of the stage has the digest its manifest says; each is read once a process.

        With `need_files` a pruned file counts as missing, else it is passed over.
        """
        if manifest.pruned and need_files:
            return False
        mark, place = f"{manifest.folder}/{manifest.stage}", self.root.join(manifest.folder)
        kept = {name: entry for name, entry in manifest.files.items() if name not in manifest.pruned}
        if self._verified.get(mark) == manifest.digest and all(place.exists(name) for name in kept):
            return True
        if any(place.digest(name) != entry.sha256 for name, entry in kept.items()):
            return False
        self._verified[mark] = manifest.digest
        return True

    def prune(self, stage: str, folder: str, prefix: str) -> None:
        """Delete those files of a finished stage whose name begins with `prefix`; the manifest remembers them."""
        manifest = self.manifest(stage, folder)
        names = tuple(name for name in manifest.files if name.startswith(prefix)) if manifest else ()
        if manifest is None or names == manifest.pruned:
            return
        place = self.root.join(folder)
        pruned = manifest.model_copy(update={"pruned": names})
        place.write_bytes(f"{stage}.manifest.json", pruned.model_dump_json(indent=1).encode())
        for name in names:
            place.remove(name)

    def read(self, folder: str, name: str, record: type[R]) -> list[R]:
        """The rows of `<folder>/<name>.parquet`. Raises DataError when a column is missing or of another type."""
        return record.from_table(self.arrow(folder, name, record))

    def arrow(self, folder: str, name: str, record: type[Record]) -> pa.Table:
        """The same as an Arrow table, its schema checked."""
        place = self.root.join(folder) if folder else self.root
        return read_parquet(place.read_bytes(f"{name}.parquet"), record, place.at(f"{name}.parquet"))


def read_parquet(data: bytes, record: type[Record], path: str) -> pa.Table:
    """Parquet bytes as a table with exactly the columns of `record`.

    Raises DataError naming the file and what is wrong with it.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file ({error}); remove it and resume") from None
    missing = [name for name in record.SCHEMA.names if name not in table.column_names]
    if missing:
        raise DataError(
            f"{path} lacks the column {missing[0]!r} of a {record.__name__} row (it has: "
            f"{', '.join(table.column_names)}); remove it and resume, or write it with that column"
        )
    try:
        return table.select(record.SCHEMA.names).cast(record.SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"{path} does not hold {record.__name__} rows: {error}; remove it and resume") from None


def write_parquet(folder: Folder, name: str, rows: Iterable[R], record: type[R]) -> None:
    """Replace `<name>.parquet` in one step."""
    write_table(folder, name, record.to_table(rows))


def write_table(folder: Folder, name: str, table: pa.Table) -> None:
    """The same with a table of a record's schema."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    folder.write_bytes(f"{name}.parquet", sink.getvalue())


def _checked(url: str) -> str:
    try:
        return plain(url, "the store's address")
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _key(
    stage: str, folder: str, settings: Any, version: str, inputs: Mapping[str, Handle]
) -> tuple[str, dict[str, str]]:
    digests = {name: handle.digest for name, handle in inputs.items()}
    return hash_json([stage, folder, settings, version, digests]), digests


def _handle(manifest: Manifest, reused: bool) -> Handle:
    rows = {
        name.removesuffix(".parquet"): entry.rows for name, entry in manifest.files.items() if entry.rows is not None
    }
    return Handle(
        stage=manifest.stage, folder=manifest.folder, digest=manifest.digest, rows=rows, info=manifest.info,
        reused=reused,
    )  # fmt: skip


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _storage_errors(path: str) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:  # which hides the error's number in its text
        if os.strerror(errno.ENOSPC) in str(error):
            raise _full(path) from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"{path} cannot be written ({error.strerror}); choose another folder with --root"
            ) from error
        raise


def _full(path: str) -> StorageError:
    return StorageError(f"the disk of {path} is full; free some space and resume, nothing done is lost")
