"""A run: its folder, the checks before it starts, what it holds in memory, forks, ledger and provenance."""

from axiom.experiment.folder import (
    DEFAULT_ROOT as DEFAULT_ROOT,
    EXECUTION as EXECUTION,
    PAUSE as PAUSE,
    VERSIONS as VERSIONS,
    Experiment as Experiment,
    differences as differences,
    experiment_names as experiment_names,
    identity as identity,
    iteration_folder as iteration_folder,
    no_such as no_such,
)
