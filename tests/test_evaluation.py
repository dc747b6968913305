"""Accuracies against published figures and outside references."""

import itertools
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from axiom.config import EvaluationConfig
from axiom.evaluation import Counters, accuracy_metrics, outcome_metrics, pass_at_k, wilson_interval
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


def test_a_k_above_the_samples_is_left_out():
    metrics = accuracy_metrics(rows(("train", "a", 1, True)), 0, Counters(), EvaluationConfig(pass_at=(1, 8)))
    assert {m.name for m in metrics} == {"greedy_accuracy", "pass@1"}


def test_each_share_says_what_it_is_of():
    """One of the four programs that were audited failed, of a hundred samples."""
    samples = [
        Sample(
            sample_id=str(n), problem_id="p", iteration=1, purpose="train", index=n, completion="", code="",
            token_count=1, logprob=None, finish_reason="stop", seed=0, temperature=1.0, policy_version="base",
        )
        for n in range(100)
    ]  # fmt: skip
    audits = [False, True, True, True] + [None] * 96
    verdicts = [
        Verdict(
            sample_id=str(n), outcome=Outcome.PASSED if audit is not None else Outcome.TIMEOUT, cases_passed=0,
            cases_total=1, cpu_ms=0.0, wall_ms=0.0, detail="", audit_passed=audit,
        )
        for n, audit in enumerate(audits)
    ]  # fmt: skip
    found = {row.name: row for row in outcome_metrics(samples, verdicts, 1, Counters(), 0.9)}
    assert (found["audit_disagreement"].value, found["audit_disagreement"].n) == (0.25, 4)
    assert found["audit_disagreement"].low == pytest.approx(wilson_interval(1, 4, 0.9)[0])
    assert found["outcome_passed"].n == 100


def test_files_and_counters_of_earlier_versions_are_read():
    published = Path(__file__).parents[1] / "artifacts/reference/smollm2-h200/metrics.parquet"
    assert "gpu_seconds" in pq.read_schema(published).names
    rows = Metric.from_table(read_parquet(published.read_bytes(), Metric, str(published)))
    assert rows[-1].wall_seconds > 0
    assert Counters.read({"optimizer_step": 3, "gpu_seconds": 1.5}) == Counters(optimizer_step=3, wall_seconds=1.5)
