"""Programs are told apart by syntax and by behaviour; what is run is bounded, and the same in every round."""

import math

import pytest

from axiom.config import ProblemsConfig, SandboxConfig
from axiom.evaluation import Counters
from axiom.evaluation.diversity import diversity, diversity_metrics, entropy, programs, to_run
from axiom.problems import generate_splits
from axiom.verification import Verifier
from axiom.verification.behaviour import behaviour
from tests.report.stores import problem, sample

SQUARE, POWER, COMMENTED = (
    "def f(x):\n    return x * x",
    "def f(x):\n    return x ** 2",
    "def f(x):\n    return x * x  # so",
)
PROBLEM = problem("one", "family", "train")


def drawn(*codes, of=PROBLEM):
    return [sample(of, 1, "train", number, code) for number, code in enumerate(codes)]


def test_programs_differ_by_their_syntax_trees_and_behaviours_by_what_they_return():
    found = programs(drawn(SQUARE, COMMENTED, SQUARE, POWER))
    assert [(one.code, count) for one, count in found["one"]] == [(SQUARE, 3), (POWER, 1)]
    first, second = (one.sample_id for one, _ in found["one"])
    (alike,) = diversity(found, {first: ("1", "4"), second: ("1", "4")})
    assert (alike.samples, alike.programs, alike.behaviours) == (4, 2, 1)
    assert alike.behaviour_entropy == 0
    assert alike.program_entropy == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert alike.characters == len(SQUARE) / 2 + len(POWER) / 2
    (apart,) = diversity(found, {first: ("1", "4"), second: ("1", "error")})
    assert apart.behaviours == 2
    assert apart.behaviour_entropy == apart.program_entropy


def test_nothing_is_said_of_behaviours_where_a_program_was_not_run_or_ended_the_sandbox():
    found = programs(drawn(SQUARE, POWER))
    first, second = (one.sample_id for one, _ in found["one"])
    for known in ({}, {first: ("1",)}, {first: ("1",), second: ()}):
        (row,) = diversity(found, known)
        assert (row.programs, row.behaviours, row.behaviour_entropy) == (2, None, None)


def test_answers_are_told_apart_as_texts():
    found = programs(drawn("(1)", "1"), ["one"])
    assert len(found["one"]) == 2
    assert len(programs(drawn("(1)", "1"))["one"]) == 1


def test_what_is_run_is_whole_problems_up_to_the_limit_in_an_order_of_the_seed():
    many = [problem(f"p{number}", "family", "train") for number in range(6)]
    found = programs([one for of in many for one in drawn(SQUARE, POWER, COMMENTED, of=of)])
    assert to_run(found, 0, 1) == []
    assert len(to_run(found, 99, 1)) == 12
    some = to_run(found, 7, 1)
    assert len(some) == 6, "a problem whose programs do not fit is left out whole"
    shuffled = dict(reversed(found.items()))
    assert [one.sample_id for one in to_run(shuffled, 7, 1)] == [one.sample_id for one in some]
    orders = {tuple(one.problem_id for one in to_run(found, 7, seed)) for seed in range(9)}
    assert len(orders) > 1


def test_entropy_is_that_of_the_shares():
    assert entropy([5]) == 0
    assert entropy([2, 2, 2]) == pytest.approx(math.log(3))


def test_metrics_are_means_over_the_problems_each_is_known_of():
    two = problem("two", "family", "train")
    found = programs(drawn(SQUARE, POWER, SQUARE) + drawn(SQUARE, of=two))
    (only,) = (one for one, _ in found["two"])
    rows = diversity(found, {only.sample_id: ("1",)})
    metrics = {metric.name: (metric.value, metric.n) for metric in diversity_metrics(rows, 4, Counters())}
    assert metrics["accepted_samples"] == (2.0, 2)
    assert metrics["distinct_programs"] == (1.5, 2)
    assert metrics["distinct_behaviours"] == (1.0, 1)
    assert metrics["behaviour_entropy"] == (0.0, 1)
    assert diversity_metrics([], 4, Counters()) == []


def test_correct_programs_that_differ_beyond_their_cases_are_found_in_the_sandbox():
    config = ProblemsConfig(families=("list_filter",), train_size=1, val_size=1, test_size=1)
    of = generate_splits(config, 3)["train"][0]
    entry, reference = of.entry_point, of.reference_solution
    narrow = f"{reference}\n\nkept = {entry}\n\ndef {entry}(given):\n    return kept(given) if len(given) < 3 else []"
    found = programs(drawn(reference, f"{reference}\n\nunused = 1", narrow, of=of))
    with Verifier(SandboxConfig(workers=1)) as verifier:
        returned = behaviour({of.problem_id: of}, to_run(found, 9, 0), verifier)
    (row,) = diversity(found, returned)
    assert (row.samples, row.programs, row.behaviours) == (3, 3, 2)
