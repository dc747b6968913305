"""A run: its folder, the checks before it starts, what it holds in memory, forks, ledger and provenance."""

from axiom.experiment.folder import (
    DEFAULT_ROOT,
    EXECUTION,
    PAUSE,
    VERSIONS,
    Experiment,
    differences,
    experiment_names,
    identity,
    iteration_folder,
)

__all__ = [
    "DEFAULT_ROOT",
    "EXECUTION",
    "PAUSE",
    "VERSIONS",
    "Experiment",
    "differences",
    "experiment_names",
    "identity",
    "iteration_folder",
]
