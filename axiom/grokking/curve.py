"""A pair of accuracy curves: the input of the detector, from arrays or from a metrics table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axiom.errors import DataError
from axiom.evaluation import GREEDY
from axiom.records import Metric

Floats = NDArray[np.float64]

MIN_EVALUATIONS = 12
"""Fewest evaluations on which memorisation (3), plateau (3), jump and five that hold can be told apart."""
ASSUMED_PROBLEMS = 200
"""Problems behind an accuracy where a CSV file does not say."""


@dataclass(frozen=True)
class Curve:
    """Train and validation accuracy over a run: five arrays of one length, one entry an evaluation.

    `iteration` ascends, in steps of any size; accuracies lie in 0..1; `*_n` counts the
    answers that each pools.
    """

    iteration: Floats
    train_accuracy: Floats
    val_accuracy: Floats
    train_n: Floats
    val_n: Floats

    def __len__(self) -> int:
        return len(self.iteration)

    @property
    def spacing(self) -> float:
        """Iterations between the first two evaluations."""
        return float(self.iteration[1] - self.iteration[0]) if len(self) > 1 else 1.0

    def part(self, start: int, end: int) -> "Curve":
        """Evaluations [start, end)."""
        return Curve(*(getattr(self, name)[start:end] for name in self.__dataclass_fields__))

    @classmethod
    def of(
        cls,
        iteration: Sequence[float] | Floats,
        train_accuracy: Sequence[float] | Floats,
        val_accuracy: Sequence[float] | Floats,
        train_n: float | Sequence[float] | Floats = ASSUMED_PROBLEMS,
        val_n: float | Sequence[float] | Floats = ASSUMED_PROBLEMS,
    ) -> "Curve":
        """A checked curve from sequences of one length; a single `n` holds for all evaluations.

        `train_n` and `val_n` count the answers behind each accuracy, which decide how noisy it may be. Raises DataError
        for gaps, accuracies outside 0..1, counts below 1 and iterations that do not ascend.
        """
        length = len(iteration)
        if (found := {length, np.size(train_accuracy), np.size(val_accuracy)}) != {length}:
            raise DataError(f"the columns of a curve have different lengths: {', '.join(map(str, sorted(found)))}")
        columns = (iteration, train_accuracy, val_accuracy, train_n, val_n)
        arrays = [np.array(np.broadcast_to(np.asarray(column, float), length)) for column in columns]
        curve = cls(*arrays)
        check_values(curve)
        return curve

    @classmethod
    def from_metrics(
        cls,
        metrics: Sequence[Metric],
        split: str = "val",
        family: str | None = None,
        difficulty: int | None = None,
        name: str = GREEDY,
    ) -> "Curve":
        """The curve of metric `name`: `train` against `split`, both of `family` and `difficulty` (None pools).

        Iterations where either split was not measured are left out. An empty table gives an empty curve.
        """
        by_split: dict[str, dict[int, Metric]] = {"train": {}, split: {}}
        for row in metrics:
            if (row.name, row.family, row.difficulty) == (name, family, difficulty) and row.split in by_split:
                by_split[row.split][row.iteration] = row
        train, val = by_split["train"], by_split[split]
        both = sorted(set(train) & set(val))
        return cls.of(
            both,
            [train[i].value for i in both],
            [val[i].value for i in both],
            [train[i].n or ASSUMED_PROBLEMS for i in both],
            [val[i].n or ASSUMED_PROBLEMS for i in both],
        )


def check_values(curve: Curve) -> None:
    """Raise DataError with one sentence unless the values are finite, in range, ascending."""
    for name in ("iteration", "train_accuracy", "val_accuracy", "train_n", "val_n"):
        values = getattr(curve, name)
        endless, holes = np.flatnonzero(np.isinf(values)), np.flatnonzero(np.isnan(values))
        if len(endless):
            raise DataError(f"{name} is infinite in row {endless[0] + 1}; the detector needs a finite value there")
        if len(holes):
            raise DataError(
                f"the curve has a gap: {name} is missing in row {holes[0] + 1}; the detector needs a value in every "
                f"row, so fill it in or drop the rows before or after it"
            )
    for name in ("train_accuracy", "val_accuracy"):
        values = getattr(curve, name)
        wrong = np.flatnonzero((values < 0) | (values > 1))
        if len(wrong):
            raise DataError(
                f"{name} = {values[wrong[0]]:g} in row {wrong[0] + 1} lies outside 0..1; the detector needs "
                f"fractions, so divide percentages by 100"
            )
    for name in ("train_n", "val_n"):
        if len(curve) and getattr(curve, name).min() < 1:
            raise DataError(f"{name} = {getattr(curve, name).min():g} must be at least 1: it counts answers")
    _check_iterations(curve.iteration)


def _check_iterations(iteration: Floats) -> None:
    steps = np.diff(iteration)
    for row, step in enumerate(steps, start=2):
        if step == 0:
            raise DataError(
                f"iteration {iteration[row - 1]:g} occurs twice (row {row}); the detector needs one evaluation per "
                f"iteration, so drop or average the duplicates"
            )
        if step < 0:
            raise DataError(
                f"iteration {iteration[row - 1]:g} in row {row} comes after {iteration[row - 2]:g}; the detector needs "
                f"ascending iterations, so sort the rows"
            )


def check_curve(curve: Curve) -> None:
    """Raise DataError unless the curve is long enough for a verdict."""
    if len(curve) < MIN_EVALUATIONS:
        raise DataError(
            f"the curve has {len(curve)} evaluations; the detector needs at least {MIN_EVALUATIONS} to tell a plateau "
            f"from a jump, so run longer or set [evaluation] every lower"
        )
