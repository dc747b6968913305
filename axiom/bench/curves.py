"""Simulated accuracy curves whose truth is known: ten families, seven of them without a lasting jump.

Times are in evaluations, `T` of them. Noise is beta-binomial: `dispersion` times the binomial's variance, as one sees
when the problems of an evaluation succeed and fail together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from axiom.grokking import Curve
from axiom.grokking.curve import Floats
from axiom.grokking.fit import WIDTH_PER_SCALE

TRAIN_N, VAL_N = 1000, 200
MAX_DISPERSION = 3.0
MARGIN = 1.3
"""Plateaus of true transitions are at least so many times as long as the detector's definition demands."""
HOLD = 5


@dataclass(frozen=True)
class Truth:
    """Noise-free accuracies T and the centre of the first lasting jump, None where there is none."""

    train: Floats
    val: Floats
    jump: float | None


def rise(length: int, centre: float, width: float) -> Floats:
    """A logistic from 0 to 1, half-way at `centre`, with 10-90 % `width`."""
    return expit((np.arange(length) - centre) * WIDTH_PER_SCALE / width)


def _memorising(rng: np.random.Generator, length: int) -> tuple[Floats, float]:
    """An early rise of train accuracy, and when it is over."""
    centre, width = rng.uniform(0.04, 0.1) * length, rng.uniform(0.03, 0.08) * length
    low, high = rng.uniform(0.0, 0.2), rng.uniform(0.95, 1.0)
    return low + (high - low) * rise(length, centre, width), centre + width / 2


def _jump_at(rng: np.random.Generator, start: float, end: float, widest: float) -> tuple[float, float]:
    """Centre and width of a jump between `start` and `end` that follows a true plateau."""
    while True:
        width = float(np.exp(rng.uniform(np.log(0.5), np.log(widest))))
        earliest, latest = start + MARGIN * max(3.0, width / 2) + width / 2, end - width / 2
        if earliest < latest:
            return rng.uniform(earliest, latest), width


def ordinary(rng: np.random.Generator, length: int) -> Truth:
    """Validation rises with training."""
    centre, width = rng.uniform(0.1, 0.4) * length, rng.uniform(0.1, 0.4) * length
    train = rng.uniform(0.93, 1.0) * rise(length, centre, width)
    return Truth(train, rng.uniform(0.75, 1.0) * train, None)


def lagged_ordinary(rng: np.random.Generator, length: int) -> Truth:
    """Validation rises like training but later, by less than the rise takes."""
    centre, width = rng.uniform(0.1, 0.35) * length, rng.uniform(0.15, 0.4) * length
    train = rng.uniform(0.93, 1.0) * rise(length, centre, width)
    val = rng.uniform(0.8, 1.0) * rise(length, centre + rng.uniform(0.2, 0.8) * width, width)
    return Truth(train, val, None)


def grokking(rng: np.random.Generator, length: int) -> Truth:
    """A plateau, then a jump that closes the gap."""
    train, start = _memorising(rng, length)
    low, high = rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.0)
    centre, width = _jump_at(rng, start, length - HOLD, 0.25 * length)
    return Truth(train, low + (high - low) * rise(length, centre, width), centre)


def partial_grokking(rng: np.random.Generator, length: int) -> Truth:
    """A plateau, then a jump that closes 55 to 80 % of the gap."""
    train, start = _memorising(rng, length)
    low = rng.uniform(0.0, 0.3)
    high = low + rng.uniform(0.55, 0.8) * (train[-1] - low)
    centre, width = _jump_at(rng, start, length - HOLD, 0.25 * length)
    return Truth(train, low + (high - low) * rise(length, centre, width), centre)


def slow_drift(rng: np.random.Generator, length: int) -> Truth:
    """Validation rises evenly through the run."""
    train, _ = _memorising(rng, length)
    return Truth(train, rng.uniform(0.05, 0.3) + rng.uniform(0.2, 0.65) * np.linspace(0, 1, length), None)


def noise(rng: np.random.Generator, length: int) -> Truth:
    """Validation stays where it is."""
    train, _ = _memorising(rng, length)
    return Truth(train, np.full(length, rng.uniform(0.02, 0.65)), None)


def jump_and_collapse(rng: np.random.Generator, length: int) -> Truth:
    """A jump that is lost again, at least four evaluations before the end."""
    train, start = _memorising(rng, length)
    low, high = rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.0)
    centre, width = _jump_at(rng, start, length - 9, 0.15 * length)
    fall = rng.uniform(centre + width / 2 + 2, length - 5)
    kept = rng.uniform(0.8, 1.0) * rise(length, fall, rng.uniform(0.5, 2.0))
    return Truth(train, low + (high - low) * (rise(length, centre, width) - kept).clip(0), None)


def overfitting(rng: np.random.Generator, length: int) -> Truth:
    """Validation rises with training, then falls slowly."""
    train, start = _memorising(rng, length)
    peak, loss = rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.35)
    val = peak * train - loss * ((np.arange(length) - start) / (length - start)).clip(0)
    return Truth(train, val.clip(0.0, 1.0), None)


def train_never_saturated(rng: np.random.Generator, length: int) -> Truth:
    """Validation jumps, but train accuracy never got to where a run counts as memorised."""
    train, start = _memorising(rng, length)
    top = rng.uniform(0.5, 0.82)
    low = rng.uniform(0.0, 0.2)
    centre, width = _jump_at(rng, start, length - HOLD, 0.25 * length)
    return Truth(top * train, low + (top - low) * rise(length, centre, width), None)


def double_jump(rng: np.random.Generator, length: int) -> Truth:
    """Two jumps, each after a plateau."""
    train, start = _memorising(rng, length)
    low, high = rng.uniform(0.0, 0.15), rng.uniform(0.88, 1.0)
    middle = low + rng.uniform(0.35, 0.6) * (high - low)
    widest = 0.06 * length
    first, width = _jump_at(rng, start, length - HOLD - MARGIN * max(3.0, widest / 2) - widest - 1, widest)
    second, width_two = _jump_at(rng, first + width / 2, length - HOLD, widest)
    val = low + (middle - low) * rise(length, first, width) + (high - middle) * rise(length, second, width_two)
    return Truth(train, val, first)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Truth]] = {
    family.__name__: family
    for family in (
        ordinary, lagged_ordinary, grokking, partial_grokking, slow_drift, noise, jump_and_collapse, overfitting,
        train_never_saturated, double_jump,
    )
}  # fmt: skip


def observe(truth: Truth, rng: np.random.Generator) -> Curve:
    """A noisy curve of the truth, evaluated at iterations 0, 1, ..."""
    dispersion = rng.uniform(1.0, MAX_DISPERSION)
    train, val = (sampled(p, n, dispersion, rng) for p, n in ((truth.train, TRAIN_N), (truth.val, VAL_N)))
    return Curve.of(np.arange(float(len(train))), train, val, TRAIN_N, VAL_N)


def sampled(p: Floats, n: int, dispersion: float, rng: np.random.Generator) -> Floats:
    """Accuracies over `n` problems with `dispersion` times the binomial's variance."""
    total = (n - 1) / (dispersion - 1) - 1  # of the beta's parameters: variance factor 1 + (n - 1) / (total + 1)
    inside = p.clip(1e-6, 1 - 1e-6)
    return rng.binomial(n, rng.beta(total * inside, total * (1 - inside))) / n
