"""What a report draws: the tables of one run, each read once and only in the columns that a view needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, iteration_folder
from axiom.experiment.tables import some_columns
from axiom.records import Event, LossStep, Metric, with_interval

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""
Network = dict[str, np.ndarray]
"""Tensors by name."""
MOST_ADAPTERS = 20
"""Adapters that are read for one page: each has some megabytes."""

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


class RunData:
    """The tables of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    @cached_property
    def metrics(self) -> list[Metric]:
        """Every metric of every iteration."""
        return self.experiment.stages.read("", "metrics", Metric)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The same as a table, `split` in words."""
        rows = pl.DataFrame(Metric.to_table(self.metrics))
        return rows.with_columns(pl.col("split").replace(SPLITS))

    @cached_property
    def events(self) -> list[Event]:
        """What the detector saw."""
        return self.experiment.stages.read("", "events", Event)

    @cached_property
    def evaluations(self) -> pl.DataFrame:
        """Each problem in each evaluation; `solved` is the greedy answer's verdict. Empty where none was stored."""
        columns = ["problem_id", "split", "family", "difficulty", "n", "correct", "greedy_correct"]
        parts = [
            self.columns(number, "evaluation", columns).with_columns(pl.lit(number).alias("iteration"))
            for number in self.experiment.iterations("evaluation")
        ]
        empty = dict.fromkeys(("problem_id", "split", "family"), pl.String) | {"iteration": pl.Int32}
        if not parts:
            return pl.DataFrame(schema=empty | {"n": pl.Int32, "correct": pl.Int32, "solved": pl.Boolean})
        rows = pl.concat(parts).with_columns(pl.col("split").replace(SPLITS))
        return rows.rename({"greedy_correct": "solved"})

    @cached_property
    def stages(self) -> dict[int, dict[str, Any]]:
        """By finished iteration: each stage's handle, as `Handle` has it, by the stage's name."""
        found = {}
        for number in self.experiment.iterations():
            manifest = self.experiment.stages.manifest("iteration", iteration_folder(number))
            if manifest and "stages" in manifest.info:
                found[number] = manifest.info["stages"]
        return found

    @cached_property
    def losses(self) -> list[LossStep]:
        """Every optimizer step."""
        return [
            step
            for number in self.experiment.iterations("losses")
            for step in self.experiment.stages.read(iteration_folder(number), "losses", LossStep)
        ]

    def columns(self, iteration: int, table: str, columns: list[str]) -> pl.DataFrame:
        """Some columns of a table of an iteration: a table of samples is mostly text that no chart needs."""
        return some_columns(self.experiment.folder.join(iteration_folder(iteration)), table, columns)

    def kept(self, file: str) -> list[int]:
        """Iterations whose adapter folder still has the file; of many, evenly spread ones and the last."""
        folder = self.experiment.folder
        there = [n for n in self.experiment.iterations() if folder.join(iteration_folder(n), "adapter").exists(file)]
        step = -(-len(there) // MOST_ADAPTERS) or 1
        return there[::-1][::step][::-1]

    @cached_property
    def networks(self) -> dict[int, Network]:
        """Of a modular run each kept network by iteration, the untrained one first."""
        from safetensors.numpy import load

        from axiom.learners.modular import FILE, new_network

        config, folder = self.experiment.config, self.experiment.folder
        found = {0: {name: tensor.numpy() for name, tensor in new_network(config.modular, config.seed).items()}}
        for number in self.kept(FILE):
            found[number] = load(folder.join(iteration_folder(number), "adapter").read_bytes(FILE))
        return found

    def pooled(self, *names: str) -> pl.DataFrame:
        """Metrics of all families and difficulties together, by name, as far as they are finite."""
        wanted = pl.col("name").is_in(names) & pl.col("family").is_null() & pl.col("difficulty").is_null()
        return self.frame.filter(wanted & pl.col("value").is_finite())

    @cached_property
    def splits(self) -> list[str]:
        """The splits that were evaluated, in words, training first."""
        return self.pooled(GREEDY)["split"].unique(maintain_order=True).to_list()

    def stored(self, folder: str, name: str) -> Any:
        """A JSON file of the run; None where it is not there."""
        place = self.experiment.folder.join(folder)
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
