"""Rings of generalisation beyond unseen variants: unseen cases, longer and harder, composed, unseen family."""

from collections.abc import Sequence

from axiom import seeds
from axiom.config import ProblemsConfig
from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan, build
from axiom.problems.composition import compose, joined
from axiom.problems.registry import GENERATORS, family_named
from axiom.problems.sources.reasoning_gym import is_direct
from axiom.problems.space import parsed
from axiom.problems.splits.decks import Dealt, Deck, deal, deck_of
from axiom.records import Problem, Split

HARDER = 3
"""Levels above the trained range that the ring `ood_longer` draws from."""

STRETCH = 3
"""How many times longer its inputs are."""

COMPOSITIONS_TRIED = 50
"""Pairs of variants tried for each composed problem before the ring is given up."""


def apart(config: ProblemsConfig, seed: int, dealt: Dealt) -> dict[Split, list[Problem]]:
    """The rings that do not depend on the train split."""
    made: dict[Split, list[Problem]] = {
        "ood_longer": longer(config, seed, dealt),
        "ood_family": unseen_families(config, seed, dealt),
    }
    return made


def of_train(config: ProblemsConfig, seed: int, train: Sequence[Problem], dealt: Dealt) -> dict[Split, list[Problem]]:
    """The rings that are made of the variants of `train`."""
    train = [problem for problem in train if problem.kind == "program"]  # direct answers have no variants
    made: dict[Split, list[Problem]] = {
        "ood_cases": unseen_cases(config, seed, train, dealt),
        "ood_composed": composed(config, seed, train, dealt),
    }
    return made


def plan_of(config: ProblemsConfig, split: Split, seed: int, stretch: int = 1) -> Plan:
    """How the problems of `split` are cut."""
    return Plan(split, seed, config.shown_cases, config.hidden_cases, stretch)


def unseen_cases(config: ProblemsConfig, seed: int, train: Sequence[Problem], dealt: Dealt) -> list[Problem]:
    """Variants that are trained on, asked with other calls: none of the train problem's is among them.

    Programs of the train split solve these by intention, those of the other splits do not.
    """
    order = seeds.stream(seed, "problems", "ood_cases").sample(range(len(train)), len(train))
    plan = plan_of(config, "ood_cases", seed)
    problems: list[Problem] = []
    for index in order:
        if len(problems) == config.ood_size:
            break
        known = train[index]
        calls = {case.args for case in (*known.shown, *known.cases)}
        made = build(family_named(known.family), parsed(known.variant), plan, calls)
        if made is not None and dealt.admit(made[0], beside=("train",)):
            problems.append(made[0])
    return problems


def longer(config: ProblemsConfig, seed: int, dealt: Dealt) -> list[Problem]:
    """Harder than the trained range where the family goes that far, and on longer inputs."""
    decks = []
    for name in (name for name in config.families if not is_direct(name)):
        top, highest = config.range_of(name)[1], family_named(name).difficulties[1]
        bounds = (min(top + 1, highest), min(top + HARDER, highest))
        decks.append(Deck(family_named(name), bounds, seed, dealt, "longer"))
    return deal(decks, plan_of(config, "ood_longer", seed, STRETCH), config.ood_size) if decks else []


def composed(config: ProblemsConfig, seed: int, train: Sequence[Problem], dealt: Dealt) -> list[Problem]:
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
        made = build(family, names, plan, known=dealt.marks)
        if made is not None and dealt.admit(made[0]):
            dealt.marks.add(made[1])
            problems.append(made[0])
    if parts and len(problems) < config.ood_size:
        raise ConfigError(
            f"only {len(problems)} of {config.ood_size} composed problems came about; "
            f"lower [problems] ood_size or enlarge train_size"
        )
    return problems


def unseen_families(config: ProblemsConfig, seed: int, dealt: Dealt) -> list[Problem]:
    """Problems of families that are not trained on."""
    decks = [deck_of(name, config.range_of(name), seed, dealt) for name in config.ood_families]
    return deal(decks, plan_of(config, "ood_family", seed), config.ood_size) if decks else []
