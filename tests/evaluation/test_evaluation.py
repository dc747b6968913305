"""Accuracies against published figures and outside references."""

import itertools
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from axiom.config import EvaluationConfig
from axiom.evaluation import (
    Counters,
    accuracy_metrics,
    count_metrics,
    evaluate,
    outcome_metrics,
    pass_at_k,
    wilson_interval,
)
from axiom.problems import generate
from axiom.records import Evaluation, Metric, Outcome, Sample, Verdict
from axiom.store import read_parquet


@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n, data, confidence):
    successes = data.draw(st.integers(0, n))
    ours = wilson_interval(successes, n, confidence)
    theirs = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_gives_newcombes_published_figures():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 10**6))
def test_all_or_none_reach_the_end_of_the_interval(n):
    assert wilson_interval(n, n)[1] == 1.0
    assert wilson_interval(0, n)[0] == 0.0


def test_no_trials_say_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_pass(n, data):
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    samples = [True] * correct + [False] * (n - correct)
    subsets = list(itertools.combinations(samples, k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_agrees_with_the_product_form_of_the_paper():
    # Chen et al. 2021, figure 3: 1 - prod(1 - k / arange(n - c + 1, n + 1))
    for n, c, k in [(200, 3, 10), (200, 100, 1), (100, 99, 100), (10, 0, 5)]:
        paper = 1.0 if n - c < k else 1 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))
        assert pass_at_k(n, c, k) == pytest.approx(paper, abs=1e-12)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0)])
def test_pass_at_k_refuses_the_impossible(n, correct, k):
    with pytest.raises(ValueError, match="needs 1 <= k <= n"):
        pass_at_k(n, correct, k)


PROBLEMS = list(generate("list_sort", None, 3, 0))
COUNTERS = Counters(optimizer_step=7, trained_tokens=8, generated_tokens=9, wall_seconds=1.5)


def test_the_base_model_has_cost_nothing():
    assert set(vars(Counters()).values()) == {0}


def judged(number: int, problem: str, outcome: Outcome, temperature: float = 1.0, **changed) -> tuple[Sample, Verdict]:
    sample = Sample(
        sample_id=str(number),
        problem_id=problem,
        iteration=1,
        purpose="eval",
        index=number,
        completion="",
        code="",
        token_count=number,
        logprob=None,
        finish_reason=changed.pop("finish_reason", "stop"),
        seed=0,
        temperature=temperature,
        policy_version="base",
    )
    verdict = Verdict(
        sample_id=str(number),
        outcome=outcome,
        cases_passed=0,
        cases_total=1,
        cpu_ms=0.0,
        wall_ms=0.0,
        detail="",
        **changed,
    )
    return sample, verdict


TRIALS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Outcome), st.booleans()), max_size=20)
"""The problem, the outcome and whether it is the greedy sample."""


@given(TRIALS, st.permutations(range(20)))
def test_an_evaluation_counts_each_problem_s_samples(trials, order):
    """The greedy one apart, whatever order the verdicts come in; a problem without samples has a row too."""
    pairs = [
        judged(n, PROBLEMS[place].problem_id, outcome, 0.0 if greedy else 0.7)
        for n, (place, outcome, greedy) in enumerate(trials)
    ]
    verdicts = [pairs[n][1] for n in order if n < len(pairs)]
    table = evaluate(PROBLEMS, [sample for sample, _ in pairs], verdicts)
    for place, (row, problem) in enumerate(zip(table, PROBLEMS, strict=True)):
        ours = [outcome is Outcome.PASSED for at, outcome, greedy in trials if at == place and not greedy]
        greedy = [outcome is Outcome.PASSED for at, outcome, greedy in trials if at == place and greedy]
        assert (row.n, row.correct, row.greedy_correct) == (len(ours), sum(ours), greedy[-1] if greedy else None)
        assert (row.problem_id, row.split) == (problem.problem_id, problem.split)
        assert (row.family, row.difficulty) == (problem.family, problem.difficulty)


@given(TRIALS)
def test_the_outcomes_of_a_round_are_shares_of_all_its_samples(trials):
    """They add up to one, of nothing there are none, and each carries what the policy had cost."""
    pairs = [
        judged(n, PROBLEMS[place].problem_id, outcome, finish_reason="length" if cut else "stop")
        for n, (place, outcome, cut) in enumerate(trials)
    ]
    metrics = outcome_metrics([s for s, _ in pairs], [v for _, v in pairs], 4, COUNTERS, 0.9)
    found = {row.name: row for row in metrics}
    assert bool(metrics) == bool(trials)
    for row in metrics:
        assert (row.iteration, row.split, row.family, row.difficulty) == (4, "train", None, None)
        assert {name: getattr(row, name) for name in vars(COUNTERS)} == vars(COUNTERS)
        assert row.n == len(trials)
    if trials:
        shares = [found[f"outcome_{outcome}"] for outcome in Outcome]
        assert sum(row.value for row in shares) == pytest.approx(1.0)
        cut = sum(cut for *_, cut in trials)
        assert (found["truncated"].value, found["truncated"].low, found["truncated"].high) == (
            cut / len(trials),
            *wilson_interval(cut, len(trials), 0.9),
        )
        assert found["completion_tokens"].value == pytest.approx((len(trials) - 1) / 2)
        assert found["completion_tokens"].low is found["completion_tokens"].high is None
        assert "audit_disagreement" not in found, "nothing was audited"


def test_plain_numbers_become_metrics_of_the_train_split():
    (row,) = count_metrics({"gold": 12.0}, 3, COUNTERS)
    assert row == Metric(
        iteration=3,
        split="train",
        family=None,
        difficulty=None,
        name="gold",
        value=12.0,
        low=None,
        high=None,
        n=None,
        **vars(COUNTERS),
    )


def rows(*passed: tuple[str, str, int, bool]) -> list[Evaluation]:
    return [
        Evaluation(
            problem_id=str(i), split=split, family=family, difficulty=level, n=4, correct=2 * ok, greedy_correct=ok
        )
        for i, (split, family, level, ok) in enumerate(passed)
    ]


def test_metrics_pool_over_each_axis_and_count():
    table = rows(("train", "a", 1, True), ("train", "b", 1, False), ("train", "b", 2, True), ("val", "a", 1, False))
    metrics = accuracy_metrics(table, 3, Counters(optimizer_step=7), EvaluationConfig())
    found = {(m.split, m.family, m.difficulty, m.name): (m.value, m.n) for m in metrics}
    assert found["train", None, None, "greedy_accuracy"] == (2 / 3, 3)
    assert found["train", "b", None, "greedy_accuracy"] == (0.5, 2)
    assert found["train", None, 1, "greedy_accuracy"] == (0.5, 2)
    assert found["val", None, None, "greedy_accuracy"] == (0.0, 1)
    assert found["train", None, None, "pass@1"] == (pytest.approx(1 / 3), 3)
    assert found["train", None, None, "pass@4"] == (pytest.approx(2 / 3), 3)
    assert all(m.low <= m.value <= m.high and m.optimizer_step == 7 and m.iteration == 3 for m in metrics)


def test_the_intervals_of_accuracies_have_the_configured_confidence():
    table = rows(("train", "a", 1, True), ("train", "a", 1, False))
    for confidence in (0.8, 0.95):
        metrics = accuracy_metrics(table, 0, Counters(), EvaluationConfig(confidence=confidence))
        assert {(m.low, m.high) for m in metrics if m.name == "greedy_accuracy"} == {wilson_interval(1, 2, confidence)}


def test_without_a_greedy_sample_there_is_no_greedy_accuracy():
    table = [row.model_copy(update={"greedy_correct": None}) for row in rows(("train", "a", 1, True))]
    assert {m.name for m in accuracy_metrics(table, 0, Counters(), EvaluationConfig())} == {"pass@1", "pass@4"}


def test_a_k_above_the_samples_is_left_out():
    metrics = accuracy_metrics(rows(("train", "a", 1, True)), 0, Counters(), EvaluationConfig(pass_at=(1, 8)))
    assert {m.name for m in metrics} == {"greedy_accuracy", "pass@1"}


def test_each_share_says_what_it_is_of():
    """One of the four programs that were audited failed, of a hundred samples."""
    audits = [False, True, True, True] + [None] * 96
    pairs = [
        judged(n, "p", Outcome.PASSED if audit is not None else Outcome.TIMEOUT, audit_passed=audit)
        for n, audit in enumerate(audits)
    ]
    metrics = outcome_metrics([s for s, _ in pairs], [v for _, v in pairs], 1, Counters(), 0.9)
    found = {row.name: row for row in metrics}
    assert (found["audit_disagreement"].value, found["audit_disagreement"].n) == (0.25, 4)
    assert found["audit_disagreement"].low == pytest.approx(wilson_interval(1, 4, 0.9)[0])
    assert found["outcome_passed"].n == 100


def test_files_and_counters_of_earlier_versions_are_read():
    published = Path(__file__).parents[2] / "artifacts/reference/smollm2-h200/metrics.parquet"
    assert "gpu_seconds" in pq.read_schema(published).names
    rows = Metric.from_table(read_parquet(published.read_bytes(), Metric, str(published)))
    assert rows[-1].wall_seconds > 0
    assert Counters.read({"optimizer_step": 3, "gpu_seconds": 1.5}) == Counters(optimizer_step=3, wall_seconds=1.5)
