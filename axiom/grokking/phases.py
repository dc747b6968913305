"""From a curve to its phases: memorised, plateau, transition, generalised; and what kind of curve that makes it.

A run is memorised at the first evaluation from which train accuracy, pooled over a window, reaches a level. From
there validation is fitted with one or two logistic steps (axiom.grokking.fit). A step is a transition when it
is high enough, beats a constant and a line by BIC, and follows a plateau that was long and low enough.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from axiom.config import DetectionConfig
from axiom.grokking import fit
from axiom.grokking.curve import MIN_EVALUATIONS, Curve, Floats
from axiom.records import Event

Kind = Literal[
    "undetermined", "no_memorisation", "no_jump", "concurrent", "gradual", "transient", "partial", "grokking"
]  # fmt: skip

MIN_AFTER_MEMORISING = 8
MIN_PLATEAU = 3.0
"""Evaluations; and half the width of the step."""
SURE = 0.6
"""Posterior probability that plateau, height and gap are all as large as they must be."""
HOLD = 5
"""Last evaluations that must stand on the step's upper level."""
HELD_SHARE = 0.7
"""Share of the step those may not fall below."""
MAX_FINAL_GAP = 0.6
"""Of the plateau gap."""


@dataclass(frozen=True)
class Step:
    """One rise or fall of validation accuracy. Times in iterations; `low` and `high` bound a 95 % interval."""

    time: float
    low: float
    high: float
    width: float
    before: float
    after: float
    plateau: float
    plateau_gap: float
    sudden: bool


@dataclass(frozen=True)
class Phases:
    """What a curve did. Times and widths in iterations, null where the thing did not happen.

    `reason` says which condition decided. `delay_ratio` is t_generalise / t_memorise, the latter at least one
    evaluation.
    """

    kind: Kind
    evaluations: int
    reason: str
    t_memorise: float | None = None
    t_generalise: float | None = None
    t_generalise_low: float | None = None
    t_generalise_high: float | None = None
    delay_ratio: float | None = None
    width: float | None = None
    plateau: float | None = None
    plateau_gap: float | None = None
    final_gap: float | None = None
    step: float | None = None
    dispersion: float | None = None
    steps: tuple[Step, ...] = ()

    def sentence(self) -> str:
        """One plain sentence for the terminal."""
        if self.kind in ("grokking", "partial", "transient"):
            return (
                f"{_TITLES[self.kind]}: memorised at iteration {self.t_memorise:g}, validation jumped by "
                f"{self.step:.2f} at {self.t_generalise:.1f} (95 % {self.t_generalise_low:.1f} to "
                f"{self.t_generalise_high:.1f}), {self.delay_ratio:.1f} times as late; {self.reason}"
            )
        return f"{_TITLES[self.kind]}: {self.reason}"


_TITLES = {
    "undetermined": "Undetermined",
    "no_memorisation": "No memorisation",
    "no_jump": "Memorised, no jump",
    "concurrent": "Validation came along with training",
    "gradual": "Gradual generalisation",
    "transient": "Transient jump",
    "partial": "Partial jump",
    "grokking": "Grokking",
}


def memorised_at(curve: Curve, config: DetectionConfig) -> int | None:
    """Index of the first evaluation from which pooled train accuracy reaches the level."""
    window = config.memorised_window
    if len(curve) < window:
        return None
    ones = np.ones(window)
    correct = np.convolve(curve.train_accuracy * curve.train_n, ones, "valid")
    reached = np.flatnonzero(correct >= config.memorised_accuracy * np.convolve(curve.train_n, ones, "valid"))
    return int(reached[0]) if len(reached) else None


def detect(curve: Curve, config: DetectionConfig | None = None) -> Phases:
    """The phases of a curve. A curve too short for a verdict has kind `undetermined`; nothing raises."""
    config = config or DetectionConfig()
    length = len(curve)
    start = memorised_at(curve, config)
    if length < MIN_EVALUATIONS:
        reason = f"{length} evaluations so far, a verdict needs {MIN_EVALUATIONS}"
        return Phases("undetermined", length, reason, None if start is None else float(curve.iteration[start]))
    if start is None:
        best = np.convolve(curve.train_accuracy, np.ones(3) / 3, "valid").max()
        reason = f"train accuracy reached {best:.2f}, memorised means {config.memorised_accuracy:g}"
        return Phases("no_memorisation", length, reason)
    if length - start < MIN_AFTER_MEMORISING:
        reason = f"{length - start} evaluations after memorisation, a verdict needs {MIN_AFTER_MEMORISING}"
        return Phases("undetermined", length, reason, float(curve.iteration[start]))
    steps, dispersion = _steps(curve, start, config)
    return replace(_classify(curve, start, steps, config), dispersion=dispersion)


def _steps(curve: Curve, start: int, config: DetectionConfig) -> tuple[tuple[Step, ...], float]:
    """The steps after memorisation, in time, and the dispersion around them."""
    correct = (curve.val_accuracy * curve.val_n)[start:]
    n = curve.val_n[start:]
    length = len(n)
    one = fit.fit_step(correct, n)
    cut, noise = fit.second_step(one, correct, n)
    bounds = [0, length] if cut is None else [0, cut, length]
    steps: list[Step] = []
    plateau_from = 0.0
    for low, high in itertools.pairwise(bounds):
        found = one if cut is None else fit.fit_step(correct[low:high], n[low:high])
        window = curve.part(start + low, start + high)
        step, end = _step(window, found, max(0.0, plateau_from - low), noise, config)
        steps.append(step)
        plateau_from = low + max(0.0, end)
    return tuple(steps), noise


def _step(
    window: Curve, found: fit.StepFit, plateau_from: float, noise: float, config: DetectionConfig
) -> tuple[Step, float]:
    """The step fitted to a window of the curve, and where it ends, in evaluations of the window."""
    rises = fit.step(found.centre, found.width, len(window))
    before_K, after_K = (found.low + (found.high - found.low) * rises[:, at] for at in (0, -1))
    plateau_K = found.centre - found.width / 2 - plateau_from
    centre, width = found.centre_quantile(0.5), found.mean(found.width)
    train = float(window.train_accuracy[: max(1, int(np.floor(centre)))].mean())
    enough_K = (
        (plateau_K >= MIN_PLATEAU)
        & (plateau_K >= found.width / 2)
        & (after_K - before_K >= config.min_step)
        & (train - before_K >= config.min_plateau_gap)
    )
    step = Step(
        time=_iteration(window, centre), low=_iteration(window, found.centre_quantile(0.025)),
        high=_iteration(window, found.centre_quantile(0.975)), width=width * window.spacing,
        before=found.mean(before_K), after=found.mean(after_K),
        plateau=max(0.0, found.mean(plateau_K)) * window.spacing, plateau_gap=train - found.mean(before_K),
        sudden=found.mean(enough_K) >= SURE and _beats_plain_shapes(found, window, noise),
    )  # fmt: skip
    return step, centre + width / 2


def _beats_plain_shapes(found: fit.StepFit, window: Curve, noise: float) -> bool:
    """Whether a step explains the window better than no change and even change, by BIC."""
    length, n = len(window), window.val_n
    correct = window.val_accuracy * n
    best = found.deviance[found.best]
    flat = fit.fit_shape(fit.constant(length), correct, n).deviance
    even = fit.fit_shape(fit.line(length), correct, n).deviance
    return bool(flat - best > 3 * np.log(length) * noise and even - best > 2 * np.log(length) * noise)


def _iteration(curve: Curve, at: float) -> float:
    """Iteration of a fractional evaluation index, extrapolated evenly."""
    return float(curve.iteration[0] + (curve.iteration[-1] - curve.iteration[0]) * at / (len(curve) - 1))


def _classify(curve: Curve, start: int, steps: tuple[Step, ...], config: DetectionConfig) -> Phases:
    memorised = float(curve.iteration[start])
    final_gap = _pooled(curve.train_accuracy, curve.train_n) - _pooled(curve.val_accuracy, curve.val_n)
    found = Phases("no_jump", len(curve), "", memorised, final_gap=final_gap, steps=steps)
    sudden = next((step for step in steps if step.sudden), None)
    if sudden is None:
        kind, reason = _without_jump(curve, start, steps, config)
        return replace(found, kind=kind, reason=reason)
    found = replace(
        found, t_generalise=sudden.time, t_generalise_low=sudden.low, t_generalise_high=sudden.high,
        delay_ratio=sudden.time / max(memorised, curve.spacing), width=sudden.width, plateau=sudden.plateau,
        plateau_gap=sudden.plateau_gap, step=sudden.after - sudden.before,
    )  # fmt: skip
    needed = sudden.before + HELD_SHARE * (sudden.after - sudden.before)
    last = _pooled(curve.val_accuracy, curve.val_n)
    if last < needed:
        return replace(found, kind="transient", reason=f"the last {HOLD} evaluations fell to {last:.2f}")
    if final_gap > MAX_FINAL_GAP * sudden.plateau_gap:
        reason = f"a gap of {final_gap:.2f} is left of {sudden.plateau_gap:.2f}"
        return replace(found, kind="partial", reason=reason)
    reason = f"the gap closed from {sudden.plateau_gap:.2f} to {max(0.0, final_gap):.2f} and stayed so"
    return replace(found, kind="grokking", reason=reason)


def _without_jump(curve: Curve, start: int, steps: tuple[Step, ...], config: DetectionConfig) -> tuple[Kind, str]:
    rise = max(step.after - step.before for step in steps)
    at_start = slice(start, start + 3)
    gap = float(curve.train_accuracy[at_start].mean() - curve.val_accuracy[at_start].mean())
    if gap < config.min_plateau_gap:
        reason = f"the gap at memorisation is {gap:.2f}, a plateau needs {config.min_plateau_gap:g}"
        return "concurrent", reason
    if rise >= config.min_step:
        return "gradual", f"validation rose by {rise:.2f} with no plateau before it"
    reason = f"the largest rise of validation is {max(0.0, rise):.2f}, a jump needs {config.min_step:g}"
    return "no_jump", reason


def _pooled(accuracy: Floats, n: Floats) -> float:
    return float((accuracy * n)[-HOLD:].sum() / n[-HOLD:].sum())


def events(phases: Phases) -> list[Event]:
    """The phases as rows for the events table, in time."""
    rows = []
    if phases.t_memorise is not None:
        at = phases.t_memorise
        rows.append(Event(iteration=round(at), kind="memorised", estimate=at, low=None, high=None, detail=""))
    if phases.t_generalise is not None:
        times = {"estimate": phases.t_generalise, "low": phases.t_generalise_low, "high": phases.t_generalise_high}
        kind = {"grokking": "generalised", "partial": "transition", "transient": "transition"}[phases.kind]
        rows.append(Event(iteration=round(phases.t_generalise), kind=kind, detail=phases.sentence(), **times))
    return rows
