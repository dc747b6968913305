"""The history of training problems: counted exactly, in any order of arrival, and forgotten only what was stable."""

import random

import pytest
from hypothesis import given, strategies as st

from axiom.records import Evaluation, History
from axiom.selection.history import MEMORY, after_evaluation, after_round, begin, is_lost, solve_rate, was_stable
from tests.selection.test_selection import PROBLEM, sample, verdict

PROBLEMS = [PROBLEM.model_copy(update={"problem_id": name, "difficulty": n}) for n, name in enumerate("pqr", 1)]


def drawn(passes: dict[str, list[bool]], iteration: int):
    """Samples and verdicts of a round: of each problem whether each draw passed."""
    rows = [
        (sample(problem, f"x = {n}", n, iteration), passed)
        for problem, outcomes in passes.items()
        for n, passed in enumerate(outcomes)
    ]
    return [row for row, _ in rows], [verdict(row, "passed" if passed else "wrong_answer") for row, passed in rows]


def evaluated(correct: dict[str, bool | None]) -> list[Evaluation]:
    return [
        Evaluation(problem_id=key, split="train", family="f", difficulty=1, n=0, correct=0, greedy_correct=value)
        for key, value in correct.items()
    ]


rounds = st.lists(st.dictionaries(st.sampled_from("pqr"), st.lists(st.booleans(), min_size=1, max_size=4)), max_size=6)


@given(rounds, st.randoms(use_true_random=False))
def test_counts_are_those_of_all_rounds_together_whatever_order_samples_fell_in(told, rng: random.Random):
    history = shuffled = begin(PROBLEMS)
    for number, passes in enumerate(told, 1):
        rows, verdicts = drawn(passes, number)
        history = after_round(history, rows, verdicts, number)
        shuffled = after_round(shuffled, rng.sample(rows, len(rows)), rng.sample(verdicts, len(rows)), number)
    assert history == shuffled
    for row in history:
        mine = [(n, passes[row.problem_id]) for n, passes in enumerate(told, 1) if row.problem_id in passes]
        solved = [n for n, outcomes in mine if any(outcomes)]
        assert row.draws == sum(len(outcomes) for _, outcomes in mine)
        assert row.passes == sum(sum(outcomes) for _, outcomes in mine)
        assert (row.first_solved, row.last_solved) == ((solved[0], solved[-1]) if solved else (None, None))
        assert row.last_round == (mine[-1][0] if mine else None)
        assert (row.last_draws, row.last_passes) == ((len(mine[-1][1]), sum(mine[-1][1])) if mine else (0, 0))
        weights = [MEMORY**age for age in range(len(mine))]
        newest_first = list(zip(weights, (outcomes for _, outcomes in reversed(mine)), strict=True))
        assert row.recent_passes == pytest.approx(sum(weight * sum(outcomes) for weight, outcomes in newest_first))
        assert row.recent_draws == pytest.approx(sum(weight * len(outcomes) for weight, outcomes in newest_first))
        assert 0 < solve_rate(row) < 1


def test_a_pass_that_the_audit_refused_is_no_pass():
    rows = [sample("p", "x = 1", n) for n in range(3)]
    verdicts = [verdict(rows[0]), verdict(rows[1], audit=False), verdict(rows[2], audit=None)]
    assert after_round(begin(PROBLEMS), rows, verdicts, 1)[0].passes == 2


@given(st.lists(st.sampled_from([True, False, None]), max_size=12), st.sampled_from(["draws", "evaluations"]))
def test_stable_is_twice_in_a_row_and_lost_is_a_failure_since(told, kind):
    """Against the definition by hand; None is a round without draws, or an evaluation that left the problem out."""
    history, seen, stable, lost = begin(PROBLEMS[:1]), [], None, None
    for number, solved in enumerate(told, 1):
        if kind == "evaluations":
            history = after_evaluation(history, evaluated({"p": solved, "other": True}), number)
        else:
            history = after_round(history, *drawn({} if solved is None else {"p": [False, solved]}, number), number)
        seen += [] if solved is None else [solved]
        if solved and seen[-2:] == [True, True]:
            stable, lost = stable or number, None
        elif solved is False and stable and lost is None:
            lost = number
        (row,) = history
        assert (getattr(row, f"{kind}_stable"), getattr(row, f"{kind}_lost")) == (stable, lost)
        assert (was_stable(row, kind), is_lost(row, kind)) == (stable is not None, lost is not None)
    other = "draws" if kind == "evaluations" else "evaluations"
    assert not was_stable(history[0], other), "each goes by its own observations"


def test_the_first_version_of_a_row_is_of_its_problem():
    assert begin(PROBLEMS) == [
        History(problem_id=p.problem_id, family="list_sort", difficulty=p.difficulty) for p in PROBLEMS
    ]
    assert {solve_rate(row) for row in begin(PROBLEMS)} == {0.5}
