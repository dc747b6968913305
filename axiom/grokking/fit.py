"""Binomial fits of a validation curve in time: constant, line, logistic steps, over-dispersion estimated.

Shapes: K candidate shapes, T evaluations, Q levels, G times at which a fitted curve is read, D draws. A shape is a
weight matrix W_TQ whose rows sum to one; the accuracy it predicts is p_T = W_TQ @ level_Q with every level inside
(0, 1), so p is too. For a given shape the binomial log-likelihood is concave in the levels and Fisher scoring finds
them; shapes are searched on a grid. `at` are the times of the T evaluations: they ascend, evenly or not.

Over-dispersion is quasi-binomial (McCullagh & Nelder 1989, section 4.5): variances are `dispersion` times the
binomial's, and the dispersion is integrated out under a scaled inverse chi-square prior at 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
CENTRES = 240
"""Centres tried at most."""
SKEWS = (1 / 3, 1.0, 3.0)
"""How much slower a step may be before its centre than after it; half of the prior is on as slow."""


@dataclass(frozen=True)
class StepFit:
    """A posterior over one logistic step on a grid of K (centre, width, skew), the first two in units of time.

    `cell` is the distance between neighbouring centres. `deviance`, `low` and `high` (levels before and after) are
    those of the best levels at each of them.
    """

    centre: Floats
    cell: Floats
    width: Floats
    skew: Floats
    low: Floats
    high: Floats
    deviance: Floats
    posterior: Floats
    best: int

    def centre_quantile(self, probability: float) -> float:
        """Posterior quantile of the centre, spread evenly within a grid cell."""
        values, first, where = np.unique(self.centre, return_index=True, return_inverse=True)
        mass = np.cumsum(np.bincount(where, self.posterior))
        edges = np.append(values - self.cell[first] / 2, values[-1] + self.cell[first[-1]] / 2)
        return float(np.interp(probability, np.concatenate([[0.0], mass]), edges))

    def draw(self, times: Floats, draws: int, rng: np.random.Generator) -> Floats:
        """Curves D×G of the posterior at `times`; a centre is spread evenly within its grid cell."""
        chosen = rng.permutation(
            np.searchsorted(np.cumsum(self.posterior), (np.arange(draws) + rng.random(draws)) / draws)
        ).clip(max=len(self.posterior) - 1)
        centre = self.centre[chosen] + self.cell[chosen] * (rng.random(draws) - 0.5)
        rises = step(centre, self.width[chosen], times, self.skew[chosen])
        return self.low[chosen, None] + (self.high - self.low)[chosen, None] * rises


def deviance(correct: Floats, n: Floats, p: Floats) -> Floats:
    """Binomial deviance, summed over the last axis. Broadcasts."""
    observed = correct / n
    saturated = xlogy(correct, observed) + xlogy(n - correct, 1 - observed)
    return 2 * (saturated - xlogy(correct, p) - xlogy(n - correct, 1 - p)).sum(-1)


def fit_levels(weights_KTQ: Floats, correct: Floats, n: Floats, rounds: int = 6) -> tuple[Floats, Floats]:
    """Maximum-likelihood levels KQ of each shape and their deviance K: Fisher scoring, halved where it overshoots."""
    floor = 0.1 / n.sum()
    smooth = np.convolve(correct, np.ones(3), "same") + 0.5
    guess = smooth / (np.convolve(n, np.ones(3), "same") + 1)
    p_KT = np.broadcast_to(guess, weights_KTQ.shape[:2])
    best_KQ = np.full((len(weights_KTQ), weights_KTQ.shape[2]), correct.sum() / n.sum())
    best_KQ = best_KQ.clip(floor, 1 - floor)
    best_K = deviance(correct, n, np.einsum("ktq,kq->kt", weights_KTQ, best_KQ))
    ridge, part_K = 1e-9 * np.eye(weights_KTQ.shape[2]), np.ones(len(weights_KTQ))
    for _ in range(rounds):
        information_KT = n / (p_KT * (1 - p_KT))
        weighted_KTQ = weights_KTQ * information_KT[..., None]
        normal_KQQ = weights_KTQ.transpose(0, 2, 1) @ weighted_KTQ
        scale_K = np.trace(normal_KQQ, axis1=1, axis2=2)[:, None, None]
        right_KQ = np.einsum("ktq,t->kq", weighted_KTQ, correct / n)
        # A level no evaluation speaks of falls back on the pooled accuracy.
        pooled = ridge * scale_K
        right_KQ = right_KQ + np.einsum("kqr->kq", pooled) * (correct.sum() / n.sum())
        target_KQ = np.linalg.solve(normal_KQQ + pooled, right_KQ[..., None])[..., 0].clip(floor, 1 - floor)
        levels_KQ = best_KQ + part_K[:, None] * (target_KQ - best_KQ)
        found_K = deviance(correct, n, np.einsum("ktq,kq->kt", weights_KTQ, levels_KQ).clip(floor, 1 - floor))
        better = found_K < best_K
        best_K = np.where(better, found_K, best_K)
        best_KQ = np.where(better[:, None], levels_KQ, best_KQ)
        part_K = np.where(better, np.minimum(1, 2 * part_K), part_K / 2)
        p_KT = np.einsum("ktq,kq->kt", weights_KTQ, best_KQ).clip(floor, 1 - floor)
    return best_KQ, best_K


def fit_shape(weights_TQ: Floats, correct: Floats, n: Floats) -> tuple[Floats, float]:
    """Best levels Q of a single shape, and their deviance."""
    levels, found = fit_levels(weights_TQ[None], correct, n, rounds=60)
    return levels[0], float(found[0])


def constant(at: Floats) -> Floats:
    """The shape of no change."""
    return np.ones((len(at), 1))


def line(at: Floats) -> Floats:
    """The shape of even change from first to last evaluation."""
    rise = (at - at[0]) / (at[-1] - at[0])
    return np.stack([1 - rise, rise], -1)


def parabola(at: Floats) -> Floats:
    """Weights T×2 of growth with the square of the time since the first evaluation."""
    share = ((at - at[0]) / (at[-1] - at[0])) ** 2
    return np.stack([1 - share, share], -1)


def step(centre: Floats, width: Floats, at: Floats, skew: Floats | float = 1.0) -> Floats:
    """Logistic rises K×T with 10-90 % `width`, half-way at `centre`, before it `skew` times as slow as after it."""
    away = at - centre[:, None]
    slope = (WIDTH_PER_SCALE / width)[:, None]
    half = np.sqrt(skew) * np.ones_like(width)
    return expit(away * slope * np.where(away < 0, 1 / half[:, None], half[:, None]))


def between(index: Floats, at: Floats) -> Floats:
    """Times of fractional evaluation indices; outside the curve at the distance of its first or last two."""
    first, last = at[0] - (at[1] - at[0]), at[-1] + (at[-1] - at[-2])
    return np.interp(index, np.arange(-1, len(at) + 1), np.concatenate([[first], at, [last]]))


def grid(at: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Candidate centres K, the size of their cells K, widths K, all in time, and skews K.

    Centres are even in evaluations, widths even in logarithm from less than the distance of two evaluations there.
    """
    length = len(at)
    spacing = max(0.25, length / CENTRES)
    index = np.arange(-0.5, length - 0.5 + 1e-9, spacing)
    cells = between(index + spacing / 2, at) - between(index - spacing / 2, at)
    count = max(8, int(3 * np.log2(5 * length)))
    narrow, wide = 0.4 * cells / spacing, 2.0 * (at[-1] - at[0])
    widths = (narrow[:, None] * (wide / narrow)[:, None] ** np.linspace(0, 1, count)).ravel()
    centre, cell = (np.repeat(values, count * len(SKEWS)) for values in (between(index, at), cells))
    return centre, cell, np.repeat(widths, len(SKEWS)), np.tile(SKEWS, len(widths))


def blocks(shapes: int, length: int) -> Iterator[slice]:
    """`shapes` in parts of about `BLOCK` predictions."""
    size = max(1, BLOCK // length)
    return (slice(at, at + size) for at in range(0, shapes, size))


def fit_steps(
    centre: Floats, width: Floats, at: Floats, correct: Floats, n: Floats, rounds: int = 6, skew: Floats | None = None
) -> tuple[Floats, Floats]:
    """Levels K×2 and deviance K of logistic steps, block by block."""
    skew = np.ones_like(width) if skew is None else skew
    rises = (step(centre[part], width[part], at, skew[part]) for part in blocks(len(centre), len(at)))
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


def fit_step(at: Floats, correct: Floats, n: Floats) -> StepFit:
    """The posterior over a single step: centre uniform over evaluations, width and skew log-uniform, best levels."""
    centre, cell, width, skew = grid(at)
    parts = blocks(len(centre), len(at))
    rough = np.concatenate([_screen(step(centre[p], width[p], at, skew[p]), correct, n) for p in parts])
    keep = np.argsort(rough)[: max(800, len(rough) // 16)]
    levels, found = fit_steps(centre[keep], width[keep], at, correct, n, skew=skew[keep])
    weight = PRIOR_WEIGHT + len(correct) - 2
    log_posterior = -0.5 * weight * np.log(PRIOR_WEIGHT + found) - np.where(skew[keep] == 1.0, 0.0, np.log(2))
    posterior = np.exp(log_posterior - log_posterior.max())
    return StepFit(
        centre[keep],
        cell[keep],
        width[keep],
        skew[keep],
        levels[:, 0],
        levels[:, 1],
        found,
        posterior / posterior.sum(),
        int(found.argmin()),
    )


def dispersion(found: float, length: int, parameters: int) -> float:
    """Variance in multiples of the binomial's, pulled towards 1 and never below it."""
    return max(1.0, (PRIOR_WEIGHT + found) / (PRIOR_WEIGHT + max(1, length - parameters)))


def second_step(one: StepFit, at: Floats, correct: Floats, n: Floats) -> tuple[int, float]:
    """Where to cut the curve between two steps and the deviance that explains; (0, 0) when BIC prefers one step."""
    length = len(n)
    if length < 10:
        return 0, 0.0
    found, first, second = _two_steps(one, at, correct, n)
    gain = _polished(one, at, correct, n) - found
    if gain <= 3 * np.log(length) * dispersion(found, length, 8):
        return 0, 0.0
    return int(np.clip(np.searchsorted(at, (first + second) / 2), 4, length - 4)), gain


def _polished(one: StepFit, at: Floats, correct: Floats, n: Floats) -> float:
    """The deviance of one step off the grid: with many problems an evaluation the grid alone is too coarse."""
    centre, width, best = float(one.centre[one.best]), float(one.width[one.best]), float(one.deviance[one.best])
    reach = float(one.cell[one.best])
    for zoom in (1.0, 0.25):
        offsets, factors = np.linspace(-reach, reach, 7) * zoom, np.geomspace(0.75, 1.33, 7) ** zoom
        centres, widths = (a.ravel() for a in np.meshgrid(centre + offsets, width * factors, indexing="ij"))
        skews = np.full_like(widths, one.skew[one.best])
        _, found = fit_steps(centres, widths, at, correct, n, skew=skews)
        here = int(found.argmin())
        centre, width, best = float(centres[here]), float(widths[here]), min(best, float(found[here]))
    return best


def _two_steps(one: StepFit, at: Floats, correct: Floats, n: Floats) -> tuple[float, float, float]:
    """Deviance and both centres of the best two steps found by moving one at a time."""
    length = len(n)
    index = np.arange(0.0, length - 1, max(0.5, length / 80))
    narrow = 0.5 * (between(index + 0.5, at) - between(index - 0.5, at))
    wide = (at[-1] - at[0]) / 2
    widths = narrow[:, None] * (wide / narrow)[:, None] ** np.linspace(0, 1, 4)
    centre, width = np.repeat(between(index, at), 4), widths.ravel()
    rises = step(centre, width, at)
    fixed = (float(one.centre[one.best]), float(one.width[one.best]), float(one.skew[one.best]))
    best = (np.inf, fixed[0], fixed[0])
    for _ in range(3):
        held = step(np.array([fixed[0]]), np.array([fixed[1]]), at, fixed[2])[0]
        early = (centre < fixed[0])[:, None]
        first, second = np.where(early, rises, held), np.where(early, held, rises)
        _, found = fit_levels(np.stack([1 - first, first * (1 - second), first * second], -1), correct, n, rounds=12)
        here = int(found.argmin())
        if found[here] >= best[0] - 1e-6:
            break
        low, high = sorted((fixed[0], float(centre[here])))
        best = (float(found[here]), low, high)
        fixed = (float(centre[here]), float(width[here]), 1.0)
    return best
