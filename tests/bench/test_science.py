"""The calibration and H2 benches: their simulated truth is what it says, and their figures add up."""

import numpy as np
import pytest

from axiom.bench import detector, verifier
from axiom.bench.curves import EARLY, FAMILIES, MARGIN, PLATEAU, rise, sampled
from axiom.config import SandboxConfig
from axiom.problems.benchmarks.humaneval import humaneval_problems
from axiom.verification import Verifier
from tests.tables import every


@every("family", FAMILIES)
@every("length", [20, 50, 100])
def test_truths_are_accuracies_and_jumps_lie_inside(family, length):
    for index in range(20):
        truth = FAMILIES[family](np.random.default_rng(index), length)
        for values in (truth.train, truth.val):
            assert len(values) == length
            assert values.min() >= 0.0
            assert values.max() <= 1.0
        if truth.jump is not None:
            assert MARGIN * PLATEAU < np.interp(truth.jump, truth.at, np.arange(length)) < length - 1
            assert truth.val[-5:].mean() - truth.val[:3].mean() > 0.2
            before, after = truth.val[truth.at < truth.jump], truth.val[truth.at > truth.jump]
            half = (truth.val[0] + truth.val.max()) / 2
            assert before.max() <= half + 0.02
            assert np.median(after) >= half


def test_noise_has_the_dispersion_asked_for():
    rng = np.random.default_rng(0)
    for dispersion in (1.2, 2.0, 3.0):
        values = sampled(np.full(20_000, 0.3), 200, dispersion, rng)
        assert values.mean() == pytest.approx(0.3, abs=0.002)
        assert values.var() == pytest.approx(dispersion * 0.21 / 200, rel=0.05)


@pytest.mark.parametrize("length", [20, 100])
def test_families_are_what_their_names_say(length):
    def of(family):
        return [FAMILIES[family](np.random.default_rng(index), length) for index in range(20)]

    assert all(truth.jump <= EARLY * truth.at[-1] for truth in of("early_jump"))
    for family in ("early_jump", "uneven_jump", "uneven_drift"):
        assert all(np.ptp(np.diff(truth.at)) > 0.1 * np.diff(truth.at).min() for truth in of(family))
    for truth in of("collapsing"):
        assert max(truth.train[-4:].max(), truth.val[-4:].max()) < 0.25
    for truth in of("recovering"):
        later = truth.at > truth.jump
        assert truth.train[later].min() < 0.65
        assert truth.val[-5:].min() > 0.8 * truth.val.max()
    for truth in of("unstable"):
        assert truth.val.max() == truth.val[0]
        assert truth.train[int(0.2 * length) :].min() < 0.65


def test_a_foot_is_as_many_times_slower_as_asked_for():
    times = np.linspace(0, 100, 10_001)
    for foot in (1.0, 3.0):
        tenth, half, most = np.interp([0.1, 0.5, 0.9], rise(times, 50, 10, foot), times)
        assert half == pytest.approx(50, abs=0.01)
        assert most - half == pytest.approx(5, abs=0.01)
        assert half - tenth == pytest.approx(5 * foot, abs=0.01)


def trial(family, jump, axiom, covered=None, alarm=False, naive=None):
    times = {"naive": naive, "literature": None, "axiom": axiom}
    return detector.Trial(family, 50, jump, times, "grokking", covered, alarm)


def test_figures_are_shares_and_medians_of_the_trials():
    trials = [
        trial("noise", None, None, naive=12),
        trial("noise", None, None),
        trial("noise", None, 9.0, alarm=True),
        trial("noise", None, None),
        trial("grokking", 20.0, 20.5, True, alarm=True),
        trial("grokking", 20.0, 23.0, False),
        trial("grokking", 30.0, 29.0, True, alarm=True, naive=34),
        trial("grokking", 30.0, None, naive=40),
    ]
    assert detector.figures(trials, "axiom") == detector.Figures(1 / 4, 3 / 4, 1.0, 2 / 3, 4, 4)
    naive = detector.figures(trials, "naive")
    assert (naive.false_alarms, naive.detections, naive.timing_error) == (1 / 4, 2 / 4, 7.0)
    assert np.isnan(naive.coverage)
    assert "25.00% of runs without a lasting jump and of 50.0% with one" in detector.online_sentence(trials)


def test_a_trial_is_the_verdict_on_its_curve_and_the_same_each_time():
    trials = [detector.trial(family, 50, index) for family in ("noise", "grokking") for index in range(3)]
    assert [t.kind for t in trials] == ["no_jump"] * 3 + ["grokking"] * 3
    assert [t.times["axiom"] is None for t in trials] == [True] * 3 + [False] * 3
    assert all(abs(t.times["axiom"] - t.jump) < 1.0 for t in trials[3:])
    assert trials[3] == detector.trial("grokking", 50, 0) != detector.trial("grokking", 50, 0, seed=1)
    uneven = detector.trial("early_jump", 50, 0)
    assert abs(uneven.times["axiom"] - uneven.jump) < 1.0 < uneven.jump < 49


@pytest.mark.slow
def test_hand_written_tests_and_generated_cases_are_judged_alike():
    found = {row.source: row for row in verifier.sources(6)}
    assert set(found) == {"procedural", "HumanEval"}
    for row in found.values():
        assert row.problems == 6
        assert row.wrong > 10
        assert row.error == row.accepted / row.wrong
        low, high = row.interval
        assert low <= row.error <= high


@pytest.mark.slow
def test_a_single_test_lets_wrong_programs_pass_that_all_of_them_catch():
    problems = verifier.procedural_problems(6, 0)
    single = [problem.model_copy(update={"cases": problem.cases[:1]}) for problem in problems]
    with Verifier(SandboxConfig()) as sandbox:
        full, weak = (verifier.verifying("x", chosen, sandbox) for chosen in (problems, single))
    assert weak.wrong == full.wrong
    assert weak.accepted > full.accepted


def test_the_draw_of_hand_written_problems_is_the_seed_s_alone():
    in_order = list(humaneval_problems())
    first, again, other = (verifier.hand_written_problems(164, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(p.problem_id for p in first) == sorted(p.problem_id for p in in_order)
    assert verifier.hand_written_problems(5, 1) == first[:5]
    assert list(humaneval_problems()) == in_order, "others read them in their order"


def test_a_perfect_verifier_accepts_no_wrong_program_when_its_tests_are_the_fresh_inputs():
    problem = verifier.procedural_problems(1, 0)[0]
    known = list(verifier._known(problem))
    cases = tuple(problem.cases[0].model_copy(update={"args": a, "expected": e}) for a, e in known)
    with Verifier(SandboxConfig()) as sandbox:
        assert verifier.verifying("x", [problem.model_copy(update={"cases": cases})], sandbox).accepted == 0


def test_verifier_error_hides_the_height_of_a_jump_not_its_time():
    clean, faulty = (verifier.detecting("x", 400, error, 4) for error in (0.0, 0.3))
    assert clean.detections == 1.0
    assert faulty.timing_error < 1.0


def test_a_simulation_of_curves_without_room_for_a_jump_is_refused():
    """It looked for room without end."""
    with pytest.raises(ValueError, match="at least 20 evaluations, not 12"):
        detector.simulate(1, (50, 12))
