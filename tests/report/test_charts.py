"""Charts of long runs."""
# ruff: noqa: TID253

import altair as alt
import polars as pl
import pytest
import vl_convert

from axiom.records import LossStep
from axiom.report import charts
from axiom.report.data import View
from axiom.report.page import _shown
from axiom.report.render import script
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


def test_the_level_in_force_is_in_every_chart():
    levels = {1: 1, 2: 1, 3: 2, 4: 1}
    rows = [metric_row(iteration=n, split="val", value=0.5, low=0.4, high=0.6, n=10) for n in range(5)]
    rows += [row.model_copy(update={"family": "rpn"}) for row in rows]
    rows += [metric_row(iteration=n, split="train", name=name, value=1.0, n=None) for n in levels for name in ("gold",)]
    rows += [metric_row(iteration=n, split="train", name="outcome_passed", value=1.0, n=4) for n in levels]
    plain = list(rows)
    rows += [metric_row(iteration=n, split="train", name="level", value=float(v), n=None) for n, v in levels.items()]
    made = [
        *(chart(rows) for chart in (charts.accuracy, charts.gold, charts.outcomes, charts.families)),
        charts.loss(steps(1, 3), rows),
    ]
    line = "Level of the curriculum by iteration: 1 in 1-2, 2 in 3, 1 in 4"
    assert [chart.to_dict()["title"]["subtitle"] for chart in made] == [line] * 5
    bands = [
        {"level": 1, "from": 0.5, "to": 2.5},
        {"level": 2, "from": 2.5, "to": 3.5},
        {"level": 1, "from": 3.5, "to": 4.5},
    ]
    for chart in made[:2]:
        assert bands in chart.to_dict()["datasets"].values()
    assert "subtitle" not in charts.accuracy(plain).to_dict()["title"]
    shown = _shown(View("Gap", "words", alt.Chart(pl.DataFrame({"a": [1]})).mark_point()), line)
    assert shown["chart"]["title"]["text"] == line, "a view with no place for levels of its own has them as well"
    assert charts.levels(plain) == []


@pytest.mark.slow
def test_the_script_of_pages_is_put_together_once(tmp_path, monkeypatch):
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path))
    made = script.__wrapped__()
    [kept] = tmp_path.rglob("*.js")
    assert kept.read_text(encoding="utf-8") == made == vl_convert.javascript_bundle()
    kept.write_text("of before", encoding="utf-8")
    assert script.__wrapped__() == "of before"
    monkeypatch.setenv("AXIOM_CACHE_DIR", "/proc/no")
    assert script.__wrapped__() == made
