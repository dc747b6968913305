"""What a report draws: the tables of one run, each read once and only in the columns that a view needs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
from safetensors import SafetensorError

from axiom.errors import DataError, UserError
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.tables import some_columns
from axiom.records import Event, LossStep, Metric, Problem, Record, with_interval
from axiom.store import MANIFEST
from axiom.words import few

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""
Network = dict[str, np.ndarray]
"""Tensors by name."""
MOST_ADAPTERS = 20
"""Adapters that are read for one page: each has some megabytes."""

MOST_NAMED = 5
"""Damaged files that a page names in one place."""

SPLITS = {
    "train": "training",
    "val": "validation",
    "test": "test",
    "ood_cases": "unseen inputs",
    "ood_longer": "longer programs",
    "ood_composed": "composed tasks",
    "ood_family": "unseen families",
    "humaneval": "HumanEval",
}
"""How a reader is told of each split."""


@dataclass(frozen=True)
class View:
    """One part of the page: a title, what it shows in a sentence or two, and a chart, a table or both.

    The horizontal axis of a chart with `clock` can be changed on the page, and pointing at one with `picks` chooses an
    iteration there; the table is folded under `table_title`.
    """

    title: str
    words: str
    chart: Any = None
    table: Table | None = None
    table_title: str = "As a table"
    clock: bool = False
    picks: bool = False


T = TypeVar("T")
R = TypeVar("R", bound=Record)


class Once(Generic[T]):
    """A table of a run that is read once. What could not be read of it is noted in `lost` at each use of it."""

    def __init__(self, read: Callable[["RunData"], T]) -> None:
        self._read, self.__doc__ = read, read.__doc__

    def __get__(self, data: "RunData", _: type["RunData"]) -> T:
        if self not in data.known:
            before, data.lost = data.lost, {}
            data.known[self] = self._read(data), data.lost
            data.lost = before
        found, lost = data.known[self]
        data.lost |= lost
        value: T = found
        return value


class RunData:
    """The tables of one experiment, as far as they can be read.

    `lost` has why a file could not be, by its path within the experiment: of those met since it was last emptied.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.lost: dict[str, str] = {}
        self.known: dict[Once[Any], tuple[Any, dict[str, str]]] = {}

    @contextmanager
    def reading(self, folder: str, file: str) -> Iterator[None]:
        """Around reading a file, which is noted in `lost` and passed over where it cannot be read."""
        try:
            yield
        except (ValueError, KeyError, SafetensorError) as error:
            says = str(error) if isinstance(error, UserError) else f"{file} is damaged ({error}); remove it and resume"
            self.lost[f"{folder}/{file}".lstrip("/")] = says.replace(self.experiment.folder.at(""), "")

    def named(self) -> str:
        """The files in `lost`."""
        return few(list(self.lost), MOST_NAMED)

    def rows(self, folder: str, table: str, record: type[R]) -> list[R]:
        """The rows of a table, none where it cannot be read."""
        with self.reading(folder, f"{table}.parquet"):
            return self.experiment.stages.read(folder, table, record)
        return []

    @Once
    def metrics(self) -> list[Metric]:
        """Every metric of every iteration. Raises DataError where there is none that can be read."""
        rows = self.rows("", "metrics", Metric)
        at = [] if rows else self.experiment.iterations("metrics")
        rows = rows or [row for number in at for row in self.rows(iteration_folder(number), "metrics", Metric)]
        if not rows and self.lost:
            raise DataError(next(iter(self.lost.values())))
        return rows

    @Once
    def problems(self) -> dict[str, Sequence[Problem]]:
        """The problems by split; many are read again by each pass over them."""
        found: dict[str, Sequence[Problem]] = {}
        for split in self.experiment.splits:
            with self.reading("problems", f"{split}.parquet"):
                found[split] = self.experiment.stages.rows("problems", split, Problem)
        return found

    @Once
    def frame(self) -> pl.DataFrame:
        """The same as a table, `split` in words."""
        rows = pl.DataFrame(Metric.to_table(self.metrics))
        return rows.with_columns(pl.col("split").replace(SPLITS))

    @Once
    def events(self) -> list[Event]:
        """What the detector saw."""
        return self.rows("", "events", Event)

    @Once
    def evaluations(self) -> pl.DataFrame:
        """Each problem in each evaluation; `solved` is the greedy answer's verdict. Empty where none was stored."""
        columns = ["problem_id", "split", "family", "difficulty", "n", "correct", "greedy_correct"]
        tables = self.columns("evaluation", columns)
        parts = [table.with_columns(pl.lit(number).alias("iteration")) for number, table in tables]
        empty = dict.fromkeys(("problem_id", "split", "family"), pl.String) | {"iteration": pl.Int32}
        if not parts:
            return pl.DataFrame(schema=empty | {"n": pl.Int32, "correct": pl.Int32, "solved": pl.Boolean})
        rows = pl.concat(parts).with_columns(pl.col("split").replace(SPLITS))
        return rows.rename({"greedy_correct": "solved"})

    @Once
    def stages(self) -> dict[int, dict[str, Any]]:
        """By finished iteration: each stage's handle, as `Handle` has it, by the stage's name."""
        found = {}
        for number in self.experiment.iterations():
            folder = iteration_folder(number)
            manifest = self.experiment.stages.manifest("iteration", folder)
            with self.reading(folder, f"iteration{MANIFEST}"):
                if manifest is None and self.experiment.folder.join(folder).exists(f"iteration{MANIFEST}"):
                    raise ValueError("not a manifest")
            if manifest and "stages" in manifest.info:
                found[number] = manifest.info["stages"]
        return found

    @Once
    def losses(self) -> list[LossStep]:
        """Every optimizer step."""
        return [
            step
            for number in self.experiment.iterations("losses")
            for step in self.rows(iteration_folder(number), "losses", LossStep)
        ]

    def columns(self, table: str, columns: list[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Some columns of a table, by iteration: a table of samples is mostly text that no chart needs."""
        for number in self.experiment.iterations(table):
            folder = iteration_folder(number)
            with self.reading(folder, f"{table}.parquet"):
                yield number, some_columns(self.experiment.folder.join(folder), table, columns)

    def kept(self, file: str) -> list[int]:
        """Iterations whose adapter folder still has the file; of many, evenly spread ones and the last."""
        folder = self.experiment.folder
        there = [n for n in self.experiment.iterations() if folder.join(iteration_folder(n), "adapter").exists(file)]
        step = -(-len(there) // MOST_ADAPTERS) or 1
        return there[::-1][::step][::-1]

    @Once
    def networks(self) -> dict[int, Network]:
        """Of a modular run each kept network by iteration, the untrained one first."""
        from safetensors.numpy import load

        from axiom.learners.modular import FILE, new_network

        config, folder = self.experiment.config, self.experiment.folder
        found = {0: {name: tensor.numpy() for name, tensor in new_network(config.modular, config.seed).items()}}
        for number in self.kept(FILE):
            place = f"{iteration_folder(number)}/adapter"
            with self.reading(place, FILE):
                found[number] = load(folder.join(place).read_bytes(FILE))
        return found

    def pooled(self, *names: str) -> pl.DataFrame:
        """Metrics of all families and difficulties together, by name, as far as they are finite."""
        wanted = pl.col("name").is_in(names) & pl.col("family").is_null() & pl.col("difficulty").is_null()
        return self.frame.filter(wanted & pl.col("value").is_finite())

    @Once
    def splits(self) -> list[str]:
        """The splits that were evaluated, in words, training first."""
        return self.pooled(GREEDY)["split"].unique(maintain_order=True).to_list()

    def stored(self, folder: str, name: str) -> Any:
        """A JSON file of the run; None where it is not there or cannot be read."""
        place = self.experiment.folder.join(folder)
        with self.reading(folder, name):
            return json.loads(place.read_bytes(name)) if place.exists(name) else None


def packages(record: Mapping[str, Any]) -> str:
    """The packages of an experiment's record, with their versions."""
    return ", ".join(f"{name} {version}" for name, version in (record.get("packages") or {}).items())


def machine(record: Mapping[str, Any]) -> str:
    """The machine of an experiment's record."""
    hardware = record.get("hardware") or {}
    return f"{hardware.get('machine')}, {hardware.get('cpus')} CPUs, {hardware.get('gpu') or 'no GPU'}"


def accuracy_rows(metrics: Sequence[Metric], name: str = GREEDY) -> Table:
    """Header and rows of the table of a pooled metric: an iteration a row, a split a column, with intervals."""
    pooled = [row for row in metrics if row.name == name and row.pooled]
    splits = list(dict.fromkeys(row.split or "" for row in pooled))
    cells = {(row.iteration, row.split): with_interval(row) for row in pooled}
    counts = {(row.iteration, row.name): f"{row.value:g}" for row in metrics if row.name in ("solved", "gold")}
    iterations = sorted({row.iteration for row in pooled})
    rows = [
        [
            str(i),
            *(counts.get((i, column), "-") for column in ("solved", "gold")),
            *(cells.get((i, s), "-") for s in splits),
        ]
        for i in iterations
    ]
    return ["iteration", "solved", "gold", *splits], rows
