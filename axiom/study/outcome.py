"""A finished run as one observation of a study: when it generalised for good, the kind of curve, what it cost."""

from dataclasses import dataclass

import numpy as np

from axiom.commands import suggest
from axiom.config import ExperimentConfig
from axiom.errors import DataError
from axiom.evaluation import GREEDY
from axiom.experiment import Experiment, ledger
from axiom.grokking import Curve, detect
from axiom.grokking.curve import Floats
from axiom.grokking.path import in_windows
from axiom.records import Metric
from axiom.study.config import WINDOW, Clock, Reading

SLACK = 0.1
"""How far below the level a later window may fall in a run that still counts as stable, and at most half of it."""


@dataclass(frozen=True)
class Outcome:
    """One run. `time` is when it generalised for good, or the horizon if it never did (`observed` is False).

    `condition` is what it is compared as where that is not its arm: a variant, a cell of a grid, a fork. `stem` is the
    run that its first iterations are from, where forks are compared.
    """

    name: str
    arm: str
    seed: int
    yoke: str
    time: float
    observed: bool
    horizon: float
    kind: str
    final_accuracy: float
    metrics: tuple[Metric, ...]
    ledger: tuple[ledger.Entry, ...]
    config: ExperimentConfig | None = None
    condition: str = ""
    stem: str = ""

    @property
    def group(self) -> str:
        """What the run is compared as."""
        return self.condition or self.arm


def stable_from(curve: Curve, level: float) -> int | None:
    """Index of the first evaluation from which pooled accuracy reaches `level` and never again falls well below it."""
    if len(curve) < WINDOW:
        return None
    pooled = in_windows(curve.val_accuracy, curve.val_n, WINDOW)
    lost = np.flatnonzero(pooled < level - min(SLACK, level / 2))
    reached = np.flatnonzero(pooled >= level)
    reached = reached[reached > (lost[-1] if len(lost) else -1)]
    return int(reached[0]) if len(reached) else None


def read(experiment: Experiment, reading: Reading) -> Outcome:
    """The outcome of a run. Raises DataError when it is unfinished or was never evaluated on the split."""
    split, clock, family = reading.split, reading.clock, reading.family or None
    config = experiment.config
    metrics = experiment.metrics() if experiment.folder.exists("metrics.parquet") else []
    curve = Curve.from_metrics(metrics, split, family)
    reached = int(curve.iteration[-1]) if len(curve) else 0
    if reached < config.iterations and _ran_out_of_patience(curve, config.training.patience):
        raise DataError(
            f"run {config.name!r} was stopped by training.patience = {config.training.patience} after iteration "
            f"{reached} of {config.iterations}, so nobody knows whether it would have generalised later; compare runs "
            f"without patience"
        )
    of = f" of {family}" if family else ""
    if not len(curve) or reached < config.iterations:
        raise DataError(
            f"run {config.name!r} has {split} accuracies{of} up to iteration {reached} of {config.iterations}; "
            f"finish it with `{suggest('resume', config.name, root=experiment.root)}` before comparing it"
        )
    at = stable_from(curve, reading.level)
    clocks = clock_readings(metrics, split, clock, family)
    return Outcome(
        config.name,
        config.arm,
        config.seed,
        config.yoke,
        float(clocks[-1] if at is None else clocks[at]),
        at is not None,
        float(clocks[-1]),
        detect(curve, config.detection).kind,
        float(curve.val_accuracy[-1]),
        tuple(metrics),
        tuple(ledger.read(experiment)),
        config,
    )


def _ran_out_of_patience(curve: Curve, patience: int) -> bool:
    """Whether the last so many evaluations brought no gain."""
    return bool(patience) and len(curve) - 1 - int(np.argmax(curve.val_accuracy)) >= patience


def clock_readings(metrics: list[Metric], split: str, clock: Clock, family: str | None = None) -> Floats:
    """What the clock showed at each evaluation of the split, or of one family in it."""
    wanted = (GREEDY, split, family, None)
    rows = [row for row in metrics if (row.name, row.split, row.family, row.difficulty) == wanted]
    return np.array([getattr(row, clock) for row in sorted(rows, key=lambda row: row.iteration)], float)
