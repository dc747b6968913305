"""Times to an event under censoring, and tests for paired differences between arms. Pure.

Kaplan-Meier and log-rank are scipy's; what is added is the restricted mean, the paired sign-flip test and its power.
"""

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from axiom.evaluation import wilson_interval

Floats = NDArray[np.float64]
EXACT_PAIRS = 16
"""Up to so many pairs every one of the 2^n sign patterns is tried."""
EXACT_POWER = 10
"""The same for a test whose power is simulated."""
PATTERNS = 100_000
"""Random sign patterns beyond that."""


@dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier estimate: after each event `time`, the share still without the event and its interval.

    `at_risk` counts runs under observation just before each time. `least` is the lower end of the interval before the
    first event: that no run has had it does not make it impossible.
    """

    time: Floats
    share: Floats
    low: Floats
    high: Floats
    at_risk: Floats
    least: float

    def at(self, when: float) -> float:
        """The share without the event at a time."""
        before = np.searchsorted(self.time, when, side="right")
        return float(self.share[before - 1]) if before else 1.0


def censored(times: Sequence[float], observed: Sequence[bool]) -> stats.CensoredData:
    """Times as scipy wants them: those not observed are right-censored."""
    if len(times) != len(observed) or not len(times):
        raise ValueError(f"{len(times)} times and {len(observed)} flags: there must be as many, and at least one")
    seen = np.asarray(observed, bool)
    return stats.CensoredData(uncensored=np.asarray(times, float)[seen], right=np.asarray(times, float)[~seen])


def kaplan_meier(times: Sequence[float], observed: Sequence[bool], confidence: float = 0.95) -> Survival:
    """The share of runs without the event over time, with the log-log interval (Kalbfleisch & Prentice 2002)."""
    found = stats.ecdf(censored(times, observed)).sf
    seen = np.asarray(observed, bool)
    least = wilson_interval(len(seen), len(seen), confidence)[0]
    if not seen.any():
        empty = np.array([])
        return Survival(empty, empty, empty, empty, empty, least)
    with warnings.catch_warnings():  # where the share is 0 the interval is undefined, which is handled below
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = found.confidence_interval(confidence, method="log-log")
    at = np.isin(found.quantiles, np.asarray(times, float)[seen])
    risk = np.array([(np.asarray(times) >= time).sum() for time in found.quantiles[at]], float)
    share = found.probabilities[at]
    low = np.nan_to_num(interval.low.probabilities[at], nan=0.0)
    high = np.nan_to_num(interval.high.probabilities[at], nan=1.0)
    if share[-1] == 0:
        high[-1] = high[-2] if len(high) > 1 else 1.0
    return Survival(found.quantiles[at], share, low, high, risk, least)


def restricted_mean(times: Sequence[float], observed: Sequence[bool], horizon: float) -> float:
    """Mean of min(time, horizon): the area under the Kaplan-Meier curve up to the horizon (Royston & Parmar 2013)."""
    curve = kaplan_meier(times, observed)
    inside = curve.time < horizon
    edges = np.concatenate([[0.0], curve.time[inside], [horizon]])
    heights = np.concatenate([[1.0], curve.share[inside]])
    return float(np.diff(edges) @ heights)


def log_rank(first: tuple[Sequence[float], Sequence[bool]], second: tuple[Sequence[float], Sequence[bool]]) -> float:
    """Two-sided p value that both samples have one survival curve. 1 where neither saw an event, or all at one time."""
    if not (any(first[1]) or any(second[1])) or len({*first[0], *second[0]}) == 1:
        return 1.0
    return float(stats.logrank(censored(*first), censored(*second)).pvalue)


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p value that paired differences are symmetric about zero: the share of sign patterns as extreme.

    Exact up to 16 pairs, beyond by 100,000 random patterns and the observed one (Phipson & Smyth 2010: never zero).
    """
    d = np.asarray(differences, float)
    if len(d) <= EXACT_PAIRS:
        signs = _all_signs(len(d))
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), (PATTERNS, len(d)))
        signs[0] = 1.0
    slack = 1e-9 * np.abs(d).sum()
    return float((np.abs(signs @ d) >= abs(d.sum()) - slack).mean())


def bootstrap_mean(differences: Sequence[float], confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean (Efron 1987).

    nan where all are equal: they say nothing of the scatter, and an interval without width would claim certainty.
    """
    d = np.asarray(differences, float)
    if np.ptp(d) == 0:
        return math.nan, math.nan
    found = stats.bootstrap(
        (d,), np.mean, confidence_level=confidence, n_resamples=9999, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(found.low), float(found.high)


def fewest_pairs(alpha: float, comparisons: int = 1) -> int:
    """Pairs from which a sign-flip test can reach `alpha` at all, as the first of Holm's steps over `comparisons`.

    Its smallest two-sided p value is 2 / 2^n, which Holm multiplies by the number of comparisons.
    """
    return math.ceil(1 + math.log2(comparisons / alpha) - 1e-9)


def power(
    differences: Sequence[float],
    shift: float,
    alpha: float = 0.05,
    seed: int = 0,
    trials: int = 400,
    pairs: int | None = None,
) -> float:
    """Chance that the sign-flip test finds a mean difference of `shift`, at this spread and number of pairs.

    Samples `pairs` (as many as there are differences) from the smoothed differences, adds the shift and tests: with all
    sign patterns of up to ten pairs, beyond with 1,000 of them. The differences alone would understate the scatter: few
    of them have no tails, and their variance is (n - 1) / n of the population's.
    """
    d = np.asarray(differences, float)
    n = pairs or len(d)
    rng = np.random.default_rng(seed)
    draws = _smoothed(d, (trials, n), rng) + shift
    signs = _all_signs(n) if n <= EXACT_POWER else np.vstack([np.ones(n), rng.choice((1.0, -1.0), (999, n))])
    slack = 1e-9 * np.abs(draws).sum(1, keepdims=True)
    extreme = np.abs(draws @ signs.T) >= np.abs(draws.sum(1, keepdims=True)) - slack
    return float((extreme.mean(1) <= alpha + 1e-9).mean())


def _smoothed(d: Floats, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draws around zero from a normal kernel estimate of the differences' distribution, with their unbiased variance.

    Bandwidth of Silverman 1986, section 3.4.2; shrunk to keep the variance as in section 6.4.1.
    """
    spread = float(np.std(d, ddof=1))
    width = 1.06 * spread * len(d) ** -0.2
    draws = rng.choice(d - d.mean(), shape) + width * rng.standard_normal(shape)
    return draws * (spread / np.hypot(np.std(d), width) if spread else 1.0)


def _all_signs(pairs: int) -> Floats:
    return np.array(list(itertools.product((1.0, -1.0), repeat=pairs)))


def detectable(differences: Sequence[float], wanted: float = 0.8, alpha: float = 0.05, seed: int = 0) -> float:
    """The smallest mean difference that the test finds with chance `wanted`; inf where pairs are too few.

    Differences that are all alike have no spread that could be taken for that of other runs: nan.
    """
    if len(differences) < fewest_pairs(alpha):
        return float("inf")
    spread = float(np.std(differences, ddof=1))
    if spread == 0:
        return float("nan")
    low, high = 0.0, 20 * spread
    while high - low > 0.02 * spread:
        middle = (low + high) / 2
        enough = power(differences, middle, alpha, seed) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for all being looked at together: Holm's step-down method (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
