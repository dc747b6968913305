"""Splits and rings of generalisation: dealt from one shuffled deck of variants a family, so that they cannot meet."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from axiom import seeds
from axiom.config import ProblemsConfig
from axiom.errors import ConfigError, DataError
from axiom.problems.building import Plan, build, draw_cases, fingerprint, size_at
from axiom.problems.family import Family, load
from axiom.problems.inputs import STRATA
from axiom.problems.registry import GENERATORS, check_difficulty, family_named
from axiom.problems.space import Names, permutation
from axiom.records import Case, Problem, Split


class Deck:
    """The variants of one family in random order, a pile for each difficulty, none dealt twice.

    A variant that behaves like one already dealt, by this deck or by another that shares `seen`, is discarded.
    """

    def __init__(self, family: Family, bounds: tuple[int, int], seed: int, seen: set[str]) -> None:
        self.family, self.seen, self.dealt = family, seen, 0
        self.bounds = bounds
        self._piles = {level: self._pile(level, seed) for level in range(bounds[0], bounds[1] + 1)}
        self._turns = itertools.cycle(list(self._piles))

    def _pile(self, level: int, seed: int) -> Iterator[Names]:
        rng = seeds.stream(seed, "problems", self.family.name, "difficulty", level)
        space = self.family.space
        return (space.names(level, index) for index in permutation(space.count(level), rng))

    def deal(self, plan: Plan) -> Problem:
        """The next problem: difficulties take turns, and one that has run out is passed over."""
        while self._piles:
            level = next(self._turns)
            for names in self._piles.get(level, ()):
                made = build(self.family, names, plan)
                if made is None or made[1] in self.seen:
                    continue
                self.seen.add(made[1])
                self.dealt += 1
                return made[0]
            self._piles.pop(level, None)
        low, high = self.bounds
        raise ConfigError(
            f"family {self.family.name!r} has no more than {self.dealt} distinct problems at difficulty {low} to {high}; "
            f"widen the difficulty, name more families or ask for fewer problems"
        )


def generate(family: str, difficulty: tuple[int, int], count: int, seed: int) -> Iterator[Problem]:
    """`count` distinct problems of one family, one at a time, difficulties in turn.

    Raises ConfigError for an unknown family, a difficulty it lacks or more problems than it has variants.
    """
    member = family_named(family)
    check_difficulty(member, difficulty)
    known = sum(member.space.count(level) for level in range(difficulty[0], difficulty[1] + 1))
    if count > known:
        raise ConfigError(
            f"count {count} is more than the {known} variants of family {family!r} at difficulty "
            f"{difficulty[0]} to {difficulty[1]}; ask for at most {known} or widen the difficulty"
        )
    deck = Deck(member, difficulty, seed, set())
    plan = Plan("train", seed)
    return (deck.deal(plan) for _ in range(count))


def generate_splits(config: ProblemsConfig, seed: int) -> dict[str, list[Problem]]:
    """Every split the config asks for, by name: val, test, train and the rings.

    Validation and test are dealt before train, so that a larger train set leaves them as they were. Families take
    turns and so do the difficulties within each: even a small split is spread evenly.
    """
    seen: set[str] = set()
    decks = [Deck(family_named(name), config.range_of(name), seed, seen) for name in config.families]
    sizes: tuple[tuple[Split, int], ...] = (
        ("val", config.val_size), ("test", config.test_size), ("train", config.train_size),
    )  # fmt: skip
    splits = {name: _deal(decks, name, size, config, seed) for name, size in sizes}
    return {name: splits[name] for name in ("train", "val", "test") if splits[name]}


def _deal(decks: Sequence[Deck], split: Split, size: int, config: ProblemsConfig, seed: int) -> list[Problem]:
    plan = Plan(split, seed, config.shown_cases, config.hidden_cases)
    turns = itertools.cycle(decks)
    return [next(turns).deal(plan) for _ in range(size)]


def audit_cases(problem: Problem) -> tuple[Case, ...]:
    """A second hidden set of the same size, from another stream, without any call of the first or of the prompt.

    Empty where no second set can be made: HumanEval and direct answers. The same problem gives the same cases.
    """
    if problem.family not in GENERATORS:
        return ()
    family = GENERATORS[problem.family]

    names = json.loads(problem.variant)
    variant = family.space.variant(names)
    rng = seeds.stream(0, "audit", problem.problem_id)
    taken = {case.args for case in (*problem.shown, *problem.cases)}
    run = load(problem.reference_solution, problem.entry_point)
    size = size_at(problem.difficulty)
    cases = draw_cases(family, variant, run, rng, len(problem.cases), size, taken, STRATA)
    if cases is None:
        raise DataError(f"problem {problem.problem_id} of {problem.family} has no second hidden set")
    return cases


def behaviour(problem: Problem) -> str:
    """Fingerprint of what the problem asks for, from its reference solution on the common probe set."""

    family = GENERATORS[problem.family]
    variant = family.space.variant(json.loads(problem.variant))
    return fingerprint(family, variant, load(problem.reference_solution, problem.entry_point))


def prove_disjoint(splits: Mapping[str, Sequence[Problem]]) -> list[dict[str, Any]]:
    """One row for each pair of splits: their sizes and what they share, which must be nothing.

    Raises DataError naming the first two problems that are one, by canonical variant or by behaviour.
    """
    known = {
        name: {p.problem_id: (f"{p.family}:{p.variant}", behaviour(p)) for p in rows} for name, rows in splits.items()
    }
    rows = []
    for left, right in itertools.combinations(splits, 2):
        for aspect, label in enumerate(("variant", "behaviour")):
            first = {marks[aspect]: key for key, marks in known[left].items()}
            for key, marks in known[right].items():
                if marks[aspect] in first:
                    raise DataError(
                        f"problem {first[marks[aspect]]} of {left} and problem {key} of {right} have the same {label}; "
                        f"generate the splits again, they must be disjoint"
                    )
        rows.append({"left": left, "right": right, "left_size": len(splits[left]), "right_size": len(splits[right]),
                     "shared_variants": 0, "shared_behaviours": 0})  # fmt: skip
    return rows
