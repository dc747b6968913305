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

import hashlib
import io
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from axiom.environment import peak_memory
from axiom.errors import DataError
from axiom.folders import Folder, errors_below, storage_errors
from axiom.records import Record
from axiom.rows import Rows, in_parts

R = TypeVar("R", bound=Record)
MANIFEST = ".manifest.json"
GROUP_ROWS = 65_536
"""Rows of a group of a Parquet file, which is written at a time."""
PART_ROWS = 8_192
"""Rows that are read at a time from a table with more than `KEPT_ROWS`."""
KEPT_ROWS = 30_000
"""Rows of tables that are kept in memory once they were read: a few tens of megabytes."""


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
    made: dict[str, Any] = {}
    """The code and the packages that computed it; empty in manifests of earlier versions."""
    pruned: tuple[str, ...] = ()
    """Files deleted since; the digest still includes them."""

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
        path, count = self._scratch / f"{name}.parquet", 0
        with storage_errors(self._folder.at(path.name)):
            with path.open("wb") as file, pq.ParquetWriter(file, record.SCHEMA, compression="zstd") as writer:
                for part in in_parts(rows, GROUP_ROWS):
                    writer.write_table(record.to_table(part))
                    count += len(part)
            self._add(path.name, path, count)
        self.storage_seconds += time.perf_counter() - start

    def json(self, name: str, value: Any) -> None:
        """Write `value` as `<name>.json`."""
        path, text = self._scratch / f"{name}.json", json.dumps(value, indent=1, sort_keys=True)
        with storage_errors(self._folder.at(path.name)):
            path.write_text(text, encoding="utf-8")
            self._add(path.name, path, None)

    def directory(self, name: str) -> Path:
        """An empty local folder whose files become the stage's, under `<name>/`."""
        path = self._scratch / name
        with storage_errors(self._folder.at(name)):
            path.mkdir()
        return path

    def publish(self) -> dict[str, FileEntry]:
        """Move every file to its place. Called by the store."""
        start = time.perf_counter()
        with storage_errors(self._folder.path):
            paths = {p.relative_to(self._scratch).as_posix(): p for p in self._scratch.rglob("*") if p.is_file()}
            for name in sorted(paths.keys() - self.files.keys()):
                self._add(name, paths[name], None)
            self._folder.put(paths)
        self.storage_seconds += time.perf_counter() - start
        return self.files

    def _add(self, name: str, path: Path, rows: int | None) -> None:
        self.files[name] = FileEntry(sha256=_digest_file(path), size=path.stat().st_size, rows=rows)


class StageStore:
    """The stages of one experiment. `made` gives the code and packages that compute a stage now.

    `others` are stores of other experiments. A stage that one of them holds under the same key is copied from there
    instead of being computed.
    """

    def __init__(self, root: Folder, made: Callable[[], dict[str, Any]] = dict) -> None:
        self.root = root
        self.others: Sequence[StageStore] = ()
        self._made = made
        self._verified: dict[str, str] = {}
        self._kept = _Kept()

    def names(self, folder: str) -> list[str]:
        """The finished stages of a folder, sorted."""
        files = self.root.join(folder).names()
        return [name.removesuffix(MANIFEST) for name in files if name.endswith(MANIFEST)]

    def manifest(self, stage: str, folder: str) -> Manifest | None:
        """The manifest of a finished stage, or None if there is none that can be read."""
        place, name = self.root.join(folder), f"{stage}{MANIFEST}"
        if not place.exists(name):
            return None
        try:
            return Manifest.model_validate_json(place.read_bytes(name))
        except ValidationError:  # a damaged manifest is no manifest: the stage is computed again
            return None

    def run(
        self,
        stage: str,
        folder: str,
        *,
        settings: Any,
        version: str,
        inputs: Mapping[str, Handle],
        work: Callable[[Writer], None],
        need_files: bool = True,
    ) -> Handle:
        """The stage's handle: of the finished stage where key and digests hold, else of what `work` writes now.

        `need_files=False` accepts a stage whose files were pruned after it was done.
        """
        if self.root.uploads:
            self.root.uploads.turn()
        key, digests = _key(stage, folder, settings, version, inputs)
        done = self.done(stage, folder, key, need_files) or self._taken(stage, folder, key)
        if done is not None:
            return done
        place = self.root.join(folder)
        start = time.perf_counter()
        with place.scratch() as scratch:
            writer = Writer(place, scratch)
            with errors_below(scratch, place.path):
                work(writer)
            files = writer.publish()
            writer.info["seconds"] = round(time.perf_counter() - start, 3)
            writer.info["storage_seconds"] = round(writer.storage_seconds, 3)
            writer.info.update(peak_memory())
        manifest = Manifest(
            stage=stage, folder=folder, key=key, inputs=digests, files=files, info=writer.info, made=self._made()
        )
        place.write_bytes(f"{stage}{MANIFEST}", manifest.model_dump_json(indent=1).encode())
        if not place.local:  # else the next look would download what has just been sent
            self._verified[f"{folder}/{stage}"] = manifest.digest
        return _handle(manifest, reused=False)

    def _taken(self, stage: str, folder: str, key: str) -> Handle | None:
        """The stage as a copy of another store's, None where no other has it whole."""
        for other in self.others:
            manifest = other.manifest(stage, folder)
            if manifest is not None and manifest.key == key and not manifest.pruned and self.copy(other, manifest):
                return _handle(manifest, reused=True)
        return None

    def copy(self, other: "StageStore", manifest: Manifest) -> bool:
        """Take a finished stage over from another store, whatever its key; whether all that it still has was whole.

        Each file must have its digest, and the manifest comes last. Nothing is written of a stage that is not whole.
        """
        source, place = other.root.join(manifest.folder), self.root.join(manifest.folder)
        with storage_errors(place.path), place.scratch() as scratch:
            paths = {name: scratch / name for name in manifest.files if name not in manifest.pruned}
            for name, path in paths.items():
                if not source.exists(name):  # removed meanwhile
                    return False
                source.download(name, path)
            if any(_digest_file(path) != manifest.files[name].sha256 for name, path in paths.items()):
                return False
            place.put(paths)
        place.write_bytes(f"{manifest.stage}{MANIFEST}", manifest.model_dump_json(indent=1).encode())
        return True

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
        place.write_bytes(f"{stage}{MANIFEST}", pruned.model_dump_json(indent=1).encode())
        for name in names:
            place.remove(name)

    def read(self, folder: str, name: str, record: type[R]) -> list[R]:
        """The rows of `<folder>/<name>.parquet`. Raises DataError when a column is missing or of another type.

        A table of a round is read by several stages, so the rows that were read last are kept.
        """
        place = self._place(folder)
        stamp = place.stamp(f"{name}.parquet")
        kept: list[R] | None = self._kept.get((folder, name, record), stamp)
        if kept is None:
            kept = record.from_table(self.arrow(folder, name, record))
            self._kept.put((folder, name, record), stamp, kept)
        return list(kept)

    def arrow(self, folder: str, name: str, record: type[Record]) -> pa.Table:
        """The same as an Arrow table, its schema checked."""
        place = self._place(folder)
        return read_parquet(place.read_bytes(f"{name}.parquet"), record, place.at(f"{name}.parquet"))

    def rows(self, folder: str, name: str, record: type[R]) -> Sequence[R]:
        """The same as `read`; a long table is not read at once, but again and a part at a time by each pass over it."""
        place, file = self._place(folder), f"{name}.parquet"
        sent = (
            None if place.local and place.exists(file) else place.read_bytes(file)
        )  # from far away once for all passes

        def opened() -> pq.ParquetFile:
            with parquet_errors(place.at(file)):
                if sent is None:
                    return pq.ParquetFile(place.at(file), pre_buffer=False)
                return pq.ParquetFile(pa.BufferReader(sent))

        def parts() -> Iterator[pa.Table]:
            with opened() as source, parquet_errors(place.at(file)):
                for batch in source.iter_batches(PART_ROWS, use_threads=False):
                    yield conforming(pa.Table.from_batches([batch]), record, place.at(file))

        with opened() as source:
            count = source.metadata.num_rows
        if count > KEPT_ROWS:
            return Rows(parts, record, count)
        if sent is None:
            return self.read(folder, name, record)
        return record.from_table(read_parquet(sent, record, place.at(file)))

    def _place(self, folder: str) -> Folder:
        return self.root.join(folder) if folder else self.root


class _Kept:
    """Rows that were read last, at most `KEPT_ROWS`, each table's as long as its file is the same."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Any, tuple[Any, list[Any]]] = OrderedDict()

    def get(self, key: Any, stamp: Any) -> list[Any] | None:
        """The rows that `put` was given for this file, None if they are gone or the file is another."""
        found = self._tables.get(key)
        if found is None or found[0] != stamp:
            return None
        self._tables.move_to_end(key)
        return found[1]

    def put(self, key: Any, stamp: Any, rows: list[Any]) -> None:
        """Keep `rows` of a file whose stamp is known, in place of those used longest ago."""
        self._tables.pop(key, None)
        if stamp is not None:
            self._tables[key] = stamp, rows
        while sum(len(rows) for _, rows in self._tables.values()) > KEPT_ROWS:
            self._tables.popitem(last=False)


def read_parquet(data: bytes, record: type[Record], path: str) -> pa.Table:
    """Parquet bytes as a table with exactly the columns of `record`.

    Raises DataError naming the file and what is wrong with it.
    """
    # In this thread alone: one of Arrow's that lets go of a Python file while Python ends would abort the process.
    with parquet_errors(path):
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    return conforming(table, record, path)


@contextmanager
def parquet_errors(path: str) -> Iterator[None]:
    """Around reading Parquet. Raises DataError where it is none."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file ({error}); remove it and resume") from None


def conforming(table: pa.Table, record: type[Record], path: str, names: Sequence[str] | None = None) -> pa.Table:
    """The table with exactly the columns of `record`, or those of `names`, as an earlier version may have written it.

    Raises DataError naming the file and what is wrong with it.
    """
    schema = pa.schema([record.SCHEMA.field(name) for name in names or record.SCHEMA.names])
    table = table.rename_columns([record.FORMER.get(name, name) for name in table.column_names])
    missing = [name for name in schema.names if name not in table.column_names]
    for name in [name for name in missing if not record.model_fields[name].is_required()]:
        default = pa.scalar(record.model_fields[name].default, record.SCHEMA.field(name).type)
        table = table.append_column(name, pa.repeat(default, len(table)))  # a run of before there was this column
        missing.remove(name)
    if missing:
        raise DataError(
            f"{path} lacks the column {missing[0]!r} of a {record.__name__} row (it has: "
            f"{', '.join(table.column_names)}); remove it and resume, or write it with that column"
        )
    try:
        return table.select(schema.names).cast(schema)
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
        stage=manifest.stage,
        folder=manifest.folder,
        digest=manifest.digest,
        rows=rows,
        info=manifest.info,
        reused=reused,
    )


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
