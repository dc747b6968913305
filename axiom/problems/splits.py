"""Splits that cannot meet, and the proof that they do not."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from axiom import seeds
from axiom.config import ProblemsConfig
from axiom.errors import DataError
from axiom.problems.building import fingerprint, size_at
from axiom.problems.decks import deal, deck_of
from axiom.problems.drawing import Drawing
from axiom.problems.family import load
from axiom.problems.inputs import STRATA, Quick
from axiom.problems.registry import family_named
from axiom.problems.rings import plan_of, rings
from axiom.problems.space import parsed
from axiom.records import Case, Problem, Split


def generate_splits(config: ProblemsConfig, seed: int) -> dict[str, list[Problem]]:
    """Every split the config asks for, by name: train, val, test, the rings, HumanEval.

    Validation and test are dealt before train, so that a larger train set leaves them as they were. Families take
    turns and so do the difficulties within each: even a small split is spread evenly.
    """
    seen: set[str] = set()
    decks = [deck_of(name, config.range_of(name), seed, seen) for name in config.families]
    sizes: dict[Split, int] = {"val": config.val_size, "test": config.test_size, "train": config.train_size}
    dealt = {split: deal(decks, plan_of(config, split, seed), size) for split, size in sizes.items()}
    splits: dict[str, list[Problem]] = {"train": dealt["train"], "val": dealt["val"], "test": dealt["test"]}
    if config.ood_size:
        splits |= rings(config, seed, dealt["train"], seen)
    if config.humaneval:
        from axiom.problems.humaneval import humaneval_problems  # reads a package that only this needs

        splits["humaneval"] = list(humaneval_problems())
    return {name: problems for name, problems in splits.items() if problems}


def audit_cases(problem: Problem) -> tuple[Case, ...]:
    """A second hidden set, from another stream, without any call of the first or of the prompt.

    It is of the same size where the problem has so many further calls with varied results, else smaller. Empty where no
    second set can be made: HumanEval and direct answers. The same problem gives the same cases.
    """
    if problem.kind == "answer" or problem.split == "humaneval":
        return ()
    family = family_named(problem.family)
    variant = family.space.variant(parsed(problem.variant))
    rng = Quick(seeds.derive(0, "audit", problem.problem_id))
    taken = {case.args for case in (*problem.shown, *problem.cases)}
    source, size = problem.reference_solution, size_at(problem.difficulty)
    drawing = Drawing(family, variant, source, load(source, problem.entry_point), rng, size, taken)
    cases = drawing.cases(len(problem.cases), STRATA)
    if not cases:
        raise DataError(f"problem {problem.problem_id} of {problem.family} has no further cases; lower hidden_cases")
    return cases


def behaviour(problem: Problem) -> str:
    """What the problem asks for: its reference solution's results on the common probe set, or its own text."""
    if problem.kind == "answer" or problem.split == "humaneval":
        return problem.description
    family = family_named(problem.family)
    variant = family.space.variant(parsed(problem.variant))
    return fingerprint(family, variant, load(problem.reference_solution, problem.entry_point))


def prove_disjoint(splits: Mapping[str, Sequence[Problem]]) -> list[dict[str, Any]]:
    """One row for each pair of splits: their sizes, and how many variants, behaviours and calls they share.

    The ring of unseen cases shares its variants with train by intention; there it is the calls that must not meet.
    Raises DataError naming the first two problems that are one.
    """
    variants = {name: {f"{p.family}:{p.variant}": p for p in problems} for name, problems in splits.items()}
    behaviours = {name: {behaviour(p): p for p in problems} for name, problems in splits.items()}
    rows = []
    for left, right in itertools.combinations(splits, 2):
        row = {"left": left, "right": right, "left_size": len(splits[left]), "right_size": len(splits[right])}
        if {left, right} == {"train", "ood_cases"}:
            calls = [{f"{key}{c.args}": p for key, p in variants[name].items() for c in (*p.shown, *p.cases)}
                     for name in (left, right)]  # fmt: skip
            rows.append(row | {"shared": _refuse_shared("call", left, calls[0], calls[1], right), "compared": "calls"})
            continue
        _refuse_shared("variant", left, variants[left], variants[right], right)
        _refuse_shared("behaviour", left, behaviours[left], behaviours[right], right)
        rows.append(row | {"shared": 0, "compared": "variants and behaviours"})
    return rows


def _refuse_shared(
    aspect: str, left: str, first: Mapping[str, Problem], second: Mapping[str, Problem], right: str
) -> int:
    """0, the number of keys that two splits share. Raises DataError for the first that they do share."""
    for key in first.keys() & second.keys():
        raise DataError(
            f"problem {first[key].problem_id} of {left} and problem {second[key].problem_id} of {right} have the same "
            f"{aspect} ({first[key].family} {first[key].variant}); splits must be disjoint, generate them again"
        )
    return 0
