"""Binomial fits of a validation curve: constant, line, one logistic step, two steps, over-dispersion estimated.

Shapes: K candidate shapes, T evaluations, Q levels. A shape is a weight matrix W_TQ whose rows sum to one; the
accuracy it predicts is p_T = W_TQ @ level_Q with every level inside (0, 1), so p is too. For a given shape the
binomial log-likelihood is concave in the levels and Fisher scoring finds them; shapes are searched on a grid.

Over-dispersion is quasi-binomial (McCullagh & Nelder 1989, section 4.5): variances are `dispersion` times the
binomial's, and the dispersion is integrated out under a scaled inverse chi-square prior at 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy

Floats = NDArray[np.float64]

WIDTH_PER_SCALE = 2 * np.log(9)
"""10-90 % width of a logistic of scale 1."""
PRIOR_WEIGHT = 4.0
"""Evaluations that the prior on the dispersion counts for."""
BLOCK = 1 << 16
"""Predictions that are worked on together, K times T: they stay in the processor's cache, and a long run's thousands of
shapes in no more memory than a short one's."""


@dataclass(frozen=True)
class Fit:
    """Levels Q of the best shape, its deviance (2 × log-likelihood below saturation) and prediction T."""

    levels: Floats
    deviance: float
    prediction: Floats


@dataclass(frozen=True)
class StepFit:
    """A posterior over one logistic step, in units of evaluations, on a grid of K (centre, width) pairs.

    `deviance`, `low` and `high` (levels before and after) are those of the best levels at each pair.
    """

    centre: Floats
    width: Floats
    low: Floats
    high: Floats
    deviance: Floats
    posterior: Floats
    best: int

    def centre_quantile(self, probability: float) -> float:
        """Posterior quantile of the centre, spread evenly within a grid cell."""
        values, where = np.unique(self.centre, return_inverse=True)
        mass = np.bincount(where, self.posterior)
        half = (values[1] - values[0]) / 2
        return float(
            np.interp(probability, np.concatenate([[0], np.cumsum(mass)]), np.append(values - half, values[-1] + half))
        )

    def mean(self, values: NDArray[Any]) -> float:
        """Posterior mean of a quantity given on the grid."""
        return float(self.posterior @ values)


def deviance(correct: Floats, n: Floats, p: Floats) -> Floats:
    """Binomial deviance, summed over the last axis. Broadcasts."""
    observed = correct / n
    saturated = xlogy(correct, observed) + xlogy(n - correct, 1 - observed)
    return 2 * (saturated - xlogy(correct, p) - xlogy(n - correct, 1 - p)).sum(-1)


def fit_levels(weights_KTQ: Floats, correct: Floats, n: Floats, rounds: int = 6) -> tuple[Floats, Floats]:
    """Maximum-likelihood levels KQ of each shape and their deviance K."""
    floor = 0.1 / n.sum()
    smooth = np.convolve(correct, np.ones(3), "same") + 0.5
    guess = smooth / (np.convolve(n, np.ones(3), "same") + 1)
    p_KT = np.broadcast_to(guess, weights_KTQ.shape[:2])
    best_KQ = np.full((len(weights_KTQ), weights_KTQ.shape[2]), correct.sum() / n.sum())
    best_KQ = best_KQ.clip(floor, 1 - floor)
    best_K = deviance(correct, n, np.einsum("ktq,kq->kt", weights_KTQ, best_KQ))
    ridge = 1e-9 * np.eye(weights_KTQ.shape[2])
    for _ in range(rounds):
        information_KT = n / (p_KT * (1 - p_KT))
        weighted_KTQ = weights_KTQ * information_KT[..., None]
        normal_KQQ = weights_KTQ.transpose(0, 2, 1) @ weighted_KTQ
        scale_K = np.trace(normal_KQQ, axis1=1, axis2=2)[:, None, None]
        right_KQ = np.einsum("ktq,t->kq", weighted_KTQ, correct / n)
        # A level no evaluation speaks of falls back on the pooled accuracy.
        pooled = ridge * scale_K
        right_KQ = right_KQ + np.einsum("kqr->kq", pooled) * (correct.sum() / n.sum())
        levels_KQ = np.linalg.solve(normal_KQQ + pooled, right_KQ[..., None])[..., 0].clip(floor, 1 - floor)
        p_KT = np.einsum("ktq,kq->kt", weights_KTQ, levels_KQ).clip(floor, 1 - floor)
        found_K = deviance(correct, n, p_KT)
        better = found_K < best_K
        best_K = np.where(better, found_K, best_K)
        best_KQ = np.where(better[:, None], levels_KQ, best_KQ)
    return best_KQ, best_K


def fit_shape(weights_TQ: Floats, correct: Floats, n: Floats) -> Fit:
    """Best levels of a single shape."""
    levels, found = fit_levels(weights_TQ[None], correct, n, rounds=12)
    return Fit(levels[0], float(found[0]), weights_TQ @ levels[0])


def constant(length: int) -> Floats:
    """The shape of no change."""
    return np.ones((length, 1))


def line(length: int) -> Floats:
    """The shape of even change from first to last evaluation."""
    rise = np.linspace(0, 1, length)
    return np.stack([1 - rise, rise], -1)


def step(centre: Floats, width: Floats, length: int) -> Floats:
    """Logistic rises K×T with 10-90 % `width`, half-way at `centre`, over evaluations 0..T-1."""
    at = np.arange(length)
    return expit((at - centre[:, None]) * (WIDTH_PER_SCALE / width[:, None]))


def grid(length: int) -> tuple[Floats, Floats]:
    """Candidate centres K and widths K, in evaluations, for curves of `length` evaluations."""
    spacing = max(0.25, length / 240)
    centres = np.arange(-0.5, length - 0.5 + 1e-9, spacing)
    widths = np.geomspace(0.4, 2.0 * length, max(8, int(3 * np.log2(5 * length))))
    centre, width = (axis.ravel() for axis in np.meshgrid(centres, widths, indexing="ij"))
    return centre, width


def blocks(shapes: int, length: int) -> Iterator[slice]:
    """`shapes` in parts of about `BLOCK` predictions."""
    size = max(1, BLOCK // length)
    return (slice(at, at + size) for at in range(0, shapes, size))


def fit_steps(centre: Floats, width: Floats, correct: Floats, n: Floats, rounds: int = 6) -> tuple[Floats, Floats]:
    """Levels K×2 and deviance K of logistic steps, block by block."""
    length = len(n)
    rises = (step(centre[part], width[part], length) for part in blocks(len(centre), length))
    fits = [fit_levels(np.stack([1 - block, block], -1), correct, n, rounds) for block in rises]
    return np.concatenate([levels for levels, _ in fits]), np.concatenate([found for _, found in fits])


def _screen(rises_KT: Floats, correct: Floats, n: Floats) -> Floats:
    """A quick stand-in for each shape's deviance: least squares with weights from the smoothed curve."""
    smooth = (np.convolve(correct, np.ones(3), "same") + 1) / (np.convolve(n, np.ones(3), "same") + 2)
    w, y = n / (smooth * (1 - smooth)), correct / n
    total, mean = w.sum(), (w @ y) / w.sum()
    gw = rises_KT @ w
    gg = (rises_KT**2) @ w - gw**2 / total
    gy = rises_KT @ (w * (y - mean))
    return w @ (y - mean) ** 2 - np.where(gg > 1e-9 * total, gy**2 / np.maximum(gg, 1e-300), 0.0)


def fit_step(correct: Floats, n: Floats) -> StepFit:
    """The posterior over a single logistic step: centre uniform, width log-uniform, levels maximised."""
    length = len(correct)
    centre, width = grid(length)
    parts = blocks(len(centre), length)
    rough = np.concatenate([_screen(step(centre[part], width[part], length), correct, n) for part in parts])
    keep = np.argsort(rough)[: max(400, len(rough) // 8)]
    levels, found = fit_steps(centre[keep], width[keep], correct, n)
    weight = PRIOR_WEIGHT + len(correct) - 2
    log_posterior = -0.5 * weight * np.log(PRIOR_WEIGHT + found)
    posterior = np.exp(log_posterior - log_posterior.max())
    return StepFit(
        centre[keep], width[keep], levels[:, 0], levels[:, 1], found, posterior / posterior.sum(), int(found.argmin())
    )


def dispersion(found: float, length: int, parameters: int) -> float:
    """Variance in multiples of the binomial's, pulled towards 1 and never below it."""
    return max(1.0, (PRIOR_WEIGHT + found) / (PRIOR_WEIGHT + max(1, length - parameters)))


def second_step(one: StepFit, correct: Floats, n: Floats) -> tuple[int | None, float]:
    """Where to cut the curve between two steps (None when BIC prefers one), and the dispersion of the chosen fit."""
    length = len(n)
    best = _polished(one, correct, n)
    noise = dispersion(best, length, 4)
    if length < 10:
        return None, noise
    found, first, second = _two_steps(one, correct, n)
    noise_two = dispersion(found, length, 7)
    if best - found <= 3 * np.log(length) * noise_two:
        return None, noise
    cut = int(np.clip(round((first + second) / 2), 4, length - 4))
    return cut, noise_two


def _polished(one: StepFit, correct: Floats, n: Floats) -> float:
    """The deviance of one step off the grid: with many problems an evaluation the grid alone is too coarse."""
    centre, width, best = float(one.centre[one.best]), float(one.width[one.best]), float(one.deviance[one.best])
    reach = max(0.25, len(n) / 240)
    for zoom in (1.0, 0.25):
        offsets, factors = np.linspace(-reach, reach, 7) * zoom, np.geomspace(0.75, 1.33, 7) ** zoom
        centres, widths = (a.ravel() for a in np.meshgrid(centre + offsets, width * factors, indexing="ij"))
        _, found = fit_steps(centres, widths, correct, n)
        at = int(found.argmin())
        centre, width, best = float(centres[at]), float(widths[at]), min(best, float(found[at]))
    return best


def _two_steps(one: StepFit, correct: Floats, n: Floats) -> tuple[float, float, float]:
    """Deviance and both centres of the best two steps found by moving one at a time."""
    length = len(n)
    centres = np.arange(0.0, length - 1, max(0.5, length / 80))
    centre, width = (a.ravel() for a in np.meshgrid(centres, np.geomspace(0.5, length / 2, 4), indexing="ij"))
    rises = step(centre, width, length)
    fixed = (float(one.centre[one.best]), float(one.width[one.best]))
    best = (np.inf, *fixed)
    for _ in range(3):
        held = step(np.array([fixed[0]]), np.array([fixed[1]]), length)[0]
        early = (centre < fixed[0])[:, None]
        first, second = np.where(early, rises, held), np.where(early, held, rises)
        _, found = fit_levels(np.stack([1 - first, first * (1 - second), first * second], -1), correct, n, rounds=3)
        at = int(found.argmin())
        if found[at] >= best[0] - 1e-6:
            break
        low, high = sorted((fixed[0], float(centre[at])))
        best = (float(found[at]), low, high)
        fixed = (float(centre[at]), float(width[at]))
    return best
