"""Rings of generalisation beyond unseen variants: unseen cases, longer and harder, composed, unseen family."""

from collections.abc import Sequence

from axiom import seeds
from axiom.config import ProblemsConfig
from axiom.errors import ConfigError
from axiom.problems.building import Plan, build
from axiom.problems.composition import compose, joined
from axiom.problems.decks import Deck, deal, deck_of
from axiom.problems.registry import GENERATORS, family_named
from axiom.problems.space import parsed
from axiom.records import Problem, Split

HARDER = 3
"""Levels above the trained range that the ring `ood_longer` draws from."""

STRETCH = 3
"""How many times longer its inputs are."""

COMPOSITIONS_TRIED = 50
"""Pairs of variants tried for each composed problem before the ring is given up."""


def rings(config: ProblemsConfig, seed: int, train: Sequence[Problem], seen: set[str]) -> dict[str, list[Problem]]:
    """Every ring the config asks for. `seen` holds the behaviours already used, and grows."""
    train = [problem for problem in train if problem.kind == "program"]  # direct answers have no variants
    made: dict[str, list[Problem]] = {
        "ood_cases": unseen_cases(config, seed, train),
        "ood_longer": longer(config, seed, seen),
        "ood_composed": composed(config, seed, train, seen),
        "ood_family": unseen_families(config, seed, seen),
    }
    return {name: problems for name, problems in made.items() if problems}


def plan_of(config: ProblemsConfig, split: Split, seed: int, stretch: int = 1) -> Plan:
    """How the problems of `split` are cut."""
    return Plan(split, seed, config.shown_cases, config.hidden_cases, stretch)


def unseen_cases(config: ProblemsConfig, seed: int, train: Sequence[Problem]) -> list[Problem]:
    """Variants that are trained on, asked with other calls: none of the train problem's is among them."""
    order = seeds.stream(seed, "problems", "ood_cases").sample(range(len(train)), len(train))
    plan = plan_of(config, "ood_cases", seed)
    problems: list[Problem] = []
    for index in order:
        if len(problems) == config.ood_size:
            break
        known = train[index]
        made = build(
            GENERATORS[known.family], parsed(known.variant), plan, {case.args for case in (*known.shown, *known.cases)}
        )
        if made is not None:
            problems.append(made[0])
    return problems


def longer(config: ProblemsConfig, seed: int, seen: set[str]) -> list[Problem]:
    """Harder than the trained range where the family goes that far, and on longer inputs."""
    decks = []
    for name in (name for name in config.families if name in GENERATORS):
        top, highest = config.range_of(name)[1], family_named(name).difficulties[1]
        bounds = (min(top + 1, highest), min(top + HARDER, highest))
        decks.append(Deck(family_named(name), bounds, seed, seen, "longer"))
    return deal(decks, plan_of(config, "ood_longer", seed, STRETCH), config.ood_size) if decks else []


def composed(config: ProblemsConfig, seed: int, train: Sequence[Problem], seen: set[str]) -> list[Problem]:
    """Two trained variants in one function, of two families where there are two."""
    rng = seeds.stream(seed, "problems", "ood_composed")
    plan = plan_of(config, "ood_composed", seed)
    problems: list[Problem] = []
    for _ in range(config.ood_size * COMPOSITIONS_TRIED if train else 0):
        if len(problems) == config.ood_size:
            break
        first = rng.choice(train)
        second = rng.choice([p for p in train if p.family != first.family] or list(train))
        family = compose(GENERATORS[first.family], GENERATORS[second.family])
        made = build(family, joined(parsed(first.variant), parsed(second.variant)), plan)
        if made is not None and made[1] not in seen:
            seen.add(made[1])
            problems.append(made[0])
    if train and len(problems) < config.ood_size:
        raise ConfigError(
            f"only {len(problems)} of {config.ood_size} composed problems came about; "
            f"lower [problems] ood_size or enlarge train_size"
        )
    return problems


def unseen_families(config: ProblemsConfig, seed: int, seen: set[str]) -> list[Problem]:
    """Problems of families that are not trained on."""
    decks = [deck_of(name, config.range_of(name), seed, seen) for name in config.ood_families]
    return deal(decks, plan_of(config, "ood_family", seed), config.ood_size) if decks else []
