"""Which training problems a round draws: levels of difficulty, and when the next one comes.

The problems of all levels are made once, each difficulty from its own random stream, and a level is a part of them. So
two curricula see the same problems at the same level. Pure: the level of a round follows from the history before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from axiom.config import CurriculumConfig
from axiom.errors import ConfigError
from axiom.records import Gold, History, Problem, Sample
from axiom.rows import where

BY_LEVEL = ("linear", "success", "forced")
"""Kinds that draw the problems of a level; `self_paced` draws all and trains on some."""


@dataclass(frozen=True)
class Course:
    """The level in force in a round, from 1 on, and the problems that train.

    It began in round `since` and followed on the level `before`.
    """

    level: int
    since: int
    before: int | None
    problems: frozenset[str]

    def columns(self) -> dict[str, int | None]:
        """The level as columns of a history."""
        return {"level": self.level, "level_since": self.since, "level_before": self.before}


def levels_of(config: CurriculumConfig, problems: Iterable[Problem]) -> list[tuple[int, int]]:
    """The levels as ranges of difficulty. Raises ConfigError for one without a training problem."""
    there = sorted({problem.difficulty for problem in problems})
    found = list(config.levels) or [(difficulty, difficulty) for difficulty in there]
    for number, (low, high) in enumerate(found, 1):
        if not any(low <= difficulty <= high for difficulty in there):
            raise ConfigError(
                f"level {number} of [curriculum] levels, difficulty {low} to {high}, has no training problem: theirs "
                f"are {', '.join(map(str, there))}; change levels, or make more training problems"
            )
    return found


def course_of(
    config: CurriculumConfig,
    problems: Sequence[Problem],
    history: Sequence[History],
    iteration: int,
    given: int | None = None,
) -> Course:
    """The course of round `iteration` after the `history` of the rounds before; `given` is the level of a yoked run."""
    levels = levels_of(config, problems)
    last = history[0] if history else None
    if given is not None:
        number = given
    elif config.kind == "linear":
        number = 1 + (iteration - 1) // config.rounds
    elif last is None or last.level is None:
        number = 1
    else:
        rate = solve_rate_of(levels[min(last.level, len(levels)) - 1], history)
        number = last.level + step(rate, iteration - (last.level_since or 0), fell(last), config)
    number = max(1, min(number, len(levels)))
    low, high = levels[number - 1]
    low = levels[0][0] if config.keep_easier else low
    active = frozenset(problem.problem_id for problem in problems if low <= problem.difficulty <= high)
    if last is not None and last.level == number and last.level_since is not None:
        return Course(number, last.level_since, last.level_before, active)
    return Course(number, iteration, last.level if last else None, active)


def joined(
    course: Course | None, joins: Mapping[str, int], problems: Iterable[Problem], iteration: int
) -> Course | None:
    """The course without the families that join after round `iteration`.

    Without levels of difficulty the level counts the families that have joined: 1 before the first of them.
    """
    if not joins:
        return course
    there = frozenset(one.problem_id for one in problems if joins.get(one.family, 1) <= iteration)
    if course is not None:
        return replace(course, problems=course.problems & there)
    past = sorted(start for start in joins.values() if 1 < start <= iteration)
    since = past[-1] if past else 1
    before = 1 + sum(start < since for start in past) if past else None
    return Course(1 + len(past), since, before, there)


def fell(last: History) -> bool:
    """Whether the level in force followed on a higher one."""
    return last.level is not None and last.level_before is not None and last.level_before > last.level


def step(rate: float | None, rounds: int, fallen: bool, config: CurriculumConfig) -> int:
    """1 for the next level, -1 for the one below, 0 to stay, after `rounds` at a level.

    `rate` is the share of the level's last draws that passed, None if there were none. `success` goes up from the rate
    `up` on and down below `down`; in between it stays, so that it turns only once the rate has crossed both. The level
    above may be too hard however well this one is solved, so after a fall it waits for `config.rounds` before it tries
    again. `forced` goes up after `config.rounds` whatever the rate, and never down.
    """
    above = rate is not None and rate >= config.up
    if config.kind == "forced":
        return int(above or rounds >= config.rounds)
    if above:
        return int(not fallen or rounds >= config.rounds)
    return -int(rate is not None and rate < config.down)


def solve_rate_of(level: tuple[int, int], history: Sequence[History]) -> float | None:
    """Share of the last round's draws of the level's own problems that passed; None if there were none."""
    last = max((row.last_round for row in history if row.last_round is not None), default=None)
    rows = [row for row in history if row.last_round == last and level[0] <= row.difficulty <= level[1]]
    draws = sum(row.last_draws for row in rows) if last is not None else 0
    return sum(row.last_passes for row in rows) / draws if draws else None


def out_of_pace(config: CurriculumConfig, history: Iterable[History]) -> frozenset[str]:
    """For `self_paced` the problems that do not train: the share of their recent draws that passed is out of bounds."""
    if config.kind != "self_paced":
        return frozenset()
    return frozenset(
        row.problem_id
        for row in history
        if row.recent_draws and not config.low <= row.recent_passes / row.recent_draws <= config.high
    )


def without(samples: Sequence[Sample], problems: frozenset[str]) -> Sequence[Sample]:
    """The samples of all other problems."""
    return where(samples, "problem_id", problems, keep=False)


def within(gold: Sequence[Gold], course: Course | None) -> list[Gold]:
    """The gold of the course's problems; all of it without a course."""
    return [row for row in gold if course is None or row.problem_id in course.problems]


def plan_of(plan: Mapping[str, int], problems: Iterable[Problem]) -> dict[str, int]:
    """A plan of draws for all problems: none for those that are not in it."""
    return {problem.problem_id: plan.get(problem.problem_id, 0) for problem in problems}
