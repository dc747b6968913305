"""All splits of an experiment, held out from each other by construction."""

from axiom.config import ProblemsConfig
from axiom.errors import DataError
from axiom.problems.cases.building import second_cases
from axiom.problems.registry import family_named
from axiom.problems.splits.out_of_distribution import STRETCH, composed, longer, plan_of, unseen_cases, unseen_families
from axiom.problems.splits.overlap import subject
from axiom.problems.splits.variants import Admitted, draw, questions_of
from axiom.records import Case, Problem, Split


def generate_splits(config: ProblemsConfig, seed: int) -> dict[str, list[Problem]]:
    """Every split the config asks for, by name: train, val, test, the out-of-distribution splits, HumanEval.

    A problem is admitted only if its program solves no problem of another split, and no program of another split solves
    it. The held-out splits are filled first, so a larger train set leaves them unchanged. Families take turns, and so
    do the difficulties within each, so that a small split is spread evenly too. The same seed gives the same splits.
    Raises ConfigError when a family is unknown or has too few variants.
    """
    admitted = Admitted()
    sources = [questions_of(name, config.range_of(name), seed, admitted) for name in config.families]
    splits: dict[Split, list[Problem]] = {"train": []}
    if config.humaneval:
        from axiom.problems.benchmarks.humaneval import humaneval_problems  # reads a package that only this needs

        splits["humaneval"] = list(humaneval_problems())
        for problem in splits["humaneval"]:
            admitted.add(subject(problem))
    sizes: dict[Split, int] = {"val": config.val_size, "test": config.test_size}
    splits |= {split: draw(sources, plan_of(config, split, seed), size) for split, size in sizes.items()}
    if config.ood_size:
        splits["ood_longer"] = longer(config, seed, admitted)
        splits["ood_family"] = unseen_families(config, seed, admitted)
    splits["train"] = draw(sources, plan_of(config, "train", seed), config.train_size)
    if config.ood_size:
        splits["ood_cases"] = unseen_cases(config, seed, splits["train"], admitted)
        splits["ood_composed"] = composed(config, seed, splits["train"], admitted)
    return {name: splits[name] for name in ORDER if splits.get(name)}


ORDER: tuple[Split, ...] = (
    "train",
    "val",
    "test",
    "ood_cases",
    "ood_longer",
    "ood_composed",
    "ood_family",
    "humaneval",
)


def audit_cases(problem: Problem) -> tuple[Case, ...]:
    """A second hidden set, from another stream, without any call of the first or of the prompt, and of the same size.

    Empty for HumanEval and direct answers, which have none. The same problem gives the same cases. Raises DataError
    for a problem that has too few further calls; problems that we generate have enough.
    """
    if problem.kind == "answer" or problem.split == "humaneval":
        return ()
    cases = second_cases(family_named(problem.family), problem, STRETCH if problem.split == "ood_longer" else 1)
    if not cases:
        raise DataError(
            f"problem {problem.problem_id} of {problem.family} has no {len(problem.cases)} further cases; "
            f"lower [problems] hidden_cases and generate the problems again"
        )
    return cases
