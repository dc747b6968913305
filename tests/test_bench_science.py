"""The calibration and H2 benches: their simulated truth is what it says, and their figures add up."""

import numpy as np
import pytest

from axiom.bench import detector, verifier
from axiom.bench.curves import FAMILIES, MARGIN, sampled
from axiom.config import SandboxConfig
from axiom.verification import Verifier


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [20, 50, 100])
def test_truths_are_accuracies_and_jumps_lie_inside(family, length):
    for index in range(20):
        truth = FAMILIES[family](np.random.default_rng(index), length)
        for values in (truth.train, truth.val):
            assert len(values) == length
            assert values.min() >= 0.0
            assert values.max() <= 1.0
        if truth.jump is not None:
            assert MARGIN * 3 < truth.jump < length - 1
            assert truth.val[-5:].mean() - truth.val[:3].mean() > 0.2


def test_noise_has_the_dispersion_asked_for():
    rng = np.random.default_rng(0)
    for dispersion in (1.2, 2.0, 3.0):
        values = sampled(np.full(20_000, 0.3), 200, dispersion, rng)
        assert values.mean() == pytest.approx(0.3, abs=0.002)
        assert values.var() == pytest.approx(dispersion * 0.21 / 200, rel=0.05)


def test_figures_count_what_the_trials_say():
    trials = [detector.trial(family, 50, index) for family in ("noise", "grokking") for index in range(3)]
    ours = detector.figures(trials, "axiom")
    assert (ours.null, ours.real) == (3, 3)
    assert ours.false_alarms == 0.0
    assert ours.detections == 1.0
    assert ours.timing_error < 1.0
    assert detector.figures(trials[:3], "naive").timing_error != ours.timing_error
    assert trials[3] == detector.trial("grokking", 50, 0)
    assert sum(detector.kinds(trials).values()) == 6


def test_hand_written_tests_and_generated_cases_are_judged_alike():
    found = {row.source: row for row in verifier.sources(6)}
    for row in found.values():
        assert row.problems == 6
        assert 0 <= row.accepted <= row.wrong
        low, high = row.interval
        assert low <= row.error <= high
    assert found["procedural"].wrong > 10


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
