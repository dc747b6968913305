"""One run, many curves: each split, family and difficulty, and the problems the base model could not solve at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axiom.evaluation import GREEDY
from axiom.grokking.curve import Curve
from axiom.records import Evaluation, Metric


def slices(metrics: Sequence[Metric]) -> dict[str, Curve]:
    """Every split but train, pooled, by family and by difficulty, each against its own part of train.

    Slices without a counterpart in train (an unseen family) or without evaluations are left out.
    """
    keys = {
        (row.split, row.family, row.difficulty): None for row in metrics if row.name == GREEDY and row.split != "train"
    }
    curves = {}
    families = {family for _, family, _ in keys if family}
    difficulties = {difficulty for _, _, difficulty in keys if difficulty}
    for split, family, difficulty in keys:
        if (family and len(families) == 1) or (difficulty and len(difficulties) == 1):
            continue  # the same as the pooled curve
        curve = Curve.from_metrics(metrics, split or "", family, difficulty)
        if len(curve):
            parts = [split or "", family, None if difficulty is None else f"difficulty {difficulty}"]
            curves[" · ".join(part for part in parts if part)] = curve
    return curves


def unsolved(evaluations: Mapping[int, Sequence[Evaluation]]) -> dict[str, Curve]:
    """Each split's problems that no sample of the base model solved in the first evaluation, nor its greedy one.

    What improves here was not in the base model's reach. Splits without such problems, or without such problems in
    train, are left out.
    """
    if not evaluations:
        return {}
    parts = _failed(evaluations[min(evaluations)])
    hard = {row.problem_id for rows in parts.values() for row in rows}
    points = {iteration: _accuracies(evaluations[iteration], hard) for iteration in sorted(evaluations)}
    if "train" not in parts:
        return {}
    return {_name(split, rows): _curve(points, split) for split, rows in parts.items() if split != "train"}


def _failed(first: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """Of each split the problems that nothing of the base model solved."""
    parts: dict[str, list[Evaluation]] = {}
    for row in first:
        if row.correct == 0 and not row.greedy_correct:
            parts.setdefault(row.split, []).append(row)
    return parts


def _name(split: str, failed: Sequence[Evaluation]) -> str:
    """What is told apart: pass@K = 0, or where nothing was drawn a wrong greedy answer."""
    return f"{split} · pass@K = 0" if min(row.n for row in failed) else f"{split} · wrong at first"


@dataclass(frozen=True)
class FromNothing:
    """Problems of a split that no draw of the base model solved: how many, and how many are solved at the end.

    Each was drawn `draws` times at least, so with `confidence` its chance of a success was below `bound` a draw.
    """

    problems: int
    solved: int
    draws: int
    bound: float
    confidence: float

    def sentence(self, part: str) -> str:
        """The figures in words."""
        if not self.draws:
            return (
                f"{part}: the base model was not drawn from, so nothing bounds its chance of a success; set "
                f"evaluation.samples_per_problem"
            )
        return (
            f"{part}: {self.solved} of {self.problems} problems that no draw of the base model solved are solved at "
            f"the end; with no success in {self.draws} draws the chance of one was below {self.bound:.3g} a draw "
            f"({100 * self.confidence:.4g} %, each problem by itself)"
        )


def never_solved(draws: int, confidence: float = 0.95) -> float:
    """The largest chance of a success that no success in so many draws leaves: 1 - (1 - confidence)^(1 / draws).

    The exact one-sided binomial bound (Clopper & Pearson 1934), near 3 / draws at 95 % (Hanley & Lippman-Hand 1983).
    """
    return 1.0 if draws < 1 else -math.expm1(math.log1p(-confidence) / draws)


def from_nothing(evaluations: Mapping[int, Sequence[Evaluation]], confidence: float = 0.95) -> dict[str, FromNothing]:
    """By the names of `unsolved`'s curves, and of train: what the base model's failures say, what became of them."""
    if not evaluations:
        return {}
    first, last = evaluations[min(evaluations)], evaluations[max(evaluations)]
    solved = {row.problem_id for row in last if row.greedy_correct}
    return {_name(split, rows): _from_nothing(rows, solved, confidence) for split, rows in _failed(first).items()}


def _from_nothing(rows: Sequence[Evaluation], solved: set[str], confidence: float) -> FromNothing:
    draws = min(row.n for row in rows)
    now = sum(row.problem_id in solved for row in rows)
    return FromNothing(len(rows), now, draws, never_solved(draws, confidence), confidence)


def _accuracies(rows: Sequence[Evaluation], hard: set[str]) -> dict[str, tuple[float, int]]:
    scores: dict[str, list[bool]] = {}
    for row in rows:
        if row.problem_id in hard and row.greedy_correct is not None:
            scores.setdefault(row.split, []).append(row.greedy_correct)
    return {split: (sum(values) / len(values), len(values)) for split, values in scores.items()}


def _curve(points: Mapping[int, Mapping[str, tuple[float, int]]], split: str) -> Curve:
    both = {i: (scores["train"], scores[split]) for i, scores in points.items() if {"train", split} <= scores.keys()}
    rows = [
        (float(i), train, val, float(train_n), float(val_n)) for i, ((train, train_n), (val, val_n)) in both.items()
    ]
    return Curve.of(*zip(*rows, strict=True)) if rows else Curve.of([], [], [])
