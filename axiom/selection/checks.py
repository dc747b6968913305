"""Settings of selection that make no sense together, refused before anything is written."""

from axiom.config import ExperimentConfig
from axiom.errors import ConfigError
from axiom.selection.arm import all_at_once, every_round
from axiom.selection.arms import ARMS


def check_selection(config: ExperimentConfig, problems: int) -> None:
    """Raise ConfigError with one sentence for settings that contradict each other or the arm.

    `problems` is the number of training problems.
    """
    _check_allocation(config)
    _check_strategy(config)
    _check_weight(config)
    _check_min_gold(config, problems)
    ARMS[config.arm].check(config)


def goes_by_history(config: ExperimentConfig) -> bool:
    """Whether what trains depends on the history of the training problems."""
    return (
        config.selection.strategy == "hardest"
        or config.selection.weight == "inverse_solve_rate"
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
    if weight == "difficulty" and config.model.kind == "modular":
        raise ConfigError(
            "selection.weight = 'difficulty' weighs all pairs of the modular network alike, as their difficulty is 1; "
            "choose another selection.weight"
        )
    single = training.batch_size * training.gradient_accumulation == 1
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
    most += min(config.replay.capacity, round(most * config.replay.share / (1.0 - config.replay.share)))
    most += config.replay.rounds * most
    if selection.min_gold > most:
        raise ConfigError(
            f"selection.min_gold = {selection.min_gold} is more than the {most} rows of gold that a round of "
            f"{problems} training problems can give, so nothing would ever train; set at most {most}"
        )
