"""Charts of long runs."""

import pytest

from axiom.records import LossStep
from axiom.report import charts
from tests.rows import metric_row


def steps(iterations, each):
    return [
        LossStep(
            iteration=1 + at // each,
            step=at,
            loss=1 / (1 + at),
            learning_rate=1e-4,
            examples=8,
            loss_tokens=10 + at % 7,
            tokens=100,
            grad_norm=1.0,
        )
        for at in range(iterations * each)
    ]


def points(chart):
    (data,) = chart.to_dict()["datasets"].values()
    return data


@pytest.mark.parametrize(("iterations", "each"), [(1, 1), (5, 30), (63, 154), (300, 47)])
def test_the_loss_of_a_long_run_is_drawn_in_few_points_of_the_same_mean(iterations, each):
    drawn, given = points(charts.loss(steps(iterations, each))), steps(iterations, each)
    assert len(drawn) <= min(len(given), charts.MOST_STEPS + iterations)
    assert {row["iteration"] for row in drawn} == set(range(1, iterations + 1))
    assert sum(row["loss_tokens"] for row in drawn) == sum(step.loss_tokens for step in given)
    whole = sum(step.loss * step.loss_tokens for step in given)
    assert sum(row["loss"] * row["loss_tokens"] for row in drawn) == pytest.approx(whole)


def test_many_families_over_many_iterations_are_drawn():
    rows = [
        metric_row(
            iteration=at,
            optimizer_step=at,
            trained_tokens=at,
            generated_tokens=at,
            split=split,
            family=f"family-{number}",
            value=0.5,
            low=0.4,
            high=0.6,
            n=20,
        )
        for at in range(101)
        for split in ("train", "val", "test")
        for number in range(35)
    ]
    assert len(points(charts.families(rows))) == len(rows)
