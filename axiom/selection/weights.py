"""What a row of gold counts in the loss. Pure."""

from collections.abc import Mapping, Sequence

from axiom.config import SelectionConfig
from axiom.records import Gold, Problem


def weighted(
    gold: Sequence[Gold], config: SelectionConfig, problems: Mapping[str, Problem], rates: Mapping[str, float]
) -> list[Gold]:
    """The rows with their weights times others of mean 1: by the problem's difficulty, or its inverse solve rate.

    `rates` lie above 0, as posterior means do; a problem without one counts as solved half of the time.
    """
    if config.weight == "equal" or not gold:
        return list(gold)
    if config.weight == "difficulty":
        raw = [float(problems[row.problem_id].difficulty) for row in gold]
    else:
        raw = [1.0 / rates.get(row.problem_id, 0.5) for row in gold]
    mean = sum(raw) / len(raw)
    return [
        row.model_copy(update={"weight": row.weight * weight / mean}) for row, weight in zip(gold, raw, strict=True)
    ]
