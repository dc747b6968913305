"""The verdict while a run is still going: an e-process that raises an alarm at a jump and takes it back at a collapse.

Universal inference (Wasserman, Ramdas, Balakrishnan 2020, section 8): a mixture likelihood of "plateau, then a jump"
over the largest likelihood of anything that is no jump (no change, even change, a rise without a plateau, a fall).
Under the null its expectation stays below 1 at every evaluation at once, so by Ville's inequality it exceeds 1 / a
at any time with probability at most a. Over-dispersion is taken out first by dividing counts by the dispersion
estimated from second differences; that step is approximate, and `axiom bench detector` measures what is left.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

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
    """Every `alarm` and every one `revoked` of the curve, in the order they were raised."""
    return OnlineAlarm(config).read(curve)


class OnlineAlarm:
    """The same while the curve grows: each evaluation is weighed once. `events` are all so far."""

    def __init__(self, config: DetectionConfig | None = None) -> None:
        self.config = config or DetectionConfig()
        self.events: list[Event] = []
        self._rows: list[tuple[float, float, float, float, float]] = []
        self._start: int | None = None
        self._next = 0
        self._rate = self.config.false_alarm_rate / 2
        self._raised: Evidence | None = None

    def update(
        self, iteration: float, train_accuracy: float, val_accuracy: float, train_n: float, val_n: float
    ) -> list[Event]:
        """The events that this evaluation raised: none, an alarm or its revocation."""
        self._rows.append((iteration, train_accuracy, val_accuracy, train_n, val_n))
        return self.read(Curve.of(*zip(*self._rows, strict=True)))

    def read(self, curve: Curve) -> list[Event]:
        """The events that `curve` raised since it was read last; it may only have grown."""
        if self._start is None:
            self._start = memorised_at(curve, self.config)
            self._next = (self._start or 0) + MIN_PLATEAU + MIN_RISEN
        if self._start is None:
            return []
        known = len(self.events)
        while self._next <= len(curve):
            self._start, self._next = self._weigh_next(curve, self._start)
        return self.events[known:]

    def _weigh_next(self, curve: Curve, start: int) -> tuple[int, int]:
        """Judge the curve up to the next evaluation; where the window begins and which is next after it."""
        at = self._next
        if self._raised is None:
            evidence = weigh(curve, start, at) if _risen(curve, start, at, self.config) else None
            if evidence is not None and _raises(curve, start, evidence, self._rate, self.config):
                self._raised = evidence
                self.events.append(_alarm(curve, start, at - 1, evidence))
        elif _fell(curve, at, self._raised):
            estimate = float(curve.iteration[at - 1])
            detail = "validation fell back: the alarm is revoked"
            self.events.append(_event(curve, at - 1, "revoked", estimate, detail))
            self._raised, self._rate = None, self._rate / 2
            return at - 1, at + MIN_PLATEAU + MIN_RISEN - 1
        return start, at + 1


def weigh(curve: Curve, start: int, end: int) -> Evidence:
    """The e-process over evaluations [start, end)."""
    correct, n = (curve.val_accuracy * curve.val_n)[start:end], curve.val_n[start:end]
    noise = _noise(correct, n)
    correct, n = correct / noise, n / noise
    centre, width = _jumps(len(n))
    levels, found = fit.fit_steps(centre, width, correct, n, rounds=3)
    weight = np.where(
        levels[:, 1] > levels[:, 0], -found / 2 + _log_volume(centre, width, levels, n) + _log_prior(centre), -np.inf
    )
    best = int(weight.argmax())
    log_e = float(logsumexp(weight)) + _null_deviance(correct, n) / 2
    return Evidence(log_e, round(centre[best]), *(float(level) for level in levels[best]))


def _noise(correct: Floats, n: Floats) -> float:
    """Dispersion from second differences, which a trend leaves alone; the two largest may be a jump and are dropped."""
    spread = np.convolve(n, np.ones(3), "valid")
    pooled = (np.convolve(correct, np.ones(3), "valid") + 1) / (spread + 2)
    variance = 18 * pooled * (1 - pooled) / spread  # 1 + 4 + 1 times that of one evaluation, n = spread / 3
    squares = np.sort(np.diff(correct / n, 2) ** 2 / variance)[:-2]
    return max(1.0, (squares.sum() + fit.PRIOR_WEIGHT) / (len(squares) + fit.PRIOR_WEIGHT))


def _log_volume(centre: Floats, width: Floats, levels_KQ: Floats, n: Floats) -> Floats:
    """Laplace's approximation of what integrating both levels over 0..1 adds to the best log-likelihood."""
    volumes = []
    for part in fit.blocks(len(centre), len(n)):
        weights_KTQ = _rises(centre[part], width[part], len(n))
        p_KT = np.einsum("ktq,kq->kt", weights_KTQ, levels_KQ[part])
        information_KQQ = weights_KTQ.transpose(0, 2, 1) @ (weights_KTQ * (n / (p_KT * (1 - p_KT)))[..., None])
        volumes.append(np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(information_KQQ)[1])
    return np.concatenate(volumes)


def _log_prior(centre: Floats) -> Floats:
    """Over the time of the jump: 1 / k (k + 1), which needs no horizon; even over the widths."""
    k = centre - centre.min() + 1
    return -np.log(k * (k + 1)) - np.log(len(WIDTHS))


def _rises(centre: Floats, width: Floats, length: int) -> Floats:
    """Weights K×T×2 of logistic steps."""
    rises = fit.step(centre, width, length)
    return np.stack([1 - rises, rises], -1)


WIDTHS = (0.5, 2.0, 6.0, 16.0)
"""10-90 % widths of the jumps looked for, in evaluations."""


def _earliest(width: Floats) -> Floats:
    """The first centre that leaves a plateau before it, as long as the definition of a jump demands."""
    return width / 2 + np.maximum(MIN_PLATEAU, width / 2)


def _jumps(length: int) -> tuple[Floats, Floats]:
    """Centres K and widths K of the jumps that `length` evaluations can hold."""
    centre, width = (axis.ravel() for axis in np.meshgrid(np.arange(MIN_PLATEAU - 0.5, length), WIDTHS, indexing="ij"))
    fits = (centre >= _earliest(width) - 1) & (centre <= length - MIN_RISEN)
    return centre[fits], width[fits]


def _no_jumps(length: int) -> Floats:
    """Weights K×T×2 of shapes that are no jump whatever their levels."""
    width = np.geomspace(1.0, 4.0 * length, 9)
    share = np.linspace(-0.5, 1.0, 7)
    rises = _rises((_earliest(width)[:, None] * share).ravel(), np.repeat(width, len(share)), length)
    return np.concatenate([rises, fit.line(length)[None]])


def _null_deviance(correct: Floats, n: Floats) -> float:
    """The smallest deviance of any curve that is no jump: of those shapes, and of sudden changes that are falls."""
    _, found = fit.fit_levels(_no_jumps(len(n)), correct, n, rounds=3)
    changes = np.arange(0.5, len(n) - 1)
    levels, falls = fit.fit_steps(changes, np.full(len(changes), 0.1), correct, n, rounds=1)
    return float(min(found.min(), falls[levels[:, 0] >= levels[:, 1]].min(initial=np.inf)))


def _risen(curve: Curve, start: int, end: int, config: DetectionConfig) -> bool:
    """Whether the last evaluations stand high enough above earlier ones for an alarm to be possible."""
    val = curve.val_accuracy[start:end]
    return bool(val[-MIN_RISEN:].max() - val.min() >= config.min_step)


def _raises(curve: Curve, start: int, evidence: Evidence, rate: float, config: DetectionConfig) -> bool:
    train = curve.train_accuracy[start : start + max(1, evidence.change)].mean()
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
    estimate = float(curve.iteration[start + evidence.change])
    jump, power = f"{evidence.before:.2f} to {evidence.after:.2f}", evidence.log_e / np.log(10)
    detail = f"validation went from {jump}; e-value 10^{power:.1f}"
    return _event(curve, at, "alarm", estimate, detail)


def _event(curve: Curve, at: int, kind: str, estimate: float, detail: str) -> Event:
    return Event(iteration=int(curve.iteration[at]), kind=kind, estimate=estimate, low=None, high=None, detail=detail)
