"""Direct answers: problems of the package reasoning-gym, `reasoning_gym:<dataset>`, judged by its own scorers.

The scorers run in the sandbox (`axiom.problems.sources.reasoning_gym.scoring`): some evaluate the text they are given.

The package seeds item i of a dataset with seed + i, so that two datasets with near seeds share items. Here every
problem is the first item of a dataset of its own, whose seed is derived by name.
"""

import difflib
import functools
import json
import re
from typing import Any

from axiom import seeds, values
from axiom.errors import ConfigError
from axiom.problems.cases.building import Plan
from axiom.problems.sources import Judged, Source
from axiom.problems.sources.reasoning_gym.scoring import portable, scorer
from axiom.records import Case, Outcome, Problem

DATASET = "reasoning_gym:"
"""What the names of its families begin with."""

MOST_DRAWS = 200
"""Draws for one new question before the dataset counts as exhausted."""

REFUSED = {
    "composite": "it is a mixture of datasets",
    "game_of_life_halting": "its scorer accepts every text",
    "knight_swap": "its curriculum produces settings that it refuses",
}
"""Datasets that no experiment can use, and why."""

_NOT_A_NUMBER = re.compile(r"(?<![a-z])nan(?![a-hk-z])", re.IGNORECASE)
"""Scorers that measure a distance take it for none."""
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)


def check_dataset(family: str) -> None:
    """Raise ConfigError when the package or the dataset that `family` names is missing."""
    dataset = family.removeprefix(DATASET)
    known = _datasets()
    if dataset not in known:
        near = difflib.get_close_matches(dataset, known, 3, 0.4) or sorted(known)[:5]
        raise ConfigError(
            f"unknown dataset {dataset!r} in family {family!r}; reasoning-gym has {len(known)}, the nearest are "
            f"{', '.join(near)}"
        )
    if dataset in REFUSED:
        raise ConfigError(f"family {family!r} cannot be used: {REFUSED[dataset]}; name another dataset")


class QuestionSource:
    """Questions of one dataset in random order, each once."""

    def __init__(self, family: str, bounds: tuple[int, int], seed: int, seen: set[str]) -> None:
        check_dataset(family)
        self.family, self.seen = family, seen
        self._levels = range(bounds[0], bounds[1] + 1)
        self._seed, self._asked, self._drawn = seed, 0, 0

    def draw(self, plan: Plan) -> Problem:
        """The next question that has not been asked. Raises ConfigError when there are no more."""
        level = self._levels[self._asked % len(self._levels)]
        for _ in range(MOST_DRAWS):
            seed = seeds.derive(self._seed, "problems", self.family, level, self._drawn) % 2**31
            self._drawn += 1
            problem = _problem(self.family, level, seed, plan)
            if problem.description not in self.seen:
                self.seen.add(problem.description)
                self._asked += 1
                return problem
        raise ConfigError(
            f"family {self.family!r} gave no new question in {MOST_DRAWS} draws after {self._asked}; "
            f"ask for fewer problems or name more families"
        )


def scored(problem: Problem, completion: str, without: tuple[str, ...] = ()) -> Judged:
    """The scorer's word on the answer in `completion`, from the sandbox, whose layers `without` names are left out.

    The answer is what stands in the last `<answer>` tags, or else the whole completion, stripped.
    Raises SandboxError when the machine fails.
    """
    tagged = _TAGGED.findall(completion)
    text = (tagged[-1] if tagged else completion).strip()
    if _NOT_A_NUMBER.search(text) and not _NOT_A_NUMBER.search(problem.reference_solution):
        return Judged(0.0, Outcome.WRONG_ANSWER, "nan is no answer")
    variant = json.loads(problem.variant)
    parts = _parts(problem.family.removeprefix(DATASET), variant["difficulty"], variant["seed"])
    return scorer(without).score(parts, text)


def _problem(family: str, difficulty: int, seed: int, plan: Plan) -> Problem:
    dataset = family.removeprefix(DATASET)
    _, entry = _entry(dataset, difficulty, seed)
    variant = json.dumps({"dataset": dataset, "difficulty": difficulty, "seed": seed})
    arguments, expected = values.encode([entry["question"]]), values.encode(str(entry["answer"]))
    return Problem(
        problem_id=f"{seeds.derive(0, family, variant, entry['question']):016x}",
        family=family,
        variant=variant,
        difficulty=difficulty,
        split=plan.split,
        title=dataset,
        signature="",
        entry_point="",
        kind="answer",
        shown=(),
        description=f"{entry['question']}\n\nReply with only the answer.",
        reference_solution=str(entry["answer"]),
        cases=(Case(args=arguments, expected=expected),),
        input_data=arguments,
        expected_output=expected,
    )


@functools.lru_cache(512)
def _parts(name: str, difficulty: int, seed: int) -> bytes:
    return portable(name, *_entry(name, difficulty, seed))


def _entry(name: str, difficulty: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """A dataset of one item, and the item. Its curriculum, where it has one, is set to `difficulty` of 10."""
    from reasoning_gym.factory import create_curriculum, has_curriculum

    member, config = _datasets()[name]
    try:
        if has_curriculum(name):
            curriculum = create_curriculum(name)
            for attribute, definition in curriculum.attributes.items():
                curriculum.set_attr_level(attribute, round((difficulty - 1) / 9 * (len(definition.levels) - 1)))
            settings = curriculum.generate_configuration({"seed": seed, "size": 1})
        else:
            settings = config(seed=seed, size=1)
        dataset = member(settings)
        return dataset, dataset[0]
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"reasoning-gym's dataset {name!r} cannot make difficulty {difficulty} ({error}); "
            f"set [problems] difficulty_by_family to another one"
        ) from None


def _datasets() -> dict[str, tuple[Any, Any]]:
    """Dataset name to its class and the class of its config."""
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise ConfigError(
            f"families that begin with {DATASET!r} need the package reasoning-gym, which is not installed; "
            f"pip install 'axiom-rl[reasoning-gym]' or leave them out"
        ) from None
    datasets: dict[str, tuple[Any, Any]] = DATASETS
    return datasets


SOURCE = Source(check_dataset, QuestionSource, scored)
