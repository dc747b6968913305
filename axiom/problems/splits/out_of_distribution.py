"""Out-of-distribution splits: unseen cases, longer and harder, composed, unseen family."""

from collections.abc import Sequence

from axiom import seeds
from axiom.config import ProblemsConfig
from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan, build
from axiom.problems.composition import compose, joined
from axiom.problems.registry import GENERATORS, family_named
from axiom.problems.sources import is_sourced
from axiom.problems.space import parsed
from axiom.problems.splits.variants import Admitted, VariantSource, draw, questions_of
from axiom.records import Problem, Split

HARDER = 3
"""Levels above the trained range that the split `ood_longer` draws from."""

STRETCH = 3
"""How many times longer its inputs are."""

COMPOSITIONS_TRIED = 50
"""Pairs of variants that are tried for each composed problem before the split is refused."""


def plan_of(config: ProblemsConfig, split: Split, seed: int, stretch: int = 1) -> Plan:
    """How the cases of a split's problems are chosen."""
    return Plan(split, seed, config.shown_cases, config.hidden_cases, stretch)


def unseen_cases(config: ProblemsConfig, seed: int, train: Sequence[Problem], admitted: Admitted) -> list[Problem]:
    """Variants that are trained on, with calls that the train problem does not have.

    Programs of the train split are meant to solve these; those of the other splits do not.
    """
    train = [problem for problem in train if problem.kind == "program"]  # direct answers have no variants
    order = seeds.stream(seed, "problems", "ood_cases").sample(range(len(train)), len(train))
    plan = plan_of(config, "ood_cases", seed)
    problems: list[Problem] = []
    for index in order:
        if len(problems) == config.ood_size:
            break
        known = train[index]
        calls = {case.args for case in (*known.shown, *known.cases)}
        made = build(family_named(known.family), parsed(known.variant), plan, calls)
        if made is not None and admitted.admit(made[0], beside=("train",)):
            problems.append(made[0])
    return problems


def longer(config: ProblemsConfig, seed: int, admitted: Admitted) -> list[Problem]:
    """Harder than the trained range where the family goes that far, and on longer inputs."""
    sources = []
    for name in (name for name in config.families if not is_sourced(name)):
        top, highest = config.range_of(name)[1], family_named(name).difficulties[1]
        bounds = (min(top + 1, highest), min(top + HARDER, highest))
        sources.append(VariantSource(family_named(name), bounds, seed, admitted, "longer"))
    return draw(sources, plan_of(config, "ood_longer", seed, STRETCH), config.ood_size) if sources else []


def composed(config: ProblemsConfig, seed: int, train: Sequence[Problem], admitted: Admitted) -> list[Problem]:
    """Two trained variants in one function, of two families where there are two."""
    rng = seeds.stream(seed, "problems", "ood_composed")
    plan = plan_of(config, "ood_composed", seed)
    parts = [problem for problem in train if problem.family in GENERATORS]  # not those that are composed already
    problems: list[Problem] = []
    for _ in range(config.ood_size * COMPOSITIONS_TRIED if parts else 0):
        if len(problems) == config.ood_size:
            break
        first = rng.choice(parts)
        second = rng.choice([p for p in parts if p.family != first.family] or parts)
        family = compose(GENERATORS[first.family], GENERATORS[second.family])
        names = joined(parsed(first.variant), parsed(second.variant))
        made = build(family, names, plan, known=admitted.marks)
        if made is not None and admitted.admit(made[0]):
            admitted.marks.add(made[1])
            problems.append(made[0])
    if parts and len(problems) < config.ood_size:
        raise ConfigError(
            f"only {len(problems)} of {config.ood_size} composed problems could be made; "
            f"lower [problems] ood_size or enlarge train_size"
        )
    return problems


def unseen_families(config: ProblemsConfig, seed: int, admitted: Admitted) -> list[Problem]:
    """Problems of families that are not trained on."""
    sources = [questions_of(name, config.range_of(name), seed, admitted) for name in config.ood_families]
    return draw(sources, plan_of(config, "ood_family", seed), config.ood_size) if sources else []
