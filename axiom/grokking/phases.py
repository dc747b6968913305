"""From a curve to its phases: memorised, plateau, jump, generalised; and what kind of curve that makes it.

A run is memorised at the first evaluation from which train accuracy, pooled over a window, reaches a level and stays
near it: a few high evaluations before a run forgets are passed over. From there validation is fitted with a chain of
logistic steps in time (`path`). What a jump is, `jump` says, of draws of that fit; it must also beat no change, even
and quadratic growth by BIC, and the last evaluations say whether it lasted.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from axiom.config import DetectionConfig
from axiom.grokking import fit
from axiom.grokking.curve import MIN_EVALUATIONS, Curve, Floats
from axiom.grokking.jump import CONTRAST, Rise, reading_times, sudden
from axiom.grokking.path import Path, fit_path, in_windows, rise_end
from axiom.records import Event

Kind = Literal[
    "undetermined", "no_memorisation", "no_jump", "concurrent", "gradual", "transient", "partial", "grokking"
]

MIN_AFTER_MEMORISING = 8
COLLAPSED = 0.5
"""Evaluations with less than this share of the median train accuracy since memorisation are left out of the fit."""
SURE = 0.5
"""Posterior probability of a jump from which there is one."""
HOLD = 5
"""Last evaluations whose median must stand on the upper level; at least so many must follow the jump."""
HELD_SHARE = 0.7
"""Share of the rise that the median of the last evaluations may not fall below; and of the memorised level that the
median of train accuracy may not fall below until validation rises, or to the end."""
MAX_FINAL_GAP = 0.6
"""Of the plateau gap."""
MIN_RESOLVED = 6
"""Where fewer evaluations lie both before half of the rise and within the rise, no plateau can be told."""


@dataclass(frozen=True)
class Step:
    """One rise or fall of validation accuracy. Times in iterations; `low` and `high` bound a 95 % interval."""

    time: float
    low: float
    high: float
    width: float
    before: float
    after: float


@dataclass(frozen=True)
class Phases:
    """What a curve did. Times and widths in iterations, null where the thing did not happen.

    `reason` says which condition decided. `t_generalise` is when half of the rise since memorisation was gained,
    `width` the time from its tenth to its ninth tenth, `plateau` the time before that, `step` its height. `plateau_gap`
    is train less validation accuracy on the plateau, `final_gap` the median of that over the last evaluations.
    `delay_ratio` is t_generalise / t_memorise, the latter at least one evaluation. `steps` are those of the fit.
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
            memorised, low, time, high = (
                cast(float, value)
                for value in (self.t_memorise, self.t_generalise_low, self.t_generalise, self.t_generalise_high)
            )
            digits = max(1, math.ceil(-math.log10(max(high - low, 1e-9 * abs(time), 1e-300))))
            late = f", {time / memorised:.1f} times as late" if memorised > 0 else ""
            return (
                f"{TITLES[self.kind]}: memorised at iteration {memorised:.10g}, validation then rose by "
                f"{self.step:.2f}, half of it by {time:.{digits}f} (95 % {low:.{digits}f} to {high:.{digits}f}){late}; "
                f"{self.reason}"
            )
        return f"{TITLES[self.kind]}: {self.reason}"


TITLES = {
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
    return next(iter(_memorised(curve, config)), None)


def detect(curve: Curve, config: DetectionConfig | None = None) -> Phases:
    """The phases of a curve. A curve too short for a verdict has kind `undetermined`; nothing raises."""
    config = config or DetectionConfig()
    length = len(curve)
    starts = _memorised(curve, config)
    if length < MIN_EVALUATIONS:
        reason = f"{length} evaluations so far, a verdict needs {MIN_EVALUATIONS}"
        return Phases("undetermined", length, reason, float(curve.iteration[starts[0]]) if starts else None)
    if not starts:
        window = config.memorised_window
        best = float(in_windows(curve.train_accuracy, curve.train_n, window).max())
        reason = (
            f"train accuracy, pooled over {window} evaluations, reached {_below(best, config.memorised_accuracy)} at "
            f"most, and a run counts as memorised from {config.memorised_accuracy:g} on"
        )
        return Phases("no_memorisation", length, reason)
    found = _from(curve, starts[0], config)
    if found.kind == "no_memorisation" and len(starts) > 1:
        later = _from(curve, starts[1], config)
        return found if later.kind == "no_memorisation" else later
    return found


def _memorised(curve: Curve, config: DetectionConfig) -> list[int]:
    """Where train accuracy first reaches the level; if it is lost, also where its longest later stretch begins."""
    if len(curve) < config.memorised_window:
        return []
    train = in_windows(curve.train_accuracy, curve.train_n, config.memorised_window)
    reached = np.flatnonzero(train >= config.memorised_accuracy - 1e-12)
    losses = np.cumsum(train < HELD_SHARE * config.memorised_accuracy)[reached]
    stretches = [reached[losses == count] for count in np.unique(losses)]
    return [int(stretch[0]) for stretch in stretches[:1] + sorted(stretches[1:], key=len)[-1:]]


def _from(curve: Curve, start: int, config: DetectionConfig) -> Phases:
    """The phases if the run is memorised at `start`; `no_memorisation` if train accuracy does not hold from there."""
    length = len(curve)
    if length - start < MIN_AFTER_MEMORISING:
        reason = f"{length - start} evaluations after memorisation, a verdict needs {MIN_AFTER_MEMORISING}"
        return Phases("undetermined", length, reason, float(curve.iteration[start]))
    return replace(_classify(curve.part(start, length), config), evaluations=length)


def _classify(curve: Curve, config: DetectionConfig) -> Phases:
    """The phases of a curve that begins where it is memorised."""
    stable = curve.train_accuracy >= COLLAPSED * np.median(curve.train_accuracy)
    at, accuracy, n = (values[stable] for values in (curve.iteration, curve.val_accuracy, curve.val_n))
    end = rise_end(accuracy, n)
    path = fit_path(at[:end], accuracy[:end], n[:end])
    times = reading_times(path.at)
    rise = Rise(times, path.draw(times))
    on_plateau = curve.iteration <= np.median(rise.crossing(0.5))
    train = float(np.median(curve.train_accuracy[on_plateau]))
    jumps = sudden(rise, curve.iteration, train - config.min_plateau_gap, config.min_step)
    jumped = bool(jumps.mean() >= SURE) and _beats_plain_shapes(path)
    held = train if jumped else float(np.median(curve.train_accuracy))
    if held < HELD_SHARE * config.memorised_accuracy:
        until = "until validation rose" if jumped else "on"
        reason = (
            f"train accuracy reached {config.memorised_accuracy:g} at iteration {curve.iteration[0]:.10g} but did not "
            f"stay: its median from there {until} is {held:.2f}"
        )
        return Phases("no_memorisation", len(curve), reason, dispersion=_dispersion(path))
    found = Phases(
        "no_jump",
        len(curve),
        "",
        float(curve.iteration[0]),
        dispersion=_dispersion(path),
        final_gap=_last(curve.train_accuracy - curve.val_accuracy),
        steps=tuple(_step(part.step) for part in path.parts),
    )
    if jumped:
        return _with_jump(curve, Rise(times, rise.curve_DG[jumps]), train, found)
    return _without_jump(curve, rise, found, config)


def _with_jump(curve: Curve, rise: Rise, train: float, found: Phases) -> Phases:
    before, after = float(rise.before.mean()), float(rise.after.mean())
    tenth, half, held, most = (rise.crossing(share) for share in (0.1, 0.5, HELD_SHARE, 0.9))
    low, time, high = (float(value) for value in np.quantile(half, [0.025, 0.5, 0.975]))
    follow = int((curve.iteration > time).sum())
    if follow < HOLD:
        reason = f"validation rose by {after - before:.2f}, but only {_evaluations(follow)} after half of that"
        return replace(found, kind="undetermined", reason=f"{reason}, and {HOLD} must tell whether it lasts")
    gap, memorised = train - before, float(curve.iteration[0])
    last = _last(curve.val_accuracy)
    if last < before + HELD_SHARE * (after - before) and np.median(held) > curve.iteration[-HOLD]:
        reason = f"validation was still rising in the last {HOLD} evaluations: by {after - before:.2f} so far"
        return replace(found, kind="undetermined", reason=reason)
    found = replace(
        found,
        t_generalise=time,
        t_generalise_low=low,
        t_generalise_high=high,
        delay_ratio=time / max(memorised, curve.spacing),
        width=float(np.median(most - tenth)),
        plateau=float(np.median(tenth)) - memorised,
        plateau_gap=gap,
        step=after - before,
    )
    ends = f"the median of the last {HOLD} evaluations is {last:.2f}"
    if last < before + HELD_SHARE * (after - before):
        return replace(found, kind="transient", reason=f"{ends}, so it did not last")
    left = max(0.0, train - last)
    if left > MAX_FINAL_GAP * gap:
        return replace(found, kind="partial", reason=f"{ends}, {left:.2f} below train's {train:.2f} on the plateau")
    reason = f"{ends}, so the gap to train's {train:.2f} on the plateau went from {gap:.2f} to {left:.2f}"
    return replace(found, kind="grokking", reason=reason)


def _without_jump(curve: Curve, rise: Rise, found: Phases, config: DetectionConfig) -> Phases:
    height = float((rise.after - rise.before).mean())
    gap = float((curve.train_accuracy - curve.val_accuracy)[:3].mean())
    tenth, half, most = (float(np.median(rise.crossing(share))) for share in (0.1, 0.5, 0.9))
    seen = int((curve.iteration <= half).sum())
    within = int(((curve.iteration >= tenth) & (curve.iteration <= most)).sum())
    if gap < (limit := config.min_plateau_gap):
        reason = (
            f"the mean gap of the first three evaluations from memorisation on is {_below(gap, limit)}, a plateau needs"
        )
        return replace(found, kind="concurrent", reason=f"{reason} {limit:g}")
    if height < config.min_step:
        rise_by = _below(height, config.min_step)
        reason = f"the fit of validation rises by {rise_by} since then, a jump needs {config.min_step:g}"
        return replace(found, kind="no_jump", reason=reason)
    if max(seen, within) < MIN_RESOLVED:
        reason = (
            f"only {_evaluations(seen)} between memorisation at iteration {curve.iteration[0]:g} and the middle of the "
            f"rise of {height:.2f}, too few to tell a plateau; evaluate more often before iteration {half:.4g}"
        )
        return replace(found, kind="undetermined", reason=reason)
    reason = (
        f"validation rose by {height:.2f} since memorisation, but no jump stands out: no rise by {config.min_step:g} "
        f"is clearly {CONTRAST:g} times that of an equally long time before it"
    )
    return replace(found, kind="gradual", reason=reason)


def _below(value: float, limit: float) -> str:
    """A value below `limit` with two digits, or as many as show that it is below."""
    digits = next((digits for digits in range(2, 17) if float(f"{value:.{digits}f}") < limit), 17)
    return f"{value:.{digits}f}"


def _evaluations(count: int) -> str:
    return f"{count} evaluation{'s lie' if count != 1 else ' lies'}"


def _step(found: fit.StepFit) -> Step:
    return Step(
        found.centre_quantile(0.5),
        found.centre_quantile(0.025),
        found.centre_quantile(0.975),
        float(found.posterior @ found.width),
        float(found.posterior @ found.low),
        float(found.posterior @ found.high),
    )


def _parameters(path: Path) -> int:
    return 6 * len(path.parts) - 1  # centre, width, skew and two levels each, and the cuts


def _dispersion(path: Path) -> float:
    return fit.dispersion(path.deviance, len(path.at), _parameters(path))


def _beats_plain_shapes(path: Path) -> bool:
    """Whether the steps explain the curve better than no change, even and quadratic growth, by BIC."""
    price = np.log(len(path.at)) * _dispersion(path)
    plain = (fit.constant(path.at), fit.line(path.at), fit.parabola(path.at))
    return all(
        fit.fit_shape(shape, path.correct, path.n)[1] - path.deviance > (_parameters(path) - shape.shape[1]) * price
        for shape in plain
    )


def _last(values: Floats) -> float:
    return float(np.median(values[-HOLD:]))


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
