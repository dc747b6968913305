"""One experiment on disk: its config, its lock, its stages, and what it holds in memory while it runs."""

import difflib
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from axiom.commands import DEFAULT_ROOT as DEFAULT_ROOT, suggest
from axiom.config import ExperimentConfig, checked, flat, stored_config
from axiom.errors import ConfigError, DataError
from axiom.experiment import lease, lock, tables
from axiom.experiment.computed_with import Facts, changed, facts
from axiom.experiment.provenance import code_and_packages, continued, provenance
from axiom.experiment.tables import iteration_folder as iteration_folder
from axiom.folders import Folder
from axiom.records import Metric, Problem
from axiom.rows import ById, Rows
from axiom.sampling.prompts import digest
from axiom.store import Handle, StageStore, Writer
from axiom.words import few

if TYPE_CHECKING:
    import polars as pl

RECORD = "experiment.json"
SHOWN = 5
"""Names that are shown of many."""
PAUSE = "pause"
"""File in an experiment's folder that asks its run to end after its current iteration."""

VERSIONS = {
    "problems": "6",
    "samples": "6",
    "verdicts": "3",
    "history": "2",
    "gold": "4",
    "gold_weighted_or_helped": "5",
    "buffer": "2",
    "passed_over": "1",
    "adapter": "4",
    "evaluation": "1",
    "distance": "1",
    "diversity": "1",
    "metrics": "5",
    "iteration": "1",
}
"""Version of the code behind each stage. Raise one when the stage would compute something else from the same inputs."""

EXECUTION = {
    "iterations": None,
    "checkpoint_every": None,
    "tracking": None,
    "sandbox": {"workers"},
    "sampling": {"batch_size", "vllm", "engine"},
    "model": {"device"},
    "training": {"data_parallel", "fsdp"},
}
"""Fields that say how long or where a run goes, not what it computes: they may change between start and resume."""


LATER = {"modular": {"operations": ["add"]}}
"""Fields that came after runs were kept, as those runs have them: so set, they are no part of what identifies a run."""


class Experiment:
    """A run on disk: the folder `<root>/<name>` with its config and the tables of its stages.

    `root` is a folder or any fsspec URL, `config` the resolved `ExperimentConfig`.
    """

    def __init__(self, root: str, config: ExperimentConfig) -> None:
        self.root, self.config = root, config
        self.folder = Folder(root).join(config.name)
        self.stages = StageStore(self.folder, code_and_packages)

    @classmethod
    def create(cls, root: str, config: ExperimentConfig) -> "Experiment":
        """The experiment of this config: new, or the one on disk if its config asks for the same.

        Raises ConfigError when the config breaks a rule, however it was made, and when the name belongs to an
        experiment with another config.
        """
        experiment = cls(root, checked(ExperimentConfig, config))
        if "{" in experiment.config.name:
            raise ConfigError(f"name {experiment.config.name!r} has a place that is not filled in; choose a whole name")
        experiment.folder.check_writable()
        experiment._check_capitals()
        experiment.check_record()
        return experiment

    @classmethod
    def open(cls, root: str | os.PathLike[str], name: str) -> "Experiment":
        """The experiment `name` under `root`, finished or running.

        Raises ConfigError when there is none of that name, and DataError when its record is damaged.
        """
        root = os.fspath(root)
        folder = Folder(root).join(name)
        if "/" in name or not folder.exists(RECORD):
            raise no_such(root, name)
        try:
            return cls(root, stored_config(_read_record(folder)["config"]))
        except (KeyError, TypeError, ConfigError) as error:
            raise _damaged(folder, error) from None

    def _check_capitals(self) -> None:
        """Raise ConfigError for a new name that is another's but for capitals: on many disks both are one folder."""
        name, names = self.config.name, Folder(self.root).names()
        near = [other for other in names if other.casefold() == name.casefold()]
        if near and name not in names:
            raise ConfigError(
                f"experiment {name!r} differs from {near[0]!r} in capitals alone, and on many disks both are one "
                f"folder; choose another name with --experiment"
            )

    def check_record(self) -> None:
        """Raise ConfigError when the name belongs to an experiment on disk that computes something else."""
        if not self.folder.exists(RECORD):
            return
        name, root = self.config.name, self.root
        differing = differences(Experiment.open(root, name).config, self.config)
        if differing:
            key, (old, new) = next(iter(differing.items()))
            raise ConfigError(
                f"experiment {name!r} already exists with {key} = {json.dumps(old)}, not {json.dumps(new)}"
                f"{f' (and {len(differing) - 1} more differences)' if len(differing) > 1 else ''}; choose another name "
                f"with --experiment, or `{suggest('resume', name, root=root)}` to continue it as it is"
            )

    def save(self, **more: Any) -> None:
        """Write experiment.json if it is new or a field of execution, the code, a package or the hardware changed.

        `more` is written beside the config of a new experiment. Raises ConfigError instead of writing what could not
        be opened again.
        """
        config, now = checked(ExperimentConfig, self.config).model_dump(mode="json"), provenance()
        self.check_record()
        old = _read_record(self.folder) if self.folder.exists(RECORD) else {}
        history = continued(old, now)
        if old.get("config") == config and old.get("history") == history:
            return
        created = old.get("created", datetime.now(UTC).isoformat(timespec="seconds"))
        kept: dict[str, Any] = {key: old[key] for key in ("fork", "computed_with", "model") if key in old} or more
        record = {"config": config, "created": created, **now, **kept, "history": history}
        self.folder.write_bytes(RECORD, json.dumps(record, indent=1).encode())

    def settle(self) -> None:
        """Note the weights, the engine and the device that the run begins with.

        Raises ConfigError when it began with others: its iterations would not be of one experiment.
        """
        record = _read_record(self.folder)
        begun = record.get("computed_with")
        if begun is None:
            record["computed_with"] = self.facts
            if self.config.model.kind == "language":
                from axiom.learners.checks import proofs

                record["model"] = [proof.model_dump(exclude_none=True) for proof in proofs(self.config)]
            self.folder.write_bytes(RECORD, json.dumps(record, indent=1).encode())
            return
        found = changed(begun, self.facts)
        if found is not None:
            raise ConfigError(
                f"experiment {self.config.name!r} cannot go on: {found}; restore what it started with, or start "
                f"another with --experiment or `axiom fork`"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the experiment alone. Raises LockedError that names the holder.

        The system frees a lock when we die; in an object store it is a lease, which then ends by itself. What is
        written to an object store meanwhile is sent behind the work, and has arrived when this ends.
        """
        what, again = f"experiment {self.config.name!r}", suggest("resume", self.config.name, root=self.root)
        next_step = f"wait for it, or end it and `{again}`"
        if not self.folder.local:
            with lease.held(self.folder, what, next_step) as held, self.folder.uploading(held.check):
                yield
            return
        with lock.held(Path(self.folder.path), what, next_step):
            self.sweep()
            yield

    def take_from(self, names: Iterable[str]) -> None:
        """Take stages that these experiments of the same root hold under the same key, instead of computing them."""
        root = Folder(self.root)
        self.stages.others = [StageStore(root.join(name)) for name in names if name != self.config.name]

    def is_locked(self) -> bool:
        """Whether some process is writing the experiment now."""
        holder = lock.holder(Path(self.folder.path)) if self.folder.local else lease.holder(self.folder)
        return holder is not None

    def last_done(self) -> int:
        """The last finished iteration: -1 if there is none, 0 after the evaluation of the base model."""
        return max(self.finished(), default=-1)

    def libraries(self) -> list[str]:
        """Large modules that a run of what is left imports in any case."""
        return ["axiom.report.charts"] + ["torch"] * (self.last_done() < self.config.iterations)

    def finished(self) -> list[int]:
        """The finished iterations, in order."""
        return [number for number in self.iterations() if self.stages.manifest("iteration", iteration_folder(number))]

    def missing(self) -> list[str]:
        """Files of finished iterations that are no longer there, though nobody pruned them; sorted."""
        found = []
        for folder in map(iteration_folder, self.finished()):
            there = set(self.folder.join(folder).names())
            for manifest in (self.stages.manifest(stage, folder) for stage in self.stages.names(folder)):
                wanted = {*manifest.files} - {*manifest.pruned} if manifest else set[str]()
                found += [f"{folder}/{name}" for name in wanted if name.partition("/")[0] not in there]
        return sorted(found)

    def iterations(self, having: str | None = None) -> list[int]:
        """The iterations that have a folder, and in it the table `having`; in order."""
        return tables.iterations(self.folder, having)

    def sweep(self) -> None:
        """Remove temporary files of killed writers; only under the lock."""
        self.folder.sweep()
        self.folder.join("problems").sweep()
        for name in self.folder.join("iterations").names():
            self.folder.join("iterations", name).sweep()

    @cached_property
    def facts(self) -> Facts:
        """What it is computed with on this machine."""
        return facts(self.config)

    def settings(self, *sections: str) -> dict[str, Any]:
        """What of the config's sections decides a stage's result, with the facts in place of names and `auto`."""
        tree = identity(self.config)
        known = self.facts if {"model", "sampling"} & set(sections) else {}
        return {name: tree[name] | known[name] if name in known else tree[name] for name in sections}

    @cached_property
    def inherited(self) -> int:
        """Iterations that a fork took over from its parent, whatever config they were made with; 0 if it is none."""
        return int(self._fork.get("at", 0))

    @property
    def created(self) -> str | None:
        """When the experiment was begun, as ISO 8601 in UTC; None where nothing of it is on disk."""
        return _read_record(self.folder).get("created") if self.folder.exists(RECORD) else None

    @property
    def forked_from(self) -> str | None:
        """The name of the run that this is a fork of; None if it is none."""
        return self._fork.get("of")

    @cached_property
    def _fork(self) -> dict[str, Any]:
        found: dict[str, Any] = _read_record(self.folder).get("fork", {}) if self.folder.exists(RECORD) else {}
        return found

    def made_with(self, iteration: int) -> ExperimentConfig:
        """The config that iteration was made with: in a fork's shared iterations the config of the run they are from.

        It carries this experiment's name. Raises DataError for a fork that did not record it.
        """
        if iteration >= self.inherited:
            return self.config
        for part in self._fork.get("shared", ()):
            if iteration < part["before"]:
                return stored_config(part["config"] | {"name": self.config.name})
        raise DataError(
            f"{self.folder.at(RECORD)} does not say with which settings its shared iterations were made, as an earlier "
            f"version wrote it, so iteration {iteration} cannot be trained again; fork {self._fork.get('of')!r} again"
        )

    @property
    def splits(self) -> list[str]:
        """The splits whose problems are generated, training first."""
        names = [name for name in self.folder.join("problems").names() if name.endswith(".parquet")]
        splits = {name.removesuffix(".parquet") for name in names}
        order = ["train", "val", "test", *sorted(splits - {"train", "val", "test"})]
        return [split for split in order if split in splits]

    @cached_property
    def problems(self) -> dict[str, Sequence[Problem]]:
        """The problems of every split that is generated, by the split's name; many are read again by each pass."""
        return {split: self.stages.rows("problems", split, Problem) for split in self.splits}

    def metrics(self) -> list[Metric]:
        """Every metric of every iteration; where the run's own table is damaged, from the tables of its iterations."""
        try:
            return self.stages.read("", "metrics", Metric)
        except DataError:
            own = [self.stages.read(iteration_folder(n), "metrics", Metric) for n in self.iterations("metrics")]
            if not own:
                raise
            return [row for rows in own for row in rows]

    def stage(
        self,
        name: str,
        iteration: int,
        work: Callable[[Writer], None],
        inputs: Mapping[str, Handle | None],
        settings: Any = None,
        version: str = "",
        need_files: bool = True,
    ) -> Handle:
        """A stage of an iteration, as `StageStore.run` has it; inputs that are None are no inputs.

        `version` names the entry of VERSIONS, by default the stage's own, which those of an evaluation share.
        """
        return self.stages.run(
            name,
            iteration_folder(iteration),
            settings=settings,
            version=VERSIONS[version or name.removeprefix("eval_")],
            inputs={key: handle for key, handle in inputs.items() if handle},
            work=work,
            need_files=need_files,
        )

    def frame(self, table: str, iteration: int | None = None) -> "pl.DataFrame":
        """A table as a Polars data frame, with the columns of its record in `axiom.records`.

        `table` is metrics or events; a table of an iteration: samples, verdicts, history, gold, passed_over, buffer,
        losses, evaluation, eval_samples, eval_verdicts, distance, diversity; `problems`, or one split's: train, val,
        test, ... Without `iteration`, the tables of all iterations follow each other, and a first column `in_iteration`
        says whose folder each row is from.
        Raises DataError, with the tables that there are, for one that is not there.
        """
        return tables.frame(self.stages, table, iteration)

    @cached_property
    def problems_by_id(self) -> Mapping[str, Problem]:
        """Every problem of every split."""
        if not any(isinstance(rows, Rows) for rows in self.problems.values()):
            return {problem.problem_id: problem for rows in self.problems.values() for problem in rows}
        of_splits = [self.stages.arrow("problems", split, Problem) for split in self.problems]
        return ById(pa.concat_tables(of_splits), Problem, "problem_id")


def experiment_names(root: str, known: Container[str] = ()) -> list[str]:
    """The experiments under `root` that are not among the `known`, sorted."""
    folder = Folder(root)
    there = [name for name in folder.names() if not name.startswith(".") and name not in known]
    return [name for name in there if folder.join(name).exists(RECORD)]


def no_such(root: str, name: str) -> ConfigError:
    """The sentence for a name that no experiment under `root` has, with the nearest names that there are."""
    known = experiment_names(root)
    near = sorted(known, key=lambda other: -difflib.SequenceMatcher(None, name, other).ratio())
    there = few(near, SHOWN) or "none yet"
    return ConfigError(
        f"no experiment {name!r} under {root!r}; there: {there}; `{suggest('list', root=root)}` shows them"
    )


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """The config as JSON without its name and the fields of execution, with what its files hold."""
    tree = _computing(config)
    for section, added in LATER.items():
        tree[section] = {key: value for key, value in tree[section].items() if (key, value) not in added.items()}
    tree["prompts"]["digest"] = digest(config.prompts)
    return tree


def _computing(config: ExperimentConfig) -> dict[str, Any]:
    tree = config.model_dump(mode="json")
    del tree["name"]
    for section, fields in EXECUTION.items():
        if fields is None:
            del tree[section]
        else:
            tree[section] = {key: value for key, value in tree[section].items() if key not in fields}
    return tree


def differences(old: ExperimentConfig, new: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys on which two experiments differ in what they compute, with both values."""
    before, after = flat(_computing(old)), flat(_computing(new))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _read_record(folder: Folder) -> dict[str, Any]:
    try:
        record = json.loads(folder.read_bytes(RECORD))
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, error) from None
    return record


def _damaged(folder: Folder, error: Exception) -> DataError:
    return DataError(
        f"{folder.at(RECORD)} is damaged ({' '.join(str(error).split())}); remove it and start the run again with its "
        f"settings, which reuses what is done"
    )
