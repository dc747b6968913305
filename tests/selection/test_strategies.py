"""Strategies, weights, the least gold and what was passed over: laws, and what each is for."""
# ruff: noqa: TID253

import random
from collections import Counter

import pytest
import torch
from hypothesis import given, strategies as st

from axiom.config import SandboxConfig, SelectionConfig, load_config
from axiom.errors import ConfigError
from axiom.learners.modular import (
    ModularLearner,
    Pairs,
    Trainer,
    answers,
    logits,
    make_modular_problems,
    new_network,
)
from axiom.models import Policy
from axiom.problems import generate
from axiom.problems.cases.building import probe_calls
from axiom.records import Gold
from axiom.selection import accepted, select, to_gold
from axiom.selection.arms import ARMS
from axiom.selection.checks import check_selection
from axiom.selection.passed_over import passed_over
from axiom.selection.strategies import Known, edges, tree_distance
from axiom.selection.weights import weighted
from axiom.training import Round
from axiom.verification import Verifier
from axiom.verification.behaviour import behaviour
from tests.selection.test_selection import PROBLEM, sample, verdict

STRATEGIES = ("shortest", "diverse", "hardest", "uniform")
TEXTS = ["x=1", "x=22", "y=[1]", "y=[2, 3]", "z=f(1)", "z=f(2, 3)", "z=(1)"]
drawn = st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from(TEXTS)), max_size=30)


def known(seed: int = 0) -> Known:
    rates = {"p": 0.9, "q": 0.1, "r": 0.5}
    return Known(seed, rates, lambda rows: {row.sample_id: [row.code[0], row.code[-1]] for row in rows})


@given(
    drawn,
    st.sampled_from(STRATEGIES),
    st.integers(1, 3),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
def test_every_strategy_keeps_distinct_programs_within_both_limits_whatever_the_order(told, strategy, cap, most, rng):
    rows = [sample(problem, code, number) for number, (problem, code) in enumerate(told)]
    config = SelectionConfig(strategy=strategy, max_per_problem=cap, max_rows=most)
    gold = select(rows, config, known=known())
    assert max(Counter(row.problem_id for row in gold).values(), default=0) <= cap
    everything = sum(min(cap, count) for count in distinct(told).values())
    assert len(gold) == (min(most, everything) if most else everything)
    assert len({(row.problem_id, row.target) for row in gold}) == len(gold)
    again = select(rng.sample(rows, len(rows)), config, known=known())
    assert sorted(gold, key=str) == sorted(again, key=str)
    assert {row.reason for row in gold} <= {"verified" if strategy == "shortest" else f"verified, {strategy}"}


def distinct(told) -> Counter[str]:
    """Distinct programs of each problem: `z=(1)` has no other form here, and every other text is its own program."""
    return Counter(problem for problem, _ in set(told))


@given(drawn, st.integers(1, 9))
def test_hardest_takes_all_of_the_problem_that_is_solved_least_and_others_take_turns(told, most):
    rows = [sample(problem, code, number) for number, (problem, code) in enumerate(told)]
    wanted = Counter()
    for problem in "qrsp":  # 0.1, then 0.5 of which `s` is one because nothing is known of it, then 0.9
        wanted[problem] = min(distinct(told)[problem], most - wanted.total())
    hard = select(rows, SelectionConfig(strategy="hardest", max_rows=most, max_per_problem=9), known=known())
    found = Counter(row.problem_id for row in hard)
    assert (found["q"], found["r"] + found["s"], found["p"]) == (wanted["q"], wanted["r"] + wanted["s"], wanted["p"])
    for strategy in ("shortest", "uniform", "diverse"):
        gold = select(rows, SelectionConfig(strategy=strategy, max_rows=most, max_per_problem=9), known=known())
        counts = Counter(row.problem_id for row in gold)
        open_ones = [counts[problem] for problem in distinct(told) if counts[problem] < distinct(told)[problem]]
        assert not open_ones or max(counts.values(), default=0) - min(open_ones) <= 1


def test_by_lot_each_program_has_the_same_chance():
    """Chi-square over 400 rounds at 99.9 %: the shortest text is not preferred."""
    rows = [sample("p", text, number) for number, text in enumerate(TEXTS)]
    config = SelectionConfig(strategy="uniform", max_per_problem=1)
    counts = Counter(select(rows, config, known=known(seed))[0].target for seed in range(400))
    expected = 400 / len(TEXTS)
    assert sum((counts[text] - expected) ** 2 / expected for text in TEXTS) < 22.46


def test_diverse_starts_with_the_shortest_and_goes_by_behaviour_then_by_syntax():
    told = {"a": "x=1", "b": "x=12", "c": "y=[1, 2]", "d": "y=[1, [2]]"}
    rows = [sample("p", code, number) for number, code in enumerate(told.values())]
    acts = dict(zip((row.sample_id for row in rows), (["1", "1"], ["1", "2"], ["1", "1"], ["1", "1"]), strict=True))

    def kept(count: int, acts=acts) -> list[str]:
        config = SelectionConfig(strategy="diverse", max_per_problem=count)
        return [row.target for row in select(rows, config, known=Known(0, {}, lambda rows: acts))]

    assert kept(1) == ["x=1"]
    assert kept(2) == ["x=1", "x=12"], "the only one that returns something else"
    assert kept(3) == ["x=1", "x=12", "y=[1, [2]]"], "then the tree that is farthest"
    assert kept(3, {}) == ["x=1", "y=[1, [2]]", "x=12"], "nothing is known of what they return"


@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.sampled_from(TEXTS))
def test_the_distance_of_trees_is_a_metric(a, b, c):
    distance = {(x, y): tree_distance(edges(x), edges(y)) for x in (a, b, c) for y in (a, b, c)}
    assert distance[a, a] == 0
    assert distance[a, b] == distance[b, a]
    assert distance[a, c] <= distance[a, b] + distance[b, c] + 1e-12


def test_programs_that_pass_the_same_tests_are_told_apart_by_other_calls_in_the_sandbox():
    (problem,) = generate("list_filter", (1, 1), 1, 0)
    name = problem.entry_point
    reference = problem.reference_solution
    strict = (
        f"{reference}\n_inner = {name}\n"
        f"def {name}(*args):\n    if any(len(a) > 4 for a in args):\n        raise KeyError\n    return _inner(*args)"
    )
    ends = f"{reference}\ndef {name}(*args):\n    while True:\n        pass"
    rows = [sample(problem.problem_id, code, n) for n, code in enumerate((reference, reference + "\n\n", strict, ends))]
    with Verifier(SandboxConfig(workers=1, cpu_seconds=0.2)) as verifier:
        found = behaviour({problem.problem_id: problem}, rows, verifier)
        answer = sample("answer", "7", 9)
        kind = PROBLEM.model_copy(update={"kind": "answer", "problem_id": "answer"})
        assert behaviour({"answer": kind}, [answer], verifier) == {}
    first, same, other, endless = (found[row.sample_id] for row in rows)
    assert len(first) == len(probe_calls(problem)) > 10
    assert first == same != other
    assert set(endless) == {"-"}
    assert {one for one, two in zip(other, first, strict=True) if one != two} == {"E"}


rows_of_gold = st.lists(st.sampled_from("pqr"), min_size=1, max_size=20)


@given(rows_of_gold, st.sampled_from(["equal", "difficulty", "inverse_solve_rate"]))
def test_weights_have_mean_one_and_go_as_they_say(names, rule):
    problems = {name: PROBLEM.model_copy(update={"difficulty": n}) for n, name in enumerate("pqr", 2)}
    gold = [to_gold(sample(name, "x", n), "verified") for n, name in enumerate(names)]
    rates = {"p": 0.25, "q": 0.75}
    found = weighted(gold, SelectionConfig(weight=rule), problems, rates)
    assert sum(row.weight for row in found) / len(found) == pytest.approx(1)
    assert [row.model_copy(update={"weight": 1.0}) for row in found] == gold
    by = {"equal": dict.fromkeys("pqr", 1), "difficulty": {"p": 2, "q": 3, "r": 4}}
    wanted = by.get(rule, {"p": 4, "q": 4 / 3, "r": 2})
    ratios = {row.weight / wanted[row.problem_id] for row in found}
    assert max(ratios) == pytest.approx(min(ratios))


def test_weights_reach_the_loss(tmp_path):
    """The recorded loss of the first step is the weighted mean over the gold, taken from the network by hand."""
    config = load_config(None, ["model.kind=modular", "modular.p=7", "modular.steps_per_iteration=1"])
    learner, problems = ModularLearner(config), make_modular_problems(config)["train"]
    gold = [
        Gold(
            sample_id=p.problem_id,
            problem_id=p.problem_id,
            iteration=1,
            weight=1.0,
            reason="verified",
            target=p.reference_solution,
        )
        for p in problems
    ]
    rates = {problem.problem_id: 0.1 + 0.8 * (number % 2) for number, problem in enumerate(problems)}
    by_id = {problem.problem_id: problem for problem in problems}
    heavy = weighted(gold, SelectionConfig(weight="inverse_solve_rate"), by_id, rates)

    def first_loss(rows, folder) -> float:
        examples = [learner.example(by_id[row.problem_id], row) for row in rows]
        (step,) = learner.train(examples, Round(Policy("base", None), folder, 0, 1))
        return step.loss

    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    losses = first_loss(gold, tmp_path / "one"), first_loss(heavy, tmp_path / "other")
    trainer = Trainer(config.modular, new_network(config.modular, config.seed))
    pairs = Pairs.of([learner.prompt(problem) for problem in problems])
    right = torch.from_numpy(answers([problem.reference_solution for problem in problems]))
    each = torch.nn.functional.cross_entropy(logits(trainer.network, pairs), right, reduction="none").detach()
    weights = torch.tensor([1 / rates[problem.problem_id] for problem in problems])
    assert losses[0] == pytest.approx(float(each.mean()), rel=1e-5)
    assert losses[1] == pytest.approx(float((weights * each).sum() / weights.sum()), rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


@given(drawn, st.integers(1, 2), st.integers(0, 5), st.randoms(use_true_random=False))
def test_every_accepted_sample_is_gold_or_passed_over_with_a_reason_that_holds(told, cap, most, rng: random.Random):
    rows = [sample(problem, code, number) for number, (problem, code) in enumerate(told)]
    verdicts = [verdict(row, rng.choice(["passed", "timeout"])) for row in rows]
    config = SelectionConfig(max_per_problem=cap, max_rows=most)
    good = accepted(rows, verdicts)
    gold = select(good, config)
    left = passed_over(rows, verdicts, gold, config, {})
    assert {row.sample_id for row in gold} | {row.sample_id for row in left} == {row.sample_id for row in good}
    assert len(gold) + len(left) == len(good)
    code = {row.sample_id: (row.problem_id, row.code) for row in rows}
    counts = Counter(row.problem_id for row in gold)
    for row in left:
        if row.why == "duplicate":
            assert code[row.same_as] == code[row.sample_id]
            assert row.same_as != row.sample_id
        elif row.why == "max_per_problem":
            assert counts[row.problem_id] == cap
        else:
            assert (row.why, len(gold)) == ("max_rows", most)
    kinds = [code[row.sample_id] for row in left if row.why != "duplicate"]
    assert len(kinds) == len(set(kinds)), "of equal programs one at most is no duplicate"


def test_what_another_arm_left_is_said_to_be_the_arms():
    rows = [sample("p", "x = 1", 0), sample("p", "x = 1", 1), sample("p", "x = 2", 2)]
    gold = [to_gold(rows[0], "random")]
    left = passed_over(rows, [verdict(row) for row in rows], gold, SelectionConfig(), {}, by_selection=False)
    assert [(row.sample_id, row.why, row.same_as) for row in left] == [(row.sample_id, "arm", None) for row in rows[1:]]
    assert [name for name, arm in ARMS.items() if arm.by_selection] == ["expert_iteration"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"selection.strategy": "hardest"}, r"set selection\.max_rows as well"),
        ({"selection.strategy": "diverse", "model.kind": "modular"}, "the modular network answers with numbers"),
        ({"selection.weight": "difficulty", "model.kind": "modular"}, "their difficulty is 1"),
        (
            {"selection.weight": "difficulty", "training.batch_size": 1, "training.gradient_accumulation": 1},
            "puts one into each",
        ),
        ({"selection.min_gold": 401}, r"more than the 400 rows .* set at most 400"),
        ({"selection.min_gold": 11, "selection.max_rows": 10}, "more than the 10 rows"),
        ({"selection.min_gold": 301, "selection.max_per_problem": 3}, "more than the 300 rows"),
        ({"selection.min_gold": 101, "sampling.samples_per_problem": 1}, "more than the 100 rows"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused_in_one_sentence(settings, says):
    with pytest.raises(ConfigError, match=says) as error:
        check_selection(load_config(**settings), 100)
    assert "\n" not in str(error.value)


def test_settings_at_their_limit_are_not_refused():
    check_selection(load_config(**{"selection.min_gold": 400}), 100)
    check_selection(load_config(**{"selection.strategy": "hardest", "selection.max_rows": 1}), 100)
    check_selection(
        load_config(
            **{"selection.min_gold": 400, "sampling.samples_per_problem": 1, "sampling.allocation": "adaptive"}
        ),
        100,
    )
