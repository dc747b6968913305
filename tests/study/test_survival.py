"""Survival figures against scipy, lifelines and brute force, on random data."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from axiom.study import survival
from axiom.study.survival import (
    bootstrap_mean,
    detectable,
    fewest_pairs,
    holm,
    kaplan_meier,
    log_rank,
    power,
    restricted_mean,
    sign_flip,
)

RUNS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=30)


def split(runs):
    return [float(time) for time, _ in runs], [seen for _, seen in runs]


@pytest.mark.slow
@given(RUNS)
@settings(max_examples=30, deadline=None)
def test_kaplan_meier_is_that_of_lifelines(runs):
    from lifelines import KaplanMeierFitter

    times, observed = split(runs)
    ours, theirs = kaplan_meier(times, observed), KaplanMeierFitter().fit(times, observed)
    for at in np.arange(0.0, 45.0, 0.5):
        assert ours.at(at) == pytest.approx(float(theirs.predict(at)), abs=1e-12)
    inside = ours.share > 0
    interval = theirs.confidence_interval_.loc[ours.time[inside]].to_numpy()
    assert ours.low[inside] == pytest.approx(interval[:, 0], abs=1e-12)
    assert ours.high[inside] == pytest.approx(interval[:, 1], abs=1e-12)
    assert ours.at_risk == pytest.approx(theirs.event_table.loc[ours.time, "at_risk"].to_numpy())


@given(RUNS, st.integers(5, 50))
@settings(max_examples=30, deadline=None)
def test_the_restricted_mean_is_that_of_lifelines(runs, horizon):
    times, observed = split(runs)
    from lifelines import KaplanMeierFitter
    from lifelines.utils import restricted_mean_survival_time

    theirs = restricted_mean_survival_time(KaplanMeierFitter().fit(times, observed), t=horizon)
    assert restricted_mean(times, observed, horizon) == pytest.approx(theirs, abs=1e-9)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=20))
def test_censored_at_the_horizon_alone_the_restricted_mean_is_a_plain_mean(times):
    horizon = 40.0
    seen = [time < horizon for time in times]
    cut = [min(float(time), horizon) for time in times]
    assert restricted_mean(cut, seen, horizon) == pytest.approx(np.mean(cut))


@pytest.mark.parametrize("seed", range(10))
def test_log_rank_is_that_of_lifelines(seed):
    from lifelines.statistics import logrank_test

    rng = np.random.default_rng(seed)
    first, second = rng.integers(1, 40, 15), rng.integers(1, 60, 20)
    seen, seen_too = rng.random(15) < 0.7, rng.random(20) < 0.7
    theirs = logrank_test(first, second, seen, seen_too).p_value
    assert log_rank((first, seen), (second, seen_too)) == pytest.approx(theirs, abs=1e-9)


def test_log_rank_with_events_in_one_sample_alone_is_that_of_lifelines():
    from lifelines.statistics import logrank_test

    first, second = ([1.0, 2.0, 3.0, 4.0], [True] * 4), ([5.0] * 4, [False] * 4)
    for one, other in ((first, second), (second, first)):
        theirs = logrank_test(one[0], other[0], one[1], other[1]).p_value
        assert log_rank(one, other) == pytest.approx(theirs, abs=1e-9)
        assert theirs < 0.05


def test_without_events_log_rank_sees_no_difference():
    assert log_rank(([5, 5], [False, False]), ([5, 5], [False, False])) == 1.0


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
@settings(max_examples=50, deadline=None)
def test_sign_flip_is_the_share_of_all_patterns(differences):
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = sum(abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed for signs in patterns)
    assert sign_flip(differences) == pytest.approx(extreme / len(patterns))


@pytest.mark.parametrize("pairs", [12, 16])
def test_sign_flip_is_scipys_exact_permutation_test(pairs):
    d = np.random.default_rng(pairs).normal(0.5, 1.0, pairs)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip(d) == pytest.approx(theirs)


def test_beyond_sixteen_pairs_sign_flip_is_near_the_t_test_and_never_zero():
    d = np.random.default_rng(0).normal(0.3, 1.0, 60)
    assert sign_flip(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert 0 < sign_flip(np.ones(40)) <= 1e-4


def test_up_to_sixteen_pairs_the_sign_flip_test_needs_no_seed_and_beyond_draws_its_patterns():
    exact, drawn = np.arange(16.0) - 6, np.arange(17.0) - 6
    assert sign_flip(exact) == sign_flip(exact, seed=1)
    assert sign_flip(drawn) == sign_flip(drawn) != sign_flip(drawn, seed=1)
    assert sign_flip(drawn) == pytest.approx(sign_flip(drawn, seed=1), rel=0.05)


def test_where_every_run_has_had_its_event_the_last_interval_is_as_wide_as_the_one_before():
    both = kaplan_meier([1.0, 2.0], [True, True])
    assert both.share.tolist() == [0.5, 0.0]
    assert both.low[-1] == 0.0
    assert both.high[-1] == both.high[-2] == pytest.approx(0.9104, abs=1e-4)
    alone = kaplan_meier([1.0], [True])
    assert (alone.low.tolist(), alone.high.tolist()) == ([0.0], [1.0])
    assert kaplan_meier([1.0], [False]).at(9.0) == 1.0


def test_a_curve_that_ends_at_nobody_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kaplan_meier([1.0, 2.0], [True, True]).share.tolist() == [0.5, 0.0]


def test_five_pairs_can_never_be_significant_and_six_can():
    assert sign_flip([1.0] * 5) == 2 / 32
    assert sign_flip([1.0] * 6) == 2 / 64
    assert fewest_pairs(0.05) == 6
    assert fewest_pairs(2 / 32) == 5
    assert math.isinf(detectable([1.0, 2.0, 3.0, 1.0, 2.0]))
    assert math.isfinite(detectable([1.0, 2.0, 3.0, 1.0, 2.0, 4.0]))


def test_pairs_that_are_all_alike_say_nothing_of_power():
    assert math.isnan(detectable([0.0] * 8))
    assert math.isnan(detectable([3.0] * 8))


@given(st.integers(1, 12), st.sampled_from([0.01, 0.05, 0.2]))
def test_fewest_pairs_is_the_first_that_can_reach_the_level(comparisons, alpha):
    n = fewest_pairs(alpha, comparisons)
    assert comparisons * sign_flip([1.0] * n) <= alpha + 1e-12 if n <= 16 else True
    assert comparisons * 2.0 ** (2 - n) > alpha


@pytest.mark.parametrize("pairs", [8, 10])
def test_power_of_few_pairs_is_that_of_the_exact_test(pairs):
    rng = np.random.default_rng(5)
    found = np.mean([sign_flip(row) <= 0.01 for row in rng.normal(1.0, 1.0, (1000, pairs))])
    assert power(rng.normal(0, 1.0, 2000), 1.0, 0.01, trials=2000, pairs=pairs) == pytest.approx(found, abs=0.06)


@pytest.mark.parametrize(("pairs", "alpha", "least"), [(6, 0.05, 0.7), (8, 0.01, 0.7)])
def test_what_few_pairs_are_said_to_detect_other_pairs_detect(pairs, alpha, least):
    rng = np.random.default_rng(3)
    seen = rng.normal(0, 1.0, (20, pairs))
    said = np.mean([detectable(row / row.std(ddof=1), alpha=alpha) for row in seen])
    assert np.mean([sign_flip(row) <= alpha for row in rng.normal(said, 1.0, (400, pairs))]) >= least


def test_the_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(120):
        low, high = bootstrap_mean(rng.exponential(1.0, 30))
        inside += low <= 1.0 <= high
    assert 0.86 <= inside / 120 <= 0.99
    for alike in ([2.0, 2.0, 2.0], [2.0]):
        assert np.isnan(bootstrap_mean(alike)).all(), "no scatter was seen, which is not to say that there is none"


def test_before_the_first_event_the_interval_is_not_a_point():
    """Eight runs without the event do not make it impossible: the lower end is Wilson's of eight in eight."""
    for times, observed in (([9.0] * 8, [False] * 8), ([3.0] * 8, [True] * 8)):
        assert kaplan_meier(times, observed).least == pytest.approx(8 / (8 + 1.96**2), abs=1e-3)


def test_power_is_alpha_without_a_shift_and_grows_with_it():
    d = np.random.default_rng(2).normal(0, 1.0, 16)
    chances = [power(d, shift, trials=600) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert chances[0] == pytest.approx(0.05, abs=0.04)
    assert chances == sorted(chances)
    assert chances[-1] > 0.95
    found = detectable(d)
    assert power(d, found) >= 0.75
    assert power(d, 0.7 * found) < 0.8


def test_the_draws_of_a_power_have_the_kernels_law():
    """Two narrow groups of differences become two normals: their fourth moment says where and how wide they are."""
    d = np.repeat([-10.0, 10.0], 50)
    draws = survival._smoothed(d, (200_000, 1), np.random.default_rng(0))
    spread = np.std(d, ddof=1)
    width = 1.06 * spread * len(d) ** -0.2  # Silverman 1986
    shrunk = spread / np.hypot(10.0, width)
    middle, narrow = 10.0 * shrunk, width * shrunk
    assert draws.var() == pytest.approx(spread**2, rel=0.01)
    assert (draws**4).mean() == pytest.approx(middle**4 + 6 * (middle * narrow) ** 2 + 3 * narrow**4, rel=0.01)


@pytest.mark.parametrize("pairs", [6, 8, 10])
def test_the_power_of_up_to_ten_pairs_is_that_of_every_sign_pattern(pairs):
    """The smallest p value there is decides at its own level and at none below; random patterns would not reach it."""
    for unit in (1.0, 1e12):
        d = unit * np.random.default_rng(pairs).normal(0, 0.01, 20)
        assert power(d, 5.0 * unit, alpha=2.0 ** (1 - pairs), pairs=pairs) == 1.0
        assert power(d, 5.0 * unit, alpha=0.99 * 2.0 ** (1 - pairs), pairs=pairs) == 0.0


def test_the_power_of_pairs_that_are_all_alike_is_that_of_their_shift():
    assert power([3.0] * 8, 0.0) == 0.0
    assert power([3.0] * 8, 1.0) == 1.0


@pytest.mark.parametrize("unit", [1e-9, 0.1, 1 / 3, 1e9, 1e15])
def test_ties_count_as_extreme_whatever_the_unit(unit):
    """Sums that rounding tears apart are equal all the same."""
    whole = [1, 2, 3, -6, 4, 5, 7, -3]
    assert sign_flip([unit * d for d in whole]) == sign_flip(whole)


def test_the_shift_goes_the_way_it_says_where_the_differences_lean():
    leaning = np.array([0.0] * 7 + [8.0])
    up, down = (power(leaning, shift, trials=1000) for shift in (3.0, -3.0))
    assert up > down + 0.1
    assert power(-leaning, -3.0, trials=1000) == pytest.approx(up, abs=0.05)


def test_power_and_what_can_be_detected_follow_their_settings():
    d = [1.0, 2.0, 4.0, 4.0, 5.0, 9.0, 7.0, 8.0]
    usual, sooner, stricter = detectable(d), detectable(d, wanted=0.5), detectable(d, alpha=0.01)
    assert sooner < usual < stricter
    assert detectable(10 * np.array(d)) == pytest.approx(10 * usual)
    for found, wanted, alpha in ((usual, 0.8, 0.05), (sooner, 0.5, 0.05), (stricter, 0.8, 0.01)):
        assert power(d, found, alpha) >= wanted
        assert power(d, found - 0.05 * np.std(d, ddof=1), alpha) < wanted + 0.02
    assert power(d, 3.0) == power(d, 3.0, seed=0) != power(d, 3.0, seed=1)
    assert power(d, 3.0, pairs=16) > power(d, 3.0) > power(d, 3.0, pairs=6)


def test_the_bootstrap_is_that_of_its_confidence_and_seed():
    d = [1.0, 2.0, 2.0, 3.0, 7.0, 11.0]
    assert bootstrap_mean(d) == pytest.approx((2.0, 8.0), abs=0.2)
    low, high = bootstrap_mean(d, 0.8)
    assert bootstrap_mean(d)[0] < low < high < bootstrap_mean(d)[1]
    assert bootstrap_mean(d) == bootstrap_mean(d, seed=0) != bootstrap_mean(d, seed=1)


def test_times_and_flags_must_match():
    with pytest.raises(ValueError, match="as many"):
        kaplan_meier([1.0, 2.0], [True])


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(p, "holm")
    assert holm([0.5]) == [0.5]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_events_that_all_fall_at_one_time_tell_nothing_apart():
    everyone = [5.0] * 4, [True] * 4
    assert survival.log_rank(everyone, everyone) == 1.0
