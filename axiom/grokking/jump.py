"""What a jump is: new ground gained in validation accuracy, much more of it than in the same time before.

All of it is said of M(t), the best accuracy that the fitted curve has had since memorisation: a dip, a collapse and the
recovery from it leave M as it is. D draws of the fitted curve at G times; a condition is a probability over the draws.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from axiom.grokking.fit import Floats, between

MIN_PLATEAU = 3
"""Evaluations from memorisation to the moment at which validation leaves the plateau, both counted."""
CONTRAST = 4.0
"""The jump gains at least so many times what an equally long time before it gained."""
JUMP_SHARE = 0.4
"""Of the whole rise; a jump gains this much or `min_step`, whichever is less."""
FINENESS = 4
"""Times at which the curve is read, between two evaluations."""
LENGTHS = 24
"""Lengths of time that are tried, of each of two kinds."""


@dataclass(frozen=True)
class Rise:
    """The rise since memorisation in each draw, D values each: levels before and after, and when it was where.

    `times` G and `curve_DG` are the fitted curve, `best_DG` is M; `crossing` says when M had gained a share.
    """

    times: Floats
    curve_DG: Floats

    @cached_property
    def best_DG(self) -> Floats:
        """The best accuracy so far."""
        return np.maximum.accumulate(self.curve_DG, axis=1)

    @property
    def before(self) -> Floats:
        """Level at memorisation."""
        return self.best_DG[:, 0]

    @property
    def after(self) -> Floats:
        """The best level of all."""
        return self.best_DG[:, -1]

    def crossing(self, share: float) -> Floats:
        """First times D at which `share` of the rise was gained, interpolated."""
        wanted = self.before + share * (self.after - self.before)
        right = (self.best_DG >= wanted[:, None]).argmax(1).clip(min=1)
        rows = np.arange(len(wanted))
        low, high = self.best_DG[rows, right - 1], self.best_DG[rows, right]
        part = np.where(high > low, (wanted - low) / np.where(high > low, high - low, 1.0), 0.0).clip(0, 1)
        return self.times[right - 1] + part * (self.times[right] - self.times[right - 1])


def reading_times(at: Floats) -> Floats:
    """Times G at which a fitted curve is read: every evaluation and `FINENESS` - 1 between two of them."""
    return between(np.arange((len(at) - 1) * FINENESS + 1) / FINENESS, at)


def sudden(rise: Rise, at: Floats, ceiling: float, min_step: float) -> NDArray[np.bool_]:
    """In which draws D there is a jump: whether for some length of time L and some moment s the best accuracy M

    gains `min_step` (or 40 % of the rise) from s to s + L, stands at most at `ceiling` at s, and gained at most a
    `CONTRAST`-th of that from s - L to s, where at least `MIN_PLATEAU` of the evaluations `at` lie. The curve itself
    stands no lower than half of that gain below M at s: within a dip there is no plateau.
    """
    times, best_DG = rise.times, rise.best_DG
    whole = rise.after - rise.before
    needed = np.minimum(min_step, JUMP_SHARE * whole)[:, None]
    low_DG = (best_DG <= ceiling) & (rise.curve_DG >= best_DG - needed / 2)
    found = np.zeros(len(best_DG), bool)
    for length in _lengths(at, times):
        then, later = times - length, times + length
        then = np.where(np.abs(then - times[0]) < 1e-9 * length, times[0], then)
        count = np.searchsorted(at, times, "right") - np.searchsorted(at, then, "left")
        usable = np.flatnonzero((count >= MIN_PLATEAU) & (then >= times[0]))
        if not len(usable):
            continue
        here = best_DG[:, usable]
        gained = best_DG[:, np.searchsorted(times, later[usable], "right") - 1] - here
        earlier = here - best_DG[:, np.searchsorted(times, then[usable], "right") - 1]
        found |= ((gained >= needed) & (gained >= CONTRAST * earlier) & low_DG[:, usable]).any(1)
    return found & (whole >= min_step)


def _lengths(at: Floats, times: Floats) -> Floats:
    """Lengths of time, even in logarithm; those from the first to a later one of `times` use all of a plateau."""
    shortest, longest = np.diff(at).min(), (times[-1] - times[0]) / 2
    chosen = np.unique(np.geomspace(1, len(times) - 1, LENGTHS).round().astype(int))
    from_start = times[chosen] - times[0]
    spread = np.geomspace(shortest, max(shortest, longest), LENGTHS)
    return np.concatenate([spread, from_start[from_start <= longest]])
