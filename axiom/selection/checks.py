"""Settings of selection that make no sense together, refused before anything is written."""

from collections.abc import Callable, Sequence

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.records import Problem
from axiom.selection.arm import all_at_once, every_round
from axiom.selection.arms import ARMS
from axiom.selection.curriculum import BY_LEVEL, levels_of
from axiom.selection.foothold import check_foothold
from axiom.selection.replay import replayed_beside


def check_selection(config: ExperimentConfig, problems: int) -> None:
    """Raise ConfigError with one sentence for settings that contradict each other or the arm.

    `problems` is the number of training problems.
    """
    _check_allocation(config)
    _check_strategy(config)
    _check_weight(config)
    _check_min_gold(config, problems)
    ARMS[config.arm].check(config)
    _check_curriculum(config)
    check_foothold(config)
    _check_joins(config)


def goes_by_history(config: ExperimentConfig) -> bool:
    """Whether what trains depends on the history of the training problems."""
    return (
        config.selection.strategy == "hardest"
        or config.selection.weight == "inverse_solve_rate"
        or config.curriculum.kind == "self_paced"
        or (config.replay.share > 0 and config.replay.strategy == "forgetting")
    )


def _check_allocation(config: ExperimentConfig) -> None:
    allocation = config.sampling.allocation
    if allocation != "uniform" and ARMS[config.arm].draws is all_at_once:
        raise ConfigError(
            f"sampling.allocation = {allocation!r} goes by what earlier rounds solved, and arm {config.arm!r} draws "
            f"all its samples in round 1; set sampling.allocation = 'uniform' or leave the arm out"
        )


def _check_strategy(config: ExperimentConfig) -> None:
    selection = config.selection
    if selection.strategy == "hardest" and not selection.max_rows:
        raise ConfigError(
            "selection.strategy = 'hardest' without a limit takes the programs of every problem, in an order that "
            "training shuffles; set selection.max_rows as well"
        )
    if selection.strategy == "diverse" and config.model.kind == "modular":
        raise ConfigError(
            "selection.strategy = 'diverse' compares programs, and the modular network answers with numbers; choose "
            "another selection.strategy"
        )


def _check_weight(config: ExperimentConfig) -> None:
    weight, training = config.selection.weight, config.training
    if weight == "difficulty" and len(set(config.ranges)) == 1 and config.model.kind == "modular":
        raise ConfigError(
            "selection.weight = 'difficulty' weighs all pairs of one operation alike, as their difficulty is 1; choose "
            "another selection.weight, or name more modular.operations"
        )
    single = training.examples_per_step == 1
    if weight != "equal" and single and config.model.kind == "language":
        raise ConfigError(
            f"selection.weight = {weight!r} compares the examples of one optimizer step, and "
            f"training.batch_size * gradient_accumulation = 1 puts one into each; set more, or leave the weights equal"
        )


def _check_min_gold(config: ExperimentConfig, problems: int) -> None:
    selection, arm = config.selection, ARMS[config.arm]
    each = selection.max_per_problem
    if arm.draws is every_round and config.sampling.allocation == "uniform":
        each = min(each, config.sampling.samples_per_problem)
    most = problems * each
    if arm.draws is every_round and selection.max_rows:
        most = min(most, selection.max_rows)
    most += min(config.replay.capacity, replayed_beside(most, config.replay.share))
    most += config.replay.rounds * most
    if selection.min_gold > most:
        raise ConfigError(
            f"selection.min_gold = {selection.min_gold} is more than the {most} rows of gold that a round of "
            f"{problems} training problems can give, so nothing would ever train; set at most {most}"
        )


def _check_curriculum(config: ExperimentConfig) -> None:
    kind, arm = config.curriculum.kind, ARMS[config.arm]
    if kind in BY_LEVEL:
        _check_ranges(config)
    trains = arm.draws is every_round or arm.pool is not None
    if kind in ("success", "self_paced") and trains and arm.draws is not every_round and not config.yoke:
        raise ConfigError(
            f"curriculum.kind = {kind!r} goes by what the rounds' draws solve, and arm {config.arm!r} draws nothing "
            f"after round 1; set yoke to an expert run, or curriculum.kind = 'linear'"
        )
    if not config.yoke:
        _check_pace(config)
    if arm.draws is every_round and not config.yoke:
        _check_draws_of_the_solved(config)


def _check_pace(config: ExperimentConfig) -> None:
    """`self_paced` trains on problems that are solved now and then, so it needs some room between two shares."""
    low, high = config.curriculum.low, config.curriculum.high
    if config.curriculum.kind == "self_paced" and low == high < 1:
        raise ConfigError(
            f"curriculum.low = curriculum.high = {high} leaves curriculum.kind = 'self_paced' "
            f"{'nothing' if not high else 'next to nothing'} to train on; set a larger curriculum.high"
        )


def _check_draws_of_the_solved(config: ExperimentConfig) -> None:
    """A curriculum that goes by the share of draws that pass needs draws of problems that are solved."""
    kind, allocation = config.curriculum.kind, config.sampling.allocation
    if kind in ("success", "forced") and allocation in ("stop_when_solved", "unsolved_first"):
        raise ConfigError(
            f"sampling.allocation = {allocation!r} draws the unsolved more than the solved, and curriculum.kind = "
            f"{kind!r} goes by the share of a level's draws that pass, which would fall as the level is solved; set "
            f"sampling.allocation = 'uniform'"
        )
    if kind == "self_paced" and allocation == "stop_when_solved":
        raise ConfigError(
            "sampling.allocation = 'stop_when_solved' never draws a solved problem again, and curriculum.kind = "
            "'self_paced' trains on one only once enough of its draws pass; set sampling.allocation = 'uniform'"
        )


def check_reached(config: ExperimentConfig) -> None:
    """Raise ConfigError where a run's iterations end before `curriculum.rounds` can bring the second level.

    It is for a run that begins: a later one may have been given more iterations.
    """
    curriculum = config.curriculum
    if curriculum.kind not in ("linear", "forced") or config.yoke or not config.iterations > 0:
        return
    if curriculum.rounds >= config.iterations:
        what = "has a second level" if curriculum.kind == "linear" else "forces a level"
        raise ConfigError(
            f"curriculum.rounds = {curriculum.rounds} is not less than iterations = {config.iterations}, so "
            f"curriculum.kind = {curriculum.kind!r} never {what}; set curriculum.rounds to less than iterations"
        )


def _wider(config: ExperimentConfig) -> str:
    """How the training problems get more difficulties."""
    return "name more modular.operations" if config.model.kind == "modular" else "widen [problems] difficulty"


def _check_ranges(config: ExperimentConfig) -> None:
    """A level without a training problem, as far as the settings tell without making them."""
    for number, (low, high) in enumerate(config.curriculum.levels, 1):
        if not any(low <= most and least <= high for least, most in config.ranges):
            raise ConfigError(
                f"level {number} of [curriculum] levels, difficulty {low} to {high}, has no training problem; change "
                f"levels, or {_wider(config)}"
            )


def _check_joins(config: ExperimentConfig) -> None:
    joins, families = config.curriculum.joins, config.families
    setting = "modular.operations" if config.model.kind == "modular" else "problems.families"
    for family, start in joins.items():
        if family not in families:
            raise ConfigError(
                f"curriculum.joins names {family!r}, which is none of the families that are trained "
                f"({', '.join(families)}); add it to {setting}, or leave it out"
            )
        if start > config.iterations:
            raise ConfigError(
                f"curriculum.joins.{family} = {start} is after the last of {config.iterations} iterations, so that it "
                f"would never join; set at most {config.iterations}"
            )
    if families and all(joins.get(family, 1) > 1 for family in families):
        raise ConfigError(
            f"curriculum.joins leaves no family to begin with: all of {', '.join(families)} join later; let one of "
            f"them train from the first iteration"
        )


def check_levels(config: ExperimentConfig, make: Callable[[], Sequence[Problem]]) -> None:
    """Raise ConfigError for a curriculum of one level, or with a level that has no training problem.

    `make` gives the training problems; it is called only where the settings alone do not tell.
    """
    if config.curriculum.kind not in BY_LEVEL:
        return
    ranges = config.ranges
    each = config.problems.train_size // max(1, len(ranges))
    spread = all(most - least < each for least, most in ranges)  # so each family has problems of every difficulty
    if spread and config.curriculum.levels:
        count = len(config.curriculum.levels)
    elif spread:
        count = len({difficulty for least, most in ranges for difficulty in range(least, most + 1)})
    else:
        count = len(levels_of(config.curriculum, make()))
    if count < 2:
        raise ConfigError(
            f"curriculum.kind = {config.curriculum.kind!r} has one level only, so nothing could change; "
            f"{_wider(config)}, or set curriculum.kind = 'none'"
        )
