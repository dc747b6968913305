"""The verdict while a run is still going: an e-process that raises an alarm at a jump and takes it back at a collapse.

Universal inference (Wasserman, Ramdas, Balakrishnan 2020, section 8): a mixture likelihood of "plateau, then a jump"
over the largest likelihood of anything that is no jump (no change, even change, a rise without a plateau, a fall).
Under the null its expectation stays below 1 at every evaluation at once, so by Ville's inequality it exceeds 1 / a
at any time with probability at most a. Over-dispersion is taken out first by dividing counts by the dispersion
estimated from second differences; that step is approximate, and `axiom bench detector` measures what is left.

The cost of a look does not grow with the run: evaluations are pooled by twos, fours, ... so that a window never has
more than `BINS` bins, and it is weighed again when a bin is full. Each size of bins is an e-process of its own and may
raise a false alarm half as often as the one before, which keeps their sum below the rate asked for.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from axiom.config import DetectionConfig
from axiom.grokking import fit
from axiom.grokking.curve import Curve, Floats
from axiom.grokking.fit import between
from axiom.grokking.jump import MIN_PLATEAU
from axiom.grokking.phases import HELD_SHARE, memorised_at
from axiom.records import Event

MIN_RISEN = 2
"""Evaluations (bins) on the upper level before an alarm can be raised."""
BINS = 64
REVOKED_SHARE, RETURNED_SHARE = 0.5, 0.7
"""An alarm is revoked when three pooled evaluations fall below the first share of the jump, and stands again when they
come back to the second."""


@dataclass(frozen=True)
class Evidence:
    """State after one look: the e-process on a log scale and the likeliest jump, as an evaluation of the window."""

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
        self._lost: Evidence | None = None

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
        if self._raised is not None:
            if _level(curve, at) < _share(self._raised, REVOKED_SHARE):
                self._add(curve, at, "revoked", float(curve.iteration[at - 1]), "validation fell back")
                self._lost, self._raised, self._rate = self._raised, None, self._rate / 2
                return at - 1, at + 1
        elif self._lost is not None and _level(curve, at) >= _share(self._lost, RETURNED_SHARE):
            self._add(curve, at, "alarm", float(curve.iteration[at - 1]), "validation is back where it fell from")
            self._raised, self._lost = self._lost, None
        elif at - start >= MIN_PLATEAU + MIN_RISEN:
            self._raised = self._weigh(curve, start, at)
        return start, at + 1

    def _weigh(self, curve: Curve, start: int, end: int) -> Evidence | None:
        size = bin_size(end - start)
        if (end - start) % size or not _risen(curve, start, end, size, self.config):
            return None
        evidence = weigh(curve, start, end)
        if not _raises(curve, start, evidence, self._rate / size, self.config):
            return None
        estimate = float(curve.iteration[start + evidence.change])
        jump, power = f"{evidence.before:.2f} to {evidence.after:.2f}", evidence.log_e / np.log(10)
        self._add(curve, end, "alarm", estimate, f"validation went from {jump}; e-value 10^{power:.1f}")
        return evidence

    def _add(self, curve: Curve, end: int, kind: str, estimate: float, detail: str) -> None:
        at = int(curve.iteration[end - 1])
        self.events.append(Event(iteration=at, kind=kind, estimate=estimate, low=None, high=None, detail=detail))


def bin_size(length: int) -> int:
    """Evaluations in a bin of a window of `length`: the power of two that leaves at most `BINS` bins."""
    return 1 << max(0, (length - 1) // BINS).bit_length()


def weigh(curve: Curve, start: int, end: int) -> Evidence:
    """The e-process over evaluations [start, end), in bins."""
    size = bin_size(end - start)
    at = curve.iteration[start:end].reshape(-1, size).mean(1)
    correct, n = _binned(curve, start, end, size)
    noise = _noise(correct, n)
    correct, n = correct / noise, n / noise
    index, centre, width = _jumps(at)
    levels, found = fit.fit_steps(centre, width, at, correct, n, rounds=3)
    weight = np.where(
        levels[:, 1] > levels[:, 0],
        -found / 2 + _log_volume(centre, width, levels, at, n) + _log_prior(index),
        -np.inf,
    )
    best = int(weight.argmax())
    log_e = float(logsumexp(weight)) + _null_deviance(at, correct, n) / 2
    return Evidence(log_e, round(index[best] * size), *(float(level) for level in levels[best]))


def _binned(curve: Curve, start: int, end: int, size: int) -> tuple[Floats, Floats]:
    """Correct answers and answers of each bin."""
    n = curve.val_n[start:end]
    correct = curve.val_accuracy[start:end] * n
    return correct.reshape(-1, size).sum(1), n.reshape(-1, size).sum(1)


def _noise(correct: Floats, n: Floats) -> float:
    """Dispersion from second differences, which a trend leaves alone; the two largest may be a jump and are dropped."""
    spread = np.convolve(n, np.ones(3), "valid")
    pooled = (np.convolve(correct, np.ones(3), "valid") + 1) / (spread + 2)
    variance = 18 * pooled * (1 - pooled) / spread  # 1 + 4 + 1 times that of one evaluation, n = spread / 3
    squares = np.sort(np.diff(correct / n, 2) ** 2 / variance)[:-2]
    return max(1.0, (squares.sum() + fit.PRIOR_WEIGHT) / (len(squares) + fit.PRIOR_WEIGHT))


def _log_volume(centre: Floats, width: Floats, levels_KQ: Floats, at: Floats, n: Floats) -> Floats:
    """Laplace's approximation of what integrating both levels over 0..1 adds to the best log-likelihood."""
    volumes = []
    for part in fit.blocks(len(centre), len(n)):
        weights_KTQ = _rises(centre[part], width[part], at)
        p_KT = np.einsum("ktq,kq->kt", weights_KTQ, levels_KQ[part])
        information_KQQ = weights_KTQ.transpose(0, 2, 1) @ (weights_KTQ * (n / (p_KT * (1 - p_KT)))[..., None])
        volumes.append(np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(information_KQQ)[1])
    return np.concatenate(volumes)


def _log_prior(index: Floats) -> Floats:
    """Over the evaluation of the jump: 1 / k (k + 1), which needs no horizon; even over the widths."""
    k = index - index.min() + 1
    return -np.log(k * (k + 1)) - np.log(len(WIDTHS))


def _rises(centre: Floats, width: Floats, at: Floats) -> Floats:
    """Weights K×T×2 of logistic steps."""
    rises = fit.step(centre, width, at)
    return np.stack([1 - rises, rises], -1)


WIDTHS = (0.5, 2.0, 6.0, 16.0)
"""10-90 % widths of the jumps looked for, in evaluations (bins) where they are."""


def _earliest(width: Floats, at: Floats) -> Floats:
    """The first centre that leaves a plateau before it: `MIN_PLATEAU` evaluations, and half the width in time."""
    return width / 2 + np.maximum(at[MIN_PLATEAU - 1], at[0] + width / 2)


def _jumps(at: Floats) -> tuple[Floats, Floats, Floats]:
    """Centres K of the jumps that the evaluations can hold, as indices and as times, and their widths K in time."""
    length = len(at)
    index = np.repeat(np.arange(MIN_PLATEAU - 0.5, length), len(WIDTHS))
    centre = between(index, at)
    width = np.tile(WIDTHS, len(index) // len(WIDTHS)) * (between(index + 0.5, at) - between(index - 0.5, at))
    fits = (centre >= _earliest(width, at)) & (index <= length - MIN_RISEN)
    return index[fits], centre[fits], width[fits]


def _no_jumps(at: Floats) -> Floats:
    """Weights K×T×2 of shapes that are no jump whatever their levels; even change is so in time and in evaluations."""
    width = np.geomspace(np.diff(at).min(), 4.0 * (at[-1] - at[0]), 9)
    share = np.linspace(-0.5, 1.0, 7)
    centre = at[0] + ((_earliest(width, at) - at[0])[:, None] * share).ravel()
    rises = _rises(centre, np.repeat(width, len(share)), at)
    return np.concatenate([rises, fit.line(at)[None], fit.line(np.arange(float(len(at))))[None]])


def _null_deviance(at: Floats, correct: Floats, n: Floats) -> float:
    """The smallest deviance of any curve that is no jump: of those shapes, and of sudden changes that are falls."""
    _, found = fit.fit_levels(_no_jumps(at), correct, n, rounds=3)
    changes = np.arange(0.5, len(n) - 1)
    width = 0.1 * np.diff(at)
    levels, falls = fit.fit_steps(between(changes, at), width, at, correct, n, rounds=1)
    return float(min(found.min(), falls[levels[:, 0] >= levels[:, 1]].min(initial=np.inf)))


def _risen(curve: Curve, start: int, end: int, size: int, config: DetectionConfig) -> bool:
    """Whether the last bins stand high enough above earlier ones for an alarm to be possible."""
    correct, n = _binned(curve, start, end, size)
    val = correct / n
    return bool(val[-MIN_RISEN:].max() - val.min() >= config.min_step)


def _raises(curve: Curve, start: int, evidence: Evidence, rate: float, config: DetectionConfig) -> bool:
    train = float(np.median(curve.train_accuracy[start : start + max(1, evidence.change)]))
    return bool(
        train >= HELD_SHARE * config.memorised_accuracy
        and evidence.log_e >= -np.log(rate)
        and evidence.after - evidence.before >= config.min_step
        and train - evidence.before >= config.min_plateau_gap
    )


def _level(curve: Curve, end: int) -> float:
    """Validation accuracy over the last three evaluations before `end`, pooled."""
    recent = slice(end - 3, end)
    return float((curve.val_accuracy * curve.val_n)[recent].sum() / curve.val_n[recent].sum())


def _share(jump: Evidence, share: float) -> float:
    return jump.before + share * (jump.after - jump.before)
