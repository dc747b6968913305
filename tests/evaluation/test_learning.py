"""What a round of draws could teach, and what was forgotten: counts against the definition."""

import pytest

from axiom.evaluation import Counters, forgetting_metrics, group_metrics, wilson_interval
from axiom.records import History
from tests.selection.test_selection import sample, verdict


def test_groups_are_all_right_all_wrong_or_mixed():
    told = {"a": "++", "b": "--", "c": "+-", "d": "+", "e": "-+-"}
    rows = [(sample(key, mark, n), mark) for key, marks in told.items() for n, mark in enumerate(marks)]
    samples = [row for row, _ in rows]
    verdicts = [verdict(row, "passed" if mark == "+" else "timeout") for row, mark in rows]
    found = {row.name: row.value for row in group_metrics(samples, verdicts, 3, Counters())}
    assert found == {"groups_all_right": 2, "groups_all_wrong": 1, "groups_mixed": 2}
    assert sum(found.values()) == len(told)


def known(family: str, last_round: int | None, stable: int | None, lost: int | None) -> History:
    return History(
        problem_id=f"{family}{last_round}{stable}{lost}",
        family=family,
        difficulty=1,
        last_round=last_round,
        evaluations_stable=stable,
        evaluations_lost=lost,
        draws_stable=lost,
    )


def test_forgotten_is_what_was_stable_and_is_lost_by_family_and_in_what_left_the_training_set():
    history = [
        known("stays", 9, 2, 7),
        known("stays", 9, 2, None),
        known("stays", 9, None, None),
        known("left", 4, 3, 8),
        known("left", 4, 3, 6),
        known("never", None, 3, 6),
    ]
    found = {(row.name, row.family): (row.value, row.n) for row in forgetting_metrics(history, 9, Counters(), 0.9)}
    assert found == {
        ("forgotten", None): (4 / 5, 5),
        ("forgotten", "stays"): (1 / 2, 2),
        ("forgotten", "left"): (1.0, 2),
        ("forgotten", "never"): (1.0, 1),
        ("forgotten_left", None): (1.0, 2),
        ("forgotten_left", "left"): (1.0, 2),
        ("forgotten_draws", None): (0.0, 4),
        ("forgotten_draws", "stays"): (0.0, 1),
        ("forgotten_draws", "left"): (0.0, 2),
        ("forgotten_draws", "never"): (0.0, 1),
    }
    row = forgetting_metrics(history, 9, Counters(), 0.9)[0]
    assert (row.low, row.high) == pytest.approx(wilson_interval(4, 5, 0.9))
    assert (row.split, row.iteration) == ("train", 9)
    assert forgetting_metrics([], 9, Counters(), 0.9) == []
