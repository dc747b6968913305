"""Settings of selection that make no sense together, refused before anything is written."""

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.selection.arm import all_at_once
from axiom.selection.arms import ARMS


def check_selection(config: ExperimentConfig) -> None:
    """Raise ConfigError with one sentence for settings that contradict each other or the arm."""
    _check_allocation(config)


def _check_allocation(config: ExperimentConfig) -> None:
    allocation = config.sampling.allocation
    if allocation != "uniform" and ARMS[config.arm].draws is all_at_once:
        raise ConfigError(
            f"sampling.allocation = {allocation!r} goes by what earlier rounds solved, and arm {config.arm!r} draws "
            f"all its samples in round 1; set sampling.allocation = 'uniform' or leave the arm out"
        )
