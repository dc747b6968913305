"""Where a round's draws go: the budget to the draw, the same in any order, and the adaptive rule against all others."""

import itertools
import random

import pytest
from hypothesis import example, given, strategies as st

from axiom.config import SamplingConfig, load_config
from axiom.config.schema import MOST_DRAWS
from axiom.errors import ConfigError
from axiom.records import History
from axiom.sampling.requests import requests
from axiom.selection.allocation import allocate, gain, is_solved, spread
from axiom.selection.checks import check_selection
from tests.selection.test_selection import PROBLEM

RULES = ("uniform", "unsolved_first", "adaptive", "stop_when_solved")


def row(number: int, recent: tuple[float, float] = (0, 0), solved: bool = False, lost: bool = False) -> History:
    return History(
        problem_id=f"p{number}",
        family="f",
        difficulty=1,
        recent_draws=recent[0],
        recent_passes=recent[1],
        first_solved=1 if solved else None,
        evaluations_lost=2 if lost else None,
    )


rows = st.lists(
    st.tuples(st.integers(0, 30), st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=12
).map(lambda told: [row(n, (d, d * share), s, lost) for n, (d, share, s, lost) in enumerate(told)])


@given(rows, st.sampled_from(RULES), st.integers(1, 9), st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_budget_is_kept_to_the_draw_and_the_order_of_problems_says_nothing(history, rule, each, least, rng):
    config = SamplingConfig(samples_per_problem=each, allocation=rule, min_draws=min(least, each))
    plan = allocate(history, config, 3, 5)
    assert sum(plan.values()) == each * len(history)
    assert plan.keys() == {one.problem_id for one in history}
    assert allocate(rng.sample(history, len(history)), config, 3, 5) == plan
    floor = config.min_draws if rule in ("unsolved_first", "adaptive") else 0
    assert min(plan.values()) >= floor
    open_rows = [one.problem_id for one in history if not is_solved(one)]
    closed = {one.problem_id for one in history} - set(open_rows)
    if rule == "uniform":
        assert set(plan.values()) == {each}
    elif rule != "adaptive" and open_rows:
        assert {plan[name] for name in closed} <= {floor}
        assert max(plan[name] for name in open_rows) - min(plan[name] for name in open_rows) <= 1
    elif rule != "adaptive":
        assert set(plan.values()) == {each}, "all are solved: as if none were"


def test_a_problem_that_was_solved_and_lost_is_unsolved_again():
    assert [is_solved(one) for one in (row(1), row(1, solved=True), row(1, solved=True, lost=True))] == [
        False,
        True,
        False,
    ]
    assert not is_solved(row(1, solved=True).model_copy(update={"draws_lost": 3}))


def expected(history: list[History], plan: tuple[int, ...]) -> float:
    """Problems with a pass in the round, by summing over the draws one by one."""
    return sum(gain(one, n) for one, draws in zip(history, plan, strict=True) for n in range(draws))


small = st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=1, max_size=4)


@given(small, st.integers(1, 3), st.integers(0, 1))
@example([(20, 1.0), (20, 0.0), (0, 0.0)], 3, 0)
def test_no_other_plan_of_as_many_draws_expects_more_problems_with_a_pass(told, each, least):
    history = [row(n, (draws, draws * share)) for n, (draws, share) in enumerate(told)]
    config = SamplingConfig(samples_per_problem=each, allocation="adaptive", min_draws=least)
    plan = allocate(history, config, 0, 1)
    total = each * len(history)
    others = itertools.product(range(least, total + 1), repeat=len(history))
    best = max(expected(history, other) for other in others if sum(other) == total)
    assert expected(history, tuple(plan[one.problem_id] for one in history)) == pytest.approx(best)


def test_the_gain_is_the_chance_of_a_first_pass_under_the_posterior():
    """Against draws from the posterior itself, and against its sum: all gains together are one."""
    one, rng = row(1, (6, 2)), random.Random(1)
    first = [0] * 4
    for _ in range(40_000):
        rate = rng.betavariate(3, 5)
        place = next((n for n in range(4) if rng.random() < rate), None)
        if place is not None:
            first[place] += 1
    assert [count / 40_000 for count in first] == pytest.approx([gain(one, n) for n in range(4)], abs=0.01)
    assert sum(gain(one, n) for n in range(3000)) == pytest.approx(1, abs=1e-3)


def test_adaptive_draws_go_to_problems_in_between():
    history = [row(1, (40, 40)), row(2, (40, 10)), row(3, (400, 0))]
    plan = allocate(history, SamplingConfig(samples_per_problem=8, allocation="adaptive", min_draws=0), 0, 1)
    assert plan["p2"] > plan["p3"]
    assert plan["p2"] > plan["p1"] >= 1


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9), min_size=1), st.integers(0, 60))
def test_units_are_spread_as_evenly_as_there_is_room(room, total):
    given_out = spread(total, room)
    assert sum(given_out.values()) == min(total, sum(room.values()))
    free = [count for key, count in given_out.items() if count < room[key]]
    assert all(count <= room[key] for key, count in given_out.items())
    assert not free or max(given_out.values()) - min(free) <= 1


def test_one_unsolved_problem_does_not_get_more_than_can_be_asked_for():
    history = [row(0), *(row(n, solved=True) for n in range(1, 400))]
    plan = allocate(history, SamplingConfig(samples_per_problem=4, allocation="stop_when_solved"), 0, 1)
    assert plan["p0"] == MOST_DRAWS
    assert sum(plan.values()) == 1600
    one = allocate(
        [row(n, (10_000, 0 if n == 0 else 10_000)) for n in range(3)],
        SamplingConfig(samples_per_problem=1024, allocation="adaptive"),
        0,
        1,
    )
    assert set(one.values()) == {1024}


def test_odd_draws_fall_by_lot_and_to_others_in_another_round():
    history = [row(n, solved=n > 2) for n in range(10)]
    config = SamplingConfig(samples_per_problem=1, allocation="stop_when_solved")
    winners = {
        tuple(sorted(name for name, draws in allocate(history, config, seed, number).items() if draws == 4))
        for seed in range(3)
        for number in range(10)
    }
    assert winners == {("p0",), ("p1",), ("p2",)}


def test_requests_ask_for_each_problems_draws_and_for_none_of_a_problem_without():
    problems = [PROBLEM.model_copy(update={"problem_id": name}) for name in "ab"]
    asked = requests(problems, lambda p: "x", load_config(), "train", 1, {"a": 3, "b": 0})
    assert [(r.request_id, r.n) for r in asked] == [("a:draw", 3)]


def test_what_makes_no_sense_is_refused():
    for rule in RULES[1:]:
        with pytest.raises(ConfigError, match="arm 'static_rft' draws all its samples in round 1"):
            check_selection(load_config(arm="static_rft", **{"sampling.allocation": rule}), 100)
        check_selection(load_config(arm="sft_reference", **{"sampling.allocation": rule}), 100)
    check_selection(load_config(arm="static_rft"), 100)
    with pytest.raises(ConfigError, match=r"sampling\.min_draws = 5 is more than"):
        load_config(**{"sampling.min_draws": 5})
