"""Problems that are not our families: `reasoning_gym:leg_counting` asks the source `reasoning_gym` for its questions.

A source is one module or package here, whose name is the source's; it defines `SOURCE`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from axiom.config.names import FROM
from axiom.problems.cases.building import Plan
from axiom.records import Outcome, Problem


class Questions(Protocol):
    """Problems in an order that a seed decides."""

    def draw(self, plan: Plan) -> Problem:
        """The next problem, which has not been drawn. Raises ConfigError when there are no more."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of an answer: its score from 0 to 1, its outcome, and a line that says why it is no pass."""

    value: float
    outcome: Outcome
    detail: str


@dataclass(frozen=True)
class Source:
    """Where problems of kind `answer` come from. `family` is the whole name, `source:item`.

    `check(family)` raises ConfigError when there is no such item; `questions(family, difficulties, seed, seen)` opens
    its problems, none of whose descriptions is in `seen`; `judge(problem, text, without)` judges an answer, in a
    sandbox without the layers `without`, and raises SandboxError when the machine fails.
    """

    check: Callable[[str], None]
    questions: Callable[[str, tuple[int, int], int, set[str]], Questions]
    judge: Callable[[Problem, str, tuple[str, ...]], Judged]


def is_sourced(family: str) -> bool:
    """Whether `family` names an item of a source."""
    return FROM in family


def source_of(family: str) -> Source:
    """The source that `family` begins with, one of `axiom.config.names.SOURCES`."""
    found: Source = importlib.import_module(f"{__name__}.{family.partition(FROM)[0]}").SOURCE
    return found
