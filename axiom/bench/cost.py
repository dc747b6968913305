"""What a round costs: a line through measured points for each stage, checked on points that took no part in the fit.

A stage's seconds are `fixed + each · amount`; the amount is what drives it: problems, samples or tokens. What the lines
say of other sizes of model and numbers of GPUs rests on the assumptions that `forecast` names.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from pydantic import TypeAdapter
from scipy.optimize import nnls

POINTS = Path(__file__).with_name("cost.csv")
"""Measured points; `axiom bench cost --measure` makes those of two cores, the others are of published runs."""
GPU, CPU = "one H200", "one core"
LEVEL = 0.2
"""The relative error that a prediction is allowed."""
PARAMETERS = {"SmolLM2-135M": 0.1345, "1.5B": 1.544, "7B": 7.62, "32B": 32.8}
"""Billions, of the models that the page speaks of."""
SIZES = {"sampling": (129_865.0, 80_121.0), "training": (95_600.0, 41_800.0)}
"""Tokens a second on one H200 of SmolLM2-135M and of Qwen2.5-Coder-1.5B's shape: docs/performance.md."""


@dataclass(frozen=True)
class Point:
    """One measurement. `value` is in the unit of the stage: seconds, or bytes where its name says so."""

    machine: str
    stage: str
    amount: float
    value: float
    held_out: bool
    source: str


@dataclass(frozen=True)
class Line:
    """`fixed + each · amount`, and how far its held-out points are from it."""

    machine: str
    stage: str
    unit: str
    fixed: float
    each: float
    fitted: int
    errors: tuple[float, ...]
    """Of each held-out point: predicted over measured, less one."""
    total: float
    """The same for the sum of them."""

    def at(self, amount: float) -> float:
        """What it predicts."""
        return self.fixed + self.each * amount

    @property
    def holds(self) -> bool:
        """Whether nine of ten held-out points, and their sum, are within the level."""
        within = sum(abs(error) <= LEVEL for error in self.errors)
        return abs(self.total) <= LEVEL and within >= 0.9 * len(self.errors)


UNITS = {
    "problems": "problem",
    "sampling": "token",
    "verification": "sample",
    "selection": "sample",
    "evaluation": "sample",
    "training": "token",
    "bytes": "sample",
}
"""What each stage's amount counts, in the order of a round."""


def read(path: Path = POINTS) -> list[Point]:
    """The stored points."""
    with path.open(encoding="utf-8", newline="") as file:
        return TypeAdapter(list[Point]).validate_python(list(csv.DictReader(file)))


def fit(points: Sequence[Point]) -> dict[tuple[str, str], Line]:
    """A line for each machine and stage that has two fitted points or more; neither of its numbers is negative."""
    found = {}
    for key in dict.fromkeys((point.machine, point.stage) for point in points):
        ours = [point for point in points if (point.machine, point.stage) == key]
        fitted = [point for point in ours if not point.held_out]
        if len({point.amount for point in fitted}) > 1:
            found[key] = _line(*key, fitted, [point for point in ours if point.held_out])
    return found


def _line(machine: str, stage: str, fitted: Sequence[Point], held_out: Sequence[Point]) -> Line:
    # Relative errors: else the largest points alone would decide.
    values = np.array([point.value for point in fitted])
    amounts = np.array([point.amount for point in fitted])
    (fixed, each), _ = nnls(np.column_stack([1 / values, amounts / values]), np.ones(len(fitted)))
    predicted = [fixed + each * point.amount for point in held_out]
    errors = tuple(guess / point.value - 1 for guess, point in zip(predicted, held_out, strict=True))
    total = sum(predicted) / sum(point.value for point in held_out) - 1 if held_out else float("nan")
    return Line(machine, stage, UNITS[stage], float(fixed), float(each), len(fitted), errors, total)


@dataclass(frozen=True)
class Round:
    """A round's size: `problems` with `samples` completions of `tokens` tokens each, then `kept` examples of `trained`
    tokens train, and `evaluated` problems are answered once. `parameters` in billions; `gpus` share the tokens, `cores`
    the candidates.
    """

    name: str
    problems: float
    samples: float
    tokens: float
    kept: float
    trained: float
    evaluated: float
    parameters: float
    gpus: int = 1
    cores: int = 16


ROUNDS = [
    Round("the reference run", 300, 8, 42, 1600, 150, 600, PARAMETERS["SmolLM2-135M"]),
    Round("original, 1.5B", 1000, 4, 160, 1000, 330, 1400, PARAMETERS["1.5B"]),
    Round("original, 7B", 1000, 4, 160, 1000, 330, 1400, PARAMETERS["7B"]),
    Round("original, 32B", 1000, 4, 160, 1000, 330, 1400, PARAMETERS["32B"]),
    Round("10^6 problems, 1.5B", 1e6, 4, 160, 1e6, 330, 1400, PARAMETERS["1.5B"]),
    Round("the same, 64 GPUs", 1e6, 4, 160, 1e6, 330, 1400, PARAMETERS["1.5B"], gpus=64),
    Round("the same, 7B", 1e6, 4, 160, 1e6, 330, 1400, PARAMETERS["7B"], gpus=64),
    Round("the same, 32B", 1e6, 4, 160, 1e6, 330, 1400, PARAMETERS["32B"], gpus=64),
]
"""The rounds that the page speaks of."""


def forecast(lines: Mapping[tuple[str, str], Line], of: Round) -> dict[str, float]:
    """Seconds of each part of a round.

    Assumed: a token's time grows with the parameters along the line through the two measured models (`SIZES`); GPUs
    share tokens evenly; the stages of tables run in one process on one core; candidates share all cores while sampling
    goes on, so that only what lasts longer than sampling adds. The fixed part of selection and evaluation is what their
    processes load when they are measured, which a run does once.
    """
    drawn = of.problems * of.samples
    sampling = _per_token(lines, "sampling", of, drawn * of.tokens)
    verification = lines[CPU, "verification"].at(drawn) / of.cores
    return {
        "sampling": sampling,
        "verification beyond it": max(0.0, verification - sampling),
        "selection": lines[CPU, "selection"].each * drawn,
        "training": _per_token(lines, "training", of, of.kept * of.trained),
        "evaluation": _per_token(lines, "sampling", of, of.evaluated * of.tokens)
        + lines[CPU, "evaluation"].each * of.evaluated,
    }


def _per_token(lines: Mapping[tuple[str, str], Line], stage: str, of: Round, tokens: float) -> float:
    line = lines[GPU, stage]
    return line.fixed + line.each * slower(stage, of.parameters) * tokens / of.gpus


def slower(stage: str, parameters: float) -> float:
    """How many times as long as of SmolLM2-135M a token of a model of so many billions of parameters takes."""
    small, large = SIZES[stage]
    least, most = PARAMETERS["SmolLM2-135M"], PARAMETERS["1.5B"]
    slope = (1 / large - 1 / small) / (most - least)
    return (1 / small + slope * (parameters - least)) * small


def fits(lines: Mapping[tuple[str, str], Line]) -> tuple[list[str], list[list[str]]]:
    """A row for each line: its two numbers, and how far its held-out points are from it."""
    rows = []
    for line in lines.values():
        unit = "bytes" if line.stage == "bytes" else "s"
        sizes = [abs(error) for error in line.errors]
        rows.append(
            {
                "machine": line.machine,
                "stage": line.stage,
                "fixed": f"{line.fixed:.3g} {unit}",
                "each": f"{line.each:.3g} {unit} a {line.unit}",
                "points": str(line.fitted),
                "held out": str(len(sizes)),
                "median error": f"{median(sizes):.1%}",
                "largest": f"{max(sizes):.1%}",
                "of their sum": f"{line.total:+.1%}",
                "holds": "yes" if line.holds else "no",
            }
        )
    return list(rows[0]), [list(row.values()) for row in rows]


def forecasts(lines: Mapping[tuple[str, str], Line]) -> tuple[list[str], list[list[str]]]:
    """A row for each of `ROUNDS`: seconds of its parts, their sum, and the part that takes most."""
    found = [(of, forecast(lines, of)) for of in ROUNDS]
    header = ["round", *found[0][1], "in all", "binds"]
    rows = [
        [
            of.name,
            *(_seconds(seconds) for seconds in parts.values()),
            _seconds(sum(parts.values())),
            max(parts, key=lambda part: parts[part]),
        ]
        for of, parts in found
    ]
    return header, rows


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
