"""One run, many curves: each split, family and difficulty, and the problems the base model could not solve at all."""

from collections.abc import Iterator, Mapping, Sequence

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
    """Each split's problems with pass@K = 0 in the first evaluation: no sample of the base model, nor its greedy one.

    What improves here was not in the base model's reach. Splits without such problems, or without such problems in
    train, are left out.
    """
    if not evaluations:
        return {}
    first = evaluations[min(evaluations)]
    hard = {row.problem_id for row in first if row.correct == 0 and not row.greedy_correct}
    points = {iteration: _accuracies(evaluations[iteration], hard) for iteration in sorted(evaluations)}
    splits = dict.fromkeys(row.split for row in first if row.problem_id in hard)
    if "train" not in splits:
        return {}
    return {f"{split} · pass@K = 0": _curve(points, split) for split in splits if split != "train"}


def _accuracies(rows: Sequence[Evaluation], hard: set[str]) -> dict[str, tuple[float, int]]:
    scores: dict[str, list[bool]] = {}
    for row in rows:
        if row.problem_id in hard and row.greedy_correct is not None:
            scores.setdefault(row.split, []).append(row.greedy_correct)
    return {split: (sum(values) / len(values), len(values)) for split, values in scores.items()}


def _curve(points: Mapping[int, Mapping[str, tuple[float, int]]], split: str) -> Curve:
    rows = list(_rows(points, split))
    return Curve.of(*zip(*rows, strict=True)) if rows else Curve.of([], [], [])


def _rows(
    points: Mapping[int, Mapping[str, tuple[float, int]]], split: str
) -> Iterator[tuple[float, float, float, float, float]]:
    for iteration, scores in points.items():
        if "train" in scores and split in scores:
            (train, train_n), (val, val_n) = scores["train"], scores[split]
            yield float(iteration), train, val, float(train_n), float(val_n)
