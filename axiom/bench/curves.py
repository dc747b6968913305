"""Simulated accuracy curves whose truth is known: seventeen families, ten of them without a lasting jump.

T evaluations; times are in steps of an even grid, or in the run's own time where the grid is uneven. Noise is
beta-binomial: `dispersion` times the binomial's variance, as one sees when the problems of an evaluation succeed and
fail together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from axiom.grokking import Curve
from axiom.grokking.curve import Floats
from axiom.grokking.fit import WIDTH_PER_SCALE

TRAIN_N, VAL_N = 1000, 200
MAX_DISPERSION = 3.0
MARGIN = 1.3
"""Plateaus of true transitions are at least so many times as long as the detector's definition demands."""
PLATEAU = 3.0
"""Evaluations that follow memorisation before validation leaves a true plateau, times `MARGIN`."""
HOLD = 5
EARLY = 0.1
"""Share of the run within which an early jump lies."""


@dataclass(frozen=True)
class Truth:
    """Noise-free accuracies T at times T, and when half of a lasting rise was gained, None where there is none."""

    train: Floats
    val: Floats
    jump: float | None
    at: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.at):
            object.__setattr__(self, "at", np.arange(float(len(self.train))))


def rise(at: Floats | int, centre: float, width: float, foot: float = 1.0) -> Floats:
    """A logistic from 0 to 1, half-way at `centre`, with 10-90 % `width`; before its centre `foot` times as slow.

    At times `at`, or at 0, 1, ... if that is a number of evaluations.
    """
    times = np.arange(at) if isinstance(at, int) else at
    slowness = np.where(times < centre, foot, 1.0)
    return expit((times - centre) * WIDTH_PER_SCALE / (width * slowness))


def _memorising(rng: np.random.Generator, length: int) -> tuple[Floats, float]:
    """An early rise of train accuracy, and when it is over."""
    centre, width = rng.uniform(0.04, 0.1) * length, rng.uniform(0.03, 0.08) * length
    low, high = rng.uniform(0.0, 0.2), rng.uniform(0.95, 1.0)
    return low + (high - low) * rise(length, centre, width), centre + width / 2


def _jump_at(rng: np.random.Generator, start: float, end: float, widest: float) -> tuple[float, float]:
    """Centre and width of a jump between `start` and `end` that follows a true plateau."""
    while True:
        width = float(np.exp(rng.uniform(np.log(0.5), np.log(widest))))
        earliest, latest = start + MARGIN * max(PLATEAU, width / 2) + width / 2, end - width / 2
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


def slow_footed_jump(rng: np.random.Generator, length: int) -> Truth:
    """A jump that begins two to four times as slowly as it ends."""
    train, start = _memorising(rng, length)
    low, high, foot = rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.0), rng.uniform(2.0, 4.0)
    while True:
        width = float(np.exp(rng.uniform(np.log(0.5), np.log(0.1 * length))))
        earliest = start + MARGIN * max(PLATEAU, foot * width / 2) + foot * width / 2
        if earliest < length - HOLD - width / 2:
            break
    centre = rng.uniform(earliest, length - HOLD - width / 2)
    return Truth(train, low + (high - low) * rise(length, centre, width, foot), centre)


def early_jump(rng: np.random.Generator, length: int) -> Truth:
    """A jump in the first tenth of a run that is evaluated ever more rarely."""
    at = np.geomspace(1.0, 10.0**4, length)
    return _uneven_jump(rng, at, at[-1] * EARLY)


def uneven_jump(rng: np.random.Generator, length: int) -> Truth:
    """A jump anywhere in a run that is evaluated at uneven times."""
    at = uneven_times(rng, length)
    return _uneven_jump(rng, at, at[-1])


def _uneven_jump(rng: np.random.Generator, at: Floats, end: float) -> Truth:
    """A jump before `end`; its plateau is long enough in evaluations and in time."""
    length, index = len(at), np.arange(float(len(at)))
    memorised = rng.uniform(1.0, 0.1 * length)
    train = rng.uniform(0.0, 0.2) + rng.uniform(0.75, 0.79) * rise(index, memorised - 0.5, 1.0)
    train = train / train.max() * rng.uniform(0.95, 1.0)
    start = int(np.ceil(memorised + 1))
    while True:
        centre = float(np.interp(rng.uniform(start, length - HOLD), index, at))
        spacing = float(np.interp(centre, at[1:], np.diff(at)))
        width = float(np.exp(rng.uniform(np.log(0.5 * spacing), np.log(0.25 * (at[-1] - at[0])))))
        leaves = centre - width / 2
        plateau = np.interp(leaves, at, index) - start >= MARGIN * PLATEAU and leaves - at[start] >= MARGIN * width / 2
        if plateau and centre + width / 2 <= min(end, at[length - HOLD - 1]):
            break
    low, high = rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.0)
    return Truth(train, low + (high - low) * rise(at, centre, width), centre, at)


def uneven_times(rng: np.random.Generator, length: int) -> Floats:
    """Logarithmic, at random, or with one change of spacing."""
    kind = rng.integers(3)
    if kind == 0:
        return np.geomspace(1.0, 10.0 ** rng.uniform(2, 5), length)
    if kind == 1:
        return np.cumsum(rng.uniform(0.2, 1.8, length)) * 100
    change, factor = int(rng.uniform(0.2, 0.8) * length), float(rng.choice([0.1, 0.2, 5.0, 10.0]))
    return np.cumsum(np.where(np.arange(length) < change, 1.0, factor)) * 100


def uneven_drift(rng: np.random.Generator, length: int) -> Truth:
    """Validation rises evenly in time through a run that is evaluated at uneven times."""
    at = uneven_times(rng, length)
    train, _ = _memorising(rng, length)
    part = (at - at[0]) / (at[-1] - at[0])
    return Truth(train, rng.uniform(0.05, 0.3) + rng.uniform(0.2, 0.65) * part, None, at)


def collapsing(rng: np.random.Generator, length: int) -> Truth:
    """A jump, then train and validation collapse together, at least four evaluations before the end."""
    while True:
        found = grokking(rng, length)
        assert found.jump is not None
        if found.jump + 3 < length - 4:
            break
    fall = rng.integers(int(found.jump) + 3, length - 4)
    kept = np.where(np.arange(length) < fall, 1.0, rng.uniform(0.0, 0.2))
    return Truth(found.train * kept, found.val * kept, None)


def recovering(rng: np.random.Generator, length: int) -> Truth:
    """A lasting jump after which both collapse, once or more, and recover before the last five evaluations."""
    while True:
        found = grokking(rng, length)
        assert found.jump is not None
        first = int(found.jump) + 4
        if first < length - HOLD - 2:
            break
    kept = np.ones(length)
    for at in rng.integers(first, length - HOLD - 2, 1 + length // 40):
        kept[at : at + rng.integers(1, 3)] = rng.uniform(0.0, 0.6)
    return Truth(found.train * kept, found.val * kept, found.jump)


def unstable(rng: np.random.Generator, length: int) -> Truth:
    """Both collapse, once or more, and recover, where validation never rose: no recovery is a jump."""
    train, start = _memorising(rng, length)
    val = np.full(length, rng.uniform(0.02, 0.65))
    kept = np.ones(length)
    for at in rng.integers(int(start) + 4, length - 3, 1 + length // 20):
        kept[at : at + rng.integers(1, 4)] = rng.uniform(0.0, 0.6)
    return Truth(train * kept, val * kept, None)


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
    """Two jumps, each after a plateau; the greater gains half of the rise, 58 to 70 % of it."""
    train, start = _memorising(rng, length)
    low, high = rng.uniform(0.0, 0.15), rng.uniform(0.88, 1.0)
    part, first_is_greater = rng.uniform(0.3, 0.42), bool(rng.integers(2))
    middle = low + (1 - part if first_is_greater else part) * (high - low)
    widest = 0.06 * length
    first, width = _jump_at(rng, start, length - HOLD - MARGIN * max(PLATEAU, widest / 2) - widest - 1, widest)
    second, width_two = _jump_at(rng, first + width / 2, length - HOLD, widest)
    val = low + (middle - low) * rise(length, first, width) + (high - middle) * rise(length, second, width_two)
    half = (low + high) / 2
    times = np.linspace(0, length - 1, 100 * length)
    smooth = low + (middle - low) * rise(times, first, width) + (high - middle) * rise(times, second, width_two)
    return Truth(train, val, float(times[(smooth >= half).argmax()]))


FAMILIES: dict[str, Callable[[np.random.Generator, int], Truth]] = {
    family.__name__: family
    for family in (
        ordinary,
        lagged_ordinary,
        grokking,
        partial_grokking,
        slow_footed_jump,
        early_jump,
        uneven_jump,
        double_jump,
        recovering,
        slow_drift,
        uneven_drift,
        noise,
        jump_and_collapse,
        collapsing,
        unstable,
        overfitting,
        train_never_saturated,
    )
}


def observe(truth: Truth, rng: np.random.Generator) -> Curve:
    """A noisy curve of the truth."""
    dispersion = rng.uniform(1.0, MAX_DISPERSION)
    train, val = (sampled(p, n, dispersion, rng) for p, n in ((truth.train, TRAIN_N), (truth.val, VAL_N)))
    return Curve.of(truth.at, train, val, TRAIN_N, VAL_N)


def sampled(p: Floats, n: int, dispersion: float, rng: np.random.Generator) -> Floats:
    """Accuracies over `n` problems with `dispersion` times the binomial's variance."""
    total = (n - 1) / (dispersion - 1) - 1  # of the beta's parameters: variance factor 1 + (n - 1) / (total + 1)
    inside = p.clip(1e-6, 1 - 1e-6)
    return rng.binomial(n, rng.beta(total * inside, total * (1 - inside))) / n
