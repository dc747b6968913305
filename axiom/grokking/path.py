"""A validation curve of any shape as a chain of logistic steps, and draws of it from their posteriors.

The curve is cut between two steps wherever BIC prefers two to one, and each part is fitted with a step of its own.
A long curve is first pooled into bins, fine where it changes: evaluations of one accuracy add up to one binomial.
"""

import heapq
import itertools
from dataclasses import dataclass

import numpy as np

from axiom.grokking import fit
from axiom.grokking.fit import Floats

EVEN_BINS, BINS = 80, 200
"""Bins of equal counts of evaluations that a long curve begins with, and bins once those that change are halved."""
MAX_PARTS = 12
"""The cuts that explain most come first, so a long tail of dips does not use up those at the jump."""
DRAWS = 200
MIN_AFTER_RISE = 20
"""Evaluations after the rise that are fitted at least, to know its upper level."""


@dataclass(frozen=True)
class Part:
    """The step fitted to the evaluations (bins) from `start` on, up to but without `end`."""

    start: int
    end: int
    step: fit.StepFit


@dataclass(frozen=True)
class Path:
    """A fitted curve: times T of its bins, correct answers T, answers T, and its parts in order."""

    at: Floats
    correct: Floats
    n: Floats
    parts: tuple[Part, ...]

    def draw(self, times: Floats, draws: int = DRAWS) -> Floats:
        """Curves D×G from the posterior at `times` G, which lie between first and last evaluation.

        The same on every call. Between two parts a curve is straight: a step says nothing outside its own evaluations.
        """
        rng = np.random.default_rng(0)
        pieces = []
        last = np.empty(0)
        for number, part in enumerate(self.parts):
            here = (times >= self.at[part.start]) & (times <= self.at[part.end - 1])
            own = np.concatenate([self.at[[part.start]], times[here], self.at[[part.end - 1]]])
            curve = part.step.draw(own, draws, rng)
            if number:
                left, right = self.at[part.start - 1], self.at[part.start]
                gap = times[(times > left) & (times < right)]
                share = (gap - left) / (right - left)
                pieces.append(last[:, None] * (1 - share) + curve[:, :1] * share)
            pieces.append(curve[:, 1:-1])
            last = curve[:, -1]
        return np.concatenate(pieces, axis=1)

    @property
    def deviance(self) -> float:
        """Of the best steps."""
        return sum(float(part.step.deviance[part.step.best]) for part in self.parts)


def fit_path(at: Floats, accuracy: Floats, n: Floats) -> Path:
    """The path of a curve of at least two evaluations."""
    at, correct, n = pooled(at, accuracy * n, n)
    queue = [_part(at, correct, n, 0, len(at))]
    while len(queue) < MAX_PARTS and queue[0][0] < 0:
        _, cut, whole = heapq.heappop(queue)
        heapq.heappush(queue, _part(at, correct, n, whole.start, cut))
        heapq.heappush(queue, _part(at, correct, n, cut, whole.end))
    return Path(at, correct, n, tuple(sorted((part for _, _, part in queue), key=lambda part: part.start)))


def _part(at: Floats, correct: Floats, n: Floats, start: int, end: int) -> tuple[float, int, Part]:
    """The part [start, end) after less the deviance that cutting it would explain, and where; 0 if it stays whole."""
    here = slice(start, end)
    one = fit.fit_step(at[here], correct[here], n[here])
    cut, gain = fit.second_step(one, at[here], correct[here], n[here])
    return -gain, start + cut, Part(start, end, one)


def in_windows(accuracy: Floats, n: Floats, window: int) -> Floats:
    """Accuracies of every `window` evaluations in a row, pooled."""
    ones = np.ones(window)
    return np.convolve(accuracy * n, ones, "valid") / np.convolve(n, ones, "valid")


def rise_end(accuracy: Floats, n: Floats) -> int:
    """How many evaluations the whole rise takes, and as many again: what comes later cannot make it any higher.

    It is over when three pooled evaluations come within a tenth of the best such three.
    """
    smooth = in_windows(accuracy, n, 3)
    reached = int((smooth >= smooth.max() - 0.1 * (smooth.max() - smooth[0])).argmax())
    return min(len(n), max(2 * (reached + 3), reached + MIN_AFTER_RISE))


def pooled(at: Floats, correct: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """The curve in at most `BINS` bins: their mean times, sums of correct answers and of answers."""
    length = len(at)
    if length <= BINS:
        return at, correct, n
    sums = np.concatenate([[[0.0] * 3], np.cumsum([at, correct, n], axis=1).T])
    edges = np.linspace(0, length, EVEN_BINS + 1).round().astype(int).tolist()
    queue = [_split(sums, low, high) for low, high in itertools.pairwise(edges)]
    heapq.heapify(queue)
    while len(queue) < BINS and queue[0][0] < 0:
        _, low, high = heapq.heappop(queue)
        middle = (low + high) // 2
        heapq.heappush(queue, _split(sums, low, middle))
        heapq.heappush(queue, _split(sums, middle, high))
    edges = sorted({0, *(high for _, _, high in queue)})
    bins = np.diff(sums[edges], axis=0)
    return bins[:, 0] / np.diff(edges), bins[:, 1], bins[:, 2]


def _split(sums: Floats, low: int, high: int) -> tuple[float, int, int]:
    """The bin [low, high) after less the deviance that halving it would explain; 0 for a single evaluation."""
    if high - low < 2:
        return 0.0, low, high
    halves = np.diff(sums[[low, (low + high) // 2, high], 1:], axis=0)
    correct, n = halves.T
    return -float(fit.deviance(correct, n, np.full(2, correct.sum() / n.sum()))), low, high
