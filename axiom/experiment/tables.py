"""The tables of an experiment as data frames: which rows each has and where it is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from axiom.errors import DataError
from axiom.folders import Folder
from axiom.records import (
    Distance,
    Diversity,
    Evaluation,
    Event,
    Gold,
    History,
    LossStep,
    Metric,
    PassedOver,
    Problem,
    Record,
    Sample,
    Verdict,
)
from axiom.store import StageStore, conforming, parquet_errors

if TYPE_CHECKING:
    import polars as pl

OF_AN_ITERATION: dict[str, type[Record]] = {
    "samples": Sample,
    "verdicts": Verdict,
    "history": History,
    "gold": Gold,
    "buffer": Gold,
    "passed_over": PassedOver,
    "losses": LossStep,
    "evaluation": Evaluation,
    "eval_samples": Sample,
    "eval_verdicts": Verdict,
    "distance": Distance,
    "diversity": Diversity,
}
OF_THE_RUN: dict[str, type[Record]] = {"metrics": Metric, "events": Event}
"""Of all iterations together; each iteration's folder has its own metrics as well."""


def iteration_folder(iteration: int) -> str:
    """`iterations/0007`."""
    return f"iterations/{iteration:04d}"


def iterations(root: Folder, having: str | None = None) -> list[int]:
    """The iterations that have a folder under `root`, and in it the table `having`; in order."""
    there = sorted(int(name) for name in root.join("iterations").names() if name.isdecimal())
    return [n for n in there if having is None or root.join(iteration_folder(n)).exists(f"{having}.parquet")]


def frame(stages: StageStore, table: str, iteration: int | None) -> "pl.DataFrame":
    """As `Experiment.frame`, of the experiment whose stages these are."""
    return _together(stages, table, iteration, _read)


def lazy(stages: StageStore, table: str, iteration: int | None) -> "pl.LazyFrame":
    """The same, but nothing is read yet: of a local file only what a query needs is ever in memory."""
    return _together(stages, table, iteration, _scan)


def _together(
    stages: StageStore, table: str, iteration: int | None, read: Callable[[StageStore, str, str], Any]
) -> Any:
    import polars as pl

    if iteration is not None:
        return read(stages, iteration_folder(iteration), table)
    if table in OF_THE_RUN:
        return read(stages, "", table)
    if table not in OF_AN_ITERATION and table != "problems":
        return read(stages, "problems", table)
    if table == "problems":
        splits = [name.removesuffix(".parquet") for name in stages.root.join(table).names() if name.endswith("parquet")]
        parts = [read(stages, table, split) for split in splits]
    else:
        parts = [
            read(stages, iteration_folder(number), table).select(pl.lit(number).alias("in_iteration"), pl.all())
            for number in iterations(stages.root, table)
        ]
    return pl.concat(parts) if parts else read(stages, "", table)


def _read(stages: StageStore, folder: str, table: str) -> "pl.DataFrame":
    import polars as pl

    _check_there(stages, folder, table)
    found = pl.from_arrow(stages.arrow(folder, table, _record(table)))
    assert isinstance(found, pl.DataFrame)
    return found


def _scan(stages: StageStore, folder: str, table: str) -> "pl.LazyFrame":
    import polars as pl

    _check_there(stages, folder, table)
    place = stages.root.join(folder) if folder else stages.root
    wanted = pl.from_arrow(_record(table).SCHEMA.empty_table())
    assert isinstance(wanted, pl.DataFrame)
    if place.local:
        with parquet_errors(place.at(f"{table}.parquet")):
            found = pl.scan_parquet(place.at(f"{table}.parquet"), glob=False)
            if found.collect_schema() == wanted.schema:
                return found
    return _read(stages, folder, table).lazy()  # far away, or written by an earlier version


def some_columns(folder: Folder, table: str, names: list[str] | None = None) -> "pl.DataFrame":
    """Columns of a table, or all of them, and nothing else is read: a table of samples is mostly text.

    A column that an earlier version did not write has its default. Raises DataError where the file cannot be read.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    record, path = _record(table), folder.at(f"{table}.parquet")
    former = [old for old, new in record.FORMER.items() if names and new in names]
    with parquet_errors(path):
        source = pq.ParquetFile(pa.BufferReader(folder.read_bytes(f"{table}.parquet")))
        read = source.read(columns=names and [*names, *former], use_threads=False)
    found = pl.from_arrow(conforming(read, record, path, names))
    assert isinstance(found, pl.DataFrame)
    return found


def _record(table: str) -> type[Record]:
    return {**OF_AN_ITERATION, **OF_THE_RUN}.get(table, Problem)


def _check_there(stages: StageStore, folder: str, table: str) -> None:
    place = stages.root.join(folder) if folder else stages.root
    if not place.exists(f"{table}.parquet"):
        there = [name.removesuffix(".parquet") for name in place.names() if name.endswith(".parquet")]
        raise DataError(f"{place.path} has no table {table!r}; there: {', '.join(there) or 'none yet'}")
