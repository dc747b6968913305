"""The splits of an experiment, which keep apart by construction."""

from axiom.config import ProblemsConfig
from axiom.errors import DataError
from axiom.problems.cases.building import second_cases
from axiom.problems.registry import family_named
from axiom.problems.splits.decks import Dealt, deal, deck_of
from axiom.problems.splits.overlap import subject
from axiom.problems.splits.rings import STRETCH, apart, of_train, plan_of
from axiom.records import Case, Problem, Split


def generate_splits(config: ProblemsConfig, seed: int) -> dict[str, list[Problem]]:
    """Every split the config asks for, by name: train, val, test, the rings, HumanEval.

    A problem is dealt only if its program solves no problem of another split, and no program of another split solves
    it. The held-out splits are dealt first, and so does train give way to them: a larger train set leaves them as they
    were. Families take turns and so do the difficulties within each, so that a small split is spread evenly too.
    """
    dealt = Dealt()
    decks = [deck_of(name, config.range_of(name), seed, dealt) for name in config.families]
    splits: dict[Split, list[Problem]] = {"train": []}
    if config.humaneval:
        from axiom.problems.sources.humaneval import humaneval_problems  # reads a package that only this needs

        splits["humaneval"] = list(humaneval_problems())
        for problem in splits["humaneval"]:
            dealt.add(subject(problem))
    sizes: dict[Split, int] = {"val": config.val_size, "test": config.test_size}
    splits |= {split: deal(decks, plan_of(config, split, seed), size) for split, size in sizes.items()}
    splits |= apart(config, seed, dealt) if config.ood_size else {}
    splits["train"] = deal(decks, plan_of(config, "train", seed), config.train_size)
    splits |= of_train(config, seed, splits["train"], dealt) if config.ood_size else {}
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
