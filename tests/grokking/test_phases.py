"""The detector: bad input, the fit against brute force, kinds of curve, invariances, and the online alarm."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.stats import binom

from axiom.bench.curves import FAMILIES, observe, rise
from axiom.config import DetectionConfig
from axiom.errors import DataError
from axiom.evaluation import GREEDY
from axiom.grokking import (
    Curve,
    OnlineAlarm,
    Watch,
    alarms,
    check_curve,
    detect,
    events,
    fit,
    literature,
    memorised_at,
    naive,
    read_curve,
)
from tests.rows import metric_row
from tests.tables import every

LENGTH = 50


def textbook(length=LENGTH, centre=25.0, width=4.0, noise_seed=None):
    """Memorises at once, jumps from 5 % to 95 %."""
    train = 0.1 + 0.89 * rise(length, 3, 2)
    val = 0.05 + 0.9 * rise(length, centre, width)
    if noise_seed is not None:
        rng = np.random.default_rng(noise_seed)
        train, val = rng.binomial(1000, train) / 1000, rng.binomial(200, val) / 200
    return Curve.of(np.arange(float(length)), train, val, 1000, 200)


def rows(curve):
    columns = (curve.iteration, curve.train_accuracy, curve.val_accuracy, curve.train_n, curve.val_n)
    return [tuple(map(float, row)) for row in zip(*columns, strict=True)]


BAD = {
    "doubled": ([0, 1, 1, 2, 3, 4], None, "twice"),
    "unsorted": ([0, 2, 1, 3, 4, 5], None, "ascending"),
    "percent": ([0, 1, 2, 3, 4, 5], [10, 20, 30, 40, 50, 60], "outside 0..1"),
    "negative": ([0, 1, 2, 3, 4, 5], [0.1, -0.1, 0.2, 0.3, 0.4, 0.5], "outside 0..1"),
    "missing": ([0, 1, 2, 3, 4, 5], [0.1, float("nan"), 0.2, 0.3, 0.4, 0.5], "missing in row 2"),
    "infinite": ([0, 1, 2, 3, 4, 5], [0.1, float("inf"), 0.2, 0.3, 0.4, 0.5], "infinite in row 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_curve_that_cannot_be_read_says_what_the_method_needs(case):
    iteration, accuracy, says = BAD[case]
    accuracy = accuracy or [0.5] * 6
    with pytest.raises(DataError, match=says) as error:
        Curve.of(iteration, accuracy, accuracy)
    assert "\n" not in str(error.value)


def test_a_short_curve_is_refused_by_check_and_undetermined_to_detect():
    short = textbook().part(0, 11)
    with pytest.raises(DataError, match="at least 12"):
        check_curve(short)
    assert detect(short).kind == "undetermined"
    assert detect(Curve.of([], [], [])).kind == "undetermined"
    check_curve(textbook().part(0, 12))


def test_csv_round_trip(tmp_path):
    curve = textbook(noise_seed=1)
    lines = ["iteration,train_accuracy,val_accuracy,train_n,val_n", *(",".join(map(str, row)) for row in rows(curve))]
    path = tmp_path / "curve.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    assert detect(read_curve(path)) == detect(curve)


def test_from_metrics_takes_the_slice_asked_for():
    def metric(iteration, split, value, family=None, name=GREEDY):
        return metric_row(
            iteration=iteration,
            split=split,
            family=family,
            name=name,
            value=value,
            n=50,
        )

    table = [metric(i, split, value) for i in (2, 0, 1) for split, value in (("train", 0.9), ("val", 0.1 * i))]
    table += [metric(0, "val", 0.7, family="rpn"), metric(0, "train", 0.8, family="rpn"), metric(3, "train", 0.9)]
    table += [metric(0, "val", 0.99, name="pass@4")]
    curve = Curve.from_metrics(table)
    assert curve.iteration.tolist() == [0, 1, 2]
    assert curve.val_accuracy == pytest.approx([0.0, 0.1, 0.2])
    assert curve.val_n.tolist() == [50] * 3
    assert Curve.from_metrics(table, family="rpn").val_accuracy.tolist() == [0.7]
    assert len(Curve.from_metrics(table, split="test")) == 0


def brute_force(correct, n):
    """The largest log-likelihood over a plain four-dimensional grid, and the centre it is at."""
    length, best = len(n), (-np.inf, 0.0)
    levels = np.linspace(0.01, 0.99, 50)
    for centre, width in itertools.product(np.arange(0, length - 1, 0.5), (0.5, 1.5, 4.0, 8.0)):
        shape = rise(length, centre, width)
        p = levels[:, None, None] + (levels[None, :, None] - levels[:, None, None]) * shape
        likelihood = binom.logpmf(correct, n, p).sum(-1)
        if likelihood.max() > best[0]:
            best = (float(likelihood.max()), centre)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_step_fit_is_at_least_as_likely_as_a_brute_force_grid(seed):
    rng = np.random.default_rng(seed)
    length, n = 20, np.full(20, 60.0)
    p = rng.uniform(0, 0.3) + rng.uniform(0.3, 0.6) * rise(length, rng.uniform(5, 14), rng.uniform(0.5, 6))
    correct = rng.binomial(60, p).astype(float)
    found = fit.fit_step(np.arange(length, dtype=float), correct, n)
    saturated = binom.logpmf(correct, n, correct / n).sum()
    ours = saturated - found.deviance[found.best] / 2
    brute, centre = brute_force(correct, n)
    assert ours >= brute - 0.05
    assert abs(found.centre[found.best] - centre) <= 1.0


@given(st.lists(st.integers(4, 36) | st.sampled_from((4, 36)), min_size=8, max_size=30))
@example(counts=[36, 11, 4, 4, 4, 4, 4, 4])
@example(counts=[36] + [4] * 20)
@example(counts=[4] * 15 + [36] * 3)
@settings(max_examples=60, deadline=None)
def test_levels_are_a_maximum_of_the_likelihood(counts):
    """Inside the bounds; a level that the bound cuts off falls back on the pooled accuracy."""
    correct, n = np.array(counts, float), np.full(len(counts), 40.0)
    shape = fit.line(np.arange(float(len(counts))))
    levels, found = fit.fit_shape(shape, correct, n)
    floor = 0.1 / n.sum()
    for nudge in itertools.product((-0.01, 0.0, 0.01), repeat=2):
        p = shape @ (levels + nudge).clip(floor, 1 - floor)
        assert fit.deviance(correct, n, p) >= found - 0.01


def test_the_posterior_is_a_distribution_and_its_quantiles_ascend():
    curve = textbook(noise_seed=3)
    found = fit.fit_step(curve.iteration, curve.val_accuracy * 200, curve.val_n)
    assert found.posterior.sum() == pytest.approx(1)
    quantiles = [found.centre_quantile(q) for q in (0.025, 0.25, 0.5, 0.75, 0.975)]
    assert quantiles == sorted(quantiles)
    assert abs(quantiles[2] - 25) < 1


JUMPS = ("grokking", "partial_grokking", "slow_footed_jump", "early_jump", "uneven_jump", "double_jump", "recovering")
EXPECTED = {family: {"grokking"} for family in JUMPS} | {
    "ordinary": {"concurrent", "no_jump", "gradual", "undetermined"},
    "lagged_ordinary": {"concurrent", "no_jump", "gradual", "undetermined"},
    "slow_drift": {"gradual", "no_jump"},
    "uneven_drift": {"gradual", "no_jump", "undetermined"},
    "noise": {"no_jump"},
    "jump_and_collapse": {"transient"},
    "collapsing": {"transient"},
    "unstable": {"no_jump"},
    "overfitting": {"no_jump", "concurrent"},
    "train_never_saturated": {"no_memorisation"},
}


@pytest.mark.slow
@every("family", FAMILIES)
def test_every_family_gets_its_kind(family):
    for index in range(3):
        rng = np.random.default_rng(index)
        truth = FAMILIES[family](rng, LENGTH)
        found = detect(observe(truth, rng))
        assert found.kind in EXPECTED[family], (index, found.sentence())
        if truth.jump is not None:
            late = np.interp([found.t_generalise, truth.jump], truth.at, np.arange(LENGTH))
            assert abs(late[0] - late[1]) < 3


def test_the_textbook_curve():
    found = detect(textbook(noise_seed=0))
    assert found.kind == "grokking"
    assert found.t_memorise == pytest.approx(4, abs=1)
    assert found.t_generalise_low <= 25 <= found.t_generalise_high
    assert found.width == pytest.approx(4, abs=2)
    assert found.delay_ratio == pytest.approx(found.t_generalise / found.t_memorise)
    assert found.step == pytest.approx(0.9, abs=0.05)
    assert [row.kind for row in events(found)] == ["memorised", "generalised"]


def test_a_jump_that_leaves_most_of_the_gap_is_partial():
    curve = textbook()
    low = Curve.of(curve.iteration, curve.train_accuracy, 0.1 + 0.25 * rise(LENGTH, 25, 3), 1000, 400)
    assert detect(low).kind == "partial"


def test_the_clock_of_the_curve_only_scales_the_times():
    curve = textbook(noise_seed=5)
    scaled = Curve.of(100 + 7 * curve.iteration, curve.train_accuracy, curve.val_accuracy, 1000, 200)
    first, second = detect(curve), detect(scaled)
    assert second.kind == first.kind
    assert second.t_generalise == pytest.approx(100 + 7 * first.t_generalise)
    assert second.width == pytest.approx(7 * first.width)


@given(st.integers(12, 40), st.floats(0, 1), st.floats(0, 1), st.integers(1, 500))
@settings(max_examples=40, deadline=None)
def test_a_flat_curve_never_groks(length, train, val, n):
    curve = Curve.of(np.arange(float(length)), np.full(length, train), np.full(length, val), n, n)
    found = detect(curve)
    assert found.kind not in ("grokking", "partial", "transient")
    assert alarms(curve) == []
    assert found.sentence()


def test_phases_are_json():
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(detect(textbook()))))["kind"] == "grokking"


def test_memorised_is_where_the_pooled_window_begins():
    train = [0.5, 0.95, 0.5, 0.9, 0.95, 0.95, 0.95]
    curve = Curve.of(range(7), train, [0.1] * 7)
    assert memorised_at(curve, DetectionConfig()) == 3
    assert memorised_at(curve, DetectionConfig(memorised_accuracy=0.99)) is None


def trained(*stretches):
    """Train accuracy of 0.3, but 0.97 in each stretch of evaluations; validation jumps at the 35th."""
    train = np.full(60, 0.3)
    for stretch in stretches:
        train[slice(*stretch)] = 0.97
    jump = np.where(np.arange(60) < 35, 0.05, 0.95)
    return Curve.of(np.arange(60) * 10.0, train, jump, 200, 200)


@pytest.mark.parametrize("early", [3, 5, 12])
def test_a_run_that_forgets_before_validation_rises_has_not_memorised(early):
    found = detect(trained((0, early)))
    assert found.kind == "no_memorisation"
    assert found.t_memorise is None
    assert "at iteration 0 but did not stay: its median from there until validation rose is 0.30" in found.reason
    assert alarms(trained((0, early))) == []


def test_a_run_that_memorises_for_good_later_is_read_from_there():
    found = detect(trained((0, 3), (25, 60)))
    assert (found.kind, found.t_memorise) == ("grokking", 250.0)
    assert detect(trained((0, 3), (36, 60))).kind == "concurrent"
    assert detect(trained((0, 3), (60 - 6, 60))).kind == "undetermined"


def test_a_collapse_after_the_jump_leaves_the_run_memorised():
    curve = trained((0, 45))
    assert detect(curve).t_memorise == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_a_rise_while_training_still_memorises_hides_no_later_jump(seed):
    """The first tenth of the rise falls where train accuracy is still climbing, the plateau where it is at 1.0."""
    at, rng = np.linspace(0, 9900, 100), np.random.default_rng(seed)
    train = 1 / (1 + np.exp((500 - at) / 100))
    val = 0.7 * train + 0.28 / (1 + np.exp((5000 - at) / 30))
    found = detect(Curve.of(at, rng.binomial(500, train) / 500, rng.binomial(500, val) / 500, 500, 500))
    assert found.kind == "grokking"
    assert "the gap to train's 1.00 on the plateau" in found.reason
    assert 4900 < found.t_generalise < 5100


def test_the_alarm_is_raised_soon_after_a_jump_and_silent_before():
    raised = alarms(textbook(noise_seed=2))
    assert [row.kind for row in raised] == ["alarm"]
    assert 23 <= raised[0].iteration <= 30


def test_a_collapse_revokes_the_alarm():
    curve = textbook(length=80, noise_seed=4)
    val = curve.val_accuracy.copy()
    val[50:] = 0.06
    raised = alarms(Curve.of(curve.iteration, curve.train_accuracy, val, 1000, 200))
    assert [row.kind for row in raised] == ["alarm", "revoked"]
    assert 50 <= raised[1].iteration <= 53


@pytest.mark.parametrize("family", ["grokking", "jump_and_collapse", "double_jump", "slow_drift"])
def test_fed_one_by_one_the_alarm_says_what_it_says_of_the_whole(family):
    rng = np.random.default_rng(11)
    curve = observe(FAMILIES[family](rng, 40), rng)
    online = OnlineAlarm()
    said = [event for row in rows(curve) for event in online.update(*row)]
    assert said == alarms(curve) == online.events


def test_the_original_rule_compares_two_windows():
    flat = Curve.of(range(40), [1.0] * 40, [0.1] * 40)
    jump = Curve.of(range(40), [1.0] * 40, [0.1] * 20 + [0.9] * 20)
    assert naive(flat) is None
    assert naive(jump) == 22  # mean of the last ten first exceeds that of the ten before by 0.2 with three high values
    assert naive(jump.part(0, 19)) is None


def test_the_literatures_rule_wants_validation_late():
    early = Curve.of(range(40), [0.1] * 5 + [1.0] * 35, [0.1] * 5 + [1.0] * 35)
    late = Curve.of(range(40), [0.1] * 5 + [1.0] * 35, [0.1] * 20 + [1.0] * 20)
    assert literature(early) is None
    assert literature(late) == 20


@pytest.mark.slow
def test_a_watched_curve_is_judged_as_the_whole_of_it():
    curve = textbook(length=260, noise_seed=3)
    watch, lags = Watch(), []
    for end in range(len(curve) + 1):
        watch.read(curve.part(0, end))
        lags.append(end - watch.phases.evaluations)
    assert max(lags[:100]) == 0
    assert max(lags) == 2
    watch.read(curve, whole=True)
    assert watch.phases == detect(curve)
    assert watch.alarm.events == alarms(curve)
    assert set(watch.events()) >= set(alarms(curve))
