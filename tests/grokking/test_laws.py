"""Laws of the verdict: its sentence is true of its curve, and nothing that leaves the curve the same changes it."""

import re
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from axiom.bench.curves import FAMILIES, observe, rise
from axiom.cli.app import main
from axiom.config import DetectionConfig, load_config
from axiom.experiment import Experiment
from axiom.grokking import Curve, alarms, detect, read_curve
from axiom.grokking.alarm import BINS, bin_size
from axiom.grokking.path import BINS as PATH_BINS, pooled
from axiom.grokking.phases import HELD_SHARE, HOLD, MAX_FINAL_GAP
from axiom.records import Metric
from axiom.store import write_table
from tests.rows import metric_row
from tests.tables import every

JUMPED = ("grokking", "partial", "transient")
N = 4000


def curve(val, train=None, at=None, n=N):
    length = len(val)
    train = np.where(np.arange(length) < 2, 0.3, 1.0) if train is None else train
    return Curve.of(np.arange(float(length)) if at is None else at, train, val, n, n)


def simulated(family, index, length=50):
    rng = np.random.default_rng([index, length])
    return observe(FAMILIES[family](rng, length), rng)


def contrast(val, at, start):
    """The definition by brute force: the greatest gain in a time over that of the time before."""
    index = np.arange(start, len(at) - 0.75, 0.25)
    times = np.interp(index, np.arange(len(at)), at)
    best = np.maximum.accumulate(np.interp(times, at, val))
    needed = min(0.2, 0.4 * (best[-1] - best[0]))
    found = 0.0
    for here in range(8, len(times) - 4):
        gained, earlier = best[here + 4 :] - best[here], 2 * times[here] - times[here + 4 :]
        before = best[here] - np.interp(earlier, times, best)
        told = (gained >= needed) & (earlier >= times[0]) & (np.searchsorted(times, earlier) <= here - 8)
        found = max(found, (gained / np.maximum(before, 1e-3))[told].max(initial=0.0))
    return found


@pytest.mark.slow
@every("family", FAMILIES)
@every("length", [20, 60])
def test_the_sentence_is_true_of_the_curve(family, length):
    for index in range(2):
        seen = simulated(family, index, length)
        found = detect(seen)
        said, val, train = found.sentence(), seen.val_accuracy, seen.train_accuracy
        start = int(np.searchsorted(seen.iteration, found.t_memorise or 0.0))
        last = float(np.median(val[-HOLD:]))
        if found.kind in JUMPED:
            before = float(np.median(val[start : start + 3]))
            assert f"memorised at iteration {found.t_memorise:.10g}," in said
            assert f"rose by {found.step:.2f}" in said
            assert f"median of the last {HOLD} evaluations is {last:.2f}" in said
            assert (last < before + HELD_SHARE * found.step + 0.1) or found.kind != "transient"
            assert (last > before + HELD_SHARE * found.step - 0.1) or found.kind == "transient"
            assert val[start:].max() - before >= found.step - 0.15
            assert found.t_generalise_low <= found.t_generalise <= found.t_generalise_high
            earlier = val[start:][seen.iteration[start:] < found.t_generalise_low - found.width]
            assert (earlier < before + 0.5 * found.step + 0.1).all()
        if found.kind == "grokking":
            assert found.plateau_gap * MAX_FINAL_GAP + 0.01 >= np.median(train[start:]) - last
        if found.kind == "no_jump":
            assert np.median(val[-3:]) - val[start : start + 3].min() < 0.35
        if found.kind == "concurrent":
            gap = (train - val)[start : start + 3].mean()
            assert f"is {gap:.2f}, a plateau needs 0.2" in said
            assert gap < 0.2
        if found.kind == "no_memorisation":
            assert np.convolve(train, np.ones(3) / 3, "valid").max() < 0.9
        if match := re.search(r"only (\d+) evaluations? lies? from memorisation", said):
            assert int(match[1]) < 6
            assert val[start + int(match[1]) :].max() - val[start : start + 2].min() > 0.2


@pytest.mark.slow
@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=5),
    st.integers(16, 60),
    st.sampled_from(["even", "log", "change"]),
    st.floats(0.3, 6.0),
)
@example([0.0, 0.0, 0.5, 0.5, 0.25], 39, "log", 0.5)
@settings(max_examples=60, deadline=None)
def test_a_smooth_curve_has_no_jump_where_brute_force_finds_hardly_a_contrast(levels, length, spacing, power):
    index = np.arange(float(length))
    at = {"even": index, "log": np.geomspace(1, 1000, length), "change": np.where(index < 10, index, 5 * index - 40)}[
        spacing
    ]
    knots = 0.05 + 0.7 * np.concatenate([[0.0], np.cumsum(levels)]) / max(sum(levels), 0.5)
    part = (at - at[0]) / (at[-1] - at[0])
    val = np.interp(part**power, np.linspace(0, 1, 6), knots)
    clear = contrast(val, at, 2)
    found = detect(curve(val, at=at))
    if clear < 1.3:  # the fit rounds corners and even change has 1, so in between it may say either
        assert found.kind not in JUMPED, (clear, found.sentence())


SHAPES = {
    "foot": lambda t: 0.01 + 0.09 * rise(t, 20, 25) + 0.89 * rise(t, 55, 4),
    "sloping plateau": lambda t: 0.4 + 0.004 * t.clip(0, 50) + 0.38 * rise(t, 55, 4),
    "two stages": lambda t: 0.25 * rise(t, 25, 4) + 0.73 * rise(t, 60, 6),
    "slow top": lambda t: 0.6 * rise(t, 40, 3) + 0.35 * rise(t, 60, 30),
    "broad after a third": lambda t: 0.02 + 0.95 * ((t - 35) / 50).clip(0, 1),
    "dips": lambda t: (0.02 + 0.95 * rise(t, 40, 4)) * np.where(np.isin(t.round(), (52, 60, 61, 75)), 0.3, 1.0),
    "early": lambda t: 0.01 + 0.98 * rise(t, 8, 1.5),
}


@pytest.mark.slow
@every("shape", SHAPES)
@every("n", [200, 9000])
def test_jumps_as_they_are_published_are_found_and_timed(shape, n):
    t = np.arange(100.0)
    true = SHAPES[shape](t)
    val = np.random.default_rng(3).binomial(n, true) / n
    found = detect(curve(val, n=n))
    assert found.kind == "grokking", found.sentence()
    half = (true[2] + true.max()) / 2
    crossing = float(t[(true >= half).argmax()])
    assert abs(found.t_generalise - crossing) < 2.5
    assert found.t_generalise_low - 2 <= crossing <= found.t_generalise_high + 2


NO_JUMPS = {
    "even": lambda t: 0.1 + 0.008 * t,
    "quadratic": lambda t: 0.05 + 0.8 * (t / 100) ** 2,
    "saturating": lambda t: 0.05 + 0.8 * (1 - np.exp(-t / 25)),
    "recovery": lambda t: np.where((t > 30) & (t < 45), 0.05, 0.6),
    "oscillation": lambda t: 0.4 + 0.2 * np.sin(t / 3),
}


@pytest.mark.slow
@every("shape", NO_JUMPS)
@every("n", [200, 9000])
@every("at", [np.arange(100.0), np.unique(np.geomspace(1, 100, 60).round()) - 1])
def test_what_is_no_jump_is_none_on_any_grid(shape, n, at):
    val = np.random.default_rng(4).binomial(n, NO_JUMPS[shape](at)) / n
    found = detect(curve(val, at=at, n=n))
    assert found.kind not in JUMPED, found.sentence()


@pytest.mark.parametrize("n", [200, 9000])
def test_the_time_of_a_collapse_is_no_plateau(n):
    t = np.arange(100.0)
    true = np.where((t > 40) & (t < 55), 0.05, 0.45 + 0.003 * t)
    found = detect(curve(np.random.default_rng(4).binomial(n, true) / n, n=n))
    assert found.kind not in JUMPED, found.sentence()


def test_a_collapse_of_both_closes_no_gap():
    val = 0.02 + 0.95 * rise(np.arange(60.0), 20, 2)
    gone = np.where(np.arange(60) < 56, 1.0, 0.01)
    train = np.where(np.arange(60) < 2, 0.3, 1.0) * gone
    assert detect(curve(val * gone, train)).kind == "transient"
    assert detect(curve(val, train)).kind == "grokking"


def test_a_gap_that_train_closes_by_falling_is_not_closed():
    t = np.arange(80.0)
    train = np.where(t < 2, 0.3, 1.0) - 0.55 * rise(t, 55, 5)
    assert detect(curve(0.02 + 0.38 * rise(t, 30, 2), train)).kind == "partial"
    assert detect(curve(0.02 + 0.95 * rise(t, 30, 2), train)).kind == "grokking"


def test_evaluations_at_which_training_has_collapsed_do_not_hide_a_jump():
    found = [detect(simulated("recovering", index, 20)).kind for index in range(24)]
    assert found.count("grokking") >= 21


@pytest.mark.slow
def test_intervals_hold_the_truth_of_lopsided_jumps():
    held = 0
    for index in range(20):
        rng = np.random.default_rng([index, 100])
        truth = FAMILIES["slow_footed_jump"](rng, 100)
        found = detect(observe(truth, rng))
        held += found.t_generalise_low <= truth.jump <= found.t_generalise_high
    assert held >= 16


def test_a_jump_within_the_last_five_evaluations_is_not_yet_a_verdict():
    val = np.where(np.arange(40) < 36, 0.02, 0.95)
    found = detect(curve(val))
    assert (found.kind, found.t_generalise) == ("undetermined", None)
    assert "only 4 evaluations" in found.reason
    assert detect(curve(np.where(np.arange(40) < 34, 0.02, 0.95))).kind == "grokking"


@pytest.mark.parametrize("low", [1, 2, 3, 5])
def test_too_few_evaluations_to_tell_is_said_so(low):
    """`low` evaluations on the plateau, the one of memorisation among them."""
    val = np.where(np.arange(50) < 2 + low, 0.0, 1.0)
    found = detect(curve(val))
    if low >= 3:
        assert found.kind == "grokking"
    else:
        assert found.kind == "undetermined"
        assert f"only {low} evaluation" in found.reason
        assert "evaluate more often before iteration" in found.reason


@pytest.mark.parametrize(
    "family", ["grokking", "early_jump", "slow_footed_jump", "slow_drift", "unstable", "collapsing"]
)
def test_clock_unit_and_repetition_do_not_change_the_verdict(family, tmp_path):
    for index in range(1):
        seen = simulated(family, index)
        found = detect(seen)
        shifted = Curve.of(1000 + 7 * seen.iteration, seen.train_accuracy, seen.val_accuracy, seen.train_n, seen.val_n)
        assert detect(shifted).kind == found.kind
        for scale in (1, 100):
            path = tmp_path / "curve.csv"
            cells = zip(seen.iteration, scale * seen.train_accuracy, scale * seen.val_accuracy, strict=True)
            path.write_text(
                "step,train_acc,val_acc,train_n,val_n\n" + "\n".join(f"{a},{b},{c},1000,200" for a, b, c in cells)
            )
            read = detect(read_curve(path))
            assert read.kind == found.kind
            assert read.t_generalise == pytest.approx(found.t_generalise, abs=0.02 * seen.iteration[-1])
        more = seen.iteration[-1] + np.arange(1.0, 16.0) * (seen.iteration[-1] - seen.iteration[-2])
        longer = detect(
            Curve.of(
                np.append(seen.iteration, more),
                np.append(seen.train_accuracy, np.full(15, seen.train_accuracy[-1])),
                np.append(seen.val_accuracy, np.full(15, seen.val_accuracy[-1])),
                1000,
                200,
            )
        )
        assert (longer.kind in JUMPED) == (found.kind in JUMPED)
        if found.kind == "grokking":
            assert longer.kind == "grokking"
            late = np.interp([longer.t_generalise, found.t_generalise], seen.iteration, np.arange(50))
            assert abs(late[0] - late[1]) < 1


def test_another_spacing_after_a_fork_leaves_the_run_readable():
    true = 0.05 + 0.9 * rise(np.arange(90.0), 40, 4)
    iterations = [*range(30), *range(30, 90, 5)]
    rows = [
        metric_row(
            iteration=i,
            split=split,
            value=value,
            n=400,
        )
        for i in iterations
        for split, value in (("train", 1.0), ("val", true[i]))
    ]
    found = detect(Curve.from_metrics(rows))
    assert found.kind == "grokking"
    assert found.t_generalise_low <= 40 <= found.t_generalise_high


@pytest.mark.parametrize("back", [43, 44, 48])
def test_the_alarm_stands_again_when_validation_comes_back(back):
    val = np.where(np.arange(80) < 25, 0.05, 0.95)
    val[40:back] = 0.05
    raised = alarms(curve(val, n=200))
    assert [event.kind for event in raised] == ["alarm", "revoked", "alarm"]
    assert back <= raised[2].iteration <= back + 3
    val[back:] = 0.05
    assert [event.kind for event in alarms(curve(val, n=200))] == ["alarm", "revoked"]


def test_a_look_costs_no_more_on_a_long_run():
    for length in [*range(1, 400), 1000, 10_000, 123_456]:
        size = bin_size(length)
        assert -(-length // size) <= BINS
        assert size == 1 or -(-length // (size // 2)) > BINS
        assert size & (size - 1) == 0


def test_a_drift_on_a_long_run_raises_no_alarm_and_a_jump_does():
    rng = np.random.default_rng(1)
    at = np.arange(1500.0)
    drift, jump = 0.1 + 0.0005 * at, 0.1 + 0.8 * rise(at, 900, 30)
    assert alarms(curve(rng.binomial(200, drift) / 200, n=200)) == []
    raised = alarms(curve(rng.binomial(200, jump) / 200, n=200))
    assert [event.kind for event in raised] == ["alarm"]
    assert 890 <= raised[0].iteration <= 960


@pytest.mark.parametrize("length", [50, PATH_BINS, 1000, 10_000])
def test_bins_hold_every_answer_once_in_order(length):
    rng = np.random.default_rng(length)
    at, n = np.cumsum(rng.uniform(0.5, 2, length)), rng.integers(50, 90, length).astype(float)
    correct = rng.binomial(n.astype(int), 0.1 + 0.8 * rise(length, 0.05 * length, 3)).astype(float)
    times, pooled_correct, pooled_n = pooled(at, correct, n)
    assert len(times) == min(length, PATH_BINS)
    assert (np.diff(times) > 0).all()
    assert (pooled_correct.sum(), pooled_n.sum()) == (correct.sum(), n.sum())
    changing = (times > at[int(0.05 * length) - 2]) & (times < at[int(0.05 * length) + 2])
    assert pooled_n[changing].max() < 3 * 90  # fine where the curve changes


def test_an_early_jump_of_a_long_run_is_timed_to_the_evaluation():
    at = 10 * np.arange(10_000.0)
    val = np.random.default_rng(2).binomial(N, 0.01 + 0.98 * rise(at, 8235, 400)) / N
    found = detect(curve(val, at=at))
    assert found.kind == "grokking"
    assert found.t_generalise == pytest.approx(8235, abs=15)
    assert found.t_generalise_low <= 8235 <= found.t_generalise_high


def test_an_experiment_is_judged_by_its_own_section_and_drawn(tmp_path, monkeypatch, capsys):
    experiment = Experiment.create(str(tmp_path), load_config(None, ["name=one", "detection.memorised_accuracy=0.75"]))
    experiment.save()
    rows = [
        metric_row(
            iteration=i,
            split=split,
            value=value,
            n=200,
        )
        for i in range(40)
        for split, value in (("train", 0.8), ("val", 0.05 if i < 20 else 0.75))
    ]
    write_table(experiment.folder, "metrics", Metric.to_table(rows))
    chart = tmp_path / "chart.svg"
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["axiom", "detect", "one", "--root", str(tmp_path), "--out", str(chart)])
    with pytest.raises(SystemExit):
        main()
    assert re.search(r"val\s.*grokking", capsys.readouterr().out)
    assert chart.read_text().startswith("<svg")
    assert detect(Curve.from_metrics(rows), DetectionConfig()).kind == "no_memorisation"


def test_every_figure_of_the_sentence_is_true_whatever_the_clock():
    steps = np.arange(60.0)
    train = np.where(steps < 4, 0.3, 1.0)
    val = np.where(steps < 35, 0.1, 0.95)
    for scale in (1e-6, 1e-3, 1.0, 123457.0):
        found = detect(Curve.of(steps * scale, train, val))
        pattern = r"iteration (\S+), .* by (\S+) \(95 % (\S+) to (\S+)\), (\S+) times"
        memorised, half, low, high, late = map(float, re.search(pattern, found.sentence()).groups())
        assert memorised == pytest.approx(4 * scale)
        assert 34 * scale <= low <= half <= high <= 35 * scale
        assert low < high
        assert late == pytest.approx(half / memorised, rel=0.02)
    from_the_start = detect(Curve.of(steps, np.ones(60), val)).sentence()
    assert "memorised at iteration 0, " in from_the_start
    assert "times as late" not in from_the_start


@pytest.mark.parametrize("height", [0.1957, 0.1999])
def test_a_figure_that_misses_its_limit_is_printed_below_it(height):
    train = np.full(60, 0.99)
    missed = detect(Curve.of(range(60), np.where(np.arange(60) < 3, 0.89999, 0.5), np.zeros(60))).reason
    assert float(re.search(r"reached (\S+) at most", missed)[1]) < 0.9
    gap = detect(Curve.of(range(60), train, train - height)).reason
    assert float(re.search(r"on is (\S+), a plateau needs", gap)[1]) < 0.2


@pytest.mark.parametrize("length", [20, 30, 50])
@pytest.mark.parametrize("height", [0.4, 0.8])
def test_quadratic_growth_is_as_good_as_never_a_jump(length, height):
    share = np.linspace(0.0, 1.0, length) ** 2
    kinds = []
    for seed in range(10):
        val = np.random.default_rng(seed).binomial(200, 0.1 + height * share) / 200
        kinds.append(detect(Curve.of(range(length), np.full(length, 0.99), val)).kind)
    assert sum(kind in JUMPED for kind in kinds) <= 1, kinds
