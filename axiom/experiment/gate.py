"""The gate: whether a config can run here, decided before the first byte is written.

Every way to start comes through `admit`: `axiom run`, `resume` and `fork`, a Prefect form, a study and a script. The
types of `axiom.config` check the values; here is what depends on the store and the machine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from axiom import tracking
from axiom.config import ExperimentConfig, checked
from axiom.errors import ConfigError
from axiom.experiment import Experiment
from axiom.experiment.ledger import Schedule
from axiom.learners import check, make_problems, training_problems
from axiom.records import Problem
from axiom.selection.arms import ARMS
from axiom.selection.checks import check_levels, check_reached, check_selection


def admit(
    root: str, config: ExperimentConfig | Mapping[str, Any], meanwhile: Callable[[], object] = lambda: None
) -> Experiment:
    """The experiment of `config` under `root`, new or to be continued.

    `meanwhile` is called before what can take seconds, which is to look at a model. Writes nothing. Raises UserError
    with one sentence when it cannot run.
    """
    if not isinstance(root, str):
        raise ConfigError(f"root = {root!r} is not text; name the folder of the experiments")
    experiment = Experiment.create(root, checked(ExperimentConfig, config))
    _check_rounds(experiment)
    _check_yoke(experiment)
    check_selection(experiment.config, training_problems(experiment.config))
    if experiment.last_done() < 0:
        check_reached(experiment.config)
    meanwhile()
    check(experiment.config)
    tracking.check(experiment.config)
    check_levels(experiment.config, lambda: _training_problems(experiment))
    return experiment


def _check_rounds(experiment: Experiment) -> None:
    done, config = experiment.last_done(), experiment.config
    if config.iterations < done:
        raise ConfigError(
            f"iterations = {config.iterations} is fewer than the {done} that experiment {config.name!r} has done; "
            f"set iterations to {done} or more, or choose another name with --experiment"
        )


def _training_problems(experiment: Experiment) -> Sequence[Problem]:
    """Those of the run, as they are on the disk where it has begun."""
    begun = Experiment(experiment.root, experiment.config)  # of its own: what has no problems yet would be remembered
    return begun.problems.get("train") or make_problems(experiment.config)["train"]


def _check_yoke(experiment: Experiment) -> None:
    """The run that a yoked run replays is there, and has done as many rounds or is at them."""
    config = experiment.config
    if config.yoke and config.yoke == config.name:
        raise ConfigError(f"yoke = {config.yoke!r} is the run itself; set yoke to the expert run that it replays")
    if config.yoke and Experiment.open(experiment.root, config.yoke).config.curriculum != config.curriculum:
        raise ConfigError(
            f"yoke = {config.yoke!r} ran with another [curriculum], whose levels this run would replay; set the same "
            f"[curriculum] in both"
        )
    if config.yoke:
        schedule = Schedule(experiment.root, config.yoke)
        if config.iterations:
            schedule.check(config.iterations, ARMS[config.arm].whole)
    elif ARMS[config.arm].whole:
        raise ConfigError(
            f"arm {config.arm!r} replays the gold of an expert run, and yoke names none; set yoke to that run's name"
        )
