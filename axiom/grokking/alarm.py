"""The verdict while a run is still going: an e-process that raises an alarm at a jump and takes it back at a collapse.

Universal inference (Wasserman, Ramdas, Balakrishnan 2020, section 8): a mixture likelihood of "plateau, then a jump"
over the largest likelihood of anything that is no jump (no change, even change, a rise without a plateau, a fall).
Under the null its expectation stays below 1 at every evaluation at once, so by Ville's inequality it exceeds 1 / a
at any time with probability at most a. Over-dispersion is taken out first by dividing counts by the dispersion
estimated from successive differences; that step is approximate, and `axiom bench detector` measures what is left.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import betaln, logsumexp

from axiom.config import DetectionConfig
from axiom.grokking import fit
from axiom.grokking.curve import Curve, Floats
from axiom.grokking.phases import memorised_at
from axiom.records import Event

MIN_PLATEAU = 3
MIN_RISEN = 2
"""Evaluations on the upper level before an alarm can be raised."""
REVOKED_SHARE = 0.5
"""An alarm is taken back when three pooled evaluations fall below this share of the jump."""


@dataclass(frozen=True)
class Evidence:
    """State after one evaluation: the e-process on a log scale and the likeliest jump, as an index into the window."""

    log_e: float
    change: int
    before: float
    after: float


def alarms(curve: Curve, config: DetectionConfig | None = None) -> list[Event]:
    """Every alarm (`transition`) and every revocation (`collapsed`) of the curve, in the order they were raised.

    Reads the curve as it grew: the events of a prefix are a prefix of the events.
    """
    config = config or DetectionConfig()
    start = memorised_at(curve, config)
    if start is None:
        return []
    rows: list[Event] = []
    at, rate = start + MIN_PLATEAU + MIN_RISEN, config.false_alarm_rate / 2
    raised: Evidence | None = None
    while at <= len(curve):
        if raised is None:
            evidence = weigh(curve, start, at)
            if _raises(curve, start, evidence, rate, config):
                raised = evidence
                rows.append(_alarm(curve, start, at - 1, evidence))
        elif _fell(curve, at, raised):
            estimate = float(curve.iteration[at - 1])
            rows.append(_event(curve, at - 1, "collapsed", estimate, "validation fell back: the alarm is revoked"))
            raised, start, rate = None, at - 1, rate / 2
            at += MIN_PLATEAU + MIN_RISEN - 2
        at += 1
    return rows


class OnlineAlarm:
    """The same, fed one evaluation at a time."""

    def __init__(self, config: DetectionConfig | None = None) -> None:
        self.config = config or DetectionConfig()
        self.rows: list[tuple[float, float, float, float, float]] = []
        self.events: list[Event] = []

    def update(
        self, iteration: float, train_accuracy: float, val_accuracy: float, train_n: float, val_n: float
    ) -> list[Event]:
        """The events that this evaluation raised: none, an alarm or its revocation."""
        self.rows.append((iteration, train_accuracy, val_accuracy, train_n, val_n))
        seen = alarms(Curve.of(*zip(*self.rows, strict=True)), self.config)
        new, self.events = seen[len(self.events) :], seen
        return new


def weigh(curve: Curve, start: int, end: int) -> Evidence:
    """The e-process over evaluations [start, end)."""
    correct, n = (curve.val_accuracy * curve.val_n)[start:end], curve.val_n[start:end]
    noise = _noise(correct, n)
    correct, n = correct / noise, n / noise
    misses = n - correct
    hits_before, misses_before = np.cumsum(correct), np.cumsum(misses)
    length = len(n)
    change = np.arange(MIN_PLATEAU, length - MIN_RISEN + 1)
    hits, missed = hits_before[change - 1], misses_before[change - 1]
    later_hits, later_misses = hits_before[-1] - hits, misses_before[-1] - missed
    marginal = betaln(hits + 0.5, missed + 0.5) + betaln(later_hits + 0.5, later_misses + 0.5) - 2 * betaln(0.5, 0.5)
    rising = later_hits * missed > hits * later_misses
    prior = -np.log(change - MIN_PLATEAU + 1.0) - np.log(change - MIN_PLATEAU + 2.0)  # 1 / k(k+1) sums to one
    weight = np.where(rising, marginal + prior, -np.inf)
    best = int(weight.argmax())
    log_e = float(logsumexp(weight)) - _null(correct, n)
    before, after = hits[best] / (hits[best] + missed[best]), later_hits[best] / (later_hits[best] + later_misses[best])
    return Evidence(log_e, int(change[best]), float(before), float(after))


def _noise(correct: Floats, n: Floats) -> float:
    """Dispersion from successive differences, which a slow trend and a single jump leave alone."""
    pooled = (correct[1:] + correct[:-1] + 1) / (n[1:] + n[:-1] + 2)
    variance = pooled * (1 - pooled) * (1 / n[1:] + 1 / n[:-1])
    squares = np.sort(np.diff(correct / n) ** 2 / variance)[:-1]  # without the largest, which may be the jump
    return max(1.0, (squares.sum() + fit.PRIOR_WEIGHT) / (len(squares) + fit.PRIOR_WEIGHT))


@lru_cache(maxsize=256)
def _null_shapes(length: int) -> tuple[Floats, Floats]:
    """Weights K×T×2 of shapes that are no jump whatever their levels, and of falls and level stretches at any time."""
    width = np.geomspace(1.0, 4.0 * length, 9)
    share = np.linspace(-0.5, 1.0, 7)
    # The centre of a step whose plateau is as long as MIN_PLATEAU and half its width demand, and earlier ones.
    latest = np.maximum(width / 2 + MIN_PLATEAU, width)
    centre = (latest[:, None] * share).ravel()
    rises = fit.step(centre, np.repeat(width, len(share)), length)
    plain = np.vstack([rises, np.linspace(0, 1, length)])
    falls = np.tri(length, length, -1).T[:-1]
    return np.stack([1 - plain, plain], -1), np.stack([1 - falls, falls], -1)


def _null(correct: Floats, n: Floats) -> float:
    """The largest log-likelihood (without binomial coefficients) of any curve that is no jump."""
    plain, falls = _null_shapes(len(n))
    _, found = fit.fit_levels(plain, correct, n, rounds=3)
    best = found.min()
    levels, down = fit.fit_levels(falls, correct, n, rounds=1)
    falling = levels[:, 0] >= levels[:, 1]
    best = min(best, down[falling].min()) if falling.any() else best
    return float(-best / 2 - _saturated(correct, n))


def _saturated(correct: Floats, n: Floats) -> float:
    return float(-(fit.xlogy(correct, correct / n) + fit.xlogy(n - correct, 1 - correct / n)).sum())


def _raises(curve: Curve, start: int, evidence: Evidence, rate: float, config: DetectionConfig) -> bool:
    train = curve.train_accuracy[start : start + evidence.change].mean()
    return bool(
        evidence.log_e >= -np.log(rate)
        and evidence.after - evidence.before >= config.min_step
        and train - evidence.before >= config.min_plateau_gap
    )


def _fell(curve: Curve, end: int, raised: Evidence) -> bool:
    recent = slice(end - 3, end)
    pooled = (curve.val_accuracy * curve.val_n)[recent].sum() / curve.val_n[recent].sum()
    return bool(pooled < raised.before + REVOKED_SHARE * (raised.after - raised.before))


def _alarm(curve: Curve, start: int, at: int, evidence: Evidence) -> Event:
    estimate = float(curve.iteration[start + evidence.change - 1 : start + evidence.change + 1].mean())
    jump, power = f"{evidence.before:.2f} to {evidence.after:.2f}", evidence.log_e / np.log(10)
    detail = f"validation went from {jump}; e-value 10^{power:.1f}"
    return _event(curve, at, "transition", estimate, detail)


def _event(curve: Curve, at: int, kind: str, estimate: float, detail: str) -> Event:
    return Event(iteration=int(curve.iteration[at]), kind=kind, estimate=estimate, low=None, high=None, detail=detail)
