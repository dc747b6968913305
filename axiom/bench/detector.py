"""Calibration of the detector: false alarms, detections, timing and coverage on curves whose truth is known.

Beside it the original rule and the literature's. A null family is one whose truth has no lasting jump.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np

from axiom.bench.curves import FAMILIES, Truth, observe
from axiom.config import DetectionConfig
from axiom.grokking import alarms, detect, literature, naive
from axiom.seeds import derive

RULES = ("naive", "literature", "axiom")
LENGTHS = (20, 50, 100)
SHORTEST = 20
"""Evaluations: in fewer, some families would look for room for a jump without end."""


@dataclass(frozen=True)
class Trial:
    """One simulated curve. `jump`, and `times` that each rule gives it, are in evaluations; None where there is none.

    `alarm` is what stood at the end of the online run: raised and not revoked. `covered` is about the 95 % interval.
    """

    family: str
    evaluations: int
    jump: float | None
    times: dict[str, float | None]
    kind: str
    covered: bool | None
    alarm: bool


@dataclass(frozen=True)
class Figures:
    """Shares and errors of one rule over some trials; nan where nothing qualifies.

    `null` counts curves without a jump, `real` those with one.
    """

    false_alarms: float
    detections: float
    timing_error: float
    coverage: float
    null: int
    real: int


def trial(family: str, evaluations: int, index: int, seed: int = 0) -> Trial:
    """Simulate and judge one curve."""
    rng = np.random.default_rng(derive(seed, "bench", "detector", family, evaluations, index))
    truth = FAMILIES[family](rng, evaluations)
    curve = observe(truth, rng)
    config = DetectionConfig()
    phases = detect(curve, config)
    ours = phases.t_generalise if phases.kind == "grokking" else None
    covered = None
    if truth.jump is not None and ours is not None:
        low, high = phases.t_generalise_low, phases.t_generalise_high
        covered = low is not None and high is not None and low <= truth.jump <= high
    online = alarms(curve, config)
    times = {"naive": naive(curve, config), "literature": literature(curve), "axiom": _evaluation(truth, ours)}
    return Trial(
        family,
        evaluations,
        _evaluation(truth, truth.jump),
        times,
        phases.kind,
        covered,
        bool(online) and online[-1].kind == "alarm",
    )


def _evaluation(truth: Truth, time: float | None) -> float | None:
    """A time as a fractional evaluation."""
    return None if time is None else float(np.interp(time, truth.at, np.arange(len(truth.at))))


def simulate(curves: int, lengths: Sequence[int] = LENGTHS, seed: int = 0, workers: int = 1) -> list[Trial]:
    """`curves` trials of every family at every length.

    Raises ValueError where a curve is so short that no plateau, jump and end have room in it.
    """
    if min(lengths) < SHORTEST:
        raise ValueError(f"a simulated curve has at least {SHORTEST} evaluations, not {min(lengths)}")
    jobs = list(product(FAMILIES, lengths, range(curves), [seed]))
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(trial, *zip(*jobs, strict=True), chunksize=25))


def figures(trials: Sequence[Trial], rule: str) -> Figures:
    """What `rule` achieved on `trials`; only axiom's has intervals."""
    null = [t.times[rule] is not None for t in trials if t.jump is None]
    real = [t for t in trials if t.jump is not None]
    found = [(t, time) for t in real if (time := t.times[rule]) is not None]
    errors = [abs(time - t.jump) for t, time in found if t.jump is not None]
    covered = [t.covered for t, _ in found] if rule == "axiom" else []
    return Figures(
        _mean(null),
        _mean([t.times[rule] is not None for t in real]),
        float(np.median(errors)) if errors else np.nan,
        _mean(covered),
        len(null),
        len(real),
    )


def _mean(values: Sequence[object]) -> float:
    return float(np.mean([bool(value) for value in values])) if values else float("nan")


def kinds(trials: Sequence[Trial]) -> dict[str, int]:
    """How often each kind of curve was seen, most often first."""
    return dict(Counter(t.kind for t in trials).most_common())


def online_sentence(trials: Sequence[Trial]) -> str:
    """What the online alarm did over whole runs."""
    false = _mean([t.alarm for t in trials if t.jump is None])
    real = _mean([t.alarm for t in trials if t.jump is not None])
    shares = f"{false:.2%} of runs without a lasting jump and of {real:.1%} with one"
    return f"online: an alarm is in force at the end of {shares}"
