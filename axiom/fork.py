"""A counterfactual: a new experiment that shares another's first iterations and goes on with another config."""

import json
import shutil
from pathlib import Path

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.experiment import Experiment, differences, iteration_folder, provenance

SHARED = ("problems", "model", "modular", "seed", "arm")
"""What the shared iterations were computed with and a fork therefore cannot change."""


def fork(parent: Experiment, config: ExperimentConfig, at: int) -> Experiment:
    """Copy the problems and the iterations before `at` into the new experiment of `config`.

    Raises ConfigError when `at` is not done yet, when the name is taken, or when `config` changes what came before.
    """
    child = Experiment(parent.root, config)
    if child.folder.exists("experiment.json"):
        raise ConfigError(f"experiment {config.name!r} already exists; choose another name with --experiment")
    if not parent.folder.local:
        raise ConfigError(f"{parent.root!r} is not on a local disk; copy the experiment to one and fork it there")
    last = iteration_folder(at - 1)
    if at < 1 or parent.stages.manifest("iteration", last) is None:
        done = sum(parent.stages.manifest("iteration", f"iterations/{n}") is not None
                   for n in parent.folder.join("iterations").names())  # fmt: skip
        raise ConfigError(f"--at {at} must lie within 1..{done}, the iterations that {parent.config.name!r} has done")
    for key in differences(parent.config, config):
        if key.split(".")[0] in SHARED:
            raise ConfigError(f"a fork cannot change {key}, with which iterations 0 to {at - 1} were made; start a run")
    _copy(parent, child, at)
    record = {"config": config.model_dump(mode="json"), **provenance()}
    record["fork"] = {"of": parent.config.name, "at": at}
    child.folder.write_bytes("experiment.json", json.dumps(record, indent=1).encode())
    return child


def _copy(parent: Experiment, child: Experiment, at: int) -> None:
    """The last written is experiment.json, by the caller: a fork that was cut short is no experiment."""
    source, target = Path(parent.folder.path), Path(child.folder.path)
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("problems", *(iteration_folder(number) for number in range(at))):
        shutil.copytree(source / folder, target / folder, ignore=shutil.ignore_patterns(".tmp-*"))
