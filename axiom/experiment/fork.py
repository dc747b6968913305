"""A counterfactual: a new experiment that shares another's first iterations and goes on with another config."""

import os
from typing import Any

from axiom.commands import suggest
from axiom.config import ExperimentConfig
from axiom.errors import ConfigError, DataError, LockedError
from axiom.experiment import Experiment, differences, iteration_folder
from axiom.experiment.folder import RECORD
from axiom.experiment.gate import admit
from axiom.grokking import Curve

SHARED = (
    "problems",
    "prompts",
    "model",
    "seed",
    "arm",
    "yoke",
    "evaluation.confidence",
    "modular.p",
    "modular.embedding",
    "modular.hidden",
    "modular.train_fraction",
    "modular.operations",
)
"""What the shared iterations hand on to the later ones (problems, weights, pool) or is said of the whole curve. All
else governs each iteration by itself, so a fork may change it."""
ADAPTER = ("training.lora_r", "training.lora_alpha", "training.target_modules")
"""The shape of an adapter, which a fork that continues the last shared one cannot change."""


def fork(parent: Experiment, config: ExperimentConfig, at: int) -> Experiment:
    """Copy the problems and the iterations before `at` into the new experiment of `config`.

    The parent is locked meanwhile. Raises ConfigError when `at` is not done yet, when a folder of the new name is
    there, or when `config` changes what came before; then nothing is written. A fork that fails leaves nothing.
    """
    child, ours = check(parent, config, at), False
    with parent.locked():
        try:
            with child.locked():
                if child.folder.exists(RECORD):  # another fork of this name was quicker
                    raise _taken(child)
                ours = True
                _copy(parent, child, at)
                child.save(fork={"of": parent.config.name, "at": at, "shared": _shared(parent, at)})
        except BaseException as error:
            if ours and not isinstance(error, LockedError):  # else another process writes there
                child.folder.remove_all()
            raise
    return Experiment(child.root, child.config)  # which reads again what it inherited


def check(parent: Experiment, config: ExperimentConfig, at: int) -> Experiment:
    """The fork as it would be made; writes nothing. Raises as `fork`."""
    child = admit(parent.root, config)
    if os.path.lexists(child.folder.path) if child.folder.local else child.folder.size():
        raise _taken(child)
    done = parent.last_done() + 1
    if not 1 <= at <= done:
        raise ConfigError(f"--at {at} must lie within 1..{done}, the iterations that {parent.config.name!r} has done")
    if child.config.iterations < at:
        raise ConfigError(
            f"iterations = {child.config.iterations} gives a fork at {at} nothing to do; "
            f"set iterations to at least {at}"
        )
    for key in differences(parent.config, child.config):
        if any(f"{key}.".startswith(f"{shared}.") for shared in SHARED):
            raise ConfigError(f"a fork cannot change {key}, with which iterations 0 to {at - 1} were made; start a run")
        if key in ADAPTER and at > 1 and child.config.training.mode == "continue":
            raise ConfigError(
                f"a fork that continues the adapter of iteration {at - 1} cannot change {key}, its shape; "
                f"set training.mode = 'restart' as well, or start a run"
            )
    _check_curve(parent, child, at)
    return child


def _check_curve(parent: Experiment, child: Experiment, at: int) -> None:
    """The detector can read the evaluations of both together."""
    every, last = child.config.evaluation.every, child.config.iterations
    shared = [number for number in range(at) if parent.stages.manifest("evaluation", iteration_folder(number))]
    grid = shared + [number for number in range(at, last + 1) if number % every == 0 or number == last]
    try:
        Curve.of(grid, [0.0] * len(grid), [0.0] * len(grid))
    except DataError as error:
        raise ConfigError(f"with evaluation.every = {every} from iteration {at} on {error}") from None


def _taken(child: Experiment) -> ConfigError:
    rest = "" if child.folder.exists(RECORD) else ". It holds no experiment, like what a fork that was killed leaves"
    return ConfigError(f"{child.folder.path} already exists; choose another name with --experiment{rest}")


def _shared(parent: Experiment, at: int) -> list[dict[str, Any]]:
    """With which config the iterations before `at` were made, by parts: a fork of a fork has more than one."""
    parts, made = [], [parent.made_with(number) for number in range(at)]
    for number, config in enumerate(made, start=1):
        if number == at or made[number] != config:
            parts.append({"before": number, "config": config.model_dump(mode="json")})
    return parts


def _copy(parent: Experiment, child: Experiment, at: int) -> None:
    """The parent's finished stages. The record comes last, so a fork cut short is no experiment."""
    for folder in ("problems", *(iteration_folder(number) for number in range(at))):
        for stage in parent.stages.names(folder):
            manifest = parent.stages.manifest(stage, folder)
            if manifest is None or not child.stages.copy(parent.stages, manifest):
                again = suggest("resume", parent.config.name, root=parent.root)
                raise DataError(
                    f"{stage!r} in {parent.folder.at(folder)} is damaged; `{again}` computes it again, then fork"
                )
